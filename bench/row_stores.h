#pragma once
// The plain way, as a baseline: a table with one row per value, and an index by GPU, metric and time.
#include <cstdint>
#include <string>

namespace aether::bench {

// Each prints write rate, size and the time of 15 minutes of 64 GPUs, one metric. `rows` as in bench_store.
void plain_rows_in_sqlite(std::uint64_t rows);
void plain_rows_in_postgres(std::uint64_t rows, const std::string& url);

}  // namespace aether::bench
