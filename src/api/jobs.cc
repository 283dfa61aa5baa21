// Jobs: lists, one job, its history and explanation, and the actions on it.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <map>
#include <set>

#include "api/body.h"
#include "api/context.h"
#include "api/view_json.h"
#include "base/ulid.h"
#include "codec/codec.h"

namespace aether::api {
namespace {

constexpr const char* kJob = "/api/v1/jobs/{id}";

std::vector<JobState> states_of_word(const std::string& word) {
  std::vector<JobState> states;
  for (const JobState state : kAllJobStates) {
    const bool waits = !holds_gpus(state) && !is_terminal(state);
    if ((word == "waiting" && waits) || (word == "running" && holds_gpus(state)) ||
        (word == "finished" && is_terminal(state)) || parse_job_state(word) == state)
      states.push_back(state);
  }
  return states;
}

// Labels of "team=vision,run=7"; all of them.
Result<std::map<std::string, std::string>> parse_labels(const std::string& text) {
  std::map<std::string, std::string> labels;
  std::string rest = text;
  while (!rest.empty()) {
    const std::size_t comma = rest.find(','), equals = rest.find('=');
    if (equals == std::string::npos || equals == 0 || equals > comma || labels.size() == 32)
      return fail(ErrorCode::kInvalidArgument, "label is KEY=VALUE; at most 32 of them, joined by commas", "label");
    labels[rest.substr(0, equals)] = rest.substr(equals + 1, comma == std::string::npos ? comma : comma - equals - 1);
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
  }
  return labels;
}

bool has_labels(const Job& job, const std::map<std::string, std::string>& labels) {
  return std::all_of(labels.begin(), labels.end(), [&](const auto& label) {
    const auto found = job.spec.labels.find(label.first);
    return found != job.spec.labels.end() && found->second == label.second;
  });
}

bool matches(const Job& job, const JobQuery& query) {
  const bool state =
      query.states.empty() || std::find(query.states.begin(), query.states.end(), job.state) != query.states.end();
  return state && (query.user.empty() || job.user == query.user) &&
         (query.name.empty() || job.spec.name == query.name) && (query.queue.empty() || job.queue == query.queue) &&
         has_labels(job, query.labels) && (query.array.empty() || job.array_parent.str() == query.array) &&
         (query.before_id.empty() || job.id.str() < query.before_id) &&
         (!query.since || job.submitted_at >= *query.since) && (!query.until || job.submitted_at < *query.until);
}

// Newest first.
std::vector<std::shared_ptr<const Job>> jobs_in_view(const ClusterView& view, const JobQuery& query) {
  std::vector<std::shared_ptr<const Job>> jobs;
  for (auto it = view.jobs.rbegin(); it != view.jobs.rend() && jobs.size() < static_cast<std::size_t>(query.limit);
       ++it)
    if (matches(*it->second, query)) jobs.push_back(it->second);
  return jobs;
}

// Live jobs are all in the view; the store is asked only where ended jobs count.
Result<std::vector<std::shared_ptr<const Job>>> find_jobs(Context& context, const ClusterView& view,
                                                          const JobQuery& query) {
  const bool needs_history = query.states.empty() || std::any_of(query.states.begin(), query.states.end(), is_terminal);
  if (!needs_history || context.store == nullptr) return jobs_in_view(view, query);
  auto stored = context.store->find_jobs(query);
  if (!stored) return fail(stored.error());
  std::vector<std::shared_ptr<const Job>> jobs;
  for (Job& job : *stored) {
    const auto live = view.jobs.find(job.id);
    jobs.push_back(live != view.jobs.end() ? live->second : std::make_shared<const Job>(std::move(job)));
  }
  return jobs;
}

// Of the filters alone, so that a token goes with one list.
std::string filter_mark(const Request& request) {
  std::string text;
  for (const char* name : {"state", "user", "name", "queue", "label", "since", "until"})
    text += request.query_value(name).value_or("") + "\n";
  return http::sha256_hex(text).substr(0, 8);
}

Result<void> read_page(const Request& request, JobQuery& query) {
  const auto limit = query_integer(request, "limit", 100, 1, 1000);
  if (!limit) return fail(limit.error());
  query.limit = static_cast<int>(*limit);
  const auto token = request.query_value("page_token");
  if (!token) return {};
  const std::string id = token->substr(0, token->find('.'));
  if (!is_ulid(id) || *token != id + "." + filter_mark(request))
    return fail(ErrorCode::kInvalidArgument, "this page token belongs to a list with other filters", "page_token");
  query.before_id = id;
  return {};
}

Result<JobQuery> read_job_query(const Request& request) {
  JobQuery query;
  if (const auto state = request.query_value("state")) {
    auto states = parse_states(*state);
    if (!states) return fail(states.error());
    query.states = std::move(*states);
  }
  query.user = request.query_value("user").value_or("");
  query.name = request.query_value("name").value_or("");
  query.queue = request.query_value("queue").value_or("");
  auto labels = parse_labels(request.query_value("label").value_or(""));
  if (!labels) return fail(labels.error());
  query.labels = std::move(*labels);
  AETHER_TRY(read_since_until(request, query.since, query.until));
  AETHER_TRY(read_page(request, query));
  return query;
}

Response list_jobs(Context& context, const Request& request) {
  if (auto refusal =
          refuse_unknown_query(request, {"state", "user", "name", "queue", "label", "since", "until", "limit", "page_token"}))
    return *refusal;
  const auto query = read_job_query(request);
  if (!query) return bad_parameter(query.error().field, query.error().message, request);
  const auto view = context.control.view();
  const auto jobs = find_jobs(context, *view, *query);
  if (!jobs) return http::problem(jobs.error(), request);
  Json items = Json::array();
  for (const auto& job : *jobs) items.push_back(job_json(*job, *view));
  std::optional<std::string> next;
  if (items.size() == static_cast<std::size_t>(query->limit))
    next = jobs->back()->id.str() + "." + filter_mark(request);
  return list_of(std::move(items), next);
}

using WithJob = std::function<Response(const Job&, const ClusterView&, const Request&)>;

http::Handler for_job(Context& context, WithJob respond) {
  return [&context, respond = std::move(respond)](const Request& request) -> Response {
    if (auto refusal = refuse_unknown_query(request, {})) return *refusal;
    const auto job = context.control.find_job(request.params.at("id"));
    if (!job) return no_job(job.error(), request);
    return respond(**job, *context.control.view(), request);
  };
}

Response explain(Context& context, const Job& job, const ClusterView& view) {
  const auto wait = view.wait_of(job);
  const auto placement = view.placements.find(job.id);
  std::optional<PlacementRecord> stored;
  if (placement == view.placements.end() && !job.attempts.empty() && context.store != nullptr)
    if (auto record = context.store->placement(job.id)) stored = std::move(*record);
  const PlacementRecord* record = placement != view.placements.end() ? placement->second.get()
                                  : stored                           ? &*stored
                                                                     : nullptr;
  return ok(explain_json(job, wait.get(), record, view));
}

Response events(Context& context, const Job& job, const Request& request) {
  if (context.store == nullptr)
    return http::problem(501, "unsupported", "without a store there is no history of a job", request);
  const auto found = context.store->job_events(job.id);
  if (!found) return http::problem(found.error(), request);
  Json items = Json::array();
  for (const JobEvent& event : *found) items.push_back(job_event_json(event));
  return list_of(std::move(items));
}

Response attempts(const Job& job, const ClusterView& view) {
  Json items = Json::array();
  for (const Attempt& attempt : job.attempts) items.push_back(attempt_json(attempt, view));
  return list_of(std::move(items));
}

// The newest 1,000 tasks by index, and how many are in each state.
Response show_array(Context& context, const Request& request) {
  if (auto refusal = refuse_unknown_query(request, {})) return *refusal;
  const auto first = context.control.find_job(request.params.at("id"));
  if (!first) return no_job(first.error(), request);
  if (!(*first)->is_array_task())
    return http::problem(404, "not_found", fmt::format("job {} is no array", (*first)->number), request);
  const auto view = context.control.view();
  JobQuery query;
  query.array = (*first)->array_parent.str();
  query.limit = 1000;
  std::map<int, std::shared_ptr<const Job>> tasks;
  for (auto page = find_jobs(context, *view, query); page && !page->empty(); page = find_jobs(context, *view, query)) {
    for (const auto& task : *page) tasks[task->array_index] = task;
    query.before_id = page->back()->id.str();
    if (page->size() < 1000) break;
  }
  Json items = Json::array(), counts = Json::object();
  for (const auto& [index, task] : tasks) {
    const std::string state(to_string(task->state));
    counts[state] = counts.value(state, 0) + 1;
    if (items.size() < 1000) items.push_back(job_json(*task, *view));
  }
  return ok({{"array_id", query.array},
             {"number", (*first)->array_number},
             {"name", (*first)->spec.name},
             {"range", (*first)->spec.array},
             {"tasks", tasks.size()},
             {"counts", std::move(counts)},
             {"items", std::move(items)}});
}

}  // namespace

Result<std::vector<JobState>> parse_states(const std::string& text) {
  std::set<JobState> states;
  std::string rest = text;
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    const std::string word = rest.substr(0, comma);
    const auto found = states_of_word(word);
    if (found.empty())
      return fail(ErrorCode::kInvalidArgument,
                  "state is waiting, running, finished or a state like PENDING; several joined by commas", "state");
    states.insert(found.begin(), found.end());
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
  }
  return std::vector<JobState>(states.begin(), states.end());
}

