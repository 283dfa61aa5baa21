#include "client/past.h"

#include <tuple>

#include "base/quantity.h"
#include "client/instant.h"

namespace aether::client {
namespace {

Result<Time> past_instant(const std::string& text, Time now) {
  if (text.starts_with("now-")) {
    const auto ago = parse_duration(std::string_view(text).substr(4));
    if (!ago) return fail(ago.error());
    return now - *ago;
  }
  if (text == "yesterday") {
    const auto today = parse_instant("today", now);
    if (!today) return fail(today.error());
    return *today - std::chrono::hours(24);
  }
  const auto time = parse_instant(text, now);
  const bool is_time_of_day = text.find('-') == std::string::npos && text.find(':') != std::string::npos;
  if (time && is_time_of_day && *time > now) return *time - std::chrono::hours(24);
  return time;
}

struct Past {
  std::optional<std::chrono::seconds> last;
  std::optional<Time> from, to;
};

Outcome<Past> read_past(const PastFlags& flags, Time now) {
  if (!flags.last.empty() && !flags.from.empty())
    return failed(kUsage, "--last is how long before --to; give it or --from, not both");
  Past past;
  if (!flags.last.empty()) {
    const auto length = parse_duration(flags.last);
    if (!length) return failed(kUsage, "--last: " + length.error().message);
    past.last = *length;
  }
  for (const auto& [name, text, field] : {std::tuple("from", &flags.from, &past.from), std::tuple("to", &flags.to, &past.to)}) {
    if (text->empty()) continue;
    const auto time = past_instant(*text, now);
    if (!time) return failed(kUsage, std::string("--") + name + ": " + time.error().message);
    *field = *time;
  }
  return past;
}

std::string time_part(const std::string& name, const std::optional<Time>& time) {
  return time ? query_part(name, format_rfc3339(*time)) : "";
}

}  // namespace

std::string query_part(const std::string& name, const std::string& value) {
  return value.empty() ? "" : "&" + name + "=" + http::url_encode(value);
}

Outcome<std::string> past_query(const PastFlags& flags, Time now) {
  const auto past = read_past(flags, now);
  if (!past) return failed(past.error());
  return query_part("last", flags.last) + time_part("from", past->from) + time_part("to", past->to);
}

Outcome<std::string> since_until_query(const PastFlags& flags, Time now) {
  auto past = read_past(flags, now);
  if (!past) return failed(past.error());
  if (past->last) past->from = past->to.value_or(now) - *past->last;
  return time_part("since", past->from) + time_part("until", past->to);
}

}  // namespace aether::client
