#include "client/top_screen.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "client/terminal.h"

namespace aether::client {
namespace {

constexpr std::size_t kHistory = 60;
constexpr std::size_t kLongestFilter = 64;
constexpr std::size_t kFewestJobLines = 6;

std::size_t count_rows(const std::vector<TopLine>& lines) {
  return static_cast<std::size_t>(std::count_if(lines.begin(), lines.end(), [](const TopLine& line) { return line.is_row; }));
}

// Colour sequences taken out: a marked line has one look.
std::string plain(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\x1b') {
      out += text[at];
      continue;
    }
    while (at < text.size() && text[at] != 'm') ++at;
  }
  return out;
}

// A line of a job's output: the last state of a progress bar, no colours, no tabs.
std::string log_line(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (const std::size_t back = line.rfind('\r'); back != std::string_view::npos) line.remove_prefix(back + 1);
  std::string text;
  for (const char c : plain(line)) text += c == '\t' ? ' ' : c;
  return visible(text);
}

}  // namespace

std::pair<KeyPress, std::size_t> parse_key(std::string_view bytes) {
  static const std::pair<std::string_view, Key> kSequences[] = {
      {"\x1b[A", Key::kUp},       {"\x1bOA", Key::kUp},       {"\x1b[B", Key::kDown}, {"\x1bOB", Key::kDown},
      {"\x1b[5~", Key::kPageUp},  {"\x1b[6~", Key::kPageDown}, {"\r", Key::kEnter},    {"\n", Key::kEnter},
      {"\t", Key::kTab},          {"\x7f", Key::kBackspace},  {"\b", Key::kBackspace}};
  if (bytes.empty()) return {{}, 0};
  for (const auto& [sequence, key] : kSequences)
    if (bytes.starts_with(sequence)) return {{key}, sequence.size()};
  if (bytes[0] == '\x1b') {
    if (bytes.size() == 1 || (bytes[1] != '[' && bytes[1] != 'O')) return {{Key::kEscape}, 1};
    std::size_t end = 2;  // a sequence that means nothing here
    while (end < bytes.size() && (bytes[end] < '@' || bytes[end] > '~')) ++end;
    return {{}, std::min(end + 1, bytes.size())};
  }
  const auto byte = static_cast<unsigned char>(bytes[0]);
  if (byte < 0x20 || byte >= 0x7f) return {{}, 1};
  return {{Key::kCharacter, bytes[0]}, 1};
}

void TopScreen::update(Json fleet, Json gpus, Json jobs, Json nodes) {
  fleet_ = std::move(fleet);
  gpus_ = std::move(gpus);
  jobs_ = std::move(jobs);
  nodes_ = std::move(nodes);
  trouble_.clear();
  if (!grouping_chosen_) view_.by_node = items_of(nodes_).size() > 1;
  std::set<std::string> present;
  for (const Json& gpu : items_of(gpus_)) {
    const std::string id = text_of(gpu, "gpu_id");
    present.insert(id);
    auto& past = history_[id];
    const auto percent = number_of(member(gpu, "sample"), "utilization_gpu");
    past.push_back(percent ? std::optional(*percent / 100) : std::nullopt);
    if (past.size() > kHistory) past.pop_front();
  }
  std::erase_if(history_, [&](const auto& entry) { return !present.contains(entry.first); });
}

