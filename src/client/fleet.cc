#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>

#include "client/verbs.h"

namespace aether::client {
namespace {

using RowOf = std::function<std::vector<Cell>(const Json&)>;

// GET of a list, shown in the form that was asked for.
Outcome<int> show_list(Context& context, const std::string& path, const char* id_key, const char* name_key,
                       std::vector<Column> columns, const RowOf& row_of) {
  const auto list = context.get(path);
  if (!list) return failed(list.error());
  const Output output = context.output();
  if (output == Output::kJson) {
    context.print_last_body();
    return kOk;
  }
  if (output == Output::kId || output == Output::kName) {
    for (const Json& item : items_of(*list))
      context.out() << visible(text_of(item, output == Output::kId ? id_key : name_key)) << "\n";
    return kOk;
  }
  Table table(std::move(columns));
  for (const Json& item : items_of(*list)) table.add_row(row_of(item));
  context.out() << table.render(context.table_style());
  return kOk;
}

Colour colour_of_state(const std::string& state) {
  if (state == "free" || state == "up" || state == "busy") return Colour::kGreen;
  if (state == "throttling" || state == "slow" || state == "idle" || state == "stale" || state == "drained")
    return Colour::kYellow;
  return Colour::kRed;
}

// Both in GiB: drivers report totals like 81559 MiB, which format_memory_mb keeps exact and nobody can compare.
std::string memory_use(const Json& gpu) {
  const auto gibibytes = [](std::optional<double> mebibytes) {
    return mebibytes ? std::optional(*mebibytes / 1024) : std::nullopt;
  };
  return quantity_text(gibibytes(number_of(member(gpu, "sample"), "memory_used_mb")), "", 1) + " / " +
         quantity_text(gibibytes(number_of(gpu, "memory_total_mb")), "GiB");
}

std::string job_names(const Json& gpu) {
  std::string out;
  for (const Json& job : items_of(gpu, "jobs"))
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", text_of(job, "number"), text_of(job, "name"));
  return out;
}

std::vector<Cell> gpu_row(const Json& gpu, bool wide) {
  const Json& sample = member(gpu, "sample");
  std::vector<Cell> row{text_of(gpu, "gpu_id"),
                        Cell(text_of(gpu, "state"), colour_of_state(text_of(gpu, "state"))),
                        quantity_text(number_of(sample, "utilization_gpu"), "%"),
                        memory_use(gpu),
                        quantity_text(number_of(sample, "temperature_c"), "°C"),
                        quantity_text(number_of(sample, "power_draw_w"), "W")};
  if (wide)
    for (Cell cell :
         {Cell(text_of(gpu, "gpu_name")), Cell(quantity_text(number_of(sample, "clock_sm_mhz"), "MHz")),
          Cell(or_dash(text_of(sample, "throttling_reasons"))), Cell(text_of(gpu, "source")),
          Cell(text_of(gpu, "gpu_uuid"))})
      row.push_back(std::move(cell));
  const std::string jobs = job_names(gpu);
  row.push_back(jobs.empty() ? text_of(gpu, "state_reason") : jobs);
  return row;
}

Outcome<std::string> uuid_of_gpu(Context& context, const std::string& id) {
  const auto list = context.get("/api/v1/gpus?limit=1000");
  if (!list) return failed(list.error());
  for (const Json& gpu : items_of(*list))
    if (text_of(gpu, "gpu_id") == id || text_of(gpu, "gpu_uuid") == id) return text_of(gpu, "gpu_uuid");
  return failed(kNotFound, fmt::format("no GPU is called {}; `aether gpus` lists them", id));
}

void print_pairs(Context& context, const std::vector<std::pair<const char*, std::string>>& lines) {
  for (const auto& [title, text] : lines)
    if (!text.empty() && text != "-") context.out() << padded(title, 13) << visible(text) << "\n";
}

}  // namespace

Outcome<int> gpus(Context& context) {
  const bool wide = context.output() == Output::kWide;
  std::vector<Column> columns{{"GPU"},
                              {"STATE"},
                              {"UTIL", Align::kRight},
                              {"MEMORY", Align::kRight},
                              {"TEMP", Align::kRight},
                              {"POWER", Align::kRight}};
  if (wide)
    for (const char* title : {"MODEL", "CLOCK", "THROTTLING", "SOURCE", "UUID"}) columns.push_back({title});
  columns.push_back({"JOBS OR REASON"});
  return show_list(context, "/api/v1/gpus?limit=1000", "gpu_uuid", "gpu_id", std::move(columns),
                   [&](const Json& gpu) { return gpu_row(gpu, wide); });
}

Outcome<int> nodes(Context& context) {
  const bool wide = context.output() == Output::kWide;
  std::vector<Column> columns{{"NODE"},
                              {"STATE"},
                              {"GPUS", Align::kRight},
                              {"FREE", Align::kRight},
                              {"HOTTEST", Align::kRight},
                              {"POWER", Align::kRight},
                              {"SEEN", Align::kRight},
                              {"SOURCE"}};
  if (wide)
    for (const char* title : {"EXECUTION", "RUNS AS", "AGENT", "DRIVER", "HOST"}) columns.push_back({title});
  return show_list(
      context, "/api/v1/nodes?limit=1000", "node", "node", std::move(columns), [&](const Json& node) {
        std::vector<Cell> row{text_of(node, "node"),
                              Cell(text_of(node, "state"), colour_of_state(text_of(node, "state"))),
                              text_of(node, "gpus"),
                              text_of(node, "gpus_free"),
                              quantity_text(number_of(node, "temperature_max_c"), "°C"),
                              quantity_text(number_of(node, "power_draw_w"), "W"),
                              age_text(node, "last_seen", context.now()),
                              text_of(node, "source")};
        if (wide)
          for (const char* key : {"exec_mode", "run_as", "agent_version", "driver_version", "host_name"})
            row.push_back(or_dash(text_of(node, key)));
        return row;
      });
}

Outcome<int> alerts(Context& context) {
  return show_list(context, "/api/v1/alerts", "alert_id", "alert_id",
                   {{"SEVERITY"}, {"SINCE", Align::kRight}, {"STATE"}, {"ALERT"}, {"DETAIL"}},
                   [&](const Json& alert) {
                     const std::string severity = text_of(alert, "severity");
                     const Colour colour = severity == "critical"  ? Colour::kRed
                                           : severity == "warning" ? Colour::kYellow
                                                                   : Colour::kBlue;
                     const bool cleared = member(alert, "cleared_at").is_string();
                     return std::vector<Cell>{Cell(severity, cleared ? Colour::kDim : colour),
                                              age_text(alert, "since", context.now()),
                                              cleared                          ? "cleared"
                                              : flag_of(alert, "acknowledged") ? "acknowledged"
                                                                               : "open",
                                              text_of(alert, "title"), text_of(alert, "detail")};
                   });
}

Outcome<int> carbon(Context& context) {
  const auto report = context.get("/api/v1/carbon");
  if (!report) return failed(report.error());
  if (context.output() == Output::kJson) {
    context.print_last_body();
    return kOk;
  }
  print_pairs(context, {{"zone", text_of(*report, "zone")},
                        {"now", quantity_text(number_of(*report, "intensity_g_per_kwh"), "g/kWh")},
                        {"what it is", text_of(*report, "label") +
                                           (flag_of(*report, "is_estimated") ? " (estimated)" : "")},
                        {"source", text_of(*report, "source")},
                        {"observed", time_text(*report, "observed_at", context.zone())},
                        {"fleet", quantity_text(number_of(*report, "kg_per_h"), "kg/h", 2)}});
  Table table({{"FROM"}, {"G/KWH", Align::kRight}});
  for (const Json& point : items_of(*report, "forecast"))
    table.add_row({time_text(point, "time", context.zone()),
                   quantity_text(number_of(point, "intensity_g_per_kwh"), "")});
  if (table.row_count() > 0) context.out() << "\n" << table.render(context.table_style());
  return kOk;
}

Outcome<int> version(Context& context) {
  const auto server = context.get("/api/v1/version");
  if (!server) return failed(server.error());
  if (context.output() == Output::kJson)
    context.print_last_body();
  else
    print_pairs(context, {{"server", text_of(*server, "version")},
                          {"cluster", text_of(*server, "cluster")},
                          {"mode", text_of(*server, "mode")},
                          {"store", text_of(*server, "store")},
                          {"bus", text_of(*server, "bus")},
                          {"GPUs", flag_of(*server, "simulated") ? "simulated" : "real"}});
  return kOk;
}

Outcome<int> events(Context& context, const EventFlags& flags) {
  const InterruptGuard interrupts;
  std::string after = flags.after;
  const auto times = since_until_query(flags.past, context.now());
  if (!times) return failed(times.error());
  const std::string filters =
      query_part("job", flags.job) + query_part("user", flags.user) + query_part("state", flags.state) + *times;
  const bool wide = context.output() == Output::kWide;
  bool headers = !context.options().no_headers;
  while (true) {
    std::string path = fmt::format("/api/v1/events?limit={}{}", std::clamp(flags.limit, 1, 1000), filters);
    if (!after.empty()) path += "&after=" + http::url_encode(after);
    const auto page = context.get(path);
    if (!page) return failed(page.error());
    Table table(
        wide ? std::vector<Column>{{"TIME"}, {"KIND"}, {"EVENT"}, {"NODE"}, {"GPU"}, {"JOB"}, {"CURSOR"}}
             : std::vector<Column>{{"TIME"}, {"KIND"}, {"EVENT"}});
    for (const Json& event : items_of(*page)) {
      after = text_of(event, "cursor");
      std::vector<Cell> row{time_text(event, "time", context.zone()), text_of(event, "kind"),
                            text_of(event, "text")};
      if (wide)
        for (const char* key : {"node", "gpu_uuid", "job_id", "cursor"})
          row.push_back(or_dash(text_of(event, key)));
      table.add_row(std::move(row));
    }
    if (context.output() == Output::kJson) {
      if (table.row_count() > 0 || !flags.follow) context.print_last_body();
    } else if (table.row_count() > 0 || headers) {
      TableStyle style = context.table_style();
      style.headers = headers;
      headers = false;
      context.out() << table.render(style) << std::flush;
    }
    if (!flags.follow || !sleep_unless_interrupted(std::chrono::seconds(1))) return kOk;
  }
}

Outcome<int> act_on(Context& context, const std::string& kind, const std::string& id,
                    const std::string& action, const std::string& reason) {
  std::string target = id;
  if (kind == "gpus") {
    auto uuid = uuid_of_gpu(context, id);
    if (!uuid) return failed(std::move(uuid).error());
    target = std::move(*uuid);
  }
  Json body = Json::object();
  if (!reason.empty()) body["reason"] = reason;
  const auto reply =
      context.send("POST", fmt::format("/api/v1/{}/{}/{}", kind, http::url_encode(target), action), &body);
  if (!reply) return failed(reply.error());
  if (context.output() == Output::kJson)
    context.print_last_body();
  else if (!context.options().quiet)
    context.out() << visible(fmt::format("{} is {}", id, text_of(*reply, "state"))) << "\n";
  return kOk;
}

Outcome<int> forget_node(Context& context, const std::string& node, bool lost) {
  const auto reply = context.send(
      "DELETE", fmt::format("/api/v1/nodes/{}{}", http::url_encode(node), lost ? "?lost=true" : ""), nullptr);
  if (!reply) return failed(reply.error());
  if (context.output() == Output::kJson)
    context.print_last_body();
  else if (!context.options().quiet)
    context.out() << visible(node) << " is forgotten\n";
  return kOk;
}

Outcome<int> token(Context& context) {
  const auto connection = context.connection();
  if (!connection) return failed(connection.error());
  if (connection->token.empty()) return failed(kNotPermitted, connection->no_token_because);
  if (!context.out_is_terminal())
    return failed(kFailure, "the token is shown on a terminal only",
                  "scripts read it from " + connection->token_file);
  const std::string page = connection->dashboard.empty() ? connection->api : connection->dashboard;
  context.out() << page << "/#token=" << connection->token << "\n";
  return kOk;
}

}  // namespace aether::client
