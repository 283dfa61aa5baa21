#pragma once
// What was published last. A connection that breaks, or an agent that is killed, may take some of it along without a word:
// then all of it is sent again, since doubles are told apart by GPU and time where they are stored. One owner thread.
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "telemetry/spool.h"

namespace aether {

class RecentReadings {
 public:
  // Longer than it takes to notice that nobody listens any more.
  static constexpr Duration kKeep = std::chrono::seconds(15);
  static constexpr std::size_t kMost = 40000;  // while a spool is emptied

  // `directory` outlives the process; empty: in memory. What a former process left is moved to `spool`.
  static Result<std::unique_ptr<RecentReadings>> open(const std::string& directory, Spool& spool);

  // Before it is published: what is not here is not sent again.
  void add(std::uint32_t key, std::string_view payload, Mono now);
  void forget_old(Mono now);
  // To the spool's end, oldest first; how many.
  std::size_t move_to(Spool& spool);

 private:
  explicit RecentReadings(std::unique_ptr<Spool> kept) : kept_(std::move(kept)) {}

  std::unique_ptr<Spool> kept_;
  std::deque<Mono> added_;  // when, of each in kept_
};

}  // namespace aether
