// Telemetry out: appended by hand, in the order of the struct.
#include <charconv>
#include <cmath>

#include "codec/codec.h"
#include "codec/fields.h"

namespace aether::codec {
namespace {

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) { out_ += '{'; }
  void close() { out_ += '}'; }

  void text(std::string_view key, std::string_view value) {
    write_key(key);
    append_text(value);
  }
  template <class Integer>
  void integer(std::string_view key, Integer value) {
    write_key(key);
    append_number(value);
  }
  // Whole numbers print without a fraction; what is not finite leaves no key.
  void number(std::string_view key, double value) {
    constexpr double kTwoTo53 = 9'007'199'254'740'992.0;
    if (!std::isfinite(value)) return;
    write_key(key);
    if (std::fabs(value) < kTwoTo53 && std::trunc(value) == value)
      append_number(static_cast<std::int64_t>(value));
    else
      append_number(value);
  }
  void processes(std::string_view key, const std::vector<GpuProcess>& processes) {
    write_key(key);
    out_ += '[';
    for (const GpuProcess& process : processes) {
      if (out_.back() != '[') out_ += ',';
      Writer inner(out_);
      inner.integer("pid", process.pid);
      if (process.memory_used_mb) inner.integer("memory_used_mb", *process.memory_used_mb);
      inner.close();
    }
    out_ += ']';
  }

 private:
  void write_key(std::string_view key) {
    if (out_.back() != '{') out_ += ',';
    out_ += '"';
    out_ += key;
    out_ += "\":";
  }
  template <class Number>
  void append_number(Number value) {
    char buffer[32];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, value);
    out_.append(buffer, end.ptr);
  }
  void append_text(std::string_view value) {
    for (const char c : value) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte < 0x20 || byte >= 0x7f || c == '"' || c == '\\') {
        // Escapes and bytes that are not UTF-8: rare enough for the library to do.
        out_ += dump(Json(std::string(value)));
        return;
      }
    }
    out_ += '"';
    out_ += value;
    out_ += '"';
  }

  std::string& out_;
};

}  // namespace

std::string encode_sample(const GpuSample& sample) {
  constexpr std::size_t kUsualBytes = 1024;
  std::string out;
  out.reserve(kUsualBytes);
  Writer writer(out);
  writer.text("gpu_uuid", sample.gpu_uuid.str());
  writer.text("node", sample.node.str());
  writer.integer("gpu_index", sample.gpu_index);
  writer.text("gpu_name", sample.gpu_name);
  writer.integer("sample_seq", sample.sample_seq);
  writer.integer("sample_time_us", to_unix_us(sample.sample_time));
  for (const GpuMetric& metric : gpu_metrics())
    if (const std::optional<double> value = metric.get(sample)) writer.number(metric.name, *value);
  if (sample.performance_state) writer.text("performance_state", *sample.performance_state);
  if (sample.throttling_reasons) writer.text("throttling_reasons", *sample.throttling_reasons);
  if (sample.xid_last_time) writer.integer("xid_last_time_us", to_unix_us(*sample.xid_last_time));
  if (sample.processes) writer.processes("processes", *sample.processes);
  writer.close();
  return out;
}

Json encode_sample_json(const GpuSample& sample) {
  constexpr double kTwoTo53 = 9'007'199'254'740'992.0;
  Json json = Json::object();
  put(json, "gpu_uuid", sample.gpu_uuid);
  put(json, "node", sample.node);
  put(json, "gpu_index", sample.gpu_index);
  put(json, "gpu_name", sample.gpu_name);
  put(json, "sample_seq", sample.sample_seq);
  put(json, "time", format_rfc3339(sample.sample_time));
  for (const GpuMetric& metric : gpu_metrics()) {
    const std::optional<double> value = metric.get(sample);
    const std::string key(metric.name);
    if (value && std::fabs(*value) < kTwoTo53 && std::trunc(*value) == *value)
      put(json, key.c_str(), static_cast<std::int64_t>(*value));
    else
      put(json, key.c_str(), value);
  }
  put(json, "performance_state", sample.performance_state);
  put(json, "throttling_reasons", sample.throttling_reasons);
  if (sample.xid_last_time) put(json, "xid_last_time", format_rfc3339(*sample.xid_last_time));
  if (sample.processes)
    json["processes"] = list_of(*sample.processes, [](const GpuProcess& process) {
      Json out = Json::object();
      put(out, "pid", process.pid);
      put(out, "memory_used_mb", process.memory_used_mb);
      return out;
    });
  return json;
}

}  // namespace aether::codec