Result<void> read_since_until(const Request& request, std::optional<Time>& since, std::optional<Time>& until) {
  for (const auto& [name, field] : {std::pair("since", &since), std::pair("until", &until)}) {
    const auto text = request.query_value(name);
    if (!text) continue;
    const auto time = parse_rfc3339(*text);
    if (!time)
      return fail(ErrorCode::kInvalidArgument, std::string(name) + " takes a time like 2026-01-15T09:42:17Z", name);
    *field = *time;
  }
  return {};
}

Response no_job(const Error& error, const Request& request) {
  return http::problem(error, request, "aether queue --all  lists the jobs");
}

// "<what a person decides on>.<everything>": readings go on all the time and spoil no update.
std::string etag_of(const Json& resource) {
  Json settled = resource;
  for (const char* key : {"energy_j", "carbon_g", "reason", "flags"}) settled.erase(key);
  return fmt::format("\"{}.{}\"", http::sha256_hex(codec::dump(settled)).substr(0, 16),
                     http::sha256_hex(codec::dump(resource)).substr(0, 16));
}

bool matches_etag(const std::string& etag, const Json& resource) {
  const std::string now = etag_of(resource);
  return etag.substr(0, etag.find('.')) == now.substr(0, now.find('.'));
}

Response with_etag(const Json& resource, const Request& request, int status) {
  const std::string etag = etag_of(resource);
  Response response = status == 200 && request.header("if-none-match") == etag ? Response{} : ok(resource, status);
  if (response.body.empty()) response.status = 304, response.content_type = "text/plain";
  response.headers["ETag"] = etag;
  return response;
}

