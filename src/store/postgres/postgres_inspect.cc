#include "store/postgres/postgres_inspect.h"

#include <fmt/format.h>

#include "store/postgres/postgres_connection.h"
#include "store/sql/inspect.h"
#include "store/sql/migrations.h"

namespace aether::store {
namespace {

using Verdict = Finding::Verdict;

Finding schema_finding(SqlConnection& connection) {
  const int newest = postgres_migrations().empty() ? 0 : postgres_migrations().back().version;
  auto there = connection.run("SELECT to_regclass('schema_version') IS NOT NULL");
  if (!there) return {"schema", Verdict::kFail, there.error().message, "give the account of database.url the right to read"};
  if (there->rows.front().text(0) != "t" && there->rows.front().integer(0) != 1)
    return {"schema", Verdict::kWarn, "not there yet", "the first start of `aether orchestrator` makes it"};
  const auto version = read_schema_version(connection);
  if (!version) return {"schema", Verdict::kFail, version.error().message, ""};
  if (*version > newest)
    return {"schema", Verdict::kFail, fmt::format("version {}, this program knows {}", *version, newest), "run the newer Aether that wrote it"};
  return {"schema", Verdict::kOk, fmt::format("version {}{}", *version, *version < newest ? fmt::format(" (the next start makes it {})", newest) : ""), ""};
}

}  // namespace

std::vector<Finding> inspect_postgres(const std::string& url) {
  if (const auto right = check_database_url(url); !right) return {{"postgresql", Verdict::kFail, right.error().message, "correct database.url"}};
  auto connection = PostgresConnection::open({.url = url, .session_settings = "SET default_transaction_read_only = on"});
  if (!connection)
    return {{"postgresql", Verdict::kFail, connection.error().message, "start the server, or correct database.url (DATABASE_URL)"}};
  (*connection)->answer_within(std::chrono::seconds(30));
  std::vector<Finding> findings = {{"postgresql", Verdict::kOk, fmt::format("{} at {}", (*connection)->server_version(), (*connection)->location()), ""},
                                   schema_finding(**connection)};
  if (findings.back().verdict == Verdict::kFail || findings.back().detail == "not there yet") return findings;
  const auto lines = verify_audit_chain(**connection);
  if (!lines)
    findings.push_back({"audit log", Verdict::kFail, lines.error().message, "compare it with the newest seal in the orchestrator's log from before (audit log sealed)"});
  else
    findings.push_back({"audit log", Verdict::kOk, fmt::format("{} lines, every seal is right", *lines), ""});
  return findings;
}

}  // namespace aether::store
