#pragma once
// One raw sample as a row: the columns that both databases have, in one order.
#include <string>

#include "model/gpu.h"
#include "store/sql/connection.h"

namespace aether::store {

// "time_us, sample_seq, <gpu_metrics()>, performance_state, throttling_reasons, xid_last_time_us"
const std::string& sample_columns();
// From a row that has these columns from `first` on. Who the GPU is stays empty.
GpuSample decode_sample_row(const SqlRow& row, std::size_t first);

}  // namespace aether::store
