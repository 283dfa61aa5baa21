#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <ostream>

#include "base/quantity.h"
#include "client/verbs.h"
#include "model/job.h"

namespace aether::client {
namespace {

constexpr int kSigTerm = 15;

JobState state_of(const Json& job) {
  return parse_job_state(text_of(job, "state")).value_or(JobState::kPending);
}

Colour colour_of(JobState state) {
  if (state == JobState::kCompleted) return Colour::kDim;
  if (is_terminal(state)) return state == JobState::kCancelled ? Colour::kYellow : Colour::kRed;
  return state == JobState::kRunning ? Colour::kGreen : Colour::kNone;
}

// Running first, then waiting in the order of submission, then finished, newest first.
int section_of(const Json& job) {
  const JobState state = state_of(job);
  return holds_gpus(state) ? 0 : is_terminal(state) ? 2 : 1;
}

void sort_for_people(std::vector<Json>& jobs) {
  std::stable_sort(jobs.begin(), jobs.end(), [](const Json& a, const Json& b) {
    const int section_a = section_of(a), section_b = section_of(b);
    if (section_a != section_b) return section_a < section_b;
    const auto number_a = integer_of(a, "number").value_or(0), number_b = integer_of(b, "number").value_or(0);
    return section_a == 2 ? number_a > number_b : number_a < number_b;
  });
}

std::string run_time(const Json& job, Time now) {
  const auto start = time_of(job, "started_at");
  if (!start) return "-";
  const Time end = time_of(job, "ended_at").value_or(now);
  return format_duration(
      std::max(std::chrono::seconds(0), std::chrono::duration_cast<std::chrono::seconds>(end - *start)));
}

std::string place_or_reason(const Json& job) {
  const JobState state = state_of(job);
  if (is_terminal(state)) return outcome_sentence(job);
  if (holds_gpus(state)) {
    const std::string gpu_ids = joined(items_of(job, "gpu_ids"), " ");
    return gpu_ids.empty() ? text_of(job, "node") : gpu_ids;
  }
  const std::string summary = text_of(member(job, "reason"), "summary");
  return summary.empty() ? text_of(member(job, "reason"), "code") : summary;
}

std::vector<Cell> queue_row(const Json& job, Time now, bool wide) {
  const JobState state = state_of(job);
  std::vector<Cell> row{number_text(job), or_dash(text_of(job, "name")),
                        text_of(job, "user"),   Cell(text_of(job, "state"), colour_of(state)),
                        text_of(job, "gpus"),   run_time(job, now)};
  if (wide)
    for (Cell cell :
         {Cell(text_of(job, "type")), Cell(text_of(job, "priority")), Cell(memory_text(job, "gpu_mem_mb")),
          Cell(age_text(job, "submitted_at", now)), Cell(text_of(job, "job_id"))})
      row.push_back(std::move(cell));
  row.push_back(
      Cell(place_or_reason(job), is_terminal(state) || holds_gpus(state) ? Colour::kNone : Colour::kYellow));
  return row;
}

std::string queue_path(const QueueFlags& flags, const std::string& page_token) {
  std::string path = fmt::format("/api/v1/jobs?limit={}", std::clamp(flags.limit, 1, 1000));
  std::string state = flags.state;
  if (state.empty() && !flags.all) state = "waiting,running";
  if (!state.empty()) path += "&state=" + http::url_encode(state);
  if (!flags.user.empty()) path += "&user=" + http::url_encode(flags.user);
  if (!flags.name.empty()) path += "&name=" + http::url_encode(flags.name);
  std::string labels;
  for (const std::string& label : flags.labels) labels += (labels.empty() ? "" : ",") + label;
  path += query_part("label", labels);
  if (!page_token.empty()) path += "&page_token=" + http::url_encode(page_token);
  return path;
}

// All pages, up to the limit.
Outcome<std::vector<Json>> fetch_jobs(Context& context, const QueueFlags& flags) {
  std::vector<Json> jobs;
  std::string page_token;
  do {
    const auto page = context.get(queue_path(flags, page_token));
    if (!page) return failed(page.error());
    for (const Json& job : items_of(*page)) jobs.push_back(job);
    page_token = text_of(*page, "next_page_token");
  } while (!page_token.empty() && static_cast<int>(jobs.size()) < flags.limit);
  return jobs;
}

Outcome<std::string> queue_text(Context& context, const QueueFlags& flags) {
  auto jobs = fetch_jobs(context, flags);
  if (!jobs) return failed(std::move(jobs).error());
  sort_for_people(*jobs);
  const bool wide = context.output() == Output::kWide;
  std::vector<Column> columns{{"JOB", Align::kRight}, {"NAME"}, {"USER"}, {"STATE"}, {"GPUS", Align::kRight},
                              {"TIME", Align::kRight}};
  if (wide)
    for (const char* title : {"TYPE", "PRIO", "GPU MEM", "AGE", "ID"}) columns.push_back({title});
  columns.push_back({"PLACE OR REASON"});
  Table table(std::move(columns));
  for (const Json& job : *jobs) table.add_row(queue_row(job, context.now(), wide));
  return table.render(context.table_style());
}

void print_ids(Context& context, const std::vector<Json>& jobs) {
  for (const Json& job : jobs)
    context.out() << visible(context.output() == Output::kId ? text_of(job, "job_id") : number_text(job)) << "\n";
}

std::string exit_text(const Json& exit) {
  std::string text;
  if (const auto code = integer_of(exit, "exit_code")) text = fmt::format("exit {}", *code);
  if (const auto signal = integer_of(exit, "signal")) text = fmt::format("signal {}", *signal);
  if (flag_of(exit, "core_dumped")) text += " (core dumped)";
  if (const std::string cause = text_of(exit, "cause"); !cause.empty() && cause != "self")
    text += (text.empty() ? "" : ", ") + cause;
  if (const std::string message = text_of(exit, "message"); !message.empty())
    text += (text.empty() ? "" : ": ") + message;
  return text;
}

std::string dependencies_text(const Json& job) {
  std::string text;
  for (const Json& dependency : items_of(job, "depends_on"))
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", text_of(dependency, "on"), text_of(dependency, "state"));
  return text;
}

void print_job(Context& context, const Json& job) {
  std::string command = joined(items_of(job, "argv"), " ");
  if (const std::string script = text_of(job, "script"); !script.empty())
    command = script.substr(0, script.find('\n')) + " ...";
  const std::string flags = joined(items_of(job, "flags"), " ");
  const Zone zone = context.zone();
  const auto limit = integer_of(job, "time_limit_s");
  const std::vector<std::pair<const char*, std::string>> lines{
      {"job", fmt::format("{}  {}", number_text(job), text_of(job, "job_id"))},
      {"name", text_of(job, "name")},
      {"state", text_of(job, "state") + (flags.empty() ? "" : "  " + flags)},
      {"reason", place_or_reason(job)},
      {"type", text_of(job, "type")},
      {"user", text_of(job, "user")},
      {"priority", text_of(job, "priority")},
      {"command", command},
      {"directory", text_of(job, "workdir")},
      {"environment", joined(items_of(job, "env_names"), " ")},
      {"GPUs", text_of(job, "gpus") +
                   (integer_of(job, "gpu_mem_mb") ? ", each " + memory_text(job, "gpu_mem_mb") : "")},
      {"share", text_of(job, "share")},
      {"time limit", limit && *limit > 0 ? format_duration(std::chrono::seconds(*limit)) : "-"},
      {"node", text_of(job, "node")},
      {"on", joined(items_of(job, "gpu_ids"), " ")},
      {"array", text_of(member(job, "array"), "range")},
      {"depends on", dependencies_text(job)},
      {"begin", time_text(job, "begin", zone)},
      {"deadline", time_text(job, "deadline", zone)},
      {"retries", integer_of(job, "retries").value_or(0) > 0
                      ? fmt::format("{} of {} used", text_of(job, "retries_used"), text_of(job, "retries")) : ""},
      {"submitted", time_text(job, "submitted_at", zone)},
      {"started", time_text(job, "started_at", zone)},
      {"ended", time_text(job, "ended_at", zone)},
      {"ran", run_time(job, context.now())},
      {"attempt", text_of(job, "attempt")},
      {"exit", exit_text(member(job, "exit"))},
      {"energy", energy_text(number_of(job, "energy_j"))},
      {"carbon", carbon_text(number_of(job, "carbon_g"))},
  };
  for (const auto& [title, text] : lines)
    if (!text.empty() && text != "-") context.out() << padded(title, 13) << visible(text) << "\n";
}

}  // namespace

std::string number_text(const Json& job) {
  const Json& array = member(job, "array");
  if (!array.is_object()) return text_of(job, "number");
  return text_of(array, "number") + "_" + text_of(array, "index");
}

bool has_ended(const Json& job) { return is_terminal(state_of(job)); }

bool has_started(const Json& job) {
  const JobState state = state_of(job);
  return state >= JobState::kRunning || member(job, "started_at").is_string();
}

int wait_exit_code(const Json& job) {
  const JobState state = state_of(job);
  if (state == JobState::kCompleted) return kOk;
  return state == JobState::kCancelled || state == JobState::kPreempted ? kCancelled : kFailure;
}

int passed_on_exit_code(const Json& job) {
  if (state_of(job) == JobState::kCancelled) return 128 + kSigTerm;
  const Json& exit = member(job, "exit");
  if (const auto signal = integer_of(exit, "signal")) return static_cast<int>(128 + (*signal & 127));
  if (const auto code = integer_of(exit, "exit_code")) {
    const int passed = static_cast<int>(*code & 255);
    return passed == 0 && state_of(job) != JobState::kCompleted ? static_cast<int>(kFailure) : passed;
  }
  return state_of(job) == JobState::kCompleted ? kOk : kFailure;
}

std::string outcome_sentence(const Json& job) {
  const std::string exit = exit_text(member(job, "exit"));
  if (!exit.empty()) return exit;
  return text_of(member(job, "reason"), "summary");
}

Outcome<int> queue(Context& context, const QueueFlags& flags) {
  if (context.output() == Output::kJson) {
    AETHER_CLI_TRY(context.get(queue_path(flags, {})));
    context.print_last_body();
    return kOk;
  }
  if (context.output() == Output::kName || context.output() == Output::kId) {
    auto jobs = fetch_jobs(context, flags);
    if (!jobs) return failed(std::move(jobs).error());
    print_ids(context, *jobs);
    return kOk;
  }
  if (flags.watch) return watch(context, [&] { return queue_text(context, flags); });
  auto text = queue_text(context, flags);
  if (!text) return failed(std::move(text).error());
  context.out() << *text;
  return kOk;
}

Outcome<int> show(Context& context, const std::vector<std::string>& jobs) {
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const auto job = context.get(job_path(jobs[i]));
    if (!job) return failed(job.error());
    if (context.output() == Output::kJson) {
      context.print_last_body();
    } else if (context.output() == Output::kName || context.output() == Output::kId) {
      print_ids(context, {*job});
    } else {
      if (i > 0) context.out() << "\n";
      print_job(context, *job);
    }
  }
  return kOk;
}

