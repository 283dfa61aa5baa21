// Who may do what, bad input, and the short form of submission.
#include <fstream>
#include <sys/stat.h>

#include "mode_test.h"

namespace aether::e2e {
namespace {

class AccessTest : public ModeTest {
 protected:
  void SetUp() override { start(4); }
};

TEST_P(AccessTest, TheShortFormRunsTheDemonstrationOnTheGpuThatTheModelNames) {
  const auto refused = system_->request("POST", "/submit", {{"id", "job-001"}, {"type", "training"}}, false);
  EXPECT_EQ(refused.status, 401);
  EXPECT_NE(refused.body.find("token"), std::string::npos) << refused.body;

  const auto accepted = system_->request("POST", "/submit", {{"id", "job-001"}, {"type", "training"}});
  ASSERT_EQ(accepted.status, 201) << accepted.body;
  const Json reply = Json::parse(accepted.body);
  EXPECT_EQ(reply.at("status"), "job added");
  EXPECT_EQ(reply.at("id"), "job-001");
  const std::string id = reply.at("job_id");
  EXPECT_EQ(system_->request("POST", "/submit", {{"id", "job-001"}, {"type", "training"}}).status, 200);
  EXPECT_EQ(system_->request("POST", "/submit", {{"id", "job-001"}, {"type", "inference"}}).status, 422);
  EXPECT_EQ(system_->request("POST", "/submit", {{"id", "job-002"}, {"type", "mining"}}).status, 400);
  EXPECT_EQ(system_->request("GET", "/submit").status, 405);

  const Json job = system_->wait_ended(id);
  EXPECT_EQ(job.at("state"), "COMPLETED");
  EXPECT_NE(system_->log(id).find("epoch 3 of 3"), std::string::npos);

  // The decision is the model's: of the scores it gave, the chosen GPU has the best, and /predict gives it the same one.
  const Json placement = system_->get("/api/v1/jobs/" + id + "/explain").at("placement");
  EXPECT_EQ(placement.at("policy"), "model");
  std::string best;
  double best_score = -1;
  for (const Json& candidate : placement.at("candidates"))
    for (const Json& term : candidate.at("terms"))
      if (term.at("name") == "model" && term.at("value").get<double>() > best_score) {
        best_score = term.at("value");
        best = candidate.at("gpu_uuid");
      }
  EXPECT_EQ(job.at("gpu_uuids")[0], best);
}

TEST_P(AccessTest, PredictAnswersWithScoresRankingAndContributions) {
  Json candidates = Json::array();
  for (int i = 0; i < 3; ++i)
    candidates.push_back({{"gpu_id", "g" + std::to_string(i)}, {"gpu_temp", 40 + 22 * i}, {"gpu_mem_used", 1000}, {"memory_total_mb", 80000},
                          {"utilization_gpu", 40 * i}, {"power_draw_w", 100 + 200 * i}, {"throttling_reasons", i == 2 ? "hw_thermal" : "none"}});
  const Json reply = system_->get_ai("/predict", {{"candidates", candidates}, {"job_type", "training"}, {"explain", true}});
  ASSERT_FALSE(reply.is_null());
  EXPECT_EQ(reply.at("best_gpu_id"), reply.at("ranking")[0]);
  EXPECT_EQ(reply.at("best_gpu_id"), "g0");
  EXPECT_EQ(reply.at("scores").size(), 3u);
  EXPECT_EQ(reply.at("contributions").size(), 3u);
}

TEST_P(AccessTest, EveryWriteNeedsTheTokenAndEveryReadOnLoopbackDoesNot) {
  const std::string id = system_->submit({{"argv", {"/bin/true"}}, {"time_limit_s", 60}});
  for (const auto& [method, path] : {std::pair("POST", "/api/v1/jobs"), {"POST", "/api/v1/jobs/1/cancel"}, {"DELETE", "/api/v1/jobs/1"},
                                     {"POST", "/api/v1/nodes/n1/drain"}, {"POST", "/submit"}})
    EXPECT_EQ(system_->request(method, path, Json::object(), false).status, 401) << path;
  for (const std::string& path : {std::string("/api/v1/jobs/" + id), std::string("/api/v1/gpus"), std::string("/api/v1/fleet"), std::string("/metrics"), std::string("/healthz"), std::string("/readyz")})
    EXPECT_EQ(system_->request("GET", path, nullptr, false).status, 200) << path;
}

TEST_P(AccessTest, ABadSpecNamesTheFieldAndTheRemedy) {
  const std::pair<Json, const char*> cases[] = {
      {{{"argv", {"true"}}, {"gpuz", 1}}, "is 'gpus' meant?"},
      {{{"argv", {"true"}}, {"gpus", -1}}, "/gpus"},
      {{{"argv", "true"}}, "/argv"},
      {{{"gpus", 1}}, "argv"},
      {{{"argv", {"true"}}, {"priority", 101}}, "/priority"},
  };
  for (const auto& [spec, words] : cases) {
    const auto response = system_->request("POST", "/api/v1/jobs", spec);
    EXPECT_TRUE(response.status == 400 || response.status == 422) << response.status << " " << response.body;
    EXPECT_NE(response.body.find(words), std::string::npos) << response.body;
  }
  EXPECT_EQ(system_->cli({"submit", "--gpus", "many", "--", "true"}).exit_code, 2);
  EXPECT_EQ(system_->cli({"submit", "--time", "30", "--", "true"}).exit_code, 2);
}

TEST_P(AccessTest, TheTokenFileIsPrivateAndALooserOneIsRefused) {
  const std::string path = system_->folder() + "/state/token";
  struct stat info {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
  ASSERT_EQ(chmod(path.c_str(), 0644), 0);
  const Output output = system_->cli({"submit", "--", "true"});
  EXPECT_EQ(output.exit_code, 4) << output.text;
  EXPECT_NE(output.text.find("chmod"), std::string::npos) << output.text;
  ASSERT_EQ(chmod(path.c_str(), 0600), 0);
}

AETHER_BOTH_MODES(AccessTest);

Output start_with(const std::vector<std::string>& extra, const std::map<std::string, std::string>& environment = {}) {
  char pattern[] = "/tmp/aether-e2e-XXXXXX";
  const std::string folder = mkdtemp(pattern);
  std::vector<std::string> argv = {AETHER_BIN_DIR "/aether", "up", "--state-dir", folder};
  argv.insert(argv.end(), extra.begin(), extra.end());
  auto all = environment;
  all["ASAN_OPTIONS"] = "detect_leaks=0";
  return run(argv, all);
}

TEST(Startup, ANonLoopbackAddressIsRefusedAndTheSettingNamed) {
  const Output output = start_with({"--gpus", "simulated:1", "--listen-ai", "127.0.0.1:0", "--listen-api", "0.0.0.0:0", "--executor-run-as", "nobody"});
  EXPECT_EQ(output.exit_code, 78) << output.text;
  EXPECT_NE(output.text.find("TLS"), std::string::npos) << output.text;
}

TEST(Startup, BadSettingsAreRefusedWithOneClearLine) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"--gpus", "simulated:0", "--executor-run-as", "nobody", "--listen-api", "127.0.0.1:0", "--listen-dashboard", "127.0.0.1:0", "--listen-ai", "127.0.0.1:0"}, "simulated"},
      {{"--gpus", "simulated:2,scenario=nonsense", "--listen-api", "127.0.0.1:0", "--listen-dashboard", "127.0.0.1:0", "--listen-ai", "127.0.0.1:0"}, "scenario"},
      {{"--sample-interval-ms", "soon"}, "sample_interval_ms"},
      {{"--config", "/no/such/file.toml"}, "--config"},
      {{"--listen-ai", "127.0.0.1:0", "--database-url", "postgres://u:secret@127.0.0.1:1/x?nonsense=1"}, "DATABASE_URL"},
      {{"--listen-ai", "127.0.0.1:0", "--database-url", "mysql://h/x"}, "DATABASE_URL"},
  };
  for (const auto& [flags, words] : cases) {
    const Output output = start_with(flags);
    EXPECT_NE(output.exit_code, 0);
    EXPECT_NE(output.text.find(words), std::string::npos) << flags[0] << ": " << output.text;
    EXPECT_EQ(output.text.find("secret"), std::string::npos) << output.text;
  }
}

TEST(Startup, ACorruptModelFileIsRefusedWithTheRemedy) {
  char pattern[] = "/tmp/aether-e2e-XXXXXX";
  const std::string folder = mkdtemp(pattern);
  const Output trained = run({AETHER_BIN_DIR "/aether", "train", "--synthetic", "--rows", "2000", "--state-dir", folder}, {{"ASAN_OPTIONS", "detect_leaks=0"}});
  ASSERT_EQ(trained.exit_code, 0) << trained.text;
  const Output damage = run({"/bin/sh", "-c", "for f in " + folder + "/models/*/model.ubj; do printf x | dd of=$f bs=1 seek=100 conv=notrunc 2>/dev/null; done"});
  ASSERT_EQ(damage.exit_code, 0);
  const Output output = start_with({"--gpus", "simulated:1", "--model-dir", folder + "/models"});
  EXPECT_NE(output.exit_code, 0);
  EXPECT_NE(output.text.find("aether train --synthetic"), std::string::npos) << output.text;
}

}  // namespace
}  // namespace aether::e2e
