#pragma once
// Spawns aether-shim and holds its start gate.
#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "executor/posix/attempt_files.h"

namespace aether::executor {

// A shim that listens on its socket and waits. Destroyed without open(), it closes the gate: the shim ends and executes
// nothing.
class GatedShim {
 public:
  // Blocks until the shim is ready. kUnavailable: it could not be started or did not become ready in time.
  static Result<GatedShim> spawn(const std::string& shim_path, const std::string& attempt_directory);
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