namespace {

using Act = std::function<Outcome<Json>(const std::string& job)>;

// "4131_[0-3,7]" becomes 4131_0 and so on.
std::vector<std::string> expanded(const std::vector<std::string>& jobs) {
  std::vector<std::string> out;
  for (const std::string& job : jobs) {
    const std::size_t open = job.find("_[");
    const bool is_range = open != std::string::npos && job.ends_with(']');
    const auto range = is_range ? parse_array_range(std::string_view(job).substr(open + 2, job.size() - open - 3)) : std::nullopt;
    if (!range) {
      out.push_back(job);
      continue;
    }
    for (const int index : range->indices) out.push_back(fmt::format("{}_{}", job.substr(0, open), index));
  }
  return out;
}

// Goes on after a job that fails, prints each failure, and returns the first one's code.
Outcome<int> for_each_job(Context& context, const std::vector<std::string>& given, const Act& act) {
  const std::vector<std::string> jobs = expanded(given);
  int exit_code = kOk;
  for (const std::string& name : jobs) {
    const auto job = act(name);
    if (!job) {
      if (jobs.size() == 1) return failed(job.error());
      context.print_failure(job.error());
      if (exit_code == kOk) exit_code = job.error().exit_code;
    } else if (context.output() == Output::kJson) {
      context.print_last_body();
    } else if (context.output() == Output::kName || context.output() == Output::kId) {
      print_ids(context, {*job});
    } else {
      context.out() << visible(fmt::format("job {} is {}", number_text(*job), text_of(*job, "state")))
                    << "\n";
    }
  }
  return exit_code;
}

}  // namespace

