#pragma once
// For tests: a store that answers with what the test has put in, and remembers what it was asked.
#include <optional>
#include <string>
#include <vector>

#include "store/store.h"

namespace aether::api {

// History that the tests put in.
class FakeStore final : public Store {
 public:
  std::vector<Job> jobs;  // newest first
  std::vector<JobEvent> job_history;
  std::vector<StoredEvent> history;
  std::optional<PlacementRecord> record;
  SeriesQuery asked;
  Series answer;
  GroupSeriesQuery asked_group;
  GroupSeries group_answer;
  std::optional<Error> group_error;
  std::vector<KnownGpu> gpus;
  std::vector<AttemptRecord> ran;
  EventQuery asked_events;
  JobQuery asked_jobs;

  Result<std::vector<Job>> find_jobs(const JobQuery& query) override {
    asked_jobs = query;
    std::vector<Job> out;
    for (const Job& job : jobs)
      if ((query.before_id.empty() || job.id.str() < query.before_id) &&
          out.size() < static_cast<std::size_t>(query.limit))
        out.push_back(job);
    return out;
  }
  Result<std::vector<JobEvent>> job_events(const JobId&) override { return job_history; }
  Result<std::vector<StoredEvent>> events(const EventQuery& query) override {
    asked_events = query;
    std::vector<StoredEvent> out;
    for (const StoredEvent& event : history)
      if (event.seq > query.after.value_or(0) && (query.user.empty() || event.user == query.user)) out.push_back(event);
    const auto most = static_cast<std::size_t>(query.limit);
    if (out.size() > most && query.after) out.resize(most);
    if (out.size() > most) out.erase(out.begin(), out.end() - query.limit);
    return out;
  }
  Result<PlacementRecord> placement(const JobId&) override {
    if (record) return *record;
    return fail(ErrorCode::kNotFound, "none");
  }
  Result<Series> series(const SeriesQuery& query) override {
    asked = query;
    return answer;
  }
  StoreInfo info() const override {
    return {.name = "sqlite", .version = "3", .schema_version = 1, .location = "memory"};
  }

  Result<void> commit(const std::vector<Write>&) override { return {}; }
  Result<void> append_samples(const std::vector<GpuSample>&) override { return {}; }
  Result<StoredState> load() override { return StoredState{}; }
  Result<Epoch> reserve_epochs(std::uint64_t, Epoch) override { return Epoch{1}; }
  Result<std::vector<AuditLine>> audit(const AuditQuery& query) override {
    std::vector<AuditLine> out;
    for (const AuditLine& line : lines)
      if (line.seq > query.after.value_or(0) && (query.actor.empty() || line.record.actor == query.actor)) out.push_back(line);
    const auto most = static_cast<std::size_t>(query.limit);
    if (out.size() > most && query.after) out.resize(most);
    if (out.size() > most) out.erase(out.begin(), out.end() - query.limit);
    return out;
  }
  Result<GroupSeries> group_series(const GroupSeriesQuery& query) override {
    asked_group = query;
    if (group_error) return fail(*group_error);
    return group_answer;
  }
  Result<std::vector<KnownGpu>> known_gpus() override { return gpus; }
  Result<std::vector<AttemptRecord>> attempts(Time, Time) override { return ran; }
  Result<std::vector<std::optional<GpuEnergy>>> energy(const std::vector<GpuPart>& parts) override {
    std::vector<std::optional<GpuEnergy>> out;
    for (const GpuPart& part : parts)  // 360 W, always
      out.push_back(GpuEnergy{360 * std::chrono::duration<double>(part.to - part.from).count(), part.to - part.from});
    return out;
  }
  Result<AuditLine> last_audit_line() override { return lines.empty() ? AuditLine{} : lines.back(); }
  std::vector<AuditLine> lines;
  Result<Job> find_job(const JobId&) override { return fail(ErrorCode::kNotFound, "none"); }
  Result<Job> find_job_by_number(std::int64_t) override { return fail(ErrorCode::kNotFound, "none"); }
  Result<std::optional<Job>> find_job_by_idempotency_key(const std::string&, const std::string&) override {
    return std::optional<Job>();
  }
  Result<std::vector<GpuSample>> latest_samples() override { return std::vector<GpuSample>(); }
  Result<std::uint64_t> count_samples() override { return std::uint64_t{0}; }
  Result<std::uint64_t> maintain(Time) override { return std::uint64_t{0}; }
};

}  // namespace aether::api
