#include "store/sql/energy_queries.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "carbon/reading_energy.h"
#include "codec/codec.h"
#include "store/sql/history_queries.h"

namespace aether::store {
namespace {

constexpr std::int64_t kEdgeUs = Duration(kLongestPowerGap).count();
constexpr std::int64_t kLongPartUs = 2 * kHourUs;

class EnergySink final : public ReadingSink {
 public:
  void add(Time time, std::size_t metric, const Aggregate& aggregate) override {
    if (readings.empty() || readings.back().time != time || readings.back().length != aggregate.length)
      readings.push_back({time, aggregate.length, {}, {}, {}, 0});
    EnergyReading& reading = readings.back();
    if (metric == 0) reading.counter_min_mj = aggregate.min, reading.counter_max_mj = aggregate.max;
    if (metric == 1) reading.power_w = aggregate.mean, reading.power_count = aggregate.count;
  }
  std::vector<EnergyReading> readings;
};

std::int64_t floor_minute(std::int64_t time_us) { return time_us / kMinuteUs * kMinuteUs; }
std::int64_t ceil_minute(std::int64_t time_us) { return floor_minute(time_us + kMinuteUs - 1); }

// What encloses an edge: the readings of the minute beside it, or once they are removed the minute's rollup across it.
SeriesSource before_edge(const TelemetryState& state, std::int64_t gpu_id, std::int64_t from_us) {
  if (from_us - kEdgeUs >= state.raw_from) return {gpu_id, from_us - kEdgeUs, from_us, Level::kRaw};
  return {gpu_id, floor_minute(from_us), ceil_minute(from_us), Level::kMinute};
}
SeriesSource behind_edge(const TelemetryState& state, std::int64_t gpu_id, std::int64_t to_us) {
  if (to_us >= state.raw_from) return {gpu_id, to_us, to_us + kEdgeUs, Level::kRaw};
  return {gpu_id, floor_minute(to_us), ceil_minute(to_us), Level::kMinute};
}

}  // namespace

Result<std::vector<std::optional<GpuEnergy>>> read_energy(SqlConnection& connection, Dialect dialect,
                                                          const std::vector<GpuPart>& parts) {
  static const std::vector<std::string> metrics = {"energy_total_mj", "power_draw_w"};
  auto state = read_telemetry_state(connection);
  if (!state) return fail(state.error());
  auto ids = read_gpu_ids(connection);
  if (!ids) return fail(ids.error());
  std::vector<std::optional<GpuEnergy>> out;
  for (const GpuPart& part : parts) {
    out.emplace_back();
    const auto id = ids->find(part.gpu_uuid.str());
    if (id == ids->end() || part.from >= part.to) continue;
    const std::int64_t from = to_unix_us(part.from), to = to_unix_us(part.to);
    EnergySink sink;
    for (const SeriesSource& source :
         {before_edge(*state, id->second, from),
          SeriesSource{id->second, from, to, to - from >= kLongPartUs ? Level::kHour : Level::kMinute},
          behind_edge(*state, id->second, to)})
      AETHER_TRY(add_stored(connection, dialect, *state, source, metrics, sink));
    if (const auto use = energy_of(sink.readings, part.from, part.to)) out.back() = GpuEnergy{use->energy_j, use->covered};
  }
  return out;
}

Result<std::vector<AttemptRecord>> read_attempts(SqlConnection& connection, Time from, Time to) {
  auto found = connection.run(
      "SELECT number, \"user\", queue, name, record, job_id FROM attempts JOIN jobs ON jobs.id = attempts.job_id "
      "WHERE started_at_us < $1 AND (attempts.ended_at_us IS NULL OR attempts.ended_at_us > $2) "
      "ORDER BY started_at_us, job_id, n LIMIT $3",
      {to_unix_us(to), to_unix_us(from), static_cast<std::int64_t>(kMaxAttemptsRead) + 1});
  if (!found) return fail(found.error());
  if (found->rows.size() > kMaxAttemptsRead)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("more than {} attempts ran in that time; ask for a shorter one", kMaxAttemptsRead), "/from");
  std::vector<AttemptRecord> out;
  for (const SqlRow& row : found->rows) {
    auto json = codec::parse(row.text(4));
    auto attempt = json ? codec::decode_attempt(*json) : Result<Attempt>(fail(json.error()));
    if (!attempt)
      return fail(ErrorCode::kCorrupt, fmt::format("the stored attempt of job {} does not make sense: {}", row.text(5),
                                                   attempt.error().message));
    out.push_back({std::move(*attempt), row.integer(0), row.text(1), row.text(2), row.text(3)});
  }
  return out;
}

}  // namespace aether::store