Outcome<int> cancel(Context& context, const CancelFlags& flags) {
  Json body = Json::object();
  if (flags.now) {
    body["grace_s"] = 0;
  } else if (!flags.grace.empty()) {
    const auto grace = parse_duration(flags.grace);
    if (!grace) return failed(kUsage, "--grace: " + grace.error().message);
    body["grace_s"] = grace->count();
  }
  return for_each_job(context, flags.jobs, [&](const std::string& name) {
    return context.send("POST", job_path(name) + "/cancel", &body);
  });
}

Outcome<int> act_on_jobs(Context& context, const std::vector<std::string>& jobs, const std::string& action) {
  const Json body = Json::object();
  return for_each_job(context, jobs, [&](const std::string& name) {
    return context.send("POST", job_path(name) + "/" + action, &body);
  });
}

Outcome<int> send_signal(Context& context, const SignalFlags& flags) {
  if (!parse_signal(flags.signal)) return failed(kUsage, fmt::format("--signal: '{}' is no signal; write USR1", flags.signal));
  const Json body = {{"signal", flags.signal}};
  return for_each_job(context, flags.jobs, [&](const std::string& name) {
    return context.send("POST", job_path(name) + "/signal", &body);
  });
}

namespace {

// The whole set of labels after the change.
Outcome<Json> changed_labels(const Json& job, const std::vector<std::string>& changes) {
  Json labels = member(job, "labels");
  if (!labels.is_object()) labels = Json::object();
  for (const std::string& change : changes) {
    const std::size_t equals = change.find('=');
    if (equals == std::string::npos || equals == 0)
      return failed(kUsage, fmt::format("--label: '{0}' has no value; write {0}=VALUE, or {0}= to remove it", change));
    if (equals + 1 == change.size())
      labels.erase(change.substr(0, equals));
    else
      labels[change.substr(0, equals)] = change.substr(equals + 1);
  }
  return labels;
}

}  // namespace

