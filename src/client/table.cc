#include "client/table.h"

#include <algorithm>
#include <numeric>

#include "base/assert.h"

namespace aether::client {
namespace {

constexpr std::size_t kGap = 2;
constexpr std::size_t kNarrowest = 6;

std::size_t total_width(const std::vector<std::size_t>& widths) {
  std::size_t total = 0, shown = 0;
  for (const std::size_t width : widths) {
    total += width;
    shown += width > 0;
  }
  return total + (shown > 1 ? (shown - 1) * kGap : 0);
}

}  // namespace

std::vector<std::size_t> fit_columns(std::vector<std::size_t> widths, std::size_t limit) {
  for (std::size_t i = widths.size(); i-- > 0 && total_width(widths) > limit;) {
    const std::size_t excess = total_width(widths) - limit;
    const std::size_t smallest = std::min(widths[i], kNarrowest);
    widths[i] = std::max(smallest, widths[i] > excess ? widths[i] - excess : smallest);
  }
  for (std::size_t i = widths.size(); i-- > 1 && total_width(widths) > limit;) widths[i] = 0;
  if (!widths.empty() && limit > 0) widths[0] = std::min(widths[0], limit);
  return widths;
}

void Table::add_row(std::vector<Cell> cells) {
  AETHER_ASSERT(cells.size() <= columns_.size());
  for (Cell& cell : cells) cell.text = visible(cell.text);
  cells.resize(columns_.size(), Cell(std::string()));
  rows_.push_back(std::move(cells));
}

std::string Table::render_parsable(bool headers) const {
  std::string out;
  const auto add_line = [&](auto text_of_column) {
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      std::string text = text_of_column(i);
      std::replace(text.begin(), text.end(), '|', '/');
      out += (i == 0 ? "" : "|") + text;
    }
    out += "\n";
  };
  if (headers) add_line([&](std::size_t i) { return columns_[i].title; });
  for (const auto& row : rows_) add_line([&](std::size_t i) { return row[i].text; });
  return out;
}

std::string Table::render(const TableStyle& style) const {
  if (style.parsable) return render_parsable(style.headers);
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = style.headers ? display_width(columns_[i].title) : 1;
    for (const auto& row : rows_) width = std::max(width, display_width(row[i].text));
    widths.push_back(width);
  }
  if (style.width > 0) widths = fit_columns(std::move(widths), style.width);

  std::string out;
  const auto add_line = [&](auto text_of_column, auto colour_of_column) {
    std::string line;
    std::size_t spaces = 0;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (widths[i] == 0) continue;
      const std::string text = truncated(text_of_column(i), widths[i]);
      const std::size_t rest = widths[i] - std::min(widths[i], display_width(text));
      line.append(columns_[i].align == Align::kRight ? spaces + rest : spaces, ' ');
      line += coloured(text, colour_of_column(i), style.colours);
      spaces = kGap + (columns_[i].align == Align::kRight ? 0 : rest);
    }
    while (line.ends_with(' ')) line.pop_back();
    out += line + "\n";
  };
  if (style.headers)
    add_line([&](std::size_t i) { return columns_[i].title; }, [](std::size_t) { return Colour::kBold; });
  for (const auto& row : rows_)
    add_line([&](std::size_t i) { return row[i].text; }, [&](std::size_t i) { return row[i].colour; });
  return out;
}

}  // namespace aether::client
