#pragma once
// The process that calls NVIDIA's library, so that a call which never returns, or a crash inside the library, ends this
// process and not the agent. It answers requests (wire.h) on one socket and tells events unasked.
#include <chrono>

#include "telemetry/nvml/nvml_driver.h"

namespace aether::nvml {

// The descriptor on which a worker finds its socket.
inline constexpr int kWorkerSocket = 3;

struct WorkerOptions {
  NvmlOptions nvml;
  std::chrono::milliseconds event_interval{20};  // how often the library is asked for events
};

// Serves until the other end closes, and ends the process then even from within a hung call. The exit code.
int run_worker(int socket, const WorkerOptions& options);

// `aether-nvml [LIBRARY]`: the exit code, for main().
int worker_main(int argc, char** argv);

}  // namespace aether::nvml
