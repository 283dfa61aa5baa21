#include "store/postgres/sample_copy.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>

#include "store/sql/sample_row.h"

namespace aether::store {
namespace {

// PostgreSQL's binary COPY format: documentation of COPY, "Binary Format".
constexpr std::string_view kHeader{"PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19};
constexpr std::string_view kTrailer{"\377\377", 2};

template <class Unsigned>
void put_bytes(std::string& buffer, Unsigned value) {
  char bytes[sizeof value];
  for (std::size_t i = 0; i < sizeof value; ++i)
    bytes[i] = static_cast<char>(static_cast<unsigned char>(value >> (8 * (sizeof value - 1 - i))));
  buffer.append(bytes, sizeof value);
}

void put_null(std::string& buffer) { put_bytes(buffer, std::uint32_t{0xffffffff}); }

void put_integer(std::string& buffer, std::int64_t value) {
  put_bytes(buffer, std::uint32_t{8});
  put_bytes(buffer, static_cast<std::uint64_t>(value));
}

void put_real(std::string& buffer, double value) {
  put_bytes(buffer, std::uint32_t{8});
  put_bytes(buffer, std::bit_cast<std::uint64_t>(value));
}

void put_text(std::string& buffer, const std::optional<std::string>& text) {
  if (!text) return put_null(buffer);
  put_bytes(buffer, static_cast<std::uint32_t>(text->size()));
  buffer += *text;
}

void put_row(std::string& buffer, std::int64_t gpu_id, const GpuSample& sample,
             const std::vector<bool>& is_integer) {
  put_bytes(buffer, static_cast<std::uint16_t>(gpu_metrics().size() + 6));
  put_integer(buffer, gpu_id);
  put_integer(buffer, to_unix_us(sample.sample_time));
  put_integer(buffer, static_cast<std::int64_t>(sample.sample_seq));
  std::size_t index = 0;
  for (const GpuMetric& metric : gpu_metrics()) {
    const bool integer = is_integer[index++];
    const auto value = metric.get(sample);
    if (!value)
      put_null(buffer);
    else if (integer)
      put_integer(buffer, static_cast<std::int64_t>(*value));
    else
      put_real(buffer, *value);
  }
  put_text(buffer, sample.performance_state);
  put_text(buffer, sample.throttling_reasons);
  if (sample.xid_last_time)
    put_integer(buffer, to_unix_us(*sample.xid_last_time));
  else
    put_null(buffer);
}

}  // namespace

Result<void> SampleCopy::load(PostgresConnection& connection) {
  auto types = connection.run(
      "SELECT attname, atttypid = 'bigint'::regtype FROM pg_attribute "
      "WHERE attrelid = 'samples'::regclass AND attnum > 0 AND NOT attisdropped");
  if (!types) return fail(types.error());
  std::unordered_map<std::string, bool> integers;
  for (const SqlRow& row : types->rows) integers[row.text(0)] = row.integer(1) != 0;
  is_integer_.clear();
  for (const GpuMetric& metric : gpu_metrics()) {
    const auto column = integers.find(std::string(metric.name));
    if (column == integers.end())
      return fail(ErrorCode::kCorrupt, fmt::format("the table samples has no column {}", metric.name));
    is_integer_.push_back(column->second);
  }
  return {};
}

void SampleCopy::forget() {
  gpus_.clear();
  storage_.forget();
}

Result<std::int64_t> SampleCopy::gpu_id(PostgresConnection& connection, const GpuSample& sample) {
  const auto known = gpus_.find(sample.gpu_uuid.str());
  if (known != gpus_.end() && known->second.node == sample.node &&
      known->second.gpu_index == sample.gpu_index && known->second.gpu_name == sample.gpu_name)
    return known->second.id;
  const SqlParameters identity = {sample.gpu_uuid.str(), sample.node.str(), std::int64_t{sample.gpu_index},
                                  sample.gpu_name};
  auto id = connection.run(
      "UPDATE gpus SET node = $2, gpu_index = $3, gpu_name = $4 WHERE gpu_uuid = $1 "
      "RETURNING gpu_id",
      identity);
  if (id && id->rows.empty())
    id = connection.run(
        "INSERT INTO gpus (gpu_uuid, node, gpu_index, gpu_name) VALUES ($1, $2, $3, $4) "
        "RETURNING gpu_id",
        identity);
  if (!id) return fail(id.error());
  const std::int64_t found = id->rows.front().integer(0);
  gpus_[sample.gpu_uuid.str()] = {found, sample.node, sample.gpu_index, sample.gpu_name};
  return found;
}

Result<void> SampleCopy::append(PostgresConnection& connection, const std::vector<GpuSample>& samples,
                                std::int64_t late_before_us, Mode mode) {
  buffer_.assign(kHeader);
  LateMinutes late;
  std::set<std::int64_t> days;
  for (const GpuSample& sample : samples) {
    auto id = gpu_id(connection, sample);
    if (!id) return fail(id.error());
    put_row(buffer_, *id, sample, is_integer_);
    const std::int64_t time_us = to_unix_us(sample.sample_time);
    days.insert(time_us / kDayUs);
    if (time_us < late_before_us) late.emplace(*id, time_us / kMinuteUs * kMinuteUs);
  }
  buffer_ += kTrailer;
  AETHER_TRY(storage_.prepare_for(connection, days));
  auto added = copy(connection, mode);
  if (!added) return fail(added.error());
  AETHER_TRY(mark_late(connection, late));
  return add_to_sample_count(connection, *added);
}

Result<std::int64_t> SampleCopy::copy(PostgresConnection& connection, Mode mode) {
  static const std::string columns = "(gpu_id, " + sample_columns() + ")";
  if (mode == Mode::kStraight)
    return connection.copy_in("COPY samples " + columns + " FROM STDIN (FORMAT binary)", buffer_);
  AETHER_TRY(connection.run_script("CREATE TEMPORARY TABLE incoming (LIKE samples) ON COMMIT DROP"));
  auto copied = connection.copy_in("COPY incoming " + columns + " FROM STDIN (FORMAT binary)", buffer_);
  if (!copied) return copied;
  // Not through run(): the temporary table is another one each time, a kept plan would not know it.
  return connection.change("INSERT INTO samples SELECT * FROM incoming ON CONFLICT DO NOTHING");
}

Result<std::vector<GpuSample>> newest_samples(SqlConnection& connection) {
  static const std::string sql = fmt::format(
      "SELECT gpu_uuid, node, gpu_index, gpu_name, newest.* FROM gpus CROSS JOIN LATERAL (SELECT {} FROM "
      "samples "
      "WHERE samples.gpu_id = gpus.gpu_id ORDER BY time_us DESC LIMIT 1) AS newest ORDER BY node, gpu_index, "
      "gpu_uuid",
      sample_columns());
  auto found = connection.run(sql);
  if (!found) return fail(found.error());
  std::vector<GpuSample> samples;
  for (const SqlRow& row : found->rows) {
    samples.push_back(decode_sample_row(row, 4));
    samples.back().gpu_uuid = GpuUuid(row.text(0));
    samples.back().node = NodeId(row.text(1));
    samples.back().gpu_index = static_cast<int>(row.integer(2));
    samples.back().gpu_name = row.text(3);
  }
  return samples;
}

}  // namespace aether::store
