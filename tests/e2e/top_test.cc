// `aether top` on a terminal of its own: real keys in, the screen as a person sees it out.
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>

#include "mode_test.h"

namespace aether::e2e {
namespace {

// A program on a pseudo terminal, and what its screen shows: `top` draws whole frames from the upper left corner.
class Terminal {
 public:
  Terminal(std::vector<std::string> argv, const std::map<std::string, std::string>& environment, int columns, int rows) {
    winsize size{static_cast<unsigned short>(rows), static_cast<unsigned short>(columns), 0, 0};
    pid_ = forkpty(&master_, nullptr, nullptr, &size);
    if (pid_ == 0) {
      for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
      unsetenv("COLUMNS");
      std::vector<char*> words;
      for (std::string& word : argv) words.push_back(word.data());
      words.push_back(nullptr);
      execv(words[0], words.data());
      _exit(127);
    }
  }
  ~Terminal() {
    if (pid_ > 0) kill(pid_, SIGKILL), waitpid(pid_, nullptr, 0);
    close(master_);
  }
  void press(const std::string& keys) { EXPECT_EQ(write(master_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size())); }
  void resize(int columns, int rows) {
    const winsize size{static_cast<unsigned short>(rows), static_cast<unsigned short>(columns), 0, 0};
    EXPECT_EQ(ioctl(master_, TIOCSWINSZ, &size), 0);
  }
  // Reads on until it holds of the screen.
  bool becomes(const std::function<bool(const std::string& screen)>& holds) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!holds(screen()))
      if (std::chrono::steady_clock::now() > until || !read_more()) return holds(screen());
    return true;
  }
  bool shows(const std::string& text) {
    return becomes([&](const std::string& screen) { return screen.find(text) != std::string::npos; });
  }
  std::string screen() const {
    const std::size_t end = output_.rfind("\x1b[J");
    if (end == std::string::npos) return "";
    const std::size_t begin = output_.rfind("\x1b[H", end);
    return output_.substr(begin + 3, end - begin - 3);
  }
  int wait() {
    while (read_more()) continue;
    int status = 0;
    waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  const std::string& output() const { return output_; }

 private:
  bool read_more() {
    pollfd ready{master_, POLLIN, 0};
    if (poll(&ready, 1, 30000) <= 0) return false;
    char bytes[8192];
    const ssize_t got = read(master_, bytes, sizeof bytes);
    if (got <= 0) return false;
    output_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }
  pid_t pid_ = -1;
  int master_ = -1;
  std::string output_;
};

TEST(Top, APersonFindsTheJobOnAGpuAndItsLog) {
  std::string why;
  const auto system = System::start(Mode::kEmbedded, 4, why);
  ASSERT_TRUE(system) << why;
  const std::string job = system->submit({{"argv", {"/bin/sh", "-c", "echo step one of the log; sleep 600"}}, {"name", "watched"}, {"gpus", 1}, {"time_limit_s", 600}});
  system->wait_running(job);
  Terminal terminal({AETHER_BIN_DIR "/aether", "top"}, {{"AETHER_STATE_DIR", system->state_directory()}, {"TERM", "xterm"}, {"ASAN_OPTIONS", "detect_leaks=0"}}, 120, 30);
  ASSERT_TRUE(terminal.shows("watched")) << terminal.output();
  EXPECT_TRUE(terminal.shows("n1-3")) << terminal.screen();
  EXPECT_TRUE(terminal.shows("LATELY"));
  terminal.press("?");
  EXPECT_TRUE(terminal.shows("keys of aether top"));
  terminal.press(" /n1-2\r");
  EXPECT_TRUE(terminal.shows("only \"n1-2\"")) << terminal.screen();
  EXPECT_TRUE(terminal.becomes([](const std::string& screen) { return screen.find("n1-3") == std::string::npos; })) << terminal.screen();
  terminal.press("\x1b");
  EXPECT_TRUE(terminal.shows("n1-3"));
  terminal.press("\r");
  EXPECT_TRUE(terminal.shows("step one of the log")) << terminal.screen();
  terminal.press("q");
  EXPECT_TRUE(terminal.shows("LATELY"));
  terminal.resize(60, 12);
  terminal.press("n");
  EXPECT_TRUE(terminal.becomes([](const std::string& screen) {
    return screen.find("n1-0") != std::string::npos && std::count(screen.begin(), screen.end(), '\n') <= 11;
  })) << terminal.screen();
  terminal.press("q");
  EXPECT_EQ(terminal.wait(), 0);
  EXPECT_NE(terminal.output().rfind("\x1b[?1049l"), std::string::npos) << "the ordinary screen comes back";
}

TEST(Top, WithoutATerminalItPrintsOneFrame) {
  std::string why;
  const auto system = System::start(Mode::kEmbedded, 2, why);
  ASSERT_TRUE(system) << why;
  const Output once = system->cli({"top"});
  EXPECT_EQ(once.exit_code, 0);
  EXPECT_NE(once.text.find("n1-1"), std::string::npos) << once.text;
  EXPECT_EQ(once.text.find('\x1b'), std::string::npos) << once.text;
  EXPECT_EQ(system->cli({"top", "--filter", "n1-0"}).text.find("n1-1"), std::string::npos);
}

}  // namespace
}  // namespace aether::e2e
