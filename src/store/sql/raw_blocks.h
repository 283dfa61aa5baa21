#pragma once
// Reading the raw samples of closed hours in SQLite, which are blocks of columns (store/sample_block.h).
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "store/sample_block.h"
#include "store/sql/connection.h"

namespace aether::store {

// One sample: a value per metric that was asked for.
using TakeSample = std::function<void(Time, std::span<const std::optional<double>>)>;

// One GPU's samples with from_us <= time < to_us, in order of time. kCorrupt names the hour whose block can't be read.
Result<void> read_blocks(SqlConnection& connection, std::int64_t gpu_id, std::int64_t from_us, std::int64_t to_us,
                         const std::vector<std::string>& metrics, const TakeSample& take);

}  // namespace aether::store
