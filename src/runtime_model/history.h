#pragma once
// What a submission looks like to the model: the request, and how the user's and the cluster's earlier jobs have ended.
#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

namespace aether::runtime_model {

inline constexpr int kFeatures = 30;
using Features = std::array<float, kFeatures>;

struct Request {
  std::string user;
  int partition = 0;
  int gpus = 1;
  int cpus = 0;
  std::int64_t submit_s = 0;
};

// Folds submissions and ends in; knows no run time before the job has ended.
class History {
 public:
  // The features of a request that has not been added; NaN where nothing is known.
  Features features(const Request& request, std::int64_t now_s) const;
  void submitted(const Request& request);
  void ended(const Request& request, double run_time_s, std::int64_t now_s);

 private:
  struct Record {
    std::deque<float> recent;  // log run times, newest first
    double count = 0, sum = 0, sum_of_squares = 0;
    double fading_sum = 0, fading_count = 0;
    std::int64_t ended_at_s = 0;
    int open = 0;  // submitted and not ended
    std::int64_t submitted_at_s = 0;
    std::int64_t streak_started_s = 0;
    int streak = 0;  // submissions with less than ten minutes between them
  };
  using Records = std::unordered_map<std::string, Record>;

  static const Record* find(const Records& records, const std::string& key);
  static void add(Record& record, float log_run_time, std::int64_t now_s);
  static void add_submission(Record& record, std::int64_t now_s);

  Records users_, user_shapes_, user_gpus_, partitions_;
};

}  // namespace aether::runtime_model
