// Disks that fail and disks that are full.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>

#include "fault_test.h"

namespace aether::chaos {
namespace {

class DiskTest : public FaultTest {
 protected:
  void TearDown() override {
    system_.reset();
    if (is_mounted_) umount2(disk_.c_str(), MNT_DETACH);
    std::error_code ignored;
    if (!disk_.empty()) std::filesystem::remove_all(disk_, ignored);
  }
  // A folder for the state that the test names before the system exists.
  void make_folder() {
    char pattern[] = "/tmp/aether-disk-XXXXXX";
    disk_ = mkdtemp(pattern);
    ASSERT_EQ(chmod(disk_.c_str(), 0755), 0);
  }
  // The same on a small disk of its own, which nobody outside this process and its children sees.
  void make_small_disk(const char* size) {
    const std::string why = why_not("unshare -m /bin/sh -c 'mount -t tmpfs none /mnt'");
    if (!why.empty()) GTEST_SKIP() << why;
    make_folder();
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(mount("none", disk_.c_str(), "tmpfs", 0, (std::string("mode=0755,size=") + size).c_str()), 0);
    is_mounted_ = true;
  }
  void fill_disk() {
    const int file = open((disk_ + "/ballast").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    const std::string block(1 << 16, 'x');
    for (std::size_t size = block.size(); size > 0;)
      if (write(file, block.data(), size) < 0) size /= 2;
    close(file);
  }
  void make_room() { std::filesystem::remove(disk_ + "/ballast"); }

  std::string disk_;
  bool is_mounted_ = false;
};

// The n-th fsync of each thread on the store's files fails once; the one after it would succeed.
TEST_F(DiskTest, AFailedFsyncEndsTheOrchestratorWithCode74AndNothingAcceptedIsLost) {
  const std::string why = why_not("strace -D -f -qq -o /dev/null -e inject=fsync:error=EIO /bin/true");
  if (!why.empty()) GTEST_SKIP() << why;
  make_folder();
  e2e::SystemOptions options;
  options.state_directory = disk_ + "/state";
  start(e2e::Mode::kEmbedded, options);
  if (!system_) return;
  int failed = 0;
  for (const double point : numbers_from("AETHER_CHAOS_FSYNC_POINTS", {1, 2, 5, 12})) {
    SCOPED_TRACE(point);
    system_->kill_part("orchestrator");
    e2e::PartOptions part;
    part.prefix = {"/usr/bin/strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e",
                   fmt::format("inject=fsync,fdatasync:error=EIO:when={:.0f}", point)};
    for (const char* file : {"jobs.db", "jobs.db-wal"}) part.prefix.insert(part.prefix.end(), {"-P", options.state_directory + "/store/" + file});
    system_->set_options("orchestrator", part);
    if (system_->try_start_part("orchestrator"))
      for (int i = 0; i < 200 && !system_->exit_of("orchestrator"); ++i) try_submit(0.1, i % 5, std::chrono::seconds(10));
    const auto exit = system_->wait_exit("orchestrator", 10);
    ASSERT_EQ(exit, 74);
    ++failed;
    system_->set_options("orchestrator", {});
    system_->start_part("orchestrator");
  }
  EXPECT_GT(failed, 0);
  EXPECT_FALSE(accepted_.empty());
  expect_all_is_well();
}

TEST_F(DiskTest, AFullDiskRefusesSubmissionsKeepsJobsAndIsForgottenWhenThereIsRoom) {
  make_small_disk("96m");
  if (IsSkipped()) return;
  e2e::SystemOptions options;
  options.state_directory = disk_ + "/state";
  start(e2e::Mode::kEmbedded, options);
  if (!system_) return;
  std::vector<std::string> running;
  for (int code = 0; code < 4; ++code) running.push_back(try_submit(3, code));
  for (const std::string& id : running) system_->wait_running(id);

  fill_disk();
  EXPECT_TRUE(eventually(60, [&] {
    try_submit(0.1, 5, std::chrono::seconds(2));
    return status_ == 503;
  })) << status_;
  EXPECT_FALSE(system_->exit_of("orchestrator")) << "a full disk is no reason to end";
  EXPECT_EQ(system_->request("GET", "/api/v1/gpus").status, 200);
  // The jobs end while nothing can be written.
  std::this_thread::sleep_for(std::chrono::seconds(4));

  make_room();
  EXPECT_TRUE(eventually(60, [&] { return !try_submit(0.1, 6, std::chrono::seconds(5)).empty(); })) << status_;
  EXPECT_FALSE(system_->exit_of("orchestrator")) << "no restart is needed";
  expect_all_is_well();
}

}  // namespace
}  // namespace aether::chaos
