#include "telemetry/nvml/wire.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace aether::nvml::wire {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr double kHighestValue = 4.7e18;  // above every real reading, below what an integer field can't hold
constexpr double kLowestValue = -1000;

class Writer {
 public:
  template <class T>
  void number(T value) {
    static_assert(std::is_arithmetic_v<T>);
    char raw[sizeof value];
    std::memcpy(raw, &value, sizeof value);
    out_.append(raw, sizeof value);
  }
  void text(std::string_view value) {
    value = value.substr(0, kMaxTextBytes);
    number(static_cast<std::uint16_t>(value.size()));
    out_ += value;
  }
  template <class T>
  void optional(const std::optional<T>& value) {
    number(static_cast<std::uint8_t>(value.has_value()));
    if (value) number(*value);
  }
  void optional_text(const std::optional<std::string>& value) {
    number(static_cast<std::uint8_t>(value.has_value()));
    if (value) text(*value);
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

// After the first thing that does not fit, everything reads as zero and bad() holds.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  template <class T>
  T number() {
    T value{};
    if (rest_.size() < sizeof value) {
      fail();
      return value;
    }
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_.remove_prefix(sizeof value);
    return value;
  }
  double finite(double lowest = kLowestValue) {
    const auto value = number<double>();
    if (std::isfinite(value) && value >= lowest && value <= kHighestValue) return value;
    fail();
    return 0;
  }
  std::string text() {
    const std::size_t size = number<std::uint16_t>();
    if (size > kMaxTextBytes || size > rest_.size()) {
      fail();
      return {};
    }
    const std::string_view value = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return std::string(value);
  }
  std::size_t count(std::size_t most) {
    const std::size_t value = number<std::uint16_t>();
    if (value <= most) return value;
    fail();
    return 0;
  }
  bool flag() {
    const auto value = number<std::uint8_t>();
    if (value > 1) fail();
    return value == 1;
  }
  std::optional<double> optional_finite() { return flag() ? std::optional(finite()) : std::nullopt; }
  template <class T>
  std::optional<T> optional_number() {
    return flag() ? std::optional(number<T>()) : std::nullopt;
  }
  std::optional<std::string> optional_text() { return flag() ? std::optional(text()) : std::nullopt; }
  void fail() {
    bad_ = true;
    rest_ = {};
  }
  bool bad() const { return bad_; }
  bool whole() const { return !bad_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool bad_ = false;
};

Mono mono_of(std::int64_t microseconds) { return Mono(Duration(microseconds)); }
std::int64_t count_of(Mono mono) { return mono.time_since_epoch().count(); }

// ---- bodies, writing ----

void write(Writer& out, const EnumerateRequest& body) {
  const std::size_t bus_ids = std::min(body.bus_ids.size(), kMaxGpus);
  out.number(static_cast<std::uint16_t>(bus_ids));
  for (std::size_t i = 0; i < bus_ids; ++i) out.text(body.bus_ids[i]);
  const std::size_t skipped = std::min(body.skip_indexes.size(), kMaxGpus);
  out.number(static_cast<std::uint16_t>(skipped));
  for (std::size_t i = 0; i < skipped; ++i) out.number(body.skip_indexes[i]);
}

void write(Writer& out, const ReadRequest& body) {
  out.text(body.gpu_uuid.str());
  out.number(static_cast<std::uint8_t>(body.tier));
}

void write(Writer& out, const EnumeratedReply& body) {
  out.text(body.driver_version);
  const std::size_t gpus = std::min(body.gpus.size(), kMaxGpus);
  out.number(static_cast<std::uint16_t>(gpus));
  for (std::size_t i = 0; i < gpus; ++i) {
    const GpuInfo& gpu = body.gpus[i];
    out.text(gpu.gpu_uuid.str());
    out.number(static_cast<std::int32_t>(gpu.gpu_index));
    out.text(gpu.gpu_name);
    out.text(gpu.gpu_pci_bus_id);
    out.number(gpu.memory_total_mb);
    out.optional(gpu.power_limit_w);
    out.optional(gpu.temperature_slowdown_c);
    out.optional(gpu.temperature_shutdown_c);
    out.optional(gpu.clock_gpu_max_mhz);
    out.optional(gpu.clock_mem_max_mhz);
    out.optional_text(gpu.gpu_architecture);
    out.optional_text(gpu.gpu_compute_capability);
  }
}

void write_sample(Writer& out, const GpuSample& sample) {
  out.text(sample.gpu_uuid.str());
  out.number(static_cast<std::int32_t>(sample.gpu_index));
  out.text(sample.gpu_name);
  out.number(static_cast<std::uint16_t>(gpu_metrics().size()));
  for (const GpuMetric& metric : gpu_metrics()) out.optional(metric.get(sample));
  out.optional_text(sample.performance_state);
  out.optional(sample.xid_last_time ? std::optional(to_unix_us(*sample.xid_last_time)) : std::nullopt);
  out.number(static_cast<std::uint8_t>(sample.processes.has_value()));
  if (!sample.processes) return;
  const std::size_t processes = std::min(sample.processes->size(), kMaxProcesses);
  out.number(static_cast<std::uint16_t>(processes));
  for (std::size_t i = 0; i < processes; ++i) {
    out.number(static_cast<std::int32_t>((*sample.processes)[i].pid));
    out.optional((*sample.processes)[i].memory_used_mb);
  }
}

void write_detail(Writer& out, const GpuDetail& detail) {
  out.number(static_cast<std::uint16_t>(kGpuDetailFields));
  for (const GpuDetailName& name : gpu_detail_names()) out.optional(detail.get(name.field));
  out.text(detail.serial);
  out.text(detail.vbios_version);
  for (const Mono at : {detail.fast_at, detail.state_at, detail.slow_at}) out.number(count_of(at));
  const std::size_t instances = std::min(detail.mig.size(), kMaxMigInstances);
  out.number(static_cast<std::uint16_t>(instances));
  for (std::size_t i = 0; i < instances; ++i) {
    const MigInstance& mig = detail.mig[i];
    out.text(mig.uuid);
    out.text(mig.profile);
    out.number(static_cast<std::int32_t>(mig.gpu_instance));
    out.number(static_cast<std::int32_t>(mig.compute_instance));
    out.optional(mig.memory_used_mb);
    out.optional(mig.memory_total_mb);
    for (const auto& active : {mig.engine_active_pct, mig.sm_active_pct, mig.tensor_active_pct, mig.dram_active_pct})
      out.optional(active);
  }
}

void write(Writer& out, const ReadingReply& body) {
  write_sample(out, body.sample);
  write_detail(out, body.detail);
  out.number(count_of(body.read_at));
}

void write(Writer& out, const FailedReply& body) {
  out.number(static_cast<std::uint8_t>(body.error.code));
  out.text(body.error.message);
}

void write(Writer& out, const AttachingNote& body) {
  out.number(body.gpu_index);
  out.text(body.bus_id);
}

void write(Writer& out, const GpuEvent& body) {
  out.text(body.gpu_uuid.str());
  out.number(static_cast<std::uint8_t>(body.kind));
  out.number(body.xid);
  out.number(to_unix_us(body.time));
}

// ---- bodies, reading ----

EnumerateRequest read_enumerate(Reader& in) {
  EnumerateRequest body;
  for (std::size_t left = in.count(kMaxGpus); left > 0 && !in.bad(); --left) body.bus_ids.push_back(in.text());
  for (std::size_t left = in.count(kMaxGpus); left > 0 && !in.bad(); --left)
    body.skip_indexes.push_back(in.number<std::uint32_t>());
  return body;
}

ReadRequest read_read(Reader& in) {
  ReadRequest body;
  body.gpu_uuid = GpuUuid(in.text());
  const auto tier = in.number<std::uint8_t>();
  if (tier > static_cast<std::uint8_t>(ReadTier::kState)) in.fail();
  body.tier = in.bad() ? ReadTier::kState : static_cast<ReadTier>(tier);
  return body;
}

int small_integer(Reader& in) {
  const auto value = in.number<std::int32_t>();
  if (value < -1 || value > 1'000'000) in.fail();
  return value;
}
std::optional<int> optional_small_integer(Reader& in) {
  return in.flag() ? std::optional(in.number<std::int32_t>()) : std::nullopt;
}

EnumeratedReply read_enumerated(Reader& in) {
  EnumeratedReply body;
  body.driver_version = in.text();
  for (std::size_t left = in.count(kMaxGpus); left > 0 && !in.bad(); --left) {
    GpuInfo gpu;
    gpu.source = GpuSource::kNvml;
    gpu.gpu_uuid = GpuUuid(in.text());
    gpu.gpu_index = small_integer(in);
    gpu.gpu_name = in.text();
    gpu.gpu_pci_bus_id = in.text();
    gpu.memory_total_mb = in.number<std::int64_t>();
    gpu.power_limit_w = in.optional_finite();
    gpu.temperature_slowdown_c = optional_small_integer(in);
    gpu.temperature_shutdown_c = optional_small_integer(in);
    gpu.clock_gpu_max_mhz = optional_small_integer(in);
    gpu.clock_mem_max_mhz = optional_small_integer(in);
    gpu.gpu_architecture = in.optional_text();
    gpu.gpu_compute_capability = in.optional_text();
    body.gpus.push_back(std::move(gpu));
  }
  return body;
}

void read_metrics(Reader& in, GpuSample& sample) {
  if (in.count(gpu_metrics().size()) != gpu_metrics().size()) in.fail();
  for (const GpuMetric& metric : gpu_metrics()) {
    if (!in.flag()) continue;
    const double value = in.finite(metric.name.starts_with("temperature") ? kLowestValue : 0);
    if (!in.bad()) metric.set(sample, value);
  }
  if (sample.throttling_reasons_mask)
    sample.throttling_reasons = throttling_reasons_text(*sample.throttling_reasons_mask);
}

GpuSample read_sample(Reader& in) {
  GpuSample sample;
  sample.gpu_uuid = GpuUuid(in.text());
  sample.gpu_index = small_integer(in);
  sample.gpu_name = in.text();
  read_metrics(in, sample);
  sample.performance_state = in.optional_text();
  if (const auto time = in.optional_number<std::int64_t>()) sample.xid_last_time = from_unix_us(*time);
  if (!in.flag()) return sample;
  sample.processes.emplace();
  for (std::size_t left = in.count(kMaxProcesses); left > 0 && !in.bad(); --left) {
    GpuProcess process;
    process.pid = in.number<std::int32_t>();
    process.memory_used_mb = in.optional_number<std::int64_t>();
    sample.processes->push_back(process);
  }
  return sample;
}

GpuDetail read_detail(Reader& in) {
  GpuDetail detail;
  if (in.count(kGpuDetailFields) != kGpuDetailFields) in.fail();
  for (const GpuDetailName& name : gpu_detail_names()) detail.set(name.field, in.optional_finite());
  detail.serial = in.text();
  detail.vbios_version = in.text();
  for (Mono* at : {&detail.fast_at, &detail.state_at, &detail.slow_at}) *at = mono_of(in.number<std::int64_t>());
  for (std::size_t left = in.count(kMaxMigInstances); left > 0 && !in.bad(); --left) {
    MigInstance mig;
    mig.uuid = in.text();
    mig.profile = in.text();
    mig.gpu_instance = small_integer(in);
    mig.compute_instance = small_integer(in);
    mig.memory_used_mb = in.optional_number<std::int64_t>();
    mig.memory_total_mb = in.optional_number<std::int64_t>();
    for (auto* active : {&mig.engine_active_pct, &mig.sm_active_pct, &mig.tensor_active_pct, &mig.dram_active_pct})
      *active = in.optional_finite();
    detail.mig.push_back(std::move(mig));
  }
  return detail;
}

ReadingReply read_reading(Reader& in) {
  ReadingReply body;
  body.sample = read_sample(in);
  body.detail = read_detail(in);
  body.read_at = mono_of(in.number<std::int64_t>());
  return body;
}

FailedReply read_failed(Reader& in) {
  const auto code = in.number<std::uint8_t>();
  if (code > static_cast<std::uint8_t>(ErrorCode::kInternal)) in.fail();
  const ErrorCode known = in.bad() ? ErrorCode::kInternal : static_cast<ErrorCode>(code);
  return FailedReply{Error{known, in.text()}};
}

AttachingNote read_attaching(Reader& in) {
  AttachingNote body;
  body.gpu_index = in.number<std::uint32_t>();
  body.bus_id = in.text();
  return body;
}

GpuEvent read_event(Reader& in) {
  GpuEvent body;
  body.gpu_uuid = GpuUuid(in.text());
  const auto kind = in.number<std::uint8_t>();
  if (kind < 1 || kind > static_cast<std::uint8_t>(GpuEvent::Kind::kAnswersAgain)) in.fail();
  body.kind = in.bad() ? GpuEvent::Kind::kXid : static_cast<GpuEvent::Kind>(kind);
  body.xid = in.number<std::int64_t>();
  body.time = from_unix_us(in.number<std::int64_t>());
  return body;
}

Body read_body(std::uint8_t kind, Reader& in) {
  switch (kind) {
    case 0: return read_enumerate(in);
    case 1: return read_read(in);
    case 2: return read_enumerated(in);
    case 3: return read_reading(in);
    case 4: return read_failed(in);
    case 5: return read_attaching(in);
    case 6: return read_event(in);
    default: in.fail(); return AttachingNote{};
  }
}
static_assert(std::variant_size_v<Body> == 7, "read_body() and the kinds on the wire follow the variant");

}  // namespace

std::string encode(const Frame& frame) {
  Writer out;
  out.number(kVersion);
  out.number(static_cast<std::uint8_t>(frame.body.index()));
  out.number(frame.seq);
  std::visit([&](const auto& body) { write(out, body); }, frame.body);
  return out.take();
}

Result<Frame> decode(std::string_view bytes) {
  const auto corrupt = [](const char* what) { return fail(ErrorCode::kCorrupt, std::string("NVML worker protocol: ") + what); };
  if (bytes.size() > kMaxFrameBytes) return corrupt("the packet is too long");
  Reader in(bytes);
  if (in.number<std::uint8_t>() != kVersion) return corrupt("another version, or no packet of ours");
  const auto kind = in.number<std::uint8_t>();
  Frame frame;
  frame.seq = in.number<std::uint32_t>();
  frame.body = read_body(kind, in);
  if (!in.whole()) return corrupt("the packet does not hold what it says");
  return frame;
}

}  // namespace aether::nvml::wire
