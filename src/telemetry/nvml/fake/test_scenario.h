#pragma once
// The fake library played by the physics and faults of the simulated GPUs instead of by constants: the control file's line
// "scenario FILE" (a path, or the name of a shipped one). Every GPU is an H100 under one training job, as from the moment the
// line was first read; what the control file says about a value goes before it. One thread.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fake_nvml {

// What the scenario gives for a value of the control file ("temperature_c"); nothing when none is played or it has none.
std::optional<std::int64_t> played_value(int gpu, const std::string& name);
// True when the scenario takes this value away ("temperature", as `sentinel` names it).
bool played_blank(int gpu, const std::string& what);
// Return code of every call about this GPU (-1 = the library's own calls); takes the time that a slow reading takes.
int played_code(int gpu, std::string_view function);
bool played_hang(int gpu);
// "79 at 60000000": changes with each new XID; empty without one.
std::string played_xid(int gpu);

}  // namespace fake_nvml
