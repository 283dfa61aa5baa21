#pragma once
// Asks for a shim and holds its start gate.
#include <sys/types.h>

#include <mutex>
#include <string>

#include "base/result.h"
#include "executor/posix/attempt_files.h"

namespace aether::executor {

// The agent's end of the process that forks the shims (shim/zygote.h). Started when it is first needed, and again when it is
// gone. Thread-safe.
class ShimZygote {
 public:
  explicit ShimZygote(std::string shim_path) : shim_path_(std::move(shim_path)) {}
  ShimZygote(const ShimZygote&) = delete;
  ShimZygote& operator=(const ShimZygote&) = delete;
  ~ShimZygote();

  const std::string& shim_path() const { return shim_path_; }
  // The descriptors stay the caller's. kUnavailable: no zygote could be started. Success says only that it was asked.
  Result<void> ask_for(const std::string& attempt_directory, int gate, int ready);
  // It stood still: the next request gets another one.
  void replace();

 private:
  Result<void> start();
  void end();
  const std::string shim_path_;
  std::mutex mutex_;
  int socket_ = -1;
  pid_t pid_ = -1;
};

// A shim that listens on its socket and waits. Destroyed without open(), it closes the gate: the shim ends and executes
// nothing.
class GatedShim {
 public:
  // Blocks until the shim is ready. kUnavailable: it could not be started or did not become ready in time.
  static Result<GatedShim> spawn(ShimZygote& zygote, const std::string& attempt_directory);
  GatedShim(GatedShim&& other) noexcept;
  GatedShim& operator=(GatedShim&&) = delete;
  ~GatedShim();

  const Started& started() const { return started_; }
  // The shim goes on to execute the job. False when it is gone.
  bool open();

 private:
  GatedShim(int gate, Started started) : gate_(gate), started_(started) {}
  int gate_ = -1;
  Started started_;
};

// A connection to the shim of the attempt; -1 when nobody listens.
int connect_to_shim(const std::string& attempt_directory);

}  // namespace aether::executor
