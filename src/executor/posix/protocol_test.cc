// What a shim and an agent of different versions say to each other, and what neither may be harmed by.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/files.h"
#include "base/rng.h"
#include "executor/posix/attempt_files.h"
#include "executor/posix/launcher.h"
#include "executor/posix/log_gaps.h"
#include "executor/posix/process_tree.h"
#include "executor/posix/shim_protocol.h"
#include "executor/posix/test_support.h"

namespace aether {
namespace {

using namespace executor;
using namespace executor_test;
using executor_contract::attempt_id;

TEST(ShimMessages, AreWhatTheHeaderSays) {
  const auto stop = decode_order("1 stop user_cancel 5000");
  ASSERT_TRUE(stop);
  EXPECT_EQ(stop->version, 1);
  EXPECT_EQ(stop->word, "user_cancel");
  EXPECT_EQ(stop->number, 5000);
  EXPECT_EQ(decode_order("2 lease 123456789")->number, 123456789);
  EXPECT_EQ(decode_order("2 signal 10")->number, 10);
  EXPECT_EQ(decode_order("2 suspend")->verb, "suspend");
  for (const char* wrong : {"", "2", "stop user_cancel 5", "2 stop", "2 stop user_cancel", "2 stop user_cancel -1", "2 stop Bad! 1",
                            "2 lease", "2 lease soon", "2 signal -9", "2 fly 1", "99999999999999999999"})
    EXPECT_FALSE(decode_order(wrong)) << wrong;
  const auto state = decode_state("2 running 77");
  ASSERT_TRUE(state);
  EXPECT_EQ(state->word, "running");
  EXPECT_EQ(state->started_us, 77);
  for (const char* wrong : {"", "2", "2 running", "3 running 1", "0 running 1", "x running 1"}) EXPECT_FALSE(decode_state(wrong)) << wrong;
}

// Random changes of valid texts: nothing may crash, and the sanitizers watch.
TEST(Fuzz, NoTextHarmsADecoder) {
  ShimArgs args;
  args.argv = {"a", "b"};
  args.resource_limits = {{7, 5}};
  args.limit_cgroups = {"/x"};
  ExitRecord record;
  record.survivors = {1, 2};
  LogGaps gaps;
  gaps.add(5, 9);
  gaps.add(20, 30);
  const std::vector<std::string> corpus = {encode_shim_args(args), encode_exit_record(record).substr(0, 500), "2 stop user_cancel 5000",
                                           "2 lease 99999999999999999999", "2 running 77", gaps.encode().substr(0, 40)};
  Rng rng(26);
  for (int round = 0; round < 20'000; ++round) {
    std::string text = corpus[rng.below(corpus.size())];
    for (std::uint64_t changes = rng.below(4); changes > 0 && !text.empty(); --changes) {
      const std::size_t place = rng.below(text.size());
      switch (rng.below(3)) {
        case 0: text[place] = static_cast<char>(rng.below(256)); break;
        case 1: text.erase(place, 1 + rng.below(5)); break;
        default: text.insert(place, text.substr(0, rng.below(9)));
      }
    }
    decode_shim_args(text);
    decode_order(text);
    decode_state(text);
    LogGaps::decode(text);
  }
}

class DamagedFiles : public ::testing::Test {
 protected:
  DamagedFiles() : files_(directory_.path() + "/j.1") {
    manifest_.attempt = {JobId("j"), 1};
    manifest_.epoch = 7;
    manifest_.argv = {"sleep", "1"};
    manifest_.gpu_uuids = {"GPU-1"};
    manifest_.log_segment_bytes = 1 << 20;
    ShimArgs args;
    args.argv = {"sleep"};
    EXPECT_TRUE(files_.create(manifest_, args, LaunchSpec{}));
  }
  void put(const char* name, const std::string& text) { std::ofstream(files_.directory() + "/" + name) << text; }

