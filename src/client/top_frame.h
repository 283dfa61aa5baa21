#pragma once
// What `aether top` shows, as lines. Pure: replies of the API in, text out.
#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "client/json_view.h"

namespace aether::client {

struct TopReplies {
  const Json& fleet;
  const Json& gpus;   // {"items": [...]}
  const Json& jobs;   // {"items": [...]}
  const Json& nodes;  // {"items": [...]}
};

// Utilisation of each GPU at the last looks, newest last.
using TopHistory = std::map<std::string, std::deque<std::optional<double>>>;

// u utilisation, t temperature, m memory, p power, n name
inline constexpr std::string_view kTopSortKeys = "utmpn";

struct TopView {
  std::size_t width = 100;
  std::size_t height = 40;  // lines at most; 0 = all
  char sort = 'u';
  bool colours = false;
  Time now = {};
  bool by_node = false;         // each node's GPUs under a line of its own
  std::string filter = {};      // only what holds this text, in any case
  const TopHistory* history = nullptr;  // for a column that shows it
};

struct TopLine {
  std::string text;       // without a line end
  std::string job = {};   // id of the job that this line is about; empty = none
  std::string label = {}; // of that job, for people
  bool is_row = false;    // not a title
};

// None wider than the view.
std::vector<TopLine> top_summary(const TopReplies& replies, const TopView& view);
std::vector<TopLine> top_gpus(const TopReplies& replies, const TopView& view);
std::vector<TopLine> top_jobs(const TopReplies& replies, const TopView& view);

// All of it, lines ended by "\n".
std::string top_frame(const TopReplies& replies, const TopView& view);

// "████▌     " of `width` columns for 0..1; "·" throughout when absent.
std::string bar(std::optional<double> fraction, std::size_t width);
// "▁▂▅█" of the last `width` values of 0..1, right-aligned; "·" where one is absent.
std::string sparkline(const std::deque<std::optional<double>>& fractions, std::size_t width);

}  // namespace aether::client