TopScreen::Action TopScreen::press(const KeyPress& press) {
  if (press.key == Key::kNone) return Action::kNone;
  if (typing_) return press_while_typing(press), Action::kNone;
  if (help_) return help_ = false, Action::kNone;
  if (log_) return press_in_log(press);
  switch (press.key) {
    case Key::kUp: move(-1); break;
    case Key::kDown: move(1); break;
    case Key::kPageUp: move(-static_cast<std::ptrdiff_t>(page_)); break;
    case Key::kPageDown: move(static_cast<std::ptrdiff_t>(page_)); break;
    case Key::kTab: focus_ = focus_ == Panel::kJobs ? Panel::kGpus : Panel::kJobs; break;
    case Key::kEnter: open_log(); break;
    case Key::kEscape: view_.filter.clear(); break;
    default: break;
  }
  if (press.key != Key::kCharacter) return Action::kNone;
  switch (press.character) {
    case 'q': return Action::kQuit;
    case 'k': move(-1); break;
    case 'j': move(1); break;
    case 'l': open_log(); break;
    case '/': typing_ = true; break;
    case '?':
    case 'h': help_ = true; break;
    case 'g':
      view_.by_node = !view_.by_node;
      grouping_chosen_ = true;
      break;
    default:
      if (kTopSortKeys.find(press.character) != std::string_view::npos) view_.sort = press.character;
  }
  return Action::kNone;
}

void TopScreen::press_while_typing(const KeyPress& press) {
  if (press.key == Key::kCharacter && view_.filter.size() < kLongestFilter) view_.filter += press.character;
  if (press.key == Key::kBackspace && !view_.filter.empty()) view_.filter.pop_back();
  if (press.key == Key::kEscape) view_.filter.clear();
  if (press.key == Key::kEscape || press.key == Key::kEnter) typing_ = false;
  gpu_list_ = job_list_ = {};
}

TopScreen::Action TopScreen::press_in_log(const KeyPress& press) {
  const bool back = press.key == Key::kEscape || press.key == Key::kBackspace || (press.key == Key::kCharacter && press.character == 'q');
  if (back) {
    log_.reset();
  } else if (press.key == Key::kTab || (press.key == Key::kCharacter && press.character == 'e')) {
    log_->stream = log_->stream == "stdout" ? "stderr" : "stdout";
    log_text_.clear();
  }
  return Action::kNone;
}

void TopScreen::move(std::ptrdiff_t rows) {
  List& list = focus_ == Panel::kJobs ? job_list_ : gpu_list_;
  const auto count = static_cast<std::ptrdiff_t>(count_rows(focus_ == Panel::kJobs ? job_lines_ : gpu_lines_));
  list.cursor = static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(list.cursor) + rows, 0, std::max<std::ptrdiff_t>(count - 1, 0)));
}

void TopScreen::open_log() {
  const std::vector<TopLine>& lines = focus_ == Panel::kJobs ? job_lines_ : gpu_lines_;
  std::size_t row = 0;
  for (const TopLine& line : lines) {
    if (!line.is_row || row++ != (focus_ == Panel::kJobs ? job_list_ : gpu_list_).cursor) continue;
    if (line.job.empty()) {
      trouble_ = "no job is there";
      return;
    }
    log_ = LogWanted{line.job, "stdout"};
    log_label_ = line.label;
    log_text_.clear();
  }
}

// The title, and as many lines as fit around the marked one.
std::vector<std::string> TopScreen::window(const std::vector<TopLine>& lines, List& list, std::size_t height, bool focused,
                                           bool colours) const {
  std::vector<std::string> out;
  if (lines.empty() || height == 0) return out;
  list.cursor = std::min(list.cursor, std::max<std::size_t>(count_rows(lines), 1) - 1);
  std::size_t marked = lines.size(), row = 0;
  for (std::size_t i = 1; i < lines.size() && marked == lines.size(); ++i)
    if (lines[i].is_row && row++ == list.cursor) marked = i;
  const std::size_t room = height - 1;
  if (marked < lines.size() && room > 0) {
    if (marked - 1 < list.first) list.first = marked - 1;
    if (marked - 1 >= list.first + room) list.first = marked - room;
  }
  list.first = std::min(list.first, lines.size() - 1 - std::min(room, lines.size() - 1));
  out.push_back("  " + lines[0].text);
  for (std::size_t i = 1 + list.first; i < lines.size() && out.size() < height; ++i) {
    if (i != marked || !focused)
      out.push_back("  " + lines[i].text);
    else
      out.push_back(colours ? "\x1b[7m> " + plain(lines[i].text) + "\x1b[0m" : "> " + plain(lines[i].text));
  }
  return out;
}

