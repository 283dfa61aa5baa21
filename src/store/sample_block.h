#pragma once
// The samples of one GPU in one closed hour, column by column in one string of bytes. Layout, little-endian:
//   u8 version = 1, varint rows, varint columns,
//   per column: u8 length of its name, name, varint size, u32 FNV-1a of its bytes,
//   u32 FNV-1a of everything before, then the bytes of the columns (block_columns.h) in the same order.
// A column without any value is left out. Columns: time_us (ascending, each once), sample_seq, gpu_metrics(),
// performance_state, throttling_reasons, xid_last_time_us. An unknown column is ignored.
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/gpu.h"

namespace aether::store {

// Samples of one GPU, 1 to kMaxBlockRows, ascending by time, each time once. Of a sample everything is kept but who the
// GPU is and its processes.
std::string encode_block(std::span<const GpuSample> samples);

// One block; the bytes outlive it. Every error is kCorrupt.
class SampleBlock {
 public:
  static Result<SampleBlock> open(std::string_view bytes);

  std::size_t rows() const { return rows_; }
  Result<std::vector<std::int64_t>> times_us() const;
  // rows() values; all absent when the block has no such column.
  Result<std::vector<std::optional<double>>> metric(std::string_view name) const;
  // Who the GPU is stays empty.
  Result<std::vector<GpuSample>> samples() const;

 private:
  struct Column {
    std::string_view bytes;
    std::uint32_t checksum = 0;
  };
  template <class T>
  Result<std::vector<T>> read(std::string_view name, const T& absent,
                              Result<std::vector<T>> (*get)(class ByteReader&, std::size_t)) const;

  std::size_t rows_ = 0;
  std::map<std::string_view, Column> columns_;
};

}  // namespace aether::store
