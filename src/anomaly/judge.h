#pragma once
// The one place where a judgement becomes a finding. Private to this folder.
#include "anomaly/anomaly_detector.h"

namespace aether {

// `describe` gives the Words; asked for only when the condition changes.
template <class Describe>
void AnomalyDetector::judge(Gpu& gpu, const Judgement& judgement, Time now, Out& out, Describe describe) {
  Held& held = gpu.held[static_cast<std::size_t>(judgement.signal)];
  if (!held.open && !judgement.bad && held.bad_since == Time{}) return;  // nearly always
  if (held.update(judgement.bad, judgement.good, now, judgement.open_for.value_or(options_.hold),
                  judgement.clear_for.value_or(2 * options_.hold)))
    out.push_back({alert_of(gpu, judgement.signal, held.open ? describe() : Words{}), held.open});
}

}  // namespace aether
