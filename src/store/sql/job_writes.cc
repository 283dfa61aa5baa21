#include <nlohmann/json.hpp>

#include "codec/codec.h"
#include "store/sql/job_tables.h"

namespace aether::store {
namespace {

SqlValue text(std::string_view value) { return std::string(value); }
SqlValue number(std::int64_t value) { return value; }
SqlValue time(Time value) { return to_unix_us(value); }
SqlValue time(const std::optional<Time>& value) { return value ? time(*value) : SqlValue(); }

// Writes one row; what the statement changed does not matter.
Result<void> put(SqlConnection& connection, std::string_view sql, const SqlParameters& parameters) {
  AETHER_TRY(connection.run(sql, parameters));
  return {};
}

Result<void> apply(SqlConnection& connection, const PutJob& write) {
  const Job& job = write.job;
  return put(
      connection,
      "INSERT INTO jobs (id, number, \"user\", name, queue, state, priority, submitted_at_us, ended_at_us, "
      "spec, "
      "idempotency_key, body_sha256, array_parent, array_index, progress) "
      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) "
      "ON CONFLICT (id) DO UPDATE SET number = excluded.number, \"user\" = excluded.\"user\", "
      "name = excluded.name, queue = excluded.queue, state = excluded.state, priority = excluded.priority, "
      "submitted_at_us = excluded.submitted_at_us, ended_at_us = excluded.ended_at_us, spec = excluded.spec, "
      "idempotency_key = excluded.idempotency_key, body_sha256 = excluded.body_sha256, "
      "array_parent = excluded.array_parent, array_index = excluded.array_index, progress = excluded.progress",
      {text(job.id.str()), number(job.number), text(job.user), text(job.spec.name), text(job.queue),
       text(to_string(job.state)), number(job.spec.priority), time(job.submitted_at), time(job.ended_at),
       codec::dump(codec::encode_job_spec(job.spec)), text(job.idempotency_key), text(job.body_sha256),
       text(job.array_parent.str()), number(job.array_index), codec::dump(codec::encode_job_progress(job))});
}

Result<void> apply(SqlConnection& connection, const PutAttempt& write) {
  const Attempt& attempt = write.attempt;
  return put(
      connection,
      "INSERT INTO attempts (job_id, n, epoch, node, state, assigned_at_us, started_at_us, ended_at_us, "
      "record) "
      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) "
      "ON CONFLICT (job_id, n) DO UPDATE SET epoch = excluded.epoch, node = excluded.node, "
      "state = excluded.state, assigned_at_us = excluded.assigned_at_us, "
      "started_at_us = excluded.started_at_us, ended_at_us = excluded.ended_at_us, record = excluded.record",
      {text(attempt.id.job.str()), number(attempt.id.n), number(static_cast<std::int64_t>(attempt.epoch)),
       text(attempt.placement.node.str()), text(to_string(attempt.state)), time(attempt.assigned_at),
       time(attempt.started_at), time(attempt.ended_at), codec::dump(codec::encode_attempt(attempt))});
}

Result<void> apply(SqlConnection& connection, const PutAllocation& write) {
  return put(connection,
             "INSERT INTO gpu_alloc (gpu_uuid, slot, job_id, n, memory_mb) VALUES ($1, $2, $3, $4, $5)",
             {text(write.gpu_uuid.str()), number(write.slot), text(write.attempt.job.str()),
              number(write.attempt.n), number(write.memory_mb)});
}

Result<void> apply(SqlConnection& connection, const DeleteAllocations& write) {
  return put(connection, "DELETE FROM gpu_alloc WHERE job_id = $1 AND n = $2",
             {text(write.attempt.job.str()), number(write.attempt.n)});
}

Result<void> apply(SqlConnection& connection, const PutOutbox& write) {
  return put(
      connection,
      "INSERT INTO outbox (job_id, n, kind, epoch, subject, payload) VALUES ($1, $2, $3, $4, $5, $6) "
      "ON CONFLICT (job_id, n, kind) DO UPDATE SET epoch = excluded.epoch, subject = excluded.subject, "
      "payload = excluded.payload",
      {text(write.attempt.job.str()), number(write.attempt.n), text(write.kind),
       number(static_cast<std::int64_t>(write.epoch)), text(write.subject), text(write.payload)});
}

