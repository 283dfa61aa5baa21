#pragma once
// History of many GPUs, read inside one transaction of the caller.
#include "store/sql/telemetry_tables.h"

namespace aether::store {

Result<GroupSeries> read_group_series(SqlConnection& connection, Dialect dialect, const GroupSeriesQuery& query);
Result<std::vector<KnownGpu>> read_known_gpus(SqlConnection& connection);
// gpu_uuid -> gpu_id of every GPU there is history of.
Result<std::map<std::string, std::int64_t>> read_gpu_ids(SqlConnection& connection);

}  // namespace aether::store
