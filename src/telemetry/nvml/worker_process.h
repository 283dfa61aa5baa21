#pragma once
// The agent's end of one NVML worker: starts the process, sends it requests, hands events on, kills it by its pid.
#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "telemetry/nvml/wire.h"

namespace aether::nvml {

struct WorkerCommand {
  std::string program;                 // a path
  std::vector<std::string> arguments;  // from argv[0]
};

// Requests from one thread, one at a time. A thread of its own receives.
class WorkerProcess {
 public:
  using OnEvent = std::function<void(const GpuEvent&)>;

  static Result<std::unique_ptr<WorkerProcess>> start(const WorkerCommand& command, OnEvent on_event);
  // Kills the process. Who wants to know that it has really ended takes the pid and waits for it.
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  // False when the other end is gone.
  bool send(wire::Body request);
  // The answer to the last request. kTimeout: not yet; kUnavailable: the other end is gone or spoke nonsense.
  Result<wire::Body> wait(std::chrono::milliseconds at_most);
  // The GPU that the running enumeration touched last.
  std::optional<wire::AttachingNote> attaching() const;
  pid_t pid() const { return pid_; }

 private:
  WorkerProcess(int socket, pid_t pid, OnEvent on_event);
  void receive();
  bool take(wire::Frame frame);

  const int socket_;
  const pid_t pid_;
  const OnEvent on_event_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint32_t seq_ = 0;             // of the last request
  std::optional<wire::Body> answer_;  // to it
  std::optional<wire::AttachingNote> attaching_;
  bool closed_ = false;
  std::thread thread_;
};

}  // namespace aether::nvml
