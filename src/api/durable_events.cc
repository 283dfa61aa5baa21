#include "api/durable_events.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace aether::api {
namespace {

struct Cursor {
  std::int64_t seq = 0;
  std::string memory;
};

std::optional<Cursor> parse_cursor(const std::string& text) {
  Cursor cursor;
  const std::size_t dot = text.find('.');
  if (dot == std::string::npos || dot == 0) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + dot, cursor.seq);
  if (error != std::errc() || end != text.data() + dot || cursor.seq < 0) return std::nullopt;
  cursor.memory = text.substr(dot + 1);
  return cursor;
}

// `cursor` holds the event's own place in its source until the two are merged.
struct Placed {
  SystemEvent event;
  std::int64_t seq = 0;  // 0 = from memory
};

Placed placed(const StoredEvent& stored) {
  const JobEvent& event = stored.event;
  const std::string name = fmt::format("job {} '{}'", stored.number, stored.name);
  std::string text = fmt::format("{} is {}", name, event.to);
  if (event.from.empty()) text = fmt::format("{} submitted by {}", name, stored.user);
  if (event.from == event.to) text = fmt::format("{} changed: {}", name, event.reason);
  return {{"", event.time, "job", std::move(text), "", "", event.job.str()}, stored.seq};
}

bool is_asked(const SystemEvent& event, const EventQuery& query) {
  const bool of_jobs = !query.job.empty() || !query.user.empty() || !query.states.empty();
  return !of_jobs && (!query.since || event.time >= *query.since) && (!query.until || event.time < *query.until);
}

}  // namespace

Result<std::vector<SystemEvent>> read_events(Store& store, const EventLog& memory, const std::string& text, EventQuery query) {
  constexpr std::size_t kAll = 1000;
  const auto limit = static_cast<std::size_t>(query.limit);
  const auto given = parse_cursor(text);
  if (given) query.after = given->seq;
  auto stored = store.events(query);
  if (!stored) return fail(stored.error());
  std::vector<Placed> merged;
  for (const StoredEvent& event : *stored) merged.push_back(placed(event));
  for (SystemEvent& event : memory.read(given ? given->memory : "", kAll))
    if (event.kind != "job" && is_asked(event, query)) merged.push_back({std::move(event), 0});
  std::stable_sort(merged.begin(), merged.end(),
                   [](const Placed& a, const Placed& b) { return a.event.time < b.event.time; });
  // A cursor reads on at the front; without one the newest count. What lies before them is passed over.
  const std::size_t skipped = given || merged.size() <= limit ? 0 : merged.size() - limit;
  Cursor at = given.value_or(Cursor{stored->empty() ? 0 : stored->front().seq - 1, ""});
  std::vector<SystemEvent> out;
  for (std::size_t i = 0; i < merged.size() && out.size() < limit; ++i) {
    if (merged[i].seq > 0)
      at.seq = std::max(at.seq, merged[i].seq);
    else
      at.memory = merged[i].event.cursor;
    if (i < skipped) continue;
    merged[i].event.cursor = fmt::format("{}.{}", at.seq, at.memory);
    out.push_back(std::move(merged[i].event));
  }
  return out;
}

}  // namespace aether::api
