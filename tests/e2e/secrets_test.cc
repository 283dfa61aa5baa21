// What the services know and nobody else may: it is searched in the database, in every file of the state directory, in the
// logs, and in what a job sees.
#include <libpq-fe.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "mode_test.h"

namespace aether::e2e {
namespace {

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class SecretsTest : public testing::TestWithParam<Mode> {
 protected:
  void SetUp() override {
    SystemOptions options;
    for (const char* part : {"orchestrator", "agent", "ai-core"})
      options.parts[part].environment = {{"CANARY_SECRET", kCanary}, {"AWS_SECRET_ACCESS_KEY", kCanary}, {"LD_LIBRARY_PATH", kCanaryPath}};
    std::string why;
    system_ = System::start(GetParam(), 1, why, std::move(options));
    if (!system_ && std::getenv("CI") != nullptr) FAIL() << why;
    if (!system_) GTEST_SKIP() << why;
    secrets_ = {kCanary, kCanaryPath, system_->token()};
  }

  void expect_none_in(const std::string& text, const std::string& where) const {
    for (const std::string& secret : secrets_) EXPECT_EQ(text.find(secret), std::string::npos) << secret.substr(0, 8) << "... in " << where;
  }

  // Every row of every table of our own, as text. How many rows there were.
  int search_postgres() const {
    PGconn* connection = PQconnectdb(system_->database_url().c_str());
    EXPECT_EQ(PQstatus(connection), CONNECTION_OK);
    const auto query = [&](const std::string& sql) {
      PGresult* result = PQexec(connection, sql.c_str());
      EXPECT_EQ(PQresultStatus(result), PGRES_TUPLES_OK) << PQresultErrorMessage(result);
      std::vector<std::string> rows;
      for (int i = 0; i < PQntuples(result); ++i) rows.emplace_back(PQgetvalue(result, i, 0));
      PQclear(result);
      return rows;
    };
    int count = 0;
    for (const std::string& table : query("SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables "
                                          "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"))
      for (const std::string& row : query("SELECT t::text FROM " + table + " t")) {
        expect_none_in(row, table);
        ++count;
      }
    PQfinish(connection);
    return count;
  }

  static constexpr const char* kCanary = "canary-9f1c2e77a0b4";
  static constexpr const char* kCanaryPath = "/canary-5d30aa91";
  std::unique_ptr<System> system_;
  std::vector<std::string> secrets_;
};

TEST_P(SecretsTest, OfTheServicesAreNowhereElse) {
  if (!system_) return;
  const std::string id = system_->submit(
      {{"argv", {"/bin/sh", "-c", "env; tr '\\0' '\\n' </proc/self/environ; cat /proc/$PPID/environ 2>/dev/null; echo ready; sleep 60"}},
       {"time_limit_s", 120}});
  system_->wait_for(id, [&](const Json&) { return system_->log(id).find("ready") != std::string::npos; });
  int processes = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string environment = content_of(entry.path() / "environ");
    if (environment.find("AETHER_JOB_ID=" + id) == std::string::npos) continue;
    ++processes;
    expect_none_in(environment, entry.path().string() + "/environ");
  }
  EXPECT_GT(processes, 0);
  const std::string output = system_->log(id);
  EXPECT_NE(output.find("AETHER_JOB_ID=" + id), std::string::npos) << output;
  expect_none_in(output, "the job's output");
  EXPECT_EQ(system_->request("POST", "/api/v1/jobs/" + id + "/cancel", Json{{"grace_s", 0}}).status, 202);
  expect_none_in(system_->wait_ended(id).dump(), "the job as the API shows it");
  expect_none_in(system_->get("/api/v1/jobs/" + id + "/explain").dump(), "its explanation");

  int files = 0;
  bool database = false;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(system_->state_directory())) {
    if (!entry.is_regular_file() || entry.path() == system_->state_directory() + "/token") continue;
    ++files;
    const std::string text = content_of(entry.path());
    database = database || text.starts_with("SQLite format 3");
    expect_none_in(text, entry.path().string());
  }
  EXPECT_GT(files, 3);
  if (GetParam() == Mode::kCluster) EXPECT_GT(search_postgres(), 10);
  else EXPECT_TRUE(database) << "it was among them";
  for (const auto& entry : std::filesystem::directory_iterator(system_->folder()))
    if (entry.path().extension() == ".log") {
      // The line that says "ready" names the file of the token, not the token.
      EXPECT_FALSE(content_of(entry.path()).empty());
      expect_none_in(content_of(entry.path()), entry.path().string());
    }
}

AETHER_BOTH_MODES(SecretsTest);

}  // namespace
}  // namespace aether::e2e
