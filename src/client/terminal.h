#pragma once
// What the other end of a stream can do, and text that is safe to show there.
#include <cstddef>
#include <string>
#include <string_view>

namespace aether::client {

// COLUMNS, else the terminal's own width, else `otherwise`.
std::size_t terminal_width(int fd, std::size_t otherwise);
std::size_t terminal_height(int fd, std::size_t otherwise);
bool is_terminal(int fd);

// Control characters (C0, DEL, C1), bidirectional controls and bytes that are not UTF-8 become visible
// escapes, so that a job's name can't move the cursor or reorder a line.
std::string visible(std::string_view text);
// Columns that `text` takes: code points, since everything shown has passed visible().
std::size_t display_width(std::string_view text);
// At most `width` columns; the last one is "…" when something was cut.
std::string truncated(std::string_view text, std::size_t width);
// `text` and spaces up to `width` columns; before the text when `right`.
enum class Align { kLeft, kRight };
std::string padded(std::string_view text, std::size_t width, Align align = Align::kLeft);

enum class Colour { kNone, kBold, kDim, kRed, kGreen, kYellow, kBlue, kCyan };
std::string coloured(std::string_view text, Colour colour, bool enabled);

// A job's output on its way to a terminal, in any pieces: line breaks, tabs, carriage returns and colours
// pass; every other escape sequence and control byte becomes visible.
class OutputFilter {
 public:
  std::string pass(std::string_view bytes);
  // What was held back because it might have become a colour sequence.
  std::string finish();

 private:
  std::string pending_;  // "\x1b[..." so far
};

}  // namespace aether::client
