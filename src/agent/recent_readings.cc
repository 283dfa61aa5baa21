#include "agent/recent_readings.h"

namespace aether {

Result<std::unique_ptr<RecentReadings>> RecentReadings::open(const std::string& directory, Spool& spool) {
  SpoolOptions options;
  options.directory = directory;
  options.segment_bytes = 64u << 10;
  options.max_bytes = 64u << 20;
  options.max_records = kMost;
  auto kept = Spool::open(std::move(options));
  if (!kept) return fail(kept.error());
  std::unique_ptr<RecentReadings> recent(new RecentReadings(*std::move(kept)));
  recent->move_to(spool);
  return recent;
}

void RecentReadings::add(std::uint32_t key, std::string_view payload, Mono now) {
  const std::uint64_t dropped = kept_->counters().dropped;
  kept_->append(key, payload);
  // A disk that is full takes nothing, and what was dropped is the oldest or this one: either way one time too many.
  added_.push_back(now);
  for (std::uint64_t i = dropped; i < kept_->counters().dropped && !added_.empty(); ++i) added_.pop_front();
}

void RecentReadings::forget_old(Mono now) {
  while (!added_.empty() && (now - added_.front() > kKeep || added_.size() > kMost)) {
    if (kept_->front() != nullptr) kept_->pop();
    added_.pop_front();
  }
}

std::size_t RecentReadings::move_to(Spool& spool) {
  std::size_t moved = 0;
  for (const Spool::Record* record = kept_->front(); record != nullptr; record = kept_->front(), ++moved) {
    spool.append(record->key, record->payload);
    kept_->pop();
  }
  added_.clear();
  return moved;
}

}  // namespace aether
