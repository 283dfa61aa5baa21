// `aether audit`: who ordered what, and whether the log is still what it was when it was written.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>

#include <fmt/format.h>

#include "client/verbs.h"
#include "model/audit.h"

namespace aether::client {
namespace {

constexpr int kPage = 1000;

AuditLine line_of(const Json& item) {
  const auto integer = [&](const char* key) { return static_cast<std::int64_t>(number_of(item, key).value_or(0)); };
  return {integer("seq"),
          {from_unix_us(integer("time_us")), text_of(item, "actor"), text_of(item, "action"), text_of(item, "target"),
           text_of(item, "detail")},
          text_of(item, "hash")};
}

Outcome<std::vector<AuditLine>> lines_behind(Context& context, std::int64_t after) {
  const auto page = context.get(fmt::format("/api/v1/audit?after={}&limit={}", after, kPage));
  if (!page) return failed(page.error());
  std::vector<AuditLine> lines;
  for (const Json& item : items_of(*page)) lines.push_back(line_of(item));
  return lines;
}

}  // namespace

Outcome<int> audit(Context& context, const AuditFlags& flags) {
  const auto times = since_until_query(flags.past, context.now());
  if (!times) return failed(times.error());
  const auto page = context.get(fmt::format("/api/v1/audit?limit={}{}{}{}{}", std::clamp(flags.limit, 1, kPage), query_part("actor", flags.actor),
                                            query_part("action", flags.action), query_part("target", flags.target), *times));
  if (!page) return failed(page.error());
  if (context.output() == Output::kJson) {
    context.print_last_body();
    return kOk;
  }
  Table table({{"LINE", Align::kRight}, {"TIME"}, {"WHO"}, {"WHAT"}, {"TARGET"}, {"DETAIL"}});
  for (const Json& item : items_of(*page))
    table.add_row({fmt::format("{}", line_of(item).seq), time_text(item, "time", context.zone()), text_of(item, "actor"),
                   text_of(item, "action"), or_dash(text_of(item, "target")), or_dash(text_of(item, "detail"))});
  context.out() << table.render(context.table_style());
  return kOk;
}

// Here, not on the server: who doubts the log need not believe the server's word for it.
Outcome<int> verify_audit(Context& context) {
  AuditLine last;
  while (true) {
    const auto lines = lines_behind(context, last.seq);
    if (!lines) return failed(lines.error());
    if (lines->empty()) break;
    if (const auto whole = check_audit_chain(last, *lines); !whole)
      return failed(kFailure, whole.error().message,
                    "compare it with the newest seal in the orchestrator's log from before (audit log sealed)");
    last = lines->back();
  }
  context.out() << fmt::format("{} lines, all as they were written", last.seq);
  if (last.seq > 0) context.out() << "; newest seal " << visible(last.hash);
  context.out() << "\n";
  return kOk;
}

}  // namespace aether::client