  TemporaryDirectory directory_;
  AttemptFiles files_;
  Manifest manifest_;
};

TEST_F(DamagedFiles, AManifestCutAtAnyByteIsCorruptOrWhole) {
  const std::string text = *read_file(files_.directory() + "/manifest.json");
  for (std::size_t size = 0; size <= text.size(); ++size) {
    put("manifest.json", text.substr(0, size));
    const auto read = files_.read_manifest();
    if (read) {
      EXPECT_EQ(read->attempt, manifest_.attempt);
      EXPECT_EQ(read->gpu_uuids, manifest_.gpu_uuids);
      EXPECT_GE(size, text.find_last_of('}') + 1);
    } else {
      EXPECT_EQ(read.error().code, ErrorCode::kCorrupt) << size;
    }
  }
}

TEST_F(DamagedFiles, ARecordCutAtAnyByteOrWithAnotherByteIsNoCrash) {
  ExitRecord record;
  record.complete = true;
  record.exit_code = 7;
  record.survivors = {12};
  const std::string whole = encode_exit_record(record), text = whole.substr(0, whole.find_last_of('}') + 1);
  for (std::size_t size = 0; size < text.size(); ++size) {
    put("exit.json", text.substr(0, size));
    EXPECT_FALSE(files_.read_exit()) << size;
  }
  Rng rng(26);
  const std::vector<std::string> values = {"null", "-1", "1e99", "\"x\"", "[]", "{}", "true", "99999999999999999999", "0.5"};
  for (int round = 0; round < 200; ++round) {
    std::string changed = text;
    if (round % 2 == 0) {
      changed[rng.below(changed.size())] = static_cast<char>(rng.below(256));
    } else {  // another kind of value
      std::size_t colon = rng.below(changed.size());
      colon = changed.find(':', colon);
      if (colon == std::string::npos) continue;
      const std::size_t end = changed.find_first_of(",}", colon);
      changed.replace(colon + 1, end - colon - 1, values[rng.below(values.size())]);
    }
    for (const char* name : {"exit.json", "stop.json", "started.json", "running", "manifest.json", "launch.json", "lease"}) put(name, changed);
    if (const auto read = files_.read_exit()) exit_status_of(*read, manifest_);
    files_.read_stop();
    files_.read_started();
    files_.read_running();
    files_.read_manifest();
    files_.read_launch(manifest_);
    files_.read_lease();
  }
}

TEST_F(DamagedFiles, ManifestsOfTheVersionsBeforeAreRead) {
  put("manifest.json", R"({"v":2,"job":"j","attempt":1,"epoch":7,"job_number":1,"user":"ada","boot_id":"b","created_us":1,"argv":["x"],
      "cwd":"/","gpu_uuids":["GPU-1"],"time_limit_s":5,"grace_s":5,"log_segment_bytes":10,"cgroup":"","job_directory":"","shim_version":2,
      "lease_until_boot_ms":8,"stdout_path":"","stderr_path":"","limit_cgroups":[]})");
  ASSERT_TRUE(files_.read_manifest());
  EXPECT_TRUE(files_.read_manifest()->gpu_slots.empty());
  EXPECT_EQ(files_.read_manifest()->lease_until_boot_ms, 8);
  put("manifest.json", R"({"v":1,"job":"j","attempt":1,"epoch":7,"job_number":1,"user":"ada","boot_id":"b","created_us":1,"argv":["x"],
      "cwd":"/","gpu_uuids":[],"time_limit_s":5,"grace_s":5,"log_segment_bytes":10,"cgroup":"","job_directory":""})");
  const auto read = files_.read_manifest();
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->shim_version, 1);
  EXPECT_EQ(read->lease_until_boot_ms, 0);
}

TEST(ShimSocket, NothingSaidToAShimHarmsItsJob) {
  PosixHarness harness;
  const auto id = attempt_id(1);
  ASSERT_TRUE(harness.runner().launch(shell(id, "echo ready; sleep 0.6; exit 7")));
  ASSERT_TRUE(harness.run_until([&] { return harness.output(id) == "ready\n"; }));
  const int stranger = connect_to_shim(harness.attempt_directory(id));
  ASSERT_GE(stranger, 0);
  Rng rng(26);
  for (int round = 0; round < 2000; ++round) {
    std::string text = rng.below(2) == 0 ? "2 signals 12345" : "7 stop user_cancel 0";
    text.resize(rng.below(400), '\xff');
    if (!text.empty() && rng.below(2) == 0) text[0] = static_cast<char>(rng.below(256));
    if (text.starts_with("1") || text.starts_with("2 stop")) continue;  // an order, and its peer may give one
    if (send(stranger, text.data(), text.size(), MSG_NOSIGNAL) < 0) usleep(1000);
  }
  close(stranger);
  EXPECT_EQ(harness.wait_for_end(id)->exit->exit_code, 7);
}

}  // namespace
}  // namespace aether
