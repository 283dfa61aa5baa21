#include "store/sample_block.h"

#include "base/assert.h"
#include "store/block_columns.h"

namespace aether::store {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::uint64_t kMaxColumns = 256;

void put_word(std::string& out, std::uint32_t value) {
  for (unsigned shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>(value >> shift));
}

class BlockWriter {
 public:
  void add(std::string_view name, std::string bytes) {
    directory_.push_back(static_cast<char>(name.size()));
    directory_ += name;
    put_varint(directory_, bytes.size());
    put_word(directory_, fnv1a(bytes));
    data_ += bytes;
    ++columns_;
  }
  std::string finish(std::size_t rows) && {
    std::string out(1, static_cast<char>(kVersion));
    put_varint(out, rows);
    put_varint(out, columns_);
    out += directory_;
    put_word(out, fnv1a(out));
    return out + data_;
  }

 private:
  std::string directory_, data_;
  std::uint64_t columns_ = 0;
};

// What `get` gives of each sample; nothing when no sample has it.
template <class T, class Get>
std::optional<std::vector<std::optional<T>>> column_of(std::span<const GpuSample> samples, const Get& get) {
  std::vector<std::optional<T>> values;
  values.reserve(samples.size());
  bool any = false;
  for (const GpuSample& sample : samples) {
    values.push_back(get(sample));
    any = any || values.back().has_value();
  }
  return any ? std::optional(std::move(values)) : std::nullopt;
}

template <class T, class Get>
void add_column(BlockWriter& block, std::string_view name, std::span<const GpuSample> samples, const Get& get,
                void (*put)(std::string&, const std::vector<std::optional<T>>&)) {
  const auto values = column_of<T>(samples, get);
  if (!values) return;
  std::string bytes;
  put(bytes, *values);
  block.add(name, std::move(bytes));
}

template <class Get>
void add_integers(BlockWriter& block, std::string_view name, std::span<const GpuSample> samples, const Get& get) {
  std::vector<std::int64_t> values;
  values.reserve(samples.size());
  for (const GpuSample& sample : samples) values.push_back(get(sample));
  std::string bytes;
  put_integers(bytes, values);
  block.add(name, std::move(bytes));
}

Error damaged(const std::string& what) { return {ErrorCode::kCorrupt, "a block of samples is damaged: " + what}; }

}  // namespace

std::string encode_block(std::span<const GpuSample> samples) {
  AETHER_ASSERT(!samples.empty() && samples.size() <= kMaxBlockRows);
  BlockWriter block;
  add_integers(block, "time_us", samples, [](const GpuSample& s) { return to_unix_us(s.sample_time); });
  add_integers(block, "sample_seq", samples,
               [](const GpuSample& s) { return static_cast<std::int64_t>(s.sample_seq); });
  for (const GpuMetric& metric : gpu_metrics())
    add_column<double>(block, metric.name, samples, metric.get, put_reals);
  add_column<std::string>(block, "performance_state", samples, [](const GpuSample& s) { return s.performance_state; },
                          put_texts);
  add_column<std::string>(block, "throttling_reasons", samples,
                          [](const GpuSample& s) { return s.throttling_reasons; }, put_texts);
  add_column<std::int64_t>(
      block, "xid_last_time_us", samples,
      [](const GpuSample& s) {
        return s.xid_last_time ? std::optional(to_unix_us(*s.xid_last_time)) : std::nullopt;
      },
      put_optional_integers);
  return std::move(block).finish(samples.size());
}

Result<SampleBlock> SampleBlock::open(std::string_view bytes) {
  ByteReader in(bytes);
  if (const std::uint8_t version = in.byte(); version != kVersion)
    return fail(damaged("it has version " + std::to_string(version)));
  const std::uint64_t rows = in.varint(), columns = in.varint();
  if (in.failed() || rows == 0 || rows > kMaxBlockRows || columns > kMaxColumns)
    return fail(damaged("it has no sensible size"));
  std::vector<std::pair<std::string_view, std::uint64_t>> sizes;
  std::vector<std::uint32_t> checksums;
  for (std::uint64_t i = 0; i < columns; ++i) {
    const std::string_view name = in.take(in.byte());
    sizes.emplace_back(name, in.varint());
    checksums.push_back(in.word());
  }
  const std::string_view directory = bytes.substr(0, bytes.size() - in.left());
  if (in.word() != fnv1a(directory) || in.failed()) return fail(damaged("its list of columns does not match its checksum"));
  SampleBlock block;
  block.rows_ = rows;
  for (std::size_t i = 0; i < sizes.size(); ++i)
    block.columns_.emplace(sizes[i].first, Column{in.take(sizes[i].second), checksums[i]});
  if (in.failed() || !in.at_end()) return fail(damaged("it is shorter or longer than its columns"));
  return block;
}

template <class T>
Result<std::vector<T>> SampleBlock::read(std::string_view name, const T& absent,
                                         Result<std::vector<T>> (*get)(ByteReader&, std::size_t)) const {
  const auto column = columns_.find(name);
  if (column == columns_.end()) return std::vector<T>(rows_, absent);
  if (fnv1a(column->second.bytes) != column->second.checksum)
    return fail(damaged("column " + std::string(name) + " does not match its checksum"));
  ByteReader in(column->second.bytes);
  auto values = get(in, rows_);
  if (!values) return fail_with_context("column " + std::string(name), values.error());
  if (!in.at_end()) return fail(damaged("column " + std::string(name) + " is too long"));
  return values;
}

Result<std::vector<std::int64_t>> SampleBlock::times_us() const {
  auto times = read<std::int64_t>("time_us", 0, get_integers);
  if (!times) return times;
  for (std::size_t i = 1; i < times->size(); ++i)
    if ((*times)[i - 1] >= (*times)[i]) return fail(damaged("its times don't ascend"));
  return times;
}

Result<std::vector<std::optional<double>>> SampleBlock::metric(std::string_view name) const {
  return read<std::optional<double>>(name, std::nullopt, get_reals);
}

Result<std::vector<GpuSample>> SampleBlock::samples() const {
  auto times = times_us();
  if (!times) return fail(times.error());
  auto sequence = read<std::int64_t>("sample_seq", 0, get_integers);
  if (!sequence) return fail(sequence.error());
  auto states = read<std::optional<std::string>>("performance_state", std::nullopt, get_texts);
  if (!states) return fail(states.error());
  auto reasons = read<std::optional<std::string>>("throttling_reasons", std::nullopt, get_texts);
  if (!reasons) return fail(reasons.error());
  auto xid_times = read<std::optional<std::int64_t>>("xid_last_time_us", std::nullopt, get_optional_integers);
  if (!xid_times) return fail(xid_times.error());
  std::vector<GpuSample> samples(rows_);
  for (std::size_t i = 0; i < rows_; ++i) {
    samples[i].sample_time = from_unix_us((*times)[i]);
    samples[i].sample_seq = static_cast<std::uint64_t>((*sequence)[i]);
    samples[i].performance_state = std::move((*states)[i]);
    samples[i].throttling_reasons = std::move((*reasons)[i]);
    if ((*xid_times)[i]) samples[i].xid_last_time = from_unix_us(*(*xid_times)[i]);
  }
  for (const GpuMetric& known : gpu_metrics()) {
    auto values = metric(known.name);
    if (!values) return fail(values.error());
    for (std::size_t i = 0; i < rows_; ++i)
      if ((*values)[i]) known.set(samples[i], *(*values)[i]);
  }
  return samples;
}

}  // namespace aether::store
