#include <errno.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>

#include "client/log_tail.h"
#include "client/top_screen.h"
#include "client/verbs.h"

namespace aether::client {
namespace {

constexpr std::string_view kHome = "\x1b[H", kClearLine = "\x1b[K", kClearBelow = "\x1b[J";
// Terminals that know this pair show all between at once.
constexpr std::string_view kBegin = "\x1b[?2026h", kEnd = "\x1b[?2026l";

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
    struct sigaction resized {};
    resized.sa_handler = [](int) {};  // interrupts the wait, no more
    sigaction(SIGWINCH, &resized, &before_resize_);
    out_ << "\x1b[?1049h\x1b[?25l" << std::flush;
  }
  ~FullScreen() {
    out_ << "\x1b[?25h\x1b[?1049l" << std::flush;
    sigaction(SIGWINCH, &before_resize_, nullptr);
    if (has_keys_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  FullScreen(const FullScreen&) = delete;
  FullScreen& operator=(const FullScreen&) = delete;

  // Overwrites in place, so that nothing flickers.
  void draw(std::string_view text) {
    std::string frame(kBegin);
    frame += kHome;
    for (const char c : text) {
      if (c == '\n') frame += kClearLine;
      frame += c;
    }
    frame += kClearLine;
    frame += kClearBelow;
    frame += kEnd;
    out_ << frame << std::flush;
  }

  // The bytes of the next keys; none when the time is over or the window got another size. Nothing when nobody is there any
  // more.
  std::optional<std::string> wait_for_keys(std::chrono::milliseconds timeout) {
    if (!has_keys_) {
      sleep_unless_interrupted(timeout);
      return "";
    }
    pollfd keys{STDIN_FILENO, POLLIN, 0};
    char bytes[64];
    if (poll(&keys, 1, static_cast<int>(timeout.count())) <= 0) return "";
    const ssize_t got = read(STDIN_FILENO, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) return "";
    return got > 0 ? std::optional(std::string(bytes, static_cast<std::size_t>(got))) : std::nullopt;
  }

 private:
  std::ostream& out_;
  termios before_{};
  struct sigaction before_resize_ {};
  bool has_keys_;
};

struct Replies {
  Json fleet, gpus, jobs, nodes;
};

Outcome<Replies> fetch(Context& context) {
  Replies out;
  for (const auto& [slot, path] : {std::pair(&out.fleet, "/api/v1/fleet"), {&out.gpus, "/api/v1/gpus?limit=1000"},
                                   {&out.jobs, "/api/v1/jobs?state=running,waiting&limit=200"}, {&out.nodes, "/api/v1/nodes?limit=1000"}}) {
    auto reply = context.get(path);
    if (!reply) return failed(reply.error());
    *slot = *std::move(reply);
  }
  return out;
}

// Of the terminal itself: COLUMNS is what it was when the shell set it.
std::pair<std::size_t, std::size_t> screen_size() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {80, 24};
  return {size.ws_col, size.ws_row};
}

// The log that the screen shows, read on while it is open.
class OpenLog {
 public:
  // What is to be shown now.
  std::string text(Context& context, const TopScreen::LogWanted& wanted) {
    if (!tail_ || wanted_ != wanted) {
      wanted_ = wanted;
      read_.str("");
      tail_.emplace(wanted.job, wanted.stream, read_, false);
      if (const auto last = tail_->skip_to_last_lines(context, kLines); !last) return last.error().message;
    } else if (const auto more = tail_->poll(context); !more) {
      return more.error().message;
    }
    std::string text = read_.str();
    if (text.size() > kMostBytes) read_.str(text = text.substr(text.size() - kMostBytes / 2)), read_.seekp(0, std::ios::end);
    return text;
  }
  void close() { tail_.reset(); }

 private:
  static constexpr std::int64_t kLines = 500;
  static constexpr std::size_t kMostBytes = 1u << 20;
  TopScreen::LogWanted wanted_;
  std::ostringstream read_;
  std::optional<LogTail> tail_;
};

std::string failure_line(const Failure& failure) { return "aether: " + visible(failure.message) + "\n"; }

}  // namespace

Outcome<int> top(Context& context, const TopFlags& flags) {
  if (flags.sort.size() != 1 || kTopSortKeys.find(flags.sort) == std::string_view::npos)
    return failed(kUsage, fmt::format("--sort: '{}'; give u (utilisation), t (temperature), m (memory), p (power) or n (name)", flags.sort));
  auto replies = fetch(context);  // a failure belongs on the ordinary screen
  if (!replies) return failed(replies.error());
  if (flags.once || !context.out_is_terminal()) {
    TopView view;
    view.width = terminal_width(STDOUT_FILENO, 120);
    view.height = 0;
    view.sort = flags.sort[0];
    view.colours = context.colours();
    view.now = context.now();
    view.by_node = items_of(replies->nodes).size() > 1;
    view.filter = flags.filter;
    context.out() << top_frame({replies->fleet, replies->gpus, replies->jobs, replies->nodes}, view);
    return kOk;
  }
  TopScreen model(flags.sort[0], flags.filter);
  model.update(std::move(replies->fleet), std::move(replies->gpus), std::move(replies->jobs), std::move(replies->nodes));
  OpenLog log;
  const InterruptGuard interrupts;
  FullScreen screen(context.out());
  auto next = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  while (InterruptGuard::count() == 0) {
    const auto [width, height] = screen_size();
    screen.draw(model.render(width, height, context.colours(), context.now()));
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - std::chrono::steady_clock::now());
    const auto keys = screen.wait_for_keys(std::max(left, std::chrono::milliseconds(0)));
    if (!keys) return kOk;
    const auto log_before = model.log();
    for (std::string_view bytes = *keys; !bytes.empty();) {
      const auto [press, size] = parse_key(bytes);
      if (model.press(press) == TopScreen::Action::kQuit) return kOk;
      bytes.remove_prefix(size);
    }
    const bool is_due = std::chrono::steady_clock::now() >= next;
    if (!model.log()) log.close();
    if (model.log() && (is_due || model.log() != log_before)) model.set_log_text(log.text(context, *model.log()));
    if (!is_due) continue;
    next = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    if (auto fresh = fetch(context))
      model.update(std::move(fresh->fleet), std::move(fresh->gpus), std::move(fresh->jobs), std::move(fresh->nodes));
    else
      model.set_trouble("aether: " + fresh.error().message);
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
    const auto keys = screen.wait_for_keys(std::chrono::milliseconds(1000));
    if (!keys || keys->find('q') != std::string::npos) break;
    auto next = draw();
    frame = next ? std::move(*next) : failure_line(next.error());
  }
  return kOk;
}

}  // namespace aether::client
