#include "client/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "client/terminal.h"

namespace aether::client {
namespace {

struct Extent {
  double low = 0, high = 0;
};

std::optional<Extent> extent_of(Values values) {
  std::optional<Extent> out;
  for (const auto& value : values)
    if (value && std::isfinite(*value))
      out = out ? Extent{std::min(out->low, *value), std::max(out->high, *value)} : Extent{*value, *value};
  return out;
}

// Lowest and highest value of the part of `values` that column `column` of `columns` stands for.
std::optional<Extent> column_extent(Values values, std::size_t column, std::size_t columns) {
  const std::size_t first = column * values.size() / columns;
  const std::size_t last = std::max(first + 1, (column + 1) * values.size() / columns);
  return first < values.size() ? extent_of(values.subspan(first, std::min(last, values.size()) - first)) : std::nullopt;
}

std::string utf8(char32_t character) {  // of the three-byte range
  return {static_cast<char>(0xe0 | (character >> 12)), static_cast<char>(0x80 | ((character >> 6) & 0x3f)),
          static_cast<char>(0x80 | (character & 0x3f))};
}

// Dots in characters of two columns and four rows.
class Canvas {
 public:
  Canvas(std::size_t width, std::size_t height) : width_(width), height_(height), cells_(width * height) {}
  std::size_t columns() const { return width_ * 2; }
  std::size_t rows() const { return height_ * 4; }
  void set(std::size_t column, std::size_t row_from_top) {
    static constexpr std::array<std::array<int, 2>, 4> bits = {{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}};
    cells_[row_from_top / 4 * width_ + column / 2] |= bits[row_from_top % 4][column % 2];
  }
  std::string line(std::size_t n) const {
    std::string out;
    for (std::size_t i = 0; i < width_; ++i) {
      const int dots = cells_[n * width_ + i];
      out += dots == 0 ? std::string(" ") : utf8(static_cast<char32_t>(0x2800 + dots));
    }
    while (out.ends_with(' ')) out.pop_back();
    return out;
  }

 private:
  std::size_t width_, height_;
  std::vector<int> cells_;
};

void draw(Values values, const Extent& all, Canvas& canvas) {
  const double span = all.high > all.low ? all.high - all.low : 1;
  const std::size_t top = canvas.rows() - 1;
  const auto row_of = [&](double value) {
    return top - static_cast<std::size_t>(std::lround((value - all.low) / span * static_cast<double>(top)));
  };
  std::optional<Extent> before;
  for (std::size_t column = 0; column < canvas.columns(); ++column) {
    const auto here = column_extent(values, column, canvas.columns());
    if (here) {
      // Joined to its neighbour, so that a steep rise is a line and not two dots.
      const double low = before ? std::min(here->low, before->high) : here->low;
      const double high = before ? std::max(here->high, before->low) : here->high;
      for (std::size_t row = row_of(high); row <= row_of(low); ++row) canvas.set(column, row);
    }
    before = here;
  }
}

}  // namespace

std::string axis_number(double value) {
  const double size = std::abs(value);
  for (const auto& [unit, letter] : {std::pair(1e12, 'T'), std::pair(1e9, 'G'), std::pair(1e6, 'M'), std::pair(1e4, 'k')})
    if (size >= unit) {
      const double scaled = value / (letter == 'k' ? 1e3 : unit);
      return fmt::format("{:.{}f}{}", scaled, std::abs(scaled) >= 100 ? 0 : 1, letter);
    }
  if (value == std::floor(value)) return fmt::format("{:.0f}", value);
  return fmt::format("{:.{}f}", value, size >= 1000 ? 0 : size >= 10 ? 1 : 2);
}

std::string braille_plot(Values values, const PlotStyle& style) {
  const auto all = extent_of(values);
  if (!all) return {};
  const std::string high = axis_number(all->high), low = axis_number(all->low);
  const std::size_t label = std::max(display_width(high), display_width(low));
  const std::size_t inner = style.width > label + 4 ? style.width - label - 2 : 2;
  const std::size_t height = std::max<std::size_t>(style.height, 2);
  Canvas canvas(inner, height);
  draw(values, *all, canvas);
  std::string out;
  for (std::size_t i = 0; i < height; ++i) {
    const std::string text = i == 0 ? high : i + 1 == height ? low : "";
    out += padded(text, label, Align::kRight) + (text.empty() ? " │" : " ┤") + canvas.line(i) + "\n";
  }
  const std::size_t times = display_width(style.from) + display_width(style.to);
  std::string below = std::string(label + 2, ' ') + style.from;
  if (times + 2 <= inner) below += std::string(inner - times, ' ') + style.to;
  while (below.ends_with(' ')) below.pop_back();
  return out + below + "\n";
}

std::string sparkline(Values values, std::size_t width) {
  const auto all = extent_of(values);
  const std::size_t columns = std::min(width, values.size());
  std::string out;
  for (std::size_t column = 0; column < columns && all; ++column) {
    const auto here = column_extent(values, column, columns);
    const double low = std::min(0.0, all->low), span = all->high - low;
    const double level = here && span > 0 ? (here->high - low) / span : 0;
    out += here ? utf8(static_cast<char32_t>(0x2581 + std::lround(level * 7))) : std::string(" ");
  }
  return out;
}

}  // namespace aether::client
