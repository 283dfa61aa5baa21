#include "codec/codec.h"
#include "codec/records.h"

namespace aether::codec {
namespace {

std::optional<GpuSource> parse_source(std::string_view text) {
  for (const GpuSource source : {GpuSource::kNvml, GpuSource::kSimulated, GpuSource::kExternal})
    if (to_string(source) == text) return source;
  return std::nullopt;
}

}  // namespace

void read_gpu_info(Fields& in, GpuInfo& info) {
  in.need("gpu_uuid", info.gpu_uuid);
  in.need("gpu_index", info.gpu_index);
  in.read("gpu_name", info.gpu_name);
  in.read("gpu_pci_bus_id", info.gpu_pci_bus_id);
  in.read_word("source", info.source, parse_source);
  in.read("memory_total_mb", info.memory_total_mb);
  in.read("power_limit_w", info.power_limit_w);
  in.read("temperature_slowdown_c", info.temperature_slowdown_c);
  in.read("temperature_shutdown_c", info.temperature_shutdown_c);
  in.read("clock_gpu_max_mhz", info.clock_gpu_max_mhz);
  in.read("clock_mem_max_mhz", info.clock_mem_max_mhz);
  in.read("gpu_architecture", info.gpu_architecture);
  in.read("gpu_compute_capability", info.gpu_compute_capability);
  if (!in.failed() && info.gpu_index < 0) in.report("gpu_index", "negative");
  if (!in.failed() && info.gpu_uuid.empty()) in.report("gpu_uuid", "empty");
}

void read_inventory(Fields& in, NodeInventory& inventory) {
  need_node(in, "node", inventory.node);
  in.read("host_name", inventory.host_name);
  in.read("agent_version", inventory.agent_version);
  in.read("agent_incarnation", inventory.agent_incarnation);
  in.read("inventory_seq", inventory.inventory_seq);
  in.read("boot_id", inventory.boot_id);
  in.read("driver_version", inventory.driver_version);
  in.read("exec_mode", inventory.exec_mode);
  in.read("run_as", inventory.run_as);
  in.read("limits", inventory.limits);
  in.read_word("source", inventory.source, parse_source);
  in.read_objects("gpus", inventory.gpus, read_gpu_info);
}

Json encode_gpu_info(const GpuInfo& info) {
  Json json = Json::object();
  put(json, "gpu_uuid", info.gpu_uuid);
  put(json, "gpu_index", info.gpu_index);
  put(json, "gpu_name", info.gpu_name);
  put(json, "gpu_pci_bus_id", info.gpu_pci_bus_id);
  put(json, "source", to_string(info.source));
  put(json, "memory_total_mb", info.memory_total_mb);
  put(json, "power_limit_w", info.power_limit_w);
  put(json, "temperature_slowdown_c", info.temperature_slowdown_c);
  put(json, "temperature_shutdown_c", info.temperature_shutdown_c);
  put(json, "clock_gpu_max_mhz", info.clock_gpu_max_mhz);
  put(json, "clock_mem_max_mhz", info.clock_mem_max_mhz);
  put(json, "gpu_architecture", info.gpu_architecture);
  put(json, "gpu_compute_capability", info.gpu_compute_capability);
  return json;
}

Result<GpuInfo> decode_gpu_info(const Json& json) { return decode_object<GpuInfo>(json, read_gpu_info); }

Json encode_inventory(const NodeInventory& inventory) {
  Json json = Json::object();
  put(json, "node", inventory.node);
  put(json, "host_name", inventory.host_name);
  put(json, "agent_version", inventory.agent_version);
  put(json, "agent_incarnation", inventory.agent_incarnation);
  put(json, "inventory_seq", inventory.inventory_seq);
  put(json, "boot_id", inventory.boot_id);
  put(json, "driver_version", inventory.driver_version);
  put(json, "exec_mode", inventory.exec_mode);
  put(json, "run_as", inventory.run_as);
  put(json, "limits", inventory.limits);
  put(json, "source", to_string(inventory.source));
  json["gpus"] = list_of(inventory.gpus, encode_gpu_info);
  return json;
}

Result<NodeInventory> decode_inventory(const Json& json) {
  return decode_object<NodeInventory>(json, read_inventory);
}

}  // namespace aether::codec
