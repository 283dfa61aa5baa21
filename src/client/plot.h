#pragma once
// Curves in text: braille dots in a frame, or one line of bars. Pure. An absent value is a hole, never 0.
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace aether::client {

using Values = std::span<const std::optional<double>>;

struct PlotStyle {
  std::size_t width = 80, height = 10;  // of the whole, with the labels on the left; without the line of times
  std::string from, to;                 // under the left and the right end
};
// A curve between its lowest and its highest value; where several values share a column of dots it reaches from the lowest
// to the highest of them. "" when there is no value at all.
std::string braille_plot(Values values, const PlotStyle& style);

// "▁▃█ ▂": one character for one or more values, the highest of them; from 0 (or the lowest, below it) to the highest.
std::string sparkline(Values values, std::size_t width);

// At most five characters and a unit prefix: "0.25", "73.5", "1234", "81.5k", "3.2M".
std::string axis_number(double value);

}  // namespace aether::client
