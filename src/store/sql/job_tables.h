#pragma once
// Jobs, allocations, outbox and the rest of the truth in SQL, the same text for every database.
// Each function belongs inside a transaction of the caller.
#include <optional>
#include <string>
#include <vector>

#include "store/sql/connection.h"
#include "store/sql/telemetry_tables.h"
#include "store/store.h"

namespace aether::store {

Result<void> apply_writes(SqlConnection& connection, const std::vector<Write>& writes);
Result<Epoch> reserve_epochs(SqlConnection& connection, std::uint64_t count, Epoch above);
// Alerts that were cleared before `before`. Returns rows removed.
Result<std::int64_t> remove_cleared_alerts(SqlConnection& connection, Time before);

Result<StoredState> load_state(SqlConnection& connection);
Result<std::vector<Job>> find_jobs(SqlConnection& connection, Dialect dialect, const JobQuery& query);
Result<std::optional<Job>> find_job(SqlConnection& connection, const JobId& id);
Result<std::optional<Job>> find_job_by_number(SqlConnection& connection, std::int64_t number);
Result<std::optional<Job>> find_job_by_key(SqlConnection& connection, const std::string& user,
                                           const std::string& key);
Result<std::vector<JobEvent>> job_events(SqlConnection& connection, const JobId& id);
Result<std::vector<StoredEvent>> find_events(SqlConnection& connection, const EventQuery& query);
Result<std::vector<AuditLine>> find_audit_lines(SqlConnection& connection, const AuditQuery& query);
Result<AuditLine> last_audit_line(SqlConnection& connection);
// Of the newest attempt that has one.
Result<std::optional<PlacementRecord>> find_placement(SqlConnection& connection, const JobId& id);

}  // namespace aether::store
