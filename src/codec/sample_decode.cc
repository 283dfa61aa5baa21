// Telemetry in: simdjson, every number held against its limits. The text may come from a stranger on the bus.
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/log.h"
#include "base/names.h"
#include "codec/codec.h"
#include "codec/fields.h"
#include "codec/sample_limits.h"

namespace aether::codec {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kMaxTextField = 256;
constexpr std::size_t kMaxProcesses = 4096;
constexpr std::int64_t kMaxGpuIndex = 4095;

tl::unexpected<Error> refuse(std::string_view key, std::string_view value, std::string_view wanted) {
  return fail(bad_field("/" + pointer_token(key), fmt::format("{} is not {}", value, wanted)));
}

std::string shown_element(dom::element value) {
  std::string text = simdjson::minify(value);
  if (text.size() > 64) text.replace(64, std::string::npos, "...");
  return log::sanitise(text);
}

Result<double> read_number(std::string_view key, dom::element value, const SampleLimit& limit) {
  double number = 0;
  if (!value.is_number() || value.get(number) != simdjson::SUCCESS || !std::isfinite(number))
    return refuse(key, shown_element(value), "a finite number");
  if (is_sentinel(number)) return refuse(key, shown_element(value), "a measured value but a driver's mark for none");
  if (number < limit.low || number > limit.high)
    return refuse(key, shown_element(value), fmt::format("within {} to {}", limit.low, limit.high));
  if (limit.whole && std::trunc(number) != number) return refuse(key, shown_element(value), "a whole number");
  return number;
}

Result<std::int64_t> read_integer(std::string_view key, dom::element value, std::int64_t low, std::int64_t high) {
  std::int64_t number = 0;
  if (value.get(number) != simdjson::SUCCESS || number < low || number > high)
    return refuse(key, shown_element(value), fmt::format("an integer within {} to {}", low, high));
  return number;
}

Result<std::string> read_text(std::string_view key, dom::element value) {
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS) return refuse(key, shown_element(value), "a string");
  if (text.size() > kMaxTextField) return refuse(key, shown_element(value), "a text of at most 256 bytes");
  if (text.find("<<<") != std::string_view::npos)  // DCGM's "<<<NULL>>>"
    return refuse(key, shown_element(value), "a value but a driver's mark for none");
  return std::string(text);
}

bool is_performance_state(std::string_view text) {
  if (text.size() < 2 || text.size() > 3 || text[0] != 'P') return false;
  int number = 0;
  for (const char c : text.substr(1)) {
    if (c < '0' || c > '9') return false;
    number = number * 10 + (c - '0');
  }
  return number <= 15 && (text.size() == 2 || text[1] != '0');
}

Result<GpuProcess> read_process(std::string_view key, dom::element value) {
  dom::object object;
  if (value.get(object) != simdjson::SUCCESS) return refuse(key, shown_element(value), "an object");
  GpuProcess process;
  bool has_pid = false;
  for (const dom::key_value_pair field : object) {
    if (field.value.is_null()) continue;
    if (field.key == "pid") {
      const auto pid = read_integer(key, field.value, 0, std::numeric_limits<int>::max());
      if (!pid) return fail(pid.error());
      process.pid = static_cast<int>(*pid);
      has_pid = true;
    } else if (field.key == "memory_used_mb") {
      const auto memory = read_number(key, field.value, {"memory_used_mb", 0, 1e9, true});
      if (!memory) return fail(memory.error());
      process.memory_used_mb = static_cast<std::int64_t>(*memory);
    }
  }
  if (!has_pid) return refuse(key, shown_element(value), "a process with a pid");
  return process;
}

Result<std::vector<GpuProcess>> read_processes(dom::element value) {
  dom::array list;
  if (value.get(list) != simdjson::SUCCESS) return refuse("processes", shown_element(value), "a list");
  std::vector<GpuProcess> processes;
  for (const dom::element entry : list) {
    if (processes.size() == kMaxProcesses) return refuse("processes", "the list", "at most 4096 processes long");
    auto process = read_process("processes", entry);
    if (!process) return fail(process.error());
    processes.push_back(*process);
  }
  return processes;
}

// Takes one message apart. Absent fields stay absent.
class SampleReader {
 public:
  Result<void> read(std::string_view key, dom::element value) {
    if (value.is_null()) return {};
    if (const GpuMetric* metric = next_metric(key)) {
      const auto number = read_number(key, value, sample_limit(metric_index_));
      if (!number) return fail(number.error());
      metric->set(sample, *number);
      ++metric_index_;
      return {};
    }
    return read_other(key, value);
  }

  GpuSample sample;
  bool has_index = false;
  bool has_time = false;

