#pragma once
// One screen of `aether top`. Pure: replies of the API in, text out.
#include <cstddef>
#include <optional>
#include <string>

#include "base/clock.h"
#include "client/json_view.h"

namespace aether::client {

struct TopReplies {
  const Json& fleet;
  const Json& gpus;   // {"items": [...]}
  const Json& jobs;   // {"items": [...]}
  const Json& nodes;  // {"items": [...]}
};
struct TopView {
  std::size_t width = 100;
  std::size_t height = 40;  // lines at most; 0 = all
  char sort = 'u';          // u utilisation, t temperature, m memory, p power
  bool colours = false;
  Time now = {};
};

// Lines ended by "\n", none wider than the view.
std::string top_frame(const TopReplies& replies, const TopView& view);
// "████▌     " of `width` columns for 0..1; "·" throughout when absent.
std::string bar(std::optional<double> fraction, std::size_t width);

}  // namespace aether::client
