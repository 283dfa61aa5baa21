#include "store/retention.h"

#include <fmt/format.h>

#include "base/log.h"

namespace aether::store {
namespace {

std::string in_words(std::chrono::seconds length) {
  const auto hours = std::chrono::duration_cast<std::chrono::hours>(length).count();
  return hours > 72 ? fmt::format("{} days", hours / 24) : fmt::format("{} hours", hours);
}

}  // namespace

void log_retention(const Retention& retention) {
  log::info("store", "history is kept",
            {{"raw", in_words(retention.raw)}, {"minutes", in_words(retention.minutes)}, {"hours", in_words(retention.hours)}});
}

}  // namespace aether::store
