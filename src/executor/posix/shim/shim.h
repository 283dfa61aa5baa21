#pragma once
// The keeper of one attempt: waits at the start gate, starts the job, captures its output, enforces the time limit and
// stop orders, and writes the exit record after the last process of the attempt is reaped. One thread, one poll loop,
// fixed buffers; the agent may come and go.
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "executor/posix/shim/log_writer.h"
#include "executor/posix/shim_protocol.h"

namespace aether::executor {

// Microseconds since 1970.
std::int64_t wall_clock_us();

class Shim {
 public:
  // The working directory is the attempt's; `listener` is the bound socket.
  Shim(ShimArgs args, int listener);
  ~Shim();
  Shim(const Shim&) = delete;
  Shim& operator=(const Shim&) = delete;

  // From the open gate to the complete exit record.
  int run();

 private:
  enum class Phase { kStarting, kRunning, kTerminating, kKilling, kEnded };
  struct Capture {
    int fd = -1;
    std::unique_ptr<LogWriter> log;
  };

  bool start_job();
  bool prepare_child(pid_t child);
  void fail_launch(LaunchStep step, int error);

  void wait_for_something();
  void read_error_channel();
  void read_output(Capture& capture);
  void accept_client();
  void read_client(int& client);
  void obey(std::string_view message);
  void tell_clients();
  std::string state_message() const;

  void reap();
  void note_main_end(int status);
  void order_stop(const std::string& reason, std::int64_t grace_ms);
  void begin_termination(std::int64_t grace_ms);
  void check_deadlines();
  void signal_everyone(int signal);
  void arm_timer();
  void finish();
  void store_exit_record(bool complete);
  void die_at(std::string_view step) const;

  const ShimArgs args_;
  const int listener_;
  int signal_fd_ = -1, timer_fd_ = -1, error_channel_ = -1;
  std::array<int, 4> clients_ = {-1, -1, -1, -1};
  Capture output_, error_output_;
  Phase phase_ = Phase::kStarting;
  pid_t main_pid_ = -1;
  bool main_ended_ = false;
  std::string stop_reason_;
  ExitRecord exit_;
  std::int64_t limit_at_ms_ = 0;  // CLOCK_BOOTTIME; 0 = no limit
  std::int64_t kill_at_ms_ = 0;
};

}  // namespace aether::executor
