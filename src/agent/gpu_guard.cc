#include "agent/gpu_guard.h"

#include "base/log.h"

namespace aether {
namespace {
constexpr Duration kProcessesInterval = std::chrono::milliseconds(1000);  // looking through /proc is not free
constexpr Duration kPollInterval = std::chrono::milliseconds(100);
}

GpuGuard::GpuGuard(GpuCheckOptions options, ProcessRunner& runner) : runner_(runner), check_(options) {}

void GpuGuard::refresh_processes(Mono now) {
  // What runs already was adopted; what was in use before it nobody knows any more.
  if (!adopted_)
    for (const LaunchSpec& running : runner_.running()) check_.begin(running.attempt, running.gpu_uuids, running.spec.share);
  if (adopted_ && now - processes_at_ < kProcessesInterval) return;
  adopted_ = true;
  processes_at_ = now;
  std::map<AttemptId, std::vector<int>> processes;
  for (const LaunchSpec& running : runner_.running()) processes[running.attempt] = runner_.processes(running.attempt);
  check_.set_processes(processes);
  check_.set_unkillable(runner_.unkillable());
}

void GpuGuard::observe(const GpuSample& sample, Mono now) {
  refresh_processes(now);
  check_.observe(sample, now);
}

std::optional<GpuCheck::Refusal> GpuGuard::refuse_start(const StartCommand& command, Mono now) {
  const auto known = runner_.attempts();
  for (const AttemptReport& report : known)
    if (report.attempt == command.attempt) return std::nullopt;  // a repetition starts nothing
  return check_.refuse_start(command.gpu_uuids, command.spec, now);
}

void GpuGuard::started(const StartCommand& command) {
  check_.begin(command.attempt, command.gpu_uuids, command.spec.share);
}

AttemptReport GpuGuard::shown(const AttemptReport& report, Mono now) {
  if (!is_terminal(report.state)) return report;
  check_.end(report.attempt, now);
  if (!check_.is_checking(report.attempt)) return report;
  held_back_[report.attempt] = report;
  AttemptReport completing = report;
  completing.state = JobState::kCompleting;
  completing.exit.reset();
  completing.ended_at.reset();
  return completing;
}

GpuGuard::News GpuGuard::poll(Mono now) {
  News news;
  refresh_processes(now);
  news.findings = check_.take_findings(now);
  for (const GpuFinding& finding : news.findings)
    log::error("agent", "a GPU is not free and gets no job",
               {{"gpu", finding.gpu_uuid.str()}, {"kind", to_string(finding.kind)}, {"why", finding.message}});
  std::erase_if(held_back_, [&](const auto& entry) {
    if (check_.is_checking(entry.first)) return false;
    news.ends.push_back(entry.second);
    return true;
  });
  return news;
}

std::optional<Mono> GpuGuard::next_poll(Mono now) const {
  return held_back_.empty() ? std::nullopt : std::optional(now + kPollInterval);
}

}  // namespace aether
