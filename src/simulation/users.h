#pragma once
// People: they submit jobs of every kind, ask again when no answer came, cancel, hold and release.
#include <map>
#include <string>

#include "simulation/control_plane.h"
#include "simulation/referee.h"

namespace aether::simulation {

class Users {
 public:
  Users(World& world, const Swarm& swarm, Tally& tally, Referee& referee, const Disk& disk, ControlPlane& orchestrator)
      : world_(world), swarm_(swarm), tally_(tally), referee_(referee), disk_(disk), orchestrator_(orchestrator) {}

  // Spreads the run's jobs over the fault phase.
  void begin();
  void heal();
  // Seconds of one GPU that the submitted jobs may take in all.
  Duration work() const { return work_; }
  bool all_answered() const { return answered_ == swarm_.jobs; }

 private:
  struct Submission {
    std::string key;
    JobSpec spec;
    Referee::Expected expected;
    bool answered = false;
    int tasks = 1;
    bool is_drawn = false;  // whether it depends on another job
    std::optional<JobId> job;
  };
  Submission draw(int index);
  void draw_behaviour(Submission& made);
  std::map<std::string, FoundDependency> choose_dependency(Submission& wanted);
  void submit(int index);
  void accept(const Submission& submission, const JobId& job);
  void on_answer(int index, const Result<SubmitReply>& reply);
  void act(const JobId& job, JobAction action);

  World& world_;
  const Swarm& swarm_;
  Tally& tally_;
  Referee& referee_;
  const Disk& disk_;
  ControlPlane& orchestrator_;
  std::map<int, Submission> submissions_;
  int answered_ = 0;
  bool healed_ = false;
  Duration work_{0};
};

}  // namespace aether::simulation
