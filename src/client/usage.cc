// `aether usage`: GPU hours, energy and carbon by user, job or queue.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "client/past.h"
#include "client/verbs.h"

namespace aether::client {
namespace {

std::string share_text(std::optional<double> share) { return share ? fmt::format("{:.0f} %", *share * 100) : "-"; }

std::vector<Cell> row_of(std::vector<Cell> key, const Json& row) {
  const auto energy_kwh = number_of(row, "energy_kwh");
  key.emplace_back(text_of(row, "jobs"));
  key.emplace_back(quantity_text(number_of(row, "gpu_hours"), "", 2));
  key.emplace_back(energy_kwh ? fmt::format("{:.3f}", *energy_kwh) : "-");
  key.emplace_back(share_text(number_of(row, "energy_covered")));
  key.emplace_back(carbon_text(number_of(row, "carbon_g")));
  key.emplace_back(share_text(number_of(row, "carbon_covered")));
  return key;
}

}  // namespace

Outcome<int> usage(Context& context, const UsageFlags& flags) {
  const auto past = past_query(flags.past, context.now());
  if (!past) return failed(past.error());
  const bool as_csv = context.output() == Output::kCsv;
  const std::string path = "/api/v1/usage?by=" + http::url_encode(flags.by) + query_part("user", flags.user) +
                           query_part("queue", flags.queue) + *past + (as_csv ? "&format=csv" : "");
  const auto reply = context.get_raw(path);
  if (!reply) return failed(reply.error());
  if (as_csv || context.output() == Output::kJson) {
    context.out() << reply->body << (reply->body.ends_with('\n') ? "" : "\n");
    return kOk;
  }
  const Json answer = parse_json(reply->body);
  const bool by_job = flags.by == "job";
  std::vector<Column> columns = by_job ? std::vector<Column>{{"JOB", Align::kRight}, {"NAME"}, {"USER"}} : std::vector<Column>{{flags.by == "queue" ? "QUEUE" : "USER"}};
  for (const char* title : {"JOBS", "GPU HOURS", "KWH", "MEASURED", "CO2", "KNOWN"}) columns.push_back({title, Align::kRight});
  Table table(columns);
  for (const Json& row : items_of(answer))
    table.add_row(row_of(by_job ? std::vector<Cell>{text_of(row, "number"), text_of(row, "name"), text_of(row, "user")}
                                : std::vector<Cell>{text_of(row, flags.by)}, row));
  if (table.row_count() != 1 && !context.options().parsable)
    table.add_row(row_of(by_job ? std::vector<Cell>{"total", "", ""} : std::vector<Cell>{"total"}, member(answer, "total")));
  context.out() << table.render(context.table_style());
  context.say(fmt::format("{} to {}; MEASURED is the share of the GPU time whose energy was read, KNOWN that of the energy whose carbon intensity was",
                          time_text(answer, "from", context.zone()), time_text(answer, "to", context.zone())));
  return kOk;
}

}  // namespace aether::client
