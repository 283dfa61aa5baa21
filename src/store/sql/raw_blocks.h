#pragma once
// Reading the raw samples of closed hours in SQLite, which are blocks of columns (store/sample_block.h).
#include <cstdint>
#include <string>
#include <vector>

#include "store/sample_block.h"
#include "store/series.h"
#include "store/sql/connection.h"

namespace aether::store {

// Adds one GPU's samples with from_us <= time < to_us. kCorrupt names the hour whose block can't be read.
Result<void> add_blocks(SqlConnection& connection, std::int64_t gpu_id, std::int64_t from_us, std::int64_t to_us,
                        const std::vector<std::string>& metrics, SeriesBuilder& builder);

}  // namespace aether::store
