#include "store/sql/history_queries.h"

#include <algorithm>
#include <tuple>

#include "store/group_series.h"

namespace aether::store {
namespace {

bool is_same_gpu(const SeriesMember& a, const SeriesMember& b) { return a.group == b.group && a.gpu_uuid == b.gpu_uuid; }

std::vector<SeriesMember> in_order(std::vector<SeriesMember> members) {
  std::sort(members.begin(), members.end(), [](const SeriesMember& a, const SeriesMember& b) {
    return std::tie(a.group, a.gpu_uuid, a.from) < std::tie(b.group, b.gpu_uuid, b.from);
  });
  return members;
}

}  // namespace

Result<std::map<std::string, std::int64_t>> read_gpu_ids(SqlConnection& connection) {
  auto found = connection.run("SELECT gpu_uuid, gpu_id FROM gpus");
  if (!found) return fail(found.error());
  std::map<std::string, std::int64_t> ids;
  for (const SqlRow& row : found->rows) ids[row.text(0)] = row.integer(1);
  return ids;
}

Result<std::vector<KnownGpu>> read_known_gpus(SqlConnection& connection) {
  auto found = connection.run("SELECT gpu_uuid, node, gpu_index, gpu_name FROM gpus ORDER BY node, gpu_index, gpu_uuid");
  if (!found) return fail(found.error());
  std::vector<KnownGpu> gpus;
  for (const SqlRow& row : found->rows)
    gpus.push_back({GpuUuid(row.text(0)), NodeId(row.text(1)), static_cast<int>(row.integer(2)), row.text(3)});
  return gpus;
}

Result<GroupSeries> read_group_series(SqlConnection& connection, Dialect dialect, const GroupSeriesQuery& query) {
  auto state = read_telemetry_state(connection);
  if (!state) return fail(state.error());
  auto plan = plan_group_series(query, from_unix_us(state->raw_from), from_unix_us(state->minutes_from));
  if (!plan) return fail(plan.error());
  auto ids = read_gpu_ids(connection);
  if (!ids) return fail(ids.error());
  const bool p95 = std::find(query.statistics.begin(), query.statistics.end(), Statistic::kP95) != query.statistics.end();
  SeriesBuilder gpu(*plan, query.metrics, p95 ? SeriesBuilder::Keep::kReadings : SeriesBuilder::Keep::kAggregates);
  GroupSeriesBuilder groups(*plan, query);
  const std::vector<SeriesMember> members = in_order(query.members);
  for (std::size_t i = 0; i < members.size(); ++i) {
    const SeriesMember& member = members[i];
    const auto id = ids->find(member.gpu_uuid.str());
    if (id == ids->end()) continue;
    const SeriesSource source{id->second, to_unix_us(std::max(member.from, plan->first)),
                              to_unix_us(std::min(member.to, plan->end())), plan->level};
    AETHER_TRY(add_stored(connection, dialect, *state, source, query.metrics, gpu));
    if (i + 1 < members.size() && is_same_gpu(member, members[i + 1])) continue;
    groups.add(member.group, gpu);
    gpu.clear();
  }
  return std::move(groups).finish();
}

}  // namespace aether::store
