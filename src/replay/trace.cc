#include "replay/trace.h"

#include <lzma.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>

#include <fmt/format.h>

#include "base/files.h"
#include "queueing/consolidated_placement.h"

namespace aether::replay {
namespace {

constexpr std::uint64_t kMemoryLimit_bytes = 512ULL << 20;
constexpr std::size_t kUnpackedLimit_bytes = 1ULL << 30;

Result<std::string> unpack(const std::string& packed, const std::string& path) {
  lzma_stream stream = LZMA_STREAM_INIT;
  if (lzma_stream_decoder(&stream, kMemoryLimit_bytes, 0) != LZMA_OK)
    return fail(ErrorCode::kInternal, "liblzma can't start a decoder");
  std::string out, chunk(1 << 18, '\0');
  stream.next_in = reinterpret_cast<const std::uint8_t*>(packed.data());
  stream.avail_in = packed.size();
  lzma_ret status = LZMA_OK;
  while (status == LZMA_OK && out.size() < kUnpackedLimit_bytes) {
    stream.next_out = reinterpret_cast<std::uint8_t*>(chunk.data());
    stream.avail_out = chunk.size();
    status = lzma_code(&stream, LZMA_FINISH);
    out.append(chunk, 0, chunk.size() - stream.avail_out);
  }
  lzma_end(&stream);
  if (status != LZMA_STREAM_END) return fail(ErrorCode::kCorrupt, fmt::format("{} can't be unpacked", path));
  return out;
}

std::vector<std::string> split(std::string_view line) {
  std::vector<std::string> cells;
  while (true) {
    const std::size_t comma = line.find(',');
    cells.emplace_back(line.substr(0, comma));
    if (comma == std::string_view::npos) return cells;
    line.remove_prefix(comma + 1);
  }
}

using Rows = std::vector<std::vector<std::string>>;

Result<std::vector<std::size_t>> columns(const Rows& rows, const std::vector<std::string>& names, const std::string& path) {
  std::vector<std::size_t> found;
  for (const std::string& name : names) {
    const auto at = rows.empty() ? std::vector<std::string>::const_iterator{} : std::find(rows[0].begin(), rows[0].end(), name);
    if (rows.empty() || at == rows[0].end())
      return fail(ErrorCode::kInvalidArgument, fmt::format("{} has no column '{}'", path, name));
    found.push_back(at - rows[0].begin());
  }
  return found;
}

std::int64_t number(const std::string& text) { return static_cast<std::int64_t>(std::strtod(text.c_str(), nullptr)); }

}  // namespace

Result<Rows> read_csv(const std::string& path) {
  auto bytes = read_file(path);
  if (!bytes) return fail(bytes.error());
  if (path.ends_with(".xz")) bytes = unpack(*bytes, path);
  if (!bytes) return fail(bytes.error());
  Rows rows;
  std::string_view rest = *bytes;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    rows.push_back(split(line));
    if (rows.back().size() != rows[0].size())
      return fail(ErrorCode::kInvalidArgument, fmt::format("{}: row {} has {} cells, the header {}", path, rows.size(),
                                                           rows.back().size(), rows[0].size()));
  }
  return rows;
}

Result<Trace> read_trace(const std::string& folder, double load) {
  const std::string clusters_path = folder + "/vcs.csv";
  const auto clusters = read_csv(clusters_path);
  if (!clusters) return fail(clusters.error());
  const auto cluster_columns = columns(*clusters, {"vc", "nodes"}, clusters_path);
  if (!cluster_columns) return fail(cluster_columns.error());
  Trace trace;
  std::map<std::string, int> partition_of;
  for (std::size_t i = 1; i < clusters->size(); ++i) {
    const auto& row = (*clusters)[i];
    partition_of[row[(*cluster_columns)[0]]] = static_cast<int>(trace.partitions.size());
    trace.partitions.push_back(row[(*cluster_columns)[0]]);
    trace.nodes.push_back(static_cast<int>(number(row[(*cluster_columns)[1]])));
  }
  std::string path = folder + "/jobs.csv.xz";
  if (!std::filesystem::exists(path)) path = folder + "/jobs.csv";
  const auto rows = read_csv(path);
  if (!rows) return fail(rows.error());
  const auto at = columns(*rows, {"job_id", "user", "vc", "gpu_num", "cpu_num", "submit_time", "duration"}, path);
  if (!at) return fail(at.error());
  if (rows->size() < 2) return fail(ErrorCode::kInvalidArgument, fmt::format("{} holds no job", path));
  const std::int64_t first_s = number((*rows)[1][(*at)[5]]);
  for (std::size_t i = 1; i < rows->size(); ++i) {
    const auto cell = [&](int column) -> const std::string& { return (*rows)[i][(*at)[column]]; };
    const auto partition = partition_of.find(cell(2));
    if (partition == partition_of.end()) continue;
    const int gpus = static_cast<int>(number(cell(3)));
    if (gpus < 1 || gpus > trace.nodes[partition->second] * queueing::kGpusPerNode) continue;
    const std::int64_t submit_s = first_s + static_cast<std::int64_t>(static_cast<double>(number(cell(5)) - first_s) / load);
    trace.jobs.push_back({cell(0), cell(1), partition->second, gpus, static_cast<int>(number(cell(4))), submit_s,
                          number(cell(6))});
  }
  std::stable_sort(trace.jobs.begin(), trace.jobs.end(),
                   [](const TraceJob& a, const TraceJob& b) { return a.submit_s < b.submit_s; });
  return trace;
}

}  // namespace aether::replay
