#pragma once
// Rows in columns that fit the terminal. Pure.
#include <string>
#include <vector>

#include "client/terminal.h"

namespace aether::client {

struct Column {
  std::string title;
  Align align = Align::kLeft;
};

struct Cell {
  Cell(std::string cell_text, Colour cell_colour = Colour::kNone)
      : text(std::move(cell_text)), colour(cell_colour) {}
  Cell(const char* cell_text) : text(cell_text) {}
  std::string text;  // any bytes; shown through visible()
  Colour colour = Colour::kNone;
};

struct TableStyle {
  std::size_t width = 0;  // 0 = as wide as the text is
  bool headers = true;
  bool colours = false;
  bool parsable = false;  // whole cells between |, for programs; a | inside a cell becomes /
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // Missing cells are empty, surplus ones are a bug.
  void add_row(std::vector<Cell> cells);
  std::size_t row_count() const { return rows_.size(); }
  // Two spaces between columns, no trailing spaces. When the width does not suffice, columns give way from
  // the right: each down to its minimum, then it goes altogether. The first column always stays.
  std::string render(const TableStyle& style) const;

 private:
  std::string render_parsable(bool headers) const;

  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// Widths that fit `limit` with two spaces between the columns; 0 = the column is left out.
std::vector<std::size_t> fit_columns(std::vector<std::size_t> natural, std::size_t limit);

}  // namespace aether::client