std::string TopScreen::help() {
  return "keys of aether top\n\n"
         "  up down, k j, page keys   move the mark\n"
         "  tab                       between the jobs and the GPUs\n"
         "  enter, l                  the log of the marked job, or of the job on the marked GPU\n"
         "  u t m p n                 sort GPUs by utilisation, temperature, memory, power, name\n"
         "  g                         GPUs under their nodes, or all in one list\n"
         "  /                         show only what holds a text; enter keeps it, escape ends it\n"
         "  q                         quit\n\n"
         "in a log: e or tab          between stdout and stderr\n"
         "          q or escape       back\n\n"
         "any key goes back";
}

std::string TopScreen::footer(std::size_t width) const {
  if (typing_) return truncated("show only: " + view_.filter + "_", width);
  if (!trouble_.empty()) return truncated(visible(trouble_), width);
  const std::string filter = view_.filter.empty() ? "" : "only \"" + view_.filter + "\" (escape: all) · ";
  return truncated(filter + "? keys · q quit · / filter · enter log · tab panel · g nodes · sort u t m p n", width);
}

std::string TopScreen::log_screen(std::size_t width, std::size_t height) const {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < log_text_.size();) {
    const std::size_t end = std::min(log_text_.find('\n', at), log_text_.size());
    lines.push_back(truncated(log_line(std::string_view(log_text_).substr(at, end - at)), width));
    at = end + 1;
  }
  const std::size_t room = height > 2 ? height - 2 : 0;
  std::string out = truncated(visible(fmt::format("job {} · {}", log_label_, log_->stream)), width) + "\n";
  for (std::size_t i = lines.size() > room ? lines.size() - room : 0; i < lines.size(); ++i) out += lines[i] + "\n";
  if (lines.empty() && room > 0) out += "nothing yet\n";
  return out + truncated(trouble_.empty() ? "q back · e stdout or stderr" : visible(trouble_), width);
}

std::string TopScreen::render(std::size_t width, std::size_t height, bool colours, Time now) {
  if (height < 3 || width < 8) return "";
  if (log_) return log_screen(width, height);
  std::vector<std::string> lines;
  if (help_) {
    const std::string text = help();
    for (std::size_t at = 0; at <= text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      lines.push_back(truncated(text.substr(at, end - at), width));
      at = end + 1;
    }
  } else {
    const TopReplies replies{fleet_, gpus_, jobs_, nodes_};
    view_.width = width - 2;
    view_.colours = colours;
    view_.now = now;
    view_.history = &history_;
    for (const TopLine& line : top_summary(replies, view_)) lines.push_back(line.text);
    gpu_lines_ = top_gpus(replies, view_);
    job_lines_ = top_jobs(replies, view_);
    const std::size_t used = lines.size() + 3;  // blank lines and the footer
    const std::size_t room = height > used ? height - used : 0;
    const std::size_t for_jobs = std::min(job_lines_.size(), std::max(kFewestJobLines, room / 3));
    const std::size_t for_gpus = std::min(gpu_lines_.size(), room > for_jobs ? room - for_jobs : 0);
    page_ = std::max<std::size_t>(focus_ == Panel::kJobs ? for_jobs : for_gpus, 2) - 1;
    lines.push_back("");
    for (std::string& line : window(gpu_lines_, gpu_list_, for_gpus, focus_ == Panel::kGpus, colours)) lines.push_back(std::move(line));
    lines.push_back("");
    const std::size_t left = room > for_gpus ? room - for_gpus : 0;
    for (std::string& line : window(job_lines_, job_list_, std::min(left, job_lines_.size()), focus_ == Panel::kJobs, colours))
      lines.push_back(std::move(line));
  }
  std::string out;
  for (std::size_t i = 0; i < lines.size() && i + 1 < height; ++i) out += lines[i] + "\n";
  return out + footer(width);
}

}  // namespace aether::client