Outcome<int> update(Context& context, const UpdateFlags& flags) {
  Json body = Json::object();
  if (flags.priority) body["priority"] = *flags.priority;
  if (!flags.time.empty()) {
    const auto limit = parse_duration(flags.time);
    if (!limit) return failed(kUsage, "--time: " + limit.error().message);
    body["time_limit_s"] = limit->count();
  }
  if (body.empty() && flags.labels.empty()) return failed(kUsage, "nothing to change; give --priority, --time or --label");
  return for_each_job(context, flags.jobs, [&](const std::string& name) -> Outcome<Json> {
    std::string etag = "*";
    if (!flags.labels.empty()) {
      // Labels are replaced as a whole: what was read must still be there.
      auto read = context.get_raw(job_path(name));
      if (!read) return failed(read.error());
      auto labels = changed_labels(parse_json(read->body), flags.labels);
      if (!labels) return failed(labels.error());
      body["labels"] = *labels;
      if (read->headers.contains("etag")) etag = read->headers.at("etag");
    }
    return context.send("PATCH", job_path(name), &body, {{"If-Match", etag}});
  });
}

Outcome<int> wait(Context& context, const WaitFlags& flags) {
  std::optional<std::chrono::seconds> timeout;
  if (!flags.timeout.empty()) {
    const auto parsed = parse_duration(flags.timeout);
    if (!parsed) return failed(kUsage, "--timeout: " + parsed.error().message);
    timeout = *parsed;
  }
  const InterruptGuard interrupts;
  const auto since = std::chrono::steady_clock::now();
  std::chrono::milliseconds pause(100);
  std::vector<std::string> left = flags.jobs;
  int exit_code = kOk;
  while (true) {
    for (auto it = left.begin(); it != left.end();) {
      const auto job = context.get(job_path(*it));
      if (!job) return failed(job.error());
      if (!has_ended(*job)) {
        ++it;
        continue;
      }
      const int code = flags.exit_code ? passed_on_exit_code(*job) : wait_exit_code(*job);
      if (context.output() == Output::kJson)
        context.print_last_body();
      else if (!context.options().quiet)
        context.say(fmt::format("job {} is {}{}", text_of(*job, "number"), text_of(*job, "state"),
                                outcome_sentence(*job).empty() ? "" : ": " + outcome_sentence(*job)));
      if (exit_code == kOk) exit_code = code;
      if (flags.any) return code;
      it = left.erase(it);
    }
    if (left.empty()) return exit_code;
    if (timeout && std::chrono::steady_clock::now() - since >= *timeout)
      return failed(kTimedOut, fmt::format("{} of {} jobs still live after {}", left.size(),
                                           flags.jobs.size(), flags.timeout));
    if (!sleep_unless_interrupted(pause)) return failed(128 + 2, "interrupted; the jobs go on");
    pause = std::min<std::chrono::milliseconds>(pause * 2, std::chrono::seconds(2));
  }
}

}  // namespace aether::client
