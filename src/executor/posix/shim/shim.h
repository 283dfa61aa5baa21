#pragma once
// The keeper of one attempt: waits at the start gate, starts the job, captures its output, enforces the time limit, the
// lease and orders, and writes the exit record after the last process of the attempt is reaped. One thread, one poll
// loop, fixed buffers; the agent may come and go.
//
// Files: shim.cc (from the start to the exit record), shim_orders.cc (what happens to the job in between), shim_io.cc
// (descriptors and the socket).
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "executor/posix/process_tree.h"
#include "executor/posix/shim/log_writer.h"
#include "executor/posix/shim_protocol.h"

namespace aether::executor {

// Microseconds since 1970.
std::int64_t wall_clock_us();
// CLOCK_BOOTTIME: goes on while the machine sleeps, and nobody sets it.
std::int64_t boot_us();
inline std::int64_t boot_ms() { return boot_us() / 1000; }
void close_and_forget(int& fd);
// Empties what has served its time. Thousands of deletions a minute make every later creation slow on some file systems
// (ext4 without a journal looks at each inode that was deleted lately); retention removes the whole directory.
void clear_files(std::initializer_list<const char*> paths);
bool write_text(const std::string& path, std::string_view text);
// Tests: the shim kills itself at the place that its arguments name.
void die_at(const ShimArgs& args, std::string_view step);

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
  enum class Phase { kStarting, kRunning, kCheckpointing, kTerminating, kKilling, kEnded };
  struct Capture {
    int fd = -1;
    int user_fd = -1;               // the job's own file, or none
    std::unique_ptr<LogWriter> log;
    std::size_t held = 0;           // bytes in `buffer` that found no room yet
    std::array<char, 65536> buffer = {};
  };

  // shim.cc
  bool start_job();
  pid_t fork_child(const ShimArgs& args, int output, int error_output, int error_channel, bool is_main);
  bool prepare_child(pid_t child, bool is_main);
  void reap();
  void note_main_end(int status);
  void note_checkpoint_end(int status);
  void finish();
  void store_exit_record(bool complete, Durability durability);
  void die_at(std::string_view step) const { executor::die_at(args_, step); }
  // The wall clock as it was when the gate opened, gone on with boot time: an attempt ends after it started, and takes the
  // time it took, whoever sets the clock meanwhile.
  std::int64_t time_us() const { return boot_us() + wall_ahead_of_boot_us_; }
  std::int64_t count_oom_kills() const;

  // shim_orders.cc
  void arm_deadlines();
  void check_deadlines();
  void arm_timer();
  void order_stop(const std::string& reason, std::int64_t grace_ms);
  bool start_checkpoint(std::int64_t until_ms);
  void end_checkpoint();
  void begin_termination(std::int64_t kill_at_ms);
  void keep_killing(std::int64_t now_ms);
  void suspend();
  void resume();
  void thaw();
  void warn_early();
  void renew_lease(std::int64_t until_ms);
  std::vector<ProcessStat> find_members() const;
  void signal_everyone(int signal);

  // shim_io.cc
  void wait_for_something();
  void read_error_channel();
  void read_output(Capture& capture);
  static void store_in_user_file(Capture& capture);
  void accept_client();
  void read_client(int& client);
  void obey(std::string_view message);
  void tell_clients();
  void send_pipes(int client) const;
  std::string state_message() const;

  const ShimArgs args_;
  const int listener_;
  const std::int64_t wall_ahead_of_boot_us_ = wall_clock_us() - boot_us();
  int signal_fd_ = -1, timer_fd_ = -1, error_channel_ = -1;
  std::array<int, 4> clients_ = {-1, -1, -1, -1};
  Capture output_, error_output_;
  Phase phase_ = Phase::kStarting;
  pid_t main_pid_ = -1, checkpoint_pid_ = -1;
  bool main_ended_ = false, suspended_ = false, unkillable_ = false;
  std::string stop_reason_;
  ExitRecord exit_;
  // CLOCK_BOOTTIME in ms; 0 = none.
  std::int64_t limit_at_ms_ = 0, lease_until_ms_ = 0, early_at_ms_ = 0, checkpoint_at_ms_ = 0, checkpoint_until_ms_ = 0;
  std::int64_t kill_at_ms_ = 0, killing_since_ms_ = 0, retry_output_at_ms_ = 0;
};

}  // namespace aether::executor