 private:
  // Our own messages hold the metrics in the order of gpu_metrics(): the search usually ends at its first step.
  const GpuMetric* next_metric(std::string_view key) {
    const std::span<const GpuMetric> metrics = gpu_metrics();
    for (std::size_t step = 0; step < metrics.size(); ++step) {
      const std::size_t index = (metric_index_ + step) % metrics.size();
      if (metrics[index].name != key) continue;
      metric_index_ = index;
      return &metrics[index];
    }
    return nullptr;
  }

  Result<void> read_other(std::string_view key, dom::element value) {
    if (key == "gpu_uuid") return take_text(key, value, [&](std::string text) { sample.gpu_uuid = GpuUuid(text); });
    if (key == "node") return take_text(key, value, [&](std::string text) { sample.node = NodeId(text); });
    if (key == "gpu_name") return take_text(key, value, [&](std::string text) { sample.gpu_name = std::move(text); });
    if (key == "performance_state") return read_performance_state(value);
    if (key == "throttling_reasons")
      return take_text(key, value, [&](std::string text) {
        if (text == "None") text.assign("none");
        sample.throttling_reasons = std::move(text);
      });
    if (key == "gpu_index")
      return take_integer(key, value, kMaxGpuIndex, [&](std::int64_t index) {
        sample.gpu_index = static_cast<int>(index);
        has_index = true;
      });
    if (key == "sample_seq")
      return take_integer(key, value, (std::int64_t{1} << 62) - 1,
                          [&](std::int64_t seq) { sample.sample_seq = static_cast<std::uint64_t>(seq); });
    if (key == "sample_time_us")
      return take_integer(key, value, kMaxUnixUs, [&](std::int64_t time) {
        sample.sample_time = from_unix_us(time);
        has_time = true;
      });
    if (key == "xid_last_time_us")
      return take_integer(key, value, kMaxUnixUs, [&](std::int64_t time) { sample.xid_last_time = from_unix_us(time); });
    if (key == "processes") {
      auto processes = read_processes(value);
      if (!processes) return fail(processes.error());
      sample.processes = std::move(*processes);
    }
    return {};
  }

  Result<void> read_performance_state(dom::element value) {
    auto text = read_text("performance_state", value);
    if (!text) return fail(text.error());
    if (!is_performance_state(*text)) return refuse("performance_state", shown_element(value), "P0 to P15");
    sample.performance_state = std::move(*text);
    return {};
  }

  template <class Take>
  static Result<void> take_text(std::string_view key, dom::element value, Take take) {
    auto text = read_text(key, value);
    if (!text) return fail(text.error());
    take(std::move(*text));
    return {};
  }
  template <class Take>
  static Result<void> take_integer(std::string_view key, dom::element value, std::int64_t high, Take take) {
    const auto number = read_integer(key, value, 0, high);
    if (!number) return fail(number.error());
    take(*number);
    return {};
  }

  std::size_t metric_index_ = 0;
};

// What the message does not say comes from its subject and its arrival; what it says must agree with its subject.
Result<void> complete(SampleReader& reader, const NodeId& node, int gpu_index, Time received_at) {
  GpuSample& sample = reader.sample;
  if (sample.node.empty()) sample.node = node;
  if (sample.node != node)
    return refuse("node", "'" + log::sanitise(sample.node.str()) + "'",
                  fmt::format("the node of its subject, '{}'", node.str()));
  if (!reader.has_index) sample.gpu_index = gpu_index;
  if (sample.gpu_index != gpu_index)
    return refuse("gpu_index", std::to_string(sample.gpu_index), fmt::format("the index of its subject, {}", gpu_index));
  if (!reader.has_time) sample.sample_time = received_at;
  if (sample.gpu_uuid.empty()) sample.gpu_uuid = GpuUuid("external-" + gpu_display_id(sample.node, sample.gpu_index));
  return {};
}

}  // namespace

Result<GpuSample> decode_sample(std::string_view text, const NodeId& node, int gpu_index, Time received_at) {
  if (text.size() > kMaxTextBytes)
    return fail(ErrorCode::kInvalidArgument, fmt::format("a sample of {} bytes", text.size()));
  // One parser and one padded buffer per thread: no allocation per message.
  thread_local dom::parser parser;
  thread_local std::string padded;
  thread_local const simdjson::error_code allocated = parser.allocate(4096, kMaxDepth);
  if (allocated != simdjson::SUCCESS) return fail(ErrorCode::kInternal, "no memory for the parser of samples");
  padded.assign(text);
  padded.append(simdjson::SIMDJSON_PADDING, ' ');
  dom::object object;
  if (const simdjson::error_code error = parser.parse(padded.data(), text.size(), false).get(object))
    return fail(ErrorCode::kInvalidArgument, fmt::format("not a JSON object: {}", simdjson::error_message(error)));
  SampleReader reader;
  for (const dom::key_value_pair field : object) AETHER_TRY(reader.read(field.key, field.value));
  AETHER_TRY(complete(reader, node, gpu_index, received_at));
  return std::move(reader.sample);
}

}  // namespace aether::codec
