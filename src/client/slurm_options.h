#pragma once
// The options of Slurm's sbatch that Aether understands, and the job that they ask for. Pure, for any input. Internal to
// the module.
#include <map>
#include <string>
#include <vector>

#include "client/job_spec_flags.h"

namespace aether::client {

class SlurmOptions {
 public:
  // Takes options from the front of `words`, up to the first word that is none; returns how many words were used. An option
  // that Aether does not know or can't honour is kUsage with its remedy; none is ignored.
  Outcome<std::size_t> parse(const std::vector<std::string>& words);

  // `notes` says where Aether reads an option otherwise than Slurm does.
  Outcome<JobSpecFlags> to_flags(std::vector<std::string>& notes) const;

  // Adds what is not given here.
  void take_under(const SlurmOptions& other) { given_.insert(other.given_.begin(), other.given_.end()); }
  bool empty() const { return given_.empty(); }

  // What concerns the command, not the job.
  bool has(const std::string& name) const { return given_.contains(name); }
  std::string value(const std::string& name) const;

 private:
  std::map<std::string, std::string> given_;  // by long name; the last one counts
};

// Slurm's times: 30 = minutes, 30:15, 1:00:00, 2-12, 2-12:30. Seconds; absent when it is none of these.
std::optional<std::int64_t> parse_slurm_time(std::string_view text);
// Slurm's memory: 100 = MiB, 4G. MiB.
std::optional<std::int64_t> parse_slurm_memory_mb(std::string_view text);

}  // namespace aether::client
