#include "replay/referee_client.h"

#include <istream>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

namespace aether::replay {
namespace {

using queueing::Action;

class RefereeClient {
 public:
  RefereeClient(std::ostream& out, const queueing::DispatchOptions& options, Estimator& estimator)
      : out_(out), options_(options), estimator_(estimator) {}

  bool handle(const std::string& line) {
    std::istringstream words(line);
    std::string verb;
    words >> verb;
    if (verb == "VC") return add_partition(words);
    if (verb == "READY") {
      dispatcher_.emplace(nodes_, options_);
      return true;
    }
    if (!dispatcher_) return false;
    if (verb == "AT") return static_cast<bool>(words >> now_s_);
    if (verb == "END") return end(words);
    if (verb == "SUB") return submit(words);
    if (verb != "GO") return false;
    go();
    return true;
  }

 private:
  struct Job {
    std::string name;
    int gpus = 1;
    std::int64_t ran_s = 0;
    std::int64_t overhead_s = 0;
    std::int64_t started_s = 0;
  };

  bool add_partition(std::istringstream& words) {
    std::string name;
    int nodes = 0;
    if (!(words >> name >> nodes) || nodes < 1) return false;
    partition_of_[name] = static_cast<int>(nodes_.size());
    nodes_.push_back(nodes);
    return true;
  }

  bool end(std::istringstream& words) {
    for (std::string name; words >> name;) {
      const auto found = id_of_.find(name);
      if (found == id_of_.end()) return false;
      const Job& job = jobs_[found->second];
      const auto run_time_s = static_cast<double>(job.ran_s + now_s_ - job.started_s - job.overhead_s);
      dispatcher_->end(found->second, run_time_s);
      estimator_.ended(found->second, run_time_s, now_s_);
    }
    return true;
  }

  bool submit(std::istringstream& words) {
    std::string name, user, partition;
    int gpus = 0, cpus = 0;
    if (!(words >> name >> user >> partition >> gpus >> cpus)) return false;
    const auto found = partition_of_.find(partition);
    if (found == partition_of_.end() || gpus < 1 || gpus > nodes_[found->second] * queueing::kGpusPerNode) return false;
    const int id = static_cast<int>(jobs_.size());
    id_of_[name] = id;
    jobs_.push_back({.name = name, .gpus = gpus});
    auto belief = estimator_.submitted({id, user, found->second, gpus, cpus, now_s_});
    dispatcher_->submit({id, found->second, gpus, now_s_, 0, std::move(belief)});
    return true;
  }

  void go() {
    for (const Action& action : dispatcher_->decide(now_s_)) {
      Job& job = jobs_[action.job];
      if (action.kind == Action::Kind::kStop) {
        job.ran_s += now_s_ - job.started_s;
        job.overhead_s += options_.overhead_s(job.gpus);
        out_ << "STOP " << job.name << '\n';
        continue;
      }
      job.started_s = now_s_;
      out_ << "RUN " << job.name;
      const char* separator = " ";
      for (const auto& share : action.shares) {
        out_ << separator << share.node << ':' << share.gpus;
        separator = ",";
      }
      out_ << '\n';
    }
    if (const auto wake = dispatcher_->wake_s(); wake && *wake != asked_wake_s_) {
      asked_wake_s_ = *wake;
      out_ << "WAKE " << *wake << '\n';
    }
    out_ << "OK" << std::endl;
  }

  std::ostream& out_;
  queueing::DispatchOptions options_;
  Estimator& estimator_;
  std::optional<queueing::Dispatcher> dispatcher_;
  std::vector<int> nodes_;
  std::unordered_map<std::string, int> partition_of_, id_of_;
  std::vector<Job> jobs_;
  std::int64_t now_s_ = 0;
  std::int64_t asked_wake_s_ = 0;
};

}  // namespace

bool serve_referee(std::istream& in, std::ostream& out, std::ostream& errors, const queueing::DispatchOptions& options,
                   Estimator& estimator) {
  RefereeClient client(out, options, estimator);
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) continue;
    if (line == "BYE") break;
    if (client.handle(line)) continue;
    errors << "aether: can't understand the line '" << line << "'\n";
    return false;
  }
  return true;
}

}  // namespace aether::replay
