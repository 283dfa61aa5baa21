#include <fmt/format.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>

#include "client/top_frame.h"
#include "client/verbs.h"

namespace aether::client {
namespace {

constexpr std::string_view kHome = "\x1b[H", kClearLine = "\x1b[K", kClearBelow = "\x1b[J";

// The alternate screen without cursor, and keys as they are pressed; everything back as it was at the end.
class FullScreen {
 public:
  explicit FullScreen(std::ostream& out)
      : out_(out), has_keys_(is_terminal(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before_) == 0) {
    if (has_keys_) {
      termios raw = before_;
      raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
      raw.c_cc[VMIN] = 0;
      raw.c_cc[VTIME] = 0;
      tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    out_ << "\x1b[?1049h\x1b[?25l" << std::flush;
  }
  ~FullScreen() {
    out_ << "\x1b[?25h\x1b[?1049l" << std::flush;
    if (has_keys_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  FullScreen(const FullScreen&) = delete;
  FullScreen& operator=(const FullScreen&) = delete;

  // Overwrites in place, so that nothing flickers.
  void draw(std::string_view text) {
    std::string frame(kHome);
    for (const char c : text) {
      if (c == '\n') frame += kClearLine;
      frame += c;
    }
    out_ << frame << kClearBelow << std::flush;
  }

  // The next key within the time, 0 when none comes.
  char wait_for_key(std::chrono::milliseconds timeout) {
    if (!has_keys_) {
      sleep_unless_interrupted(timeout);
      return 0;
    }
    pollfd keys{STDIN_FILENO, POLLIN, 0};
    char key = 0;
    if (poll(&keys, 1, static_cast<int>(timeout.count())) <= 0) return 0;
    return read(STDIN_FILENO, &key, 1) == 1 ? key : 'q';  // end of input: nobody is there any more
  }

 private:
  std::ostream& out_;
  termios before_{};
  bool has_keys_;
};

Outcome<std::string> fetch_frame(Context& context, const TopView& view) {
  const auto fleet = context.get("/api/v1/fleet");
  if (!fleet) return failed(fleet.error());
  const auto gpus = context.get("/api/v1/gpus?limit=1000");
  if (!gpus) return failed(gpus.error());
  const auto jobs = context.get("/api/v1/jobs?state=running,waiting&limit=200");
  if (!jobs) return failed(jobs.error());
  const auto nodes = context.get("/api/v1/nodes?limit=1000");
  if (!nodes) return failed(nodes.error());
  return top_frame({.fleet = *fleet, .gpus = *gpus, .jobs = *jobs, .nodes = *nodes}, view);
}

TopView current_view(Context& context, char sort) {
  const std::size_t height = terminal_height(STDOUT_FILENO, 40);
  return {.width = terminal_width(STDOUT_FILENO, 120),
          .height = height > 3 ? height - 2 : height,
          .sort = sort,
          .colours = context.colours(),
          .now = context.now()};
}

std::string failure_line(const Failure& failure) { return "aether: " + visible(failure.message) + "\n"; }

}  // namespace

Outcome<int> top(Context& context, const TopFlags& flags) {
  if (flags.sort.size() != 1 || std::string_view("utmp").find(flags.sort) == std::string_view::npos)
    return failed(kUsage,
                  fmt::format("--sort: '{}'; give u (utilisation), t (temperature), m (memory) or p (power)",
                              flags.sort));
  char sort = flags.sort[0];
  if (flags.once || !context.out_is_terminal()) {
    TopView view = current_view(context, sort);
    view.height = 0;
    auto frame = fetch_frame(context, view);
    if (!frame) return failed(std::move(frame).error());
    context.out() << *frame;
    return kOk;
  }
  auto first = fetch_frame(context, current_view(context, sort));  // a failure belongs on the ordinary screen
  if (!first) return failed(std::move(first).error());
  const InterruptGuard interrupts;
  FullScreen screen(context.out());
  std::string frame = std::move(*first);
  while (InterruptGuard::count() == 0) {
    screen.draw(frame + "\nq quit · sort by u utilisation, t temperature, m memory, p power");
    const char key = screen.wait_for_key(std::chrono::milliseconds(1000));
    if (key == 'q') break;
    if (key != 0 && std::string_view("utmp").find(key) != std::string_view::npos) sort = key;
    auto next = fetch_frame(context, current_view(context, sort));
    frame = next ? std::move(*next) : failure_line(next.error());
  }
  return kOk;
}

Outcome<int> watch(Context& context, const std::function<Outcome<std::string>()>& draw) {
  const InterruptGuard interrupts;
  auto first = draw();
  if (!first) return failed(std::move(first).error());
  if (!context.out_is_terminal()) {
    context.out() << *first << std::flush;
    while (sleep_unless_interrupted(std::chrono::seconds(1))) {
      const auto next = draw();
      if (!next) return failed(next.error());
      context.out() << "\n" << *next << std::flush;
    }
    return kOk;
  }
  FullScreen screen(context.out());
  std::string frame = std::move(*first);
  while (InterruptGuard::count() == 0) {
    screen.draw(frame + "\nq quit");
    if (screen.wait_for_key(std::chrono::milliseconds(1000)) == 'q') break;
    auto next = draw();
    frame = next ? std::move(*next) : failure_line(next.error());
  }
  return kOk;
}

}  // namespace aether::client
