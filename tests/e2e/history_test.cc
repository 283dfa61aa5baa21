// What is asked about the past, and the copies that are taken of it, on both kinds of system.
#include <signal.h>

#include <map>

#include "mode_test.h"

namespace aether::e2e {
namespace {

class HistoryTest : public ModeTest {
 protected:
  void SetUp() override { start(2); }
  Output with_database(std::vector<std::string> arguments) {
    const bool cluster = GetParam() == Mode::kCluster;
    std::vector<std::string> argv = {AETHER_BIN_DIR "/aether"};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    std::map<std::string, std::string> environment = {{"AETHER_STATE_DIR", system_->state_directory()}, {"ASAN_OPTIONS", "detect_leaks=0"}};
    if (cluster) environment["DATABASE_URL"] = system_->database_url();
    return run(std::move(argv), environment);
  }
};

TEST_P(HistoryTest, AJobsReadingsEnergyAndShareOfItAreThereWhenItHasEnded) {
  const std::string id = system_->submit({{"argv", {"/bin/sleep", "6"}}, {"labels", {{"team", "vision"}}}, {"time_limit_s", 60}});
  const Json job = system_->wait_ended(id);
  ASSERT_EQ(job.at("state"), "COMPLETED") << job.dump();

  const Json history = system_->get("/api/v1/history?scope=job&id=" + id + "&metrics=power_draw_w&agg=mean,max,p95&step_s=1");
  EXPECT_EQ(history.at("level"), "raw");
  const Json& power = history.at("groups").at(0).at("series").at("power_draw_w");
  int read = 0;
  for (const Json& value : power.at("mean")) read += value.is_number();
  EXPECT_GE(read, 3) << history.dump();
  EXPECT_EQ(power.at("gpus").size(), history.at("time").size());
  EXPECT_LE(history.at("time").size(), 12u) << "only the time it ran";

  const Json usage = system_->get("/api/v1/usage?by=job&last=1h");
  ASSERT_EQ(usage.at("items").size(), 1u) << usage.dump();
  const Json& row = usage.at("items").at(0);
  EXPECT_EQ(row.at("job_id"), id);
  EXPECT_GE(row.at("gpu_hours").get<double>() * 3600, 5.5);
  ASSERT_TRUE(row.at("energy_kwh").is_number()) << row.dump();
  EXPECT_GT(row.at("energy_kwh").get<double>(), 0);
  EXPECT_GT(row.at("energy_covered").get<double>(), 0.5);

  EXPECT_EQ(system_->items("/api/v1/jobs?label=team=vision").size(), 1u);
  EXPECT_EQ(system_->items("/api/v1/jobs?label=team=nlp").size(), 0u);
  EXPECT_EQ(system_->items("/api/v1/events?job=" + id + "&state=COMPLETED").size(), 1u);

  const Output plot = system_->cli({"history", id, "--metric", "power_draw_w", "--plot"});
  EXPECT_EQ(plot.exit_code, 0) << plot.text;
  EXPECT_NE(plot.text.find("┤"), std::string::npos) << plot.text;
  const Output csv = system_->cli({"history", "fleet", "--by", "gpu", "-o", "csv", "--last", "1m"});
  EXPECT_EQ(csv.text.rfind("time,group,metric,mean,gpus\n", 0), 0u) << csv.text;
  EXPECT_NE(csv.text.find(",n1-1,utilization_gpu,"), std::string::npos) << csv.text;
}

TEST_P(HistoryTest, ABackupTakenWhileEverythingRunsBringsTheJobsBack) {
  const std::string before = system_->submit({{"argv", {"/bin/true"}}});
  system_->wait_ended(before);
  const std::string target = system_->folder() + "/backup";
  const Output taken = with_database({"backup", target});
  if (GetParam() == Mode::kCluster) {
    EXPECT_EQ(taken.exit_code, 1);
    EXPECT_NE(taken.text.find("pg_dump --format=custom --file=" + target), std::string::npos) << taken.text;
    EXPECT_NE(with_database({"restore", target}).text.find("pg_restore"), std::string::npos);
    return;
  }
  ASSERT_EQ(taken.exit_code, 0) << taken.text;
  EXPECT_NE(taken.text.find("1 jobs"), std::string::npos) << taken.text;
  const std::string after = system_->submit({{"argv", {"/bin/true"}}});
  system_->wait_ended(after);
  EXPECT_EQ(with_database({"restore", target}).exit_code, 5) << "while the orchestrator runs";

  system_->signal_part("orchestrator", SIGTERM);
  ASSERT_EQ(system_->wait_exit("orchestrator", 30).value_or(-1), 0);
  const Output restored = with_database({"restore", target});
  ASSERT_EQ(restored.exit_code, 0) << restored.text;
  system_->start_part("orchestrator");
  EXPECT_EQ(system_->job(before).at("state"), "COMPLETED");
  EXPECT_EQ(system_->request("GET", "/api/v1/jobs/" + after).status, 404);
  // It goes on from there.
  system_->wait_for_gpus(2);
  EXPECT_EQ(system_->wait_ended(system_->submit({{"argv", {"/bin/true"}}})).at("state"), "COMPLETED");
}

TEST_P(HistoryTest, DoctorChecksTheStoreWhileItIsInUse) {
  system_->wait_ended(system_->submit({{"argv", {"/bin/true"}}}));
  const Output output = with_database({"doctor", "-o", "json"});
  const Json report = Json::parse(output.text, nullptr, false);
  ASSERT_FALSE(report.is_discarded()) << output.text;
  std::map<std::string, Json> checks;
  for (const Json& check : report.at("checks")) checks[check.at("check")] = check;
  EXPECT_EQ(checks.at("audit log").at("verdict"), "ok") << output.text;
  EXPECT_NE(checks.at("audit log").at("detail").get<std::string>().find("every seal"), std::string::npos);
  EXPECT_EQ(checks.at("API").at("verdict"), "ok") << output.text;
  for (const char* name : GetParam() == Mode::kCluster ? std::vector<const char*>{"postgresql", "schema"}
                                                       : std::vector<const char*>{"jobs.db", "telemetry.db", "store lock"})
    EXPECT_EQ(checks.at(name).at("verdict"), "ok") << output.text;
  for (const auto& [name, check] : checks)
    EXPECT_EQ(check.at("verdict") != "ok" && check.at("next").is_null(), false) << name << " names no next step";
}

AETHER_BOTH_MODES(HistoryTest);

}  // namespace
}  // namespace aether::e2e
