#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "codec/codec.h"
#include "store/sql/job_tables.h"

namespace aether::store {
namespace {

constexpr int kRecentJobs = 500;
constexpr int kMaxPage = 1000;

std::optional<Time> optional_time(const SqlRow& row, std::size_t column) {
  const auto value = row.optional_integer(column);
  return value ? std::optional<Time>(from_unix_us(*value)) : std::nullopt;
}

tl::unexpected<Error> corrupt(std::string_view what, std::string_view id, const std::string& why) {
  return fail(ErrorCode::kCorrupt,
              fmt::format("the stored {} of job {} does not make sense: {}", what, id, why));
}

// Decodes a JSON column with one of the codec's functions.
template <class Decode>
auto decode_column(std::string_view what, std::string_view job, const std::string& json, Decode decode)
    -> decltype(decode(std::declval<codec::Json>())) {
  auto parsed = codec::parse(json);
  if (!parsed) return corrupt(what, job, parsed.error().message);
  auto decoded = decode(*parsed);
  if (!decoded) return corrupt(what, job, decoded.error().message);
  return decoded;
}

constexpr std::string_view kJobColumns =
    "id, number, \"user\", queue, state, submitted_at_us, ended_at_us, spec, idempotency_key, body_sha256, "
    "array_parent, array_index, progress";
constexpr std::size_t kRecordColumn = 13;  // of the attempt, behind them

Result<Job> decode_job(const SqlRow& row) {
  Job job;
  job.id = JobId(row.text(0));
  job.number = row.integer(1);
  job.user = row.text(2);
  job.queue = row.text(3);
  const auto state = parse_job_state(row.text(4));
  if (!state) return corrupt("state", job.id.str(), "\"" + row.text(4) + "\" is no state");
  job.state = *state;
  job.submitted_at = from_unix_us(row.integer(5));
  job.ended_at = optional_time(row, 6);
  auto spec = decode_column("spec", job.id.str(), row.text(7), codec::decode_job_spec);
  if (!spec) return fail(spec.error());
  job.spec = std::move(*spec);
  job.idempotency_key = row.text(8);
  job.body_sha256 = row.text(9);
  job.array_parent = JobId(row.text(10));
  job.array_index = static_cast<int>(row.integer(11));
  auto progress = decode_column("progress", job.id.str(), row.text(12), [&](const codec::Json& json) {
    return codec::decode_job_progress(json, job);
  });
  if (!progress) return fail(progress.error());
  return job;
}

// `selection` is the part after "FROM jobs"; `order` sorts by columns of the job and is used twice, so that
// the join with the attempts keeps the order of the limited selection.
Result<std::vector<Job>> select_jobs(SqlConnection& connection, std::string_view selection,
                                     std::string_view order, std::string_view limit,
                                     const SqlParameters& parameters) {
  auto found = connection.run(
      fmt::format("SELECT {0}, record FROM (SELECT * FROM jobs {1} ORDER BY {2} {3}) AS chosen "
                  "LEFT JOIN (SELECT job_id, n, record FROM attempts) AS tried ON tried.job_id = chosen.id "
                  "ORDER BY {2}, n",
                  kJobColumns, selection, order, limit),
      parameters);
  if (!found) return fail(found.error());
  std::vector<Job> jobs;
  for (const SqlRow& row : found->rows) {
    if (jobs.empty() || jobs.back().id.str() != row.text(0)) {
      auto job = decode_job(row);
      if (!job) return fail(job.error());
      jobs.push_back(std::move(*job));
    }
    if (row.is_null(kRecordColumn)) continue;
    auto attempt = decode_column("attempt", row.text(0), row.text(kRecordColumn), codec::decode_attempt);
    if (!attempt) return fail(attempt.error());
    jobs.back().attempts.push_back(std::move(*attempt));
  }
  return jobs;
}

Result<std::optional<Job>> select_job(SqlConnection& connection, std::string_view selection,
                                      const SqlParameters& parameters) {
  auto jobs = select_jobs(connection, selection, "id", "", parameters);
  if (!jobs) return fail(jobs.error());
  if (jobs->empty()) return std::optional<Job>();
  return std::optional<Job>(std::move(jobs->front()));
}

std::string states_list(bool terminal) {
  std::string list;
  for (const JobState state : kAllJobStates) {
    if (is_terminal(state) == terminal)
      list += fmt::format("{}'{}'", list.empty() ? "" : ", ", to_string(state));
  }
  return list;
}

// Builds "WHERE a AND b" with numbered parameters.
struct Conditions {
  std::string text;
  SqlParameters parameters;
  std::string parameter(SqlValue value) {
    parameters.push_back(std::move(value));
    return fmt::format("${}", parameters.size());
  }
  void add(const std::string& condition) { text += (text.empty() ? "WHERE " : " AND ") + condition; }
};

// Labels are part of the spec's JSON; any text may be a key.
std::string label_sql(Dialect dialect, Conditions& where, const std::string& key, const std::string& value) {
  if (dialect == Dialect::kPostgres)
    return fmt::format("spec::json -> 'labels' ->> CAST({} AS TEXT) = {}", where.parameter(key), where.parameter(value));
  return fmt::format("EXISTS (SELECT 1 FROM json_each(spec, '$.labels') AS label WHERE label.key = {} AND label.value = {})",
                     where.parameter(key), where.parameter(value));
}

Conditions conditions(Dialect dialect, const JobQuery& query) {
  Conditions where;
  if (!query.states.empty()) {
    std::string list;
    for (JobState state : query.states)
      list += (list.empty() ? "" : ", ") + where.parameter(std::string(to_string(state)));
    where.add("state IN (" + list + ")");
  }
  if (!query.user.empty()) where.add("\"user\" = " + where.parameter(query.user));
  if (!query.name.empty()) where.add("name = " + where.parameter(query.name));
  if (!query.queue.empty()) where.add("queue = " + where.parameter(query.queue));
  if (!query.array.empty()) where.add("array_parent = " + where.parameter(query.array));
  if (query.array_index) where.add("array_index = " + where.parameter(std::int64_t{*query.array_index}));
  for (const auto& [key, value] : query.labels) {
    const std::string condition = label_sql(dialect, where, key, value);
    where.add(condition);
  }
  if (query.since) where.add("submitted_at_us >= " + where.parameter(to_unix_us(*query.since)));
  if (query.until) where.add("submitted_at_us < " + where.parameter(to_unix_us(*query.until)));
  if (!query.before_id.empty()) where.add("id < " + where.parameter(query.before_id));
  return where;
}

Result<void> load_allocations(SqlConnection& connection, StoredState& state) {
  auto found =
      connection.run("SELECT gpu_uuid, slot, job_id, n, memory_mb FROM gpu_alloc ORDER BY gpu_uuid, slot");
  if (!found) return fail(found.error());
  for (const SqlRow& row : found->rows)
    state.allocations.push_back({GpuUuid(row.text(0)), static_cast<int>(row.integer(1)),
                                 AttemptId{JobId(row.text(2)), static_cast<int>(row.integer(3))},
                                 row.integer(4)});
  return {};
}

Result<void> load_outbox(SqlConnection& connection, StoredState& state) {
  auto found = connection.run("SELECT job_id, n, epoch, kind, subject, payload FROM outbox ORDER BY seq");
  if (!found) return fail(found.error());
  for (const SqlRow& row : found->rows)
    state.outbox.push_back({AttemptId{JobId(row.text(0)), static_cast<int>(row.integer(1))},
                            static_cast<Epoch>(row.integer(2)), row.text(3), row.text(4), row.text(5)});
  return {};
}

Result<void> load_placements(SqlConnection& connection, StoredState& state) {
  for (const Job& job : state.live_jobs) {
    auto record = find_placement(connection, job.id);
    if (!record) return fail(record.error());
    if (*record) state.placements.push_back(std::move(**record));
  }
  return {};
}

Severity parse_severity(const std::string& text) {
  for (Severity severity : {Severity::kInfo, Severity::kWarning, Severity::kCritical})
    if (to_string(severity) == text) return severity;
  return Severity::kWarning;
}

Alert decode_alert(const SqlRow& row) {
  Alert alert;
  alert.id = AlertId(row.text(0));
  alert.severity = parse_severity(row.text(1));
  alert.kind = row.text(2);
  alert.title = row.text(3);
  alert.detail = row.text(4);
  alert.node = NodeId(row.text(5));
  alert.gpu_uuid = GpuUuid(row.text(6));
  alert.gpu_id = row.text(7);
  if (!row.is_null(8)) alert.job = JobId(row.text(8));
  alert.since = from_unix_us(row.integer(9));
  alert.cleared_at = optional_time(row, 10);
  alert.value = row.optional_real(11);
  alert.threshold = row.optional_real(12);
  alert.unit = row.text(13);
  alert.acknowledged = row.integer(14) != 0;
  return alert;
}

Result<void> load_alerts(SqlConnection& connection, StoredState& state) {
  auto found = connection.run(
      "SELECT id, severity, kind, title, detail, node, gpu_uuid, gpu_id, job_id, since_us, cleared_at_us, "
      "value, "
      "threshold, unit, acknowledged FROM alerts WHERE cleared_at_us IS NULL ORDER BY since_us, id");
  if (!found) return fail(found.error());
  for (const SqlRow& row : found->rows) state.open_alerts.push_back(decode_alert(row));
  return {};
}

Result<void> load_scalars(SqlConnection& connection, StoredState& state) {
  auto settings = connection.run("SELECT key, value FROM settings");
  if (!settings) return fail(settings.error());
  for (const SqlRow& row : settings->rows) state.settings[row.text(0)] = row.text(1);
  auto highest = connection.run("SELECT (SELECT max(number) FROM jobs), (SELECT last_epoch FROM epochs)");
  if (!highest) return fail(highest.error());
  state.last_job_number = highest->rows.front().integer(0);
  state.last_epoch = static_cast<Epoch>(highest->rows.front().integer(1));
  return {};
}

}  // namespace

Result<StoredState> load_state(SqlConnection& connection) {
  StoredState state;
  auto live = select_jobs(connection, fmt::format("WHERE state IN ({})", states_list(false)), "id", "", {});
  if (!live) return fail(live.error());
  state.live_jobs = std::move(*live);
  auto recent = select_jobs(connection, fmt::format("WHERE state IN ({})", states_list(true)),
                            "coalesce(ended_at_us, submitted_at_us) DESC, id DESC",
                            fmt::format("LIMIT {}", kRecentJobs), {});
  if (!recent) return fail(recent.error());
  state.recent_jobs = std::move(*recent);
  AETHER_TRY(load_allocations(connection, state));
  AETHER_TRY(load_outbox(connection, state));
  AETHER_TRY(load_placements(connection, state));
  AETHER_TRY(load_alerts(connection, state));
  AETHER_TRY(load_scalars(connection, state));
  return state;
}

Result<std::vector<Job>> find_jobs(SqlConnection& connection, Dialect dialect, const JobQuery& query) {
  Conditions where = conditions(dialect, query);
  const std::string limit = "LIMIT " + where.parameter(std::int64_t{std::clamp(query.limit, 1, kMaxPage)});
  return select_jobs(connection, where.text, "id DESC", limit, where.parameters);
}

Result<std::optional<Job>> find_job(SqlConnection& connection, const JobId& id) {
  return select_job(connection, "WHERE id = $1", {id.str()});
}

Result<std::optional<Job>> find_job_by_number(SqlConnection& connection, std::int64_t number) {
  return select_job(connection, "WHERE number = $1", {number});
}

Result<std::optional<Job>> find_job_by_key(SqlConnection& connection, const std::string& user,
                                           const std::string& key) {
  if (key.empty()) return std::optional<Job>();
  return select_job(connection, "WHERE \"user\" = $1 AND idempotency_key = $2 AND idempotency_key <> ''",
                    {user, key});
}

Result<std::vector<JobEvent>> job_events(SqlConnection& connection, const JobId& id) {
  auto found = connection.run(
      "SELECT job_id, time_us, from_state, to_state, actor, reason, epoch, attempt FROM job_events "
      "WHERE job_id = $1 ORDER BY seq",
      {id.str()});
  if (!found) return fail(found.error());
  std::vector<JobEvent> events;
  for (const SqlRow& row : found->rows)
    events.push_back({JobId(row.text(0)), from_unix_us(row.integer(1)), row.text(2), row.text(3), row.text(4),
                      row.text(5), static_cast<Epoch>(row.integer(6)), static_cast<int>(row.integer(7))});
  return events;
}

namespace {

void add_times(Conditions& where, const std::optional<Time>& since, const std::optional<Time>& until) {
  if (since) where.add("time_us >= " + where.parameter(to_unix_us(*since)));
  if (until) where.add("time_us < " + where.parameter(to_unix_us(*until)));
}

// Behind `after` in order, or the newest without it; either way they come oldest first.
std::string page_sql(Conditions& where, const char* order, std::optional<std::int64_t> after, int limit) {
  if (after) where.add(std::string(order) + " > " + where.parameter(*after));
  return fmt::format("{} ORDER BY {} {} LIMIT {}", where.text, order, after ? "ASC" : "DESC",
                     where.parameter(std::int64_t{std::clamp(limit, 1, kMaxPage)}));
}

}  // namespace

Result<std::vector<StoredEvent>> find_events(SqlConnection& connection, const EventQuery& query) {
  Conditions where;
  if (!query.job.empty()) where.add("job_id = " + where.parameter(query.job));
  if (!query.user.empty()) where.add("\"user\" = " + where.parameter(query.user));
  std::string states;
  for (const JobState state : query.states)
    states += (states.empty() ? "" : ", ") + where.parameter(std::string(to_string(state)));
  if (!states.empty()) where.add("to_state IN (" + states + ")");
  add_times(where, query.since, query.until);
  const std::string page = page_sql(where, "seq", query.after, query.limit);
  auto found = connection.run(
      fmt::format("SELECT * FROM (SELECT job_id, time_us, from_state, to_state, actor, reason, epoch, attempt, seq, number, "
                  "name, \"user\" FROM job_events JOIN jobs ON jobs.id = job_id {}) AS chosen ORDER BY seq",
                  page),
      where.parameters);
  if (!found) return fail(found.error());
  std::vector<StoredEvent> events;
  for (const SqlRow& row : found->rows)
    events.push_back({row.integer(8),
                      {JobId(row.text(0)), from_unix_us(row.integer(1)), row.text(2), row.text(3), row.text(4), row.text(5),
                       static_cast<Epoch>(row.integer(6)), static_cast<int>(row.integer(7))},
                      row.integer(9), row.text(10), row.text(11)});
  return events;
}

namespace {

AuditLine audit_line_of(const SqlRow& row) {
  return {row.integer(0), {from_unix_us(row.integer(1)), row.text(2), row.text(3), row.text(4), row.text(5)}, row.text(6)};
}

}  // namespace

Result<std::vector<AuditLine>> find_audit_lines(SqlConnection& connection, const AuditQuery& query) {
  Conditions where;
  if (!query.actor.empty()) where.add("actor = " + where.parameter(query.actor));
  if (!query.action.empty()) where.add("action = " + where.parameter(query.action));
  if (!query.target.empty()) where.add("target = " + where.parameter(query.target));
  add_times(where, query.since, query.until);
  const std::string page = page_sql(where, "seq", query.after, query.limit);
  auto found = connection.run(
      fmt::format("SELECT * FROM (SELECT seq, time_us, actor, action, target, detail, hash FROM audit {}) AS chosen ORDER BY seq",
                  page),
      where.parameters);
  if (!found) return fail(found.error());
  std::vector<AuditLine> lines;
  for (const SqlRow& row : found->rows) lines.push_back(audit_line_of(row));
  return lines;
}

Result<AuditLine> last_audit_line(SqlConnection& connection) {
  auto found =
      connection.run("SELECT seq, time_us, actor, action, target, detail, hash FROM audit ORDER BY seq DESC LIMIT 1");
  if (!found) return fail(found.error());
  return found->rows.empty() ? AuditLine{} : audit_line_of(found->rows.front());
}

Result<std::optional<PlacementRecord>> find_placement(SqlConnection& connection, const JobId& id) {
  auto found = connection.run("SELECT record FROM placements WHERE job_id = $1 ORDER BY attempt DESC LIMIT 1",
                              {id.str()});
  if (!found) return fail(found.error());
  if (found->rows.empty()) return std::optional<PlacementRecord>();
  auto record =
      decode_column("placement", id.str(), found->rows.front().text(0), codec::decode_placement_record);
  if (!record) return fail(record.error());
  return std::optional<PlacementRecord>(std::move(*record));
}

}  // namespace aether::store
