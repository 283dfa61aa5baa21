#include "config/settings.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace aether {
namespace {

class SettingsTest : public testing::Test {
 protected:
  Result<LoadedSettings> load(const std::string& toml, std::map<std::string, std::string> flags = {},
                              std::map<std::string, std::string> environment = {}) {
    path_ = testing::TempDir() + "aether-settings-" + std::to_string(getpid()) + ".toml";
    std::ofstream(path_) << toml;
    environment.emplace("HOME", "/home/somebody");
    return load_settings(path_, flags, environment);
  }
  std::string path_;
};

std::string origin_of(const LoadedSettings& loaded, const std::string& key) {
  for (const SettingOrigin& origin : loaded.origins)
    if (origin.key == key) return origin.origin;
  return "";
}

TEST_F(SettingsTest, FlagsBeatEnvironmentBeatsFileBeatsDefault) {
  const auto loaded = load("[listen]\napi = '127.0.0.1:1'\ndashboard = '127.0.0.1:2'\nai = '127.0.0.1:3'\n",
                           {{"listen.api", "127.0.0.1:9"}}, {{"AETHER_LISTEN_API", "127.0.0.1:8"}, {"AETHER_LISTEN_DASHBOARD", "127.0.0.1:7"}});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->settings.listen_api, "127.0.0.1:9");
  EXPECT_EQ(loaded->settings.listen_dashboard, "127.0.0.1:7");
  EXPECT_EQ(loaded->settings.listen_ai, "127.0.0.1:3");
  EXPECT_EQ(loaded->settings.listen_metrics, "127.0.0.1:9400");
  EXPECT_EQ(origin_of(*loaded, "listen.api"), "flag --listen-api");
  EXPECT_EQ(origin_of(*loaded, "listen.dashboard"), "environment AETHER_LISTEN_DASHBOARD");
  EXPECT_EQ(origin_of(*loaded, "listen.ai"), path_);
  EXPECT_EQ(origin_of(*loaded, "listen.metrics"), "default");
}

TEST_F(SettingsTest, TheOldVariablesHold) {
  const auto loaded = load("", {}, {{"NATS_URL", "nats://a:1"}, {"DATABASE_URL", "postgres://u:secret@h/d"}, {"AI_CORE_URL", "http://c:8000"}});
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->settings.nats_url, "nats://a:1");
  EXPECT_EQ(loaded->settings.database_url, "postgres://u:secret@h/d");
  for (const SettingOrigin& origin : loaded->origins) EXPECT_EQ(origin.value.find("secret"), std::string::npos);
}

TEST_F(SettingsTest, AnUnknownKeyNamesTheNearestOne) {
  const auto refused = load("[listen]\napy = '127.0.0.1:1'\n");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("did you mean 'listen.api'"), std::string::npos) << refused.error().message;
}

TEST_F(SettingsTest, WrongTypesRangesAndSyntaxAreRefusedWithTheirPlace) {
  EXPECT_EQ(load("[agent]\nsample_interval_ms = 'often'\n").error().field, "agent.sample_interval_ms");
  EXPECT_EQ(load("[agent]\nsample_interval_ms = 5\n").error().field, "agent.sample_interval_ms");
  EXPECT_EQ(load("[log]\nlevel = 'loud'\n").error().field, "log.level");
  EXPECT_EQ(load("[api]\nanonymous_reads = 1\n").error().field, "api.anonymous_reads");
  EXPECT_NE(load("[agent\n").error().message.find(":1:"), std::string::npos);
  EXPECT_EQ(load("[agent]\nfast_interval_ms = 50\n").error().field, "agent.fast_interval_ms");
  EXPECT_EQ(load("[agent]\ndcgm_names = 'newer'\n").error().field, "agent.dcgm_names");
  EXPECT_EQ(load("[agent]\nmetrics_host_label = 'host'\n").error().field, "agent.metrics_host_label");
  EXPECT_EQ(load("[agent]\nnode = 'Not.Valid'\n").error().field, "agent.node");
  EXPECT_EQ(load_settings("/no/such.toml", {}, {}).error().code, ErrorCode::kNotFound);
}

TEST_F(SettingsTest, JobTemplatesCanBeReplacedAndAreChecked) {
  const auto loaded = load("[job_types.training]\nargv = ['train.sh', '--fast']\ngpus = 4\n");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->settings.job_types.at("training").gpus, 4);
  EXPECT_EQ(loaded->settings.job_types.at("training").argv[1], "--fast");
  EXPECT_EQ(loaded->settings.job_types.at("inference").gpus, 1);
  EXPECT_FALSE(load("[job_types.training]\ngpus = -1\n"));
  EXPECT_FALSE(load("[job_types.mining]\ngpus = 1\n"));
  EXPECT_FALSE(load("[job_types.training]\ncolour = 1\n"));
}

TEST(HidePassword, OnlyThePasswordGoes) {
  EXPECT_EQ(hide_password("postgres://u:p@h:5432/d"), "postgres://u:***@h:5432/d");
  EXPECT_EQ(hide_password("postgres://h:5432/d"), "postgres://h:5432/d");
  EXPECT_EQ(hide_password("nats://localhost:4222"), "nats://localhost:4222");
  EXPECT_EQ(hide_password(""), "");
}

}  // namespace
}  // namespace aether