void add_job_routes(http::Server& server, Context& context) {
  using http::Access;
  using http::Run;
  server.route("GET", "/api/v1/jobs", Access::kRead, Run::kWorker,
               [&context](const Request& request) { return list_jobs(context, request); });
  server.route("GET", kJob, Access::kRead, Run::kWorker,
               for_job(context, [](const Job& job, const ClusterView& view, const Request& request) {
                 return with_etag(job_json(job, view), request);
               }));
  server.route("GET", std::string(kJob) + "/explain", Access::kRead, Run::kWorker,
               for_job(context, [&context](const Job& job, const ClusterView& view, const Request&) {
                 return explain(context, job, view);
               }));
  server.route("GET", std::string(kJob) + "/events", Access::kRead, Run::kWorker,
               for_job(context, [&context](const Job& job, const ClusterView&, const Request& request) {
                 return events(context, job, request);
               }));
  server.route(
      "GET", std::string(kJob) + "/attempts", Access::kRead, Run::kWorker,
      for_job(context, [](const Job& job, const ClusterView& view, const Request&) { return attempts(job, view); }));
  server.route("GET", "/api/v1/arrays/{id}", Access::kRead, Run::kWorker,
               [&context](const Request& request) { return show_array(context, request); });
}

}  // namespace aether::api
