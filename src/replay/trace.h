#pragma once
// A recorded workload: who submitted what when, and how long it ran.
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace aether::replay {

struct TraceJob {
  std::string id;
  std::string user;
  int partition = 0;
  int gpus = 1;
  int cpus = 0;
  std::int64_t submit_s = 0;
  std::int64_t run_time_s = 0;
};

struct Trace {
  std::vector<std::string> partitions;  // virtual clusters
  std::vector<int> nodes;               // of each, eight GPUs per node
  std::vector<TraceJob> jobs;           // by submission, ties in the order of the file
};

// `folder` holds vcs.csv (vc,nodes) and jobs.csv.xz or jobs.csv (job_id,user,vc,gpu_num,cpu_num,submit_time,duration,...).
// Jobs larger than their virtual cluster are left out. `load` compresses the times between submissions.
Result<Trace> read_trace(const std::string& folder, double load = 1.0);

// The rows of a CSV file without quotes, header included; a name ending in .xz is unpacked.
Result<std::vector<std::vector<std::string>>> read_csv(const std::string& path);

}  // namespace aether::replay