Result<void> apply(SqlConnection& connection, const AckOutbox& write) {
  return put(connection, "DELETE FROM outbox WHERE job_id = $1 AND n = $2 AND kind = $3",
             {text(write.attempt.job.str()), number(write.attempt.n), text(write.kind)});
}

Result<void> apply(SqlConnection& connection, const PutEvent& write) {
  const JobEvent& event = write.event;
  return put(connection,
             "INSERT INTO job_events (job_id, time_us, from_state, to_state, actor, reason, epoch, attempt) "
             "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
             {text(event.job.str()), time(event.time), text(event.from), text(event.to), text(event.actor),
              text(event.reason), number(static_cast<std::int64_t>(event.epoch)), number(event.attempt)});
}

Result<void> apply(SqlConnection& connection, const PutPlacement& write) {
  return put(connection,
             "INSERT INTO placements (job_id, attempt, record) VALUES ($1, $2, $3) "
             "ON CONFLICT (job_id, attempt) DO UPDATE SET record = excluded.record",
             {text(write.record.job.str()), number(write.record.attempt),
              codec::dump(codec::encode_placement_record(write.record))});
}

Result<void> apply(SqlConnection& connection, const PutAlert& write) {
  const Alert& alert = write.alert;
  return put(
      connection,
      "INSERT INTO alerts (id, severity, kind, title, detail, node, gpu_uuid, gpu_id, job_id, since_us, "
      "cleared_at_us, value, threshold, unit, acknowledged) "
      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) "
      "ON CONFLICT (id) DO UPDATE SET severity = excluded.severity, kind = excluded.kind, "
      "title = excluded.title, detail = excluded.detail, node = excluded.node, gpu_uuid = excluded.gpu_uuid, "
      "gpu_id = excluded.gpu_id, job_id = excluded.job_id, since_us = excluded.since_us, "
      "cleared_at_us = excluded.cleared_at_us, value = excluded.value, threshold = excluded.threshold, "
      "unit = excluded.unit, acknowledged = excluded.acknowledged",
      {text(alert.id.str()), text(to_string(alert.severity)), text(alert.kind), text(alert.title),
       text(alert.detail), text(alert.node.str()), text(alert.gpu_uuid.str()), text(alert.gpu_id),
       alert.job ? text(alert.job->str()) : SqlValue(), time(alert.since), time(alert.cleared_at),
       sql_value(alert.value), sql_value(alert.threshold), text(alert.unit),
       number(alert.acknowledged ? 1 : 0)});
}

Result<void> apply(SqlConnection& connection, const PutAudit& write) {
  const auto last = last_audit_line(connection);
  if (!last) return fail(last.error());
  const AuditLine line = seal(*last, write.record);
  return put(connection,
             "INSERT INTO audit (seq, time_us, actor, action, target, detail, hash) "
             "VALUES ($1, $2, $3, $4, $5, $6, $7)",
             {number(line.seq), time(line.record.time), text(line.record.actor), text(line.record.action),
              text(line.record.target), text(line.record.detail), text(line.hash)});
}

Result<void> apply(SqlConnection& connection, const PutSetting& write) {
  if (!write.value) return put(connection, "DELETE FROM settings WHERE key = $1", {text(write.key)});
  return put(connection,
             "INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = "
             "excluded.value",
             {text(write.key), text(*write.value)});
}

}  // namespace

Result<void> apply_writes(SqlConnection& connection, const std::vector<Write>& writes) {
  for (const Write& write : writes)
    AETHER_TRY(std::visit([&](const auto& one) { return apply(connection, one); }, write));
  return {};
}

Result<Epoch> reserve_epochs(SqlConnection& connection, std::uint64_t count, Epoch above) {
  auto updated = connection.run(
      "UPDATE epochs SET last_epoch = CASE WHEN last_epoch > $2 THEN last_epoch ELSE $2 END + $1 "
      "RETURNING last_epoch",
      {static_cast<std::int64_t>(count), static_cast<std::int64_t>(above)});
  if (!updated) return fail(updated.error());
  if (updated->rows.size() != 1) return fail(ErrorCode::kCorrupt, "the table epochs has lost its row");
  return static_cast<Epoch>(updated->rows.front().integer(0)) - count + 1;
}

Result<std::int64_t> remove_cleared_alerts(SqlConnection& connection, Time before) {
  auto removed = connection.run("DELETE FROM alerts WHERE cleared_at_us < $1", {to_unix_us(before)});
  if (!removed) return fail(removed.error());
  return removed->changed;
}

}  // namespace aether::store
