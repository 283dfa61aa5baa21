#pragma once
// The behaviour of the fake library: a text file named by AETHER_FAKE_NVML, read again whenever it changed. One setting
// a line, "key value"; '#' begins a comment. Without a file the defaults hold: four healthy GPUs.
//
//   gpus 4                            driver_version 570.00
//   init.error 9                      count.error 999             wait.error 15
//   all.error 9                       every call                  all.error.nvmlDeviceGetFanSpeed 3
//   gpu.2.error 15                    every call for GPU 2        gpu.2.error.nvmlDeviceGetFanSpeed 4
//   hang.nvmlInit_v2 on                           the call returns when this line is gone
//   gpu.2.hang on                                 every call for GPU 2; gpu.2.hang.nvmlDeviceGetFanSpeed on
//   crash.nvmlDeviceGetName on                    the process aborts in that call; gpu.2.crash on
//   gpu.0.mig 3                                   MIG instances; gpu.0.mig.1.used_mb 500
//   gpu.0.gpm.5 42.5                              a profiling metric, %; gpu.0.gpm off
//   symbol.nvmlDeviceGetMemoryInfo_v2 off                         it answers FUNCTION_NOT_FOUND
//   field.185 off                     that field answers NOT_SUPPORTED
//   gpu.1.temperature_c 87            any value below, see fake_nvml.cc
//   gpu.0.sentinel memory,pstate      what these calls answer is a blank
//   gpu.0.processes 1234:512,77:100   pid:MiB                     process_stride 32
//   scenario hot                      values, losses, hangs and XIDs as a scenario file says: test_scenario.h
//   xid.3 79                          one event; another with another text: "xid.3 79 again"; xid.3 dbe = double-bit ECC
#include <cstdint>
#include <map>
#include <string>

namespace fake_nvml {

// One thread.
class Control {
 public:
  void refresh();

  std::string text(const std::string& key, const std::string& otherwise) const;
  std::int64_t number(const std::string& key, std::int64_t otherwise) const;
  bool off(const std::string& key) const { return text(key, "") == "off"; }
  bool empty() const { return settings_.empty(); }
  const std::string& scenario() const { return scenario_; }  // empty: none is played

 private:
  std::map<std::string, std::string> settings_;
  std::string scenario_;
  std::int64_t seen_time_ns_ = 0;
  std::int64_t seen_size_ = -1;
  std::uint64_t seen_inode_ = 0;
};

}  // namespace fake_nvml
