#pragma once
// The state of `aether top` on a terminal: what is marked, filtered and shown, and what a key does. Pure: keys and replies in,
// screens out.
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "client/top_frame.h"

namespace aether::client {

enum class Key { kNone, kCharacter, kUp, kDown, kPageUp, kPageDown, kEnter, kEscape, kTab, kBackspace };
struct KeyPress {
  Key key = Key::kNone;
  char character = 0;  // of kCharacter
};
// The first key of these bytes and how many it takes; kNone of one byte for what is no key here.
std::pair<KeyPress, std::size_t> parse_key(std::string_view bytes);

class TopScreen {
 public:
  explicit TopScreen(char sort, std::string filter = {}) {
    view_.sort = sort;
    view_.filter = std::move(filter);
  }

  // Kept until the next ones; one step of the history.
  void update(Json fleet, Json gpus, Json jobs, Json nodes);
  // Shown at the bottom until the next replies.
  void set_trouble(std::string text) { trouble_ = std::move(text); }

  enum class Action { kNone, kQuit };
  Action press(const KeyPress& key);

  // Whose log is open, and which stream of it; the rest of it is the caller's to fetch.
  struct LogWanted {
    std::string job, stream;
    friend bool operator==(const LogWanted&, const LogWanted&) = default;
  };
  const std::optional<LogWanted>& log() const { return log_; }
  void set_log_text(std::string text) { log_text_ = std::move(text); }

  // At most `height` lines, the last one without "\n".
  std::string render(std::size_t width, std::size_t height, bool colours, Time now);

 private:
  enum class Panel { kGpus, kJobs };
  struct List {
    std::size_t cursor = 0, first = 0;  // rows and lines of the panel's lines
  };

  void press_while_typing(const KeyPress& key);
  Action press_in_log(const KeyPress& key);
  void move(std::ptrdiff_t rows);
  void open_log();
  std::vector<std::string> window(const std::vector<TopLine>& lines, List& list, std::size_t height, bool focused, bool colours) const;
  std::string log_screen(std::size_t width, std::size_t height) const;
  static std::string help();
  std::string footer(std::size_t width) const;

  Json fleet_, gpus_, jobs_, nodes_;
  TopHistory history_;
  TopView view_;
  bool grouping_chosen_ = false, typing_ = false, help_ = false;
  Panel focus_ = Panel::kJobs;
  List gpu_list_, job_list_;
  std::vector<TopLine> gpu_lines_, job_lines_;  // as drawn last
  std::size_t page_ = 10;
  std::optional<LogWanted> log_;
  std::string log_label_, log_text_, trouble_;
};

}  // namespace aether::client
