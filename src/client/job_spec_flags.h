#pragma once
// The flags of `submit` and `run`, and the JobSpec that they become. Only what the user gave goes into the
// JSON, and a name: the rest is the server's business (templates, defaults), and the idempotency key covers
// the body as it was meant.
#include <optional>
#include <string>
#include <vector>

#include "client/json_view.h"
#include "client/outcome.h"

namespace CLI {
class App;
}

namespace aether::client {

struct JobSpecFlags {
  std::vector<std::string> argv;
  std::string script_file;
  std::string name, type, gpu_type, gpu_mem, share, time, chdir, grace;
  bool unique = false, hold = false;
  std::optional<int> gpus, priority;
  std::vector<std::string> env, labels;  // K=V, or K alone: the value of this environment
  std::string env_file;

  std::string begin, deadline, array, retry_on, on_partition, stop_after, signal, checkpoint, checkpoint_timeout;
  std::string memory, stdout_path, stderr_path, open_mode, log_policy;
  bool kill_on_invalid_dep = false, requeue = false, no_requeue = false, slurm_env = false;
  std::optional<int> retries, cpus;
  std::vector<std::string> depends_on;  // "afterok:4131,afterany:4132:4133"
  std::optional<std::string> script;    // the text itself, for `batch`
};

// Every flag given in `over` wins; lists are joined.
void overlay(JobSpecFlags& flags, const JobSpecFlags& over);

void add_job_spec_flags(CLI::App& verb, JobSpecFlags& flags);

// Words as a shell splits them: quotes and backslashes, nothing else. Absent when a quote is not closed.
std::optional<std::vector<std::string>> split_words(std::string_view text);

// kUsage with the flag's name and the remedy.
Outcome<Json> job_spec_json(const JobSpecFlags& flags);

// RFC 9562 UUID version 7.
std::string make_uuid_v7(std::int64_t unix_ms, std::uint64_t random_high, std::uint64_t random_low);

}  // namespace aether::client
