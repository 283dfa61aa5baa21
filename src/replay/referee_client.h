#pragma once
// The scheduler's side of a trace server's line protocol: it owns clock and run times, we decide.
#include <iosfwd>

#include "queueing/dispatcher.h"
#include "replay/estimator.h"

namespace aether::replay {

// Reads VC, READY, AT, END, SUB, GO and BYE lines from `in`; answers each GO with STOP, RUN and WAKE lines and OK on
// `out`. Needs a policy without true run times. False with a line on `errors` when a line can't be understood.
bool serve_referee(std::istream& in, std::ostream& out, std::ostream& errors, const queueing::DispatchOptions& options,
                   Estimator& estimator);

}  // namespace aether::replay
