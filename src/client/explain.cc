#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <ostream>

#include "client/verbs.h"

namespace aether::client {
namespace {

constexpr std::size_t kShownContributions = 3;

std::string section(Context& context, std::string_view title) {
  return "\n" + coloured(title, Colour::kBold, context.colours()) + "\n";
}

// A time, an interval {"p50", ...}, "now", or nothing.
std::string instant_text(const Json& json, std::string_view key, Zone zone) {
  const Json& value = member(json, key);
  if (value.is_object()) return time_text(value, "p50", zone);
  const std::string time = time_text(json, key, zone);
  return time == "-" ? or_dash(text_of(value)) : time;
}

// {"gpus": 2} as "gpus = 2"; text as it is.
std::string change_text(const Json& change) {
  if (!change.is_object()) return text_of(change);
  std::string out;
  for (const auto& [key, value] : change.items())
    out += fmt::format("{}{} = {}", out.empty() ? "" : ", ", key, text_of(value));
  return out;
}

std::string evidence_text(const Json& reason) {
  std::string out;
  for (const Json& node : items_of(reason, "evidence")) {
    const std::string total = text_of(node, "total");
    out += fmt::format("{}{}: {} free{}", out.empty() ? "" : ", ", text_of(node, "node"),
                       text_of(node, "free"), total.empty() ? "" : " of " + total);
  }
  return out;
}

std::string reasons_text(Context& context, const Json& explain) {
  std::string out;
  for (const Json& reason : items_of(explain, "reasons")) {
    const bool blocks = member(reason, "blocking").is_null() || flag_of(reason, "blocking");
    const std::string need = text_of(reason, "need"), best = text_of(reason, "best"),
                      unit = text_of(reason, "unit");
    std::string line = text_of(reason, "text");
    if (line.empty() && !need.empty()) line = fmt::format("needs {} {}, has {}", need, unit, or_dash(best));
    out += fmt::format("  {} {}\n",
                       coloured(visible(text_of(reason, "code")), blocks ? Colour::kYellow : Colour::kDim,
                                context.colours()),
                       visible(line));
    if (const std::string evidence = evidence_text(reason); !evidence.empty())
      out += "    " + visible(evidence) + "\n";
    if (const std::string ahead = joined(items_of(reason, "job_numbers"), " "); !ahead.empty())
      out += "    jobs " + visible(ahead) + "\n";
  }
  return out.empty() ? out : section(context, "Reasons") + out;
}

std::string checks_text(Context& context, const Json& explain) {
  std::string out;
  for (const Json& check : items_of(explain, "checks")) {
    const std::string verdict = text_of(check, "verdict");
    const bool pass = verdict == "pass", fail = verdict == "fail";
    const std::string mark = coloured(pass   ? "✓"
                                      : fail ? "✗"
                                             : "–",
                                      pass   ? Colour::kGreen
                                      : fail ? Colour::kRed
                                             : Colour::kDim,
                                      context.colours());
    const auto have = number_of(check, "have"), need = number_of(check, "need");
    std::string numbers;
    if (have || need)
      numbers = fmt::format(" (has {}, needs {})", have ? fmt::format("{:g}", *have) : "-",
                            need ? fmt::format("{:g} {}", *need, text_of(check, "unit")) : "-");
    const std::string text = text_of(check, "text");
    out += fmt::format("  {} {}{}\n", mark, visible(text.empty() ? text_of(check, "code") : text),
                       visible(text.empty() ? numbers : ""));
  }
  return out.empty() ? out : section(context, "Checks") + out;
}

std::string counterfactuals_text(Context& context, const Json& explain) {
  std::string out;
  for (const Json& item : items_of(explain, "counterfactuals"))
    out += fmt::format("  if {}: starts {}\n", visible(change_text(member(item, "change"))),
                       visible(instant_text(item, "starts", context.zone())));
  return out.empty() ? out : section(context, "It would start if") + out;
}

std::string terms_text(const Json& candidate) {
  std::string out;
  for (const Json& term : items_of(candidate, "terms"))
    out += fmt::format("{}{} {:.2f}×{:.2g}", out.empty() ? "" : ", ", text_of(term, "name"),
                       number_of(term, "value").value_or(NAN), number_of(term, "weight").value_or(NAN));
  return out;
}

std::string contributions_text(const Json& candidate) {
  std::vector<Json> contributions(items_of(candidate, "contributions").begin(),
                                  items_of(candidate, "contributions").end());
  std::stable_sort(contributions.begin(), contributions.end(), [](const Json& a, const Json& b) {
    return std::abs(number_of(a, "contribution").value_or(0)) >
           std::abs(number_of(b, "contribution").value_or(0));
  });
  std::string out;
  for (std::size_t i = 0; i < std::min(kShownContributions, contributions.size()); ++i)
    out += fmt::format("{}{} = {} ({:+.2f})", out.empty() ? "" : ", ", text_of(contributions[i], "feature"),
                       or_dash(text_of(contributions[i], "value")),
                       number_of(contributions[i], "contribution").value_or(NAN));
  return out;
}

std::string candidates_text(Context& context, const Json& placement) {
  Table table({{""}, {"GPU"}, {"SCORE", Align::kRight}, {"TERMS OR REASON"}, {"MODEL SAW"}});
  for (const Json& candidate : items_of(placement, "candidates")) {
    const bool chosen = flag_of(candidate, "chosen");
    const std::string rejected_by = text_of(candidate, "rejected_by");
    std::string text = terms_text(candidate);
    if (!rejected_by.empty()) text = rejected_by + ": " + text_of(candidate, "rejected_text");
    table.add_row({Cell(chosen                ? "→"
                        : rejected_by.empty() ? " "
                                              : "✗",
                        chosen ? Colour::kGreen : Colour::kDim),
                   text_of(candidate, "gpu_id"), quantity_text(number_of(candidate, "score"), "", 3),
                   Cell(text, rejected_by.empty() ? Colour::kNone : Colour::kDim),
                   contributions_text(candidate)});
  }
  return table.row_count() == 0 ? std::string()
                                : section(context, "Candidates") + table.render(context.table_style());
}

std::string placement_text(Context& context, const Json& explain) {
  const Json& placement = member(explain, "placement");
  if (!placement.is_object()) return {};
  const Json& model = member(placement, "model");
  std::string by = "by " + text_of(placement, "policy");
  if (model.is_object()) by += fmt::format(" {} {}", text_of(model, "name"), text_of(model, "version"));
  if (const std::string reason = text_of(placement, "fallback_reason"); !reason.empty()) by += ": " + reason;
  std::string out = section(context, "Placement");
  out += fmt::format("  {} on {}\n", visible(joined(items_of(placement, "gpu_ids"), " ")),
                     visible(text_of(placement, "node")));
  out += fmt::format("  decided {} in cycle {}, {}\n", time_text(placement, "decided_at", context.zone()),
                     visible(text_of(placement, "cycle")), visible(by));
  if (const std::string summary = text_of(placement, "summary"); !summary.empty())
    out += "  " + visible(summary) + "\n";
  return out + candidates_text(context, placement);
}

std::string footer(Context& context, const Json& explain) {
  std::string out;
  const auto add = [&](std::string_view title, const std::string& text) {
    if (!text.empty() && text != "-")
      out += fmt::format("{}{} {}", out.empty() ? "" : " · ", title, visible(text));
  };
  add("position", text_of(explain, "queue_position") == "0" ? "" : text_of(explain, "queue_position"));
  add("starts by", instant_text(explain, "start_eta", context.zone()));
  add("nodes looked at", text_of(member(explain, "counts"), "nodes_evaluated"));
  add("evaluated", time_text(explain, "evaluated_at", context.zone()));
  return out.empty() ? out : "\n" + out + "\n";
}

}  // namespace

Outcome<int> why(Context& context, const std::string& job) {
  const auto explain = context.get(job_path(job) + "/explain");
  if (!explain) return failed(explain.error());
  if (context.output() == Output::kJson) {
    context.print_last_body();
    return kOk;
  }
  const std::string summary = visible(text_of(*explain, "summary"));
  context.out() << coloured(visible(text_of(*explain, "state")), Colour::kBold, context.colours())
                << (summary.empty() ? "" : "  ") << summary << "\n";
  if (context.output() != Output::kId && context.output() != Output::kName)
    context.out() << reasons_text(context, *explain) << checks_text(context, *explain)
                  << counterfactuals_text(context, *explain) << placement_text(context, *explain)
                  << footer(context, *explain);
  return kOk;
}

}  // namespace aether::client
