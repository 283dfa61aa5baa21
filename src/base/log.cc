#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <mutex>

#include "base/clock.h"

namespace aether::log {
namespace {

Format current_format = Format::kText;
std::atomic<Level> current_level = Level::kInfo;
int output = STDERR_FILENO;
std::mutex output_mutex;

// A line that can't be written is lost: there is nobody to tell.
void emit(std::string_view line) {
  std::lock_guard lock(output_mutex);
  while (!line.empty()) {
    const ssize_t written = ::write(output, line.data(), line.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    line.remove_prefix(static_cast<std::size_t>(written));
  }
}

std::string_view name_of(Level level) {
  switch (level) {
    case Level::kDebug: return "debug";
    case Level::kInfo: return "info";
    case Level::kWarn: return "warn";
    case Level::kError: return "error";
  }
  return "info";
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string redact(std::string text) {
  constexpr std::string_view kPrefix = "aeth_";
  for (std::size_t at = text.find(kPrefix); at != std::string::npos; at = text.find(kPrefix, at + kPrefix.size())) {
    std::size_t end = at + kPrefix.size();
    while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) != 0)) ++end;
    text.replace(at + kPrefix.size(), end - at - kPrefix.size(), "REDACTED");
  }
  return text;
}

}  // namespace

std::string sanitise(std::string_view text) {
  std::string out;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += c;
  }
  return redact(std::move(out));
}

void init(Level level, Format format, const std::string& path) {
  current_format = format;
  current_level = level;
  if (path.empty()) return;
  const int file = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
  if (file >= 0) output = file;
}

void write(Level level, std::string_view category, std::string_view message, Fields fields) {
  if (level < current_level) return;
  const std::string time = format_rfc3339(SystemClock().now());
  std::string line;
  if (current_format == Format::kJson) {
    line = fmt::format(R"({{"time":"{}","level":"{}","component":"{}","msg":{})", time, name_of(level), category,
                       json_string(sanitise(message)));
    for (const Field& field : fields)
      line += fmt::format(",{}:{}", json_string(field.key), json_string(sanitise(field.value)));
    line += '}';
  } else {
    line = fmt::format("{} {:<5} {}: {}", time, name_of(level), category, sanitise(message));
    for (const Field& field : fields) line += fmt::format(" {}={}", field.key, sanitise(field.value));
  }
  emit(line += '\n');
}

}  // namespace aether::log
