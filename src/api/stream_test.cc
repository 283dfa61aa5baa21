#include <cstring>
#include <set>
#include <thread>

#include "api/served_api.h"
#include "api/topics.h"
#include "base/rng.h"
#include "codec/codec.h"

namespace aether::api {
namespace {

const std::map<std::string, std::string> kIdOf = {
    {"fleet", ""}, {"nodes", "node"}, {"gpus", "gpu_uuid"}, {"jobs", "job_id"}, {"alerts", "alert_id"}};

std::string id_of(const std::string& topic, const Json& item) {
  const std::string& key = kIdOf.at(topic);
  return key.empty() ? "fleet" : item.at(key).get<std::string>();
}

// A client that follows the rules of the stream and nothing else.
struct Mirror {
  struct State {
    std::uint64_t seq = 0;
    std::map<std::string, Json> items;
    friend bool operator==(const State&, const State&) = default;
  };
  std::map<std::string, State> topics;
  std::map<std::string, std::vector<Json>> parts;
  std::uint64_t last_seq = 0;
  std::string needs_resync;

  void apply(const Json& message) {
    const std::string type = message["type"], topic = message.value("topic", "");
    if (type == "snapshot") {
      std::vector<Json>& items = parts[topic];
      for (const Json& item : message["items"]) items.push_back(item);
      if (message.contains("part") && message["part"] != message["of"]) return;
      State& state = topics[topic] = {message["seq"], {}};
      for (const Json& item : items) state.items[id_of(topic, item)] = without_history(item);
      items.clear();
      last_seq = std::max(last_seq, state.seq);
    } else if (type == "delta") {
      const auto state = topics.find(topic);
      if (state == topics.end() || message["prev"] != state->second.seq) {
        needs_resync = topic;
        return;
      }
      for (const Json& id : message["remove"]) state->second.items.erase(id.get<std::string>());
      for (const Json& item : message["upsert"]) state->second.items[id_of(topic, item)] = item;
      state->second.seq = message["seq"];
      last_seq = std::max(last_seq, state->second.seq);
    } else if (type == "gap") {
      topics.erase(topic);
    }
  }
  static Json without_history(Json item) {
    item.erase("history");
    return item;
  }
};

// Random life of a cluster.
void change_something(FakeControl& control, Rng& rng) {
  const auto view = control.view();
  const auto any_job = [&]() -> std::optional<JobId> {
    if (view->jobs.empty()) return std::nullopt;
    return std::next(view->jobs.begin(), static_cast<std::ptrdiff_t>(rng.below(view->jobs.size())))->first;
  };
  switch (rng.below(8)) {
    case 0: control.add_job(rng.chance(0.5) ? JobState::kPending : JobState::kRunning); break;
    case 1:
      if (const auto job = any_job()) control.set_state(*job, static_cast<JobState>(rng.below(15)));
      break;
    case 2:
      if (const auto job = any_job()) control.publish([&](ClusterView& next) { next.jobs.erase(*job); });
      break;
    case 3:
      if (view->gpus.size() < 6) control.add_gpu(static_cast<int>(view->gpus.size()));
      break;
    case 4:
    case 5:
      if (!view->gpus.empty())
        control.set_reading(view->gpus.begin()->first.str(), 40 + static_cast<double>(rng.below(40)));
      break;
    case 6:
      control.publish([&](ClusterView& next) {
        if (!next.alerts.empty() && rng.chance(0.5)) return next.alerts.pop_back();
        Alert& alert = next.alerts.emplace_back();
        alert.id = AlertId(fmt::format("idle/GPU-{}", next.version));
        alert.since = next.at;
      });
      break;
    default:
      control.publish([&](ClusterView& next) {
        if (next.gpus.empty()) return;
        const GpuUuid first = next.gpus.begin()->first;
        if (rng.chance(0.2))
          next.gpus.erase(std::prev(next.gpus.end()));
        else
          next.gpus[first].state = rng.chance(0.5) ? GpuState::kBusy : GpuState::kFree;
      });
  }
}

Json parsed(const SharedText& text) { return Json::parse(*text); }

TEST(Topics, ASnapshotAndTheDeltasAfterItGiveALaterSnapshot) {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    Rng rng(seed);
    FakeControl control;
    TopicStore store;
    store.update(control.view(), control.view()->at, Update::kEverything);
    Mirror mirror;
    for (int step = 0; step < 60; ++step) {
      for (std::uint64_t i = rng.below(3); i > 0; --i) change_something(control, rng);
      store.update(control.view(), control.view()->at, rng.chance(0.5) ? Update::kEverything : Update::kChangesOfState);
      for (Topic topic : kTopics) {
        const std::string name(to_string(topic));
        // A cut: the client forgets all, or only stays away for a while.
        if (rng.chance(0.05)) mirror.topics.erase(name);
        if (rng.chance(0.3)) continue;
        if (!mirror.topics.contains(name))
          for (const SharedText& part : store.snapshot(topic)->parts) mirror.apply(parsed(part));
        while (const Delta* delta = store.after(topic, mirror.topics[name].seq)) mirror.apply(parsed(delta->text));
        Mirror fresh;
        for (const SharedText& part : store.snapshot(topic)->parts) fresh.apply(parsed(part));
        ASSERT_EQ(mirror.topics[name], fresh.topics[name]) << name << " seed " << seed << " step " << step;
      }
      ASSERT_EQ(mirror.needs_resync, "");
    }
  }
}

TEST(Topics, ASnapshotShowsTheWholeView) {
  FakeControl control;
  for (int i = 0; i < 5; ++i) control.add_gpu(i);
  control.add_job(JobState::kRunning);
  TopicStore store;
  store.update(control.view(), control.view()->at, Update::kEverything);
  EXPECT_EQ(parsed(store.snapshot(Topic::kGpus)->parts[0])["items"].size(), 5u);
  EXPECT_EQ(parsed(store.snapshot(Topic::kJobs)->parts[0])["items"].size(), 1u);
  EXPECT_EQ(parsed(store.snapshot(Topic::kNodes)->parts[0])["items"].size(), 1u);
  EXPECT_TRUE(parsed(store.snapshot(Topic::kFleet)->parts[0])["items"][0].contains("history"));
  EXPECT_EQ(parsed(store.snapshot(Topic::kAlerts)->parts[0])["items"].size(), 0u);
}

TEST(Topics, LongSnapshotsAndDeltasComeInPartsOfABoundedSize) {
  FakeControl control;
  TopicStore store;
  store.update(control.view(), control.view()->at, Update::kEverything);
  const std::uint64_t start = store.seq_of(Topic::kJobs);
  control.publish([](ClusterView& view) {
    for (int i = 0; i < 200; ++i) {
      auto job = std::make_shared<Job>();
      job->id = JobId(fmt::format("job-{:03}", i));
      job->spec.script = std::string(8000, 'x');
      view.jobs[job->id] = job;
    }
  });
  store.update(control.view(), control.view()->at, Update::kEverything);
  Mirror by_delta, by_snapshot;
  by_delta.topics["jobs"].seq = start;
  int deltas = 0;
  while (const Delta* delta = store.after(Topic::kJobs, by_delta.topics["jobs"].seq)) {
    EXPECT_LT(delta->text->size(), 300u << 10);
    by_delta.apply(parsed(delta->text));
    ++deltas;
  }
  EXPECT_GT(deltas, 4);
  const auto snapshot = store.snapshot(Topic::kJobs);
  EXPECT_GT(snapshot->parts.size(), 4u);
  for (const SharedText& part : snapshot->parts) {
    EXPECT_LT(part->size(), 300u << 10);
    by_snapshot.apply(parsed(part));
  }
  EXPECT_EQ(by_snapshot.topics["jobs"].items.size(), 200u);
  EXPECT_EQ(by_delta.topics["jobs"], by_snapshot.topics["jobs"]);
}

TEST(Topics, OfManyJobsTheFrontOfTheQueueAndTheNewestAreShown) {
  FakeControl control;
  TopicStore store;
  const auto put = [](ClusterView& view, int i, JobState state, int priority) {
    auto job = std::make_shared<Job>();
    job->id = JobId(fmt::format("job-{:05}", i));
    job->number = i;
    job->state = state;
    job->spec.priority = priority;
    view.jobs[job->id] = job;
  };
  control.publish([&](ClusterView& view) {
    for (int i = 0; i < 3000; ++i) put(view, i, JobState::kPending, i == 2999 ? 90 : i % 2 == 0 ? 50 : 40);
    for (int i = 3000; i < 5000; ++i) put(view, i, JobState::kRunning, 50);
    for (int i = 5000; i < 5500; ++i) put(view, i, JobState::kCompleted, 50);
  });
  Mirror mirror;
  const auto catch_up = [&] {
    store.update(control.view(), control.view()->at, Update::kEverything);
    while (const Delta* delta = store.after(Topic::kJobs, mirror.topics["jobs"].seq)) mirror.apply(parsed(delta->text));
    std::map<std::string, int> count;
    for (const auto& [id, job] : mirror.topics["jobs"].items) ++count[job["state"]];
    return count;
  };
  const std::map<std::string, int> wanted = {{"PENDING", 500}, {"RUNNING", 1000}, {"COMPLETED", 200}};
  EXPECT_EQ(catch_up(), wanted);
  const auto& shown = mirror.topics["jobs"].items;
  EXPECT_TRUE(shown.contains("job-02999")) << "the highest priority";
  EXPECT_TRUE(shown.contains("job-00000"));
  EXPECT_FALSE(shown.contains("job-00001")) << "of a lower priority than 1,500 others";
  EXPECT_TRUE(shown.contains("job-04999"));
  EXPECT_FALSE(shown.contains("job-03999"));
  EXPECT_TRUE(shown.contains("job-05499"));
  // The first ten start: the next ten come into sight, and the oldest running ones go.
  control.publish([&](ClusterView& view) {
    for (int i = 0; i < 20; i += 2) put(view, i, JobState::kRunning, 50);
  });
  EXPECT_EQ(catch_up(), wanted);
  EXPECT_FALSE(shown.contains("job-00000")) << "it is older than a thousand others that run";
  EXPECT_TRUE(shown.contains(fmt::format("job-{:05}", 2 * (499 + 10) - 2)));
}

TEST(Topics, EnergyOfARunningJobAloneIsNoChangeOfEverySecond) {
  FakeControl control;
  const JobId id = control.add_job(JobState::kRunning);
  TopicStore store;
  const auto update = [&] { store.update(control.view(), control.view()->at, Update::kEverything); };
  const auto use = [&](double joules) {
    control.publish([&](ClusterView& view) {
      auto job = std::make_shared<Job>(*view.jobs.at(id));
      job->attempts[0].energy_j = joules;
      view.jobs[id] = job;
    });
  };
  update();
  const std::uint64_t start = store.seq_of(Topic::kJobs);
  std::set<std::uint64_t> numbers;
  for (int i = 1; i <= 40; ++i) {
    use(i * 100.0);
    update();
    numbers.insert(store.seq_of(Topic::kJobs));
  }
  EXPECT_GE(numbers.size(), 4u);
  EXPECT_LE(numbers.size(), 6u);
  // The end of a job is told at once, with its last figure.
  use(5000);
  control.set_state(id, JobState::kCompleted);
  update();
  EXPECT_GT(store.seq_of(Topic::kJobs), start);
  EXPECT_EQ(parsed(store.snapshot(Topic::kJobs)->parts[0])["items"][0]["energy_j"], 5000.0);
}

TEST(Topics, KnowHowFarBackTheyReach) {
  FakeControl control;
  control.add_gpu(0);
  TopicStore store;
  store.update(control.view(), control.view()->at, Update::kEverything);
  const std::uint64_t first = store.seq_of(Topic::kGpus);
  EXPECT_TRUE(store.reaches(Topic::kGpus, first));
  for (int i = 0; i < 400; ++i) {
    control.set_reading("GPU-0", i);
    store.update(control.view(), control.view()->at, Update::kEverything);
  }
  EXPECT_FALSE(store.reaches(Topic::kGpus, first));
  EXPECT_FALSE(store.held_at(Topic::kGpus, first).has_value());
  EXPECT_EQ(store.held_at(Topic::kGpus, store.seq()), store.seq_of(Topic::kGpus));
  EXPECT_FALSE(store.held_at(Topic::kGpus, store.seq() + 1).has_value());
  // A topic that did not change since holds its old number.
  EXPECT_EQ(store.held_at(Topic::kAlerts, store.seq()), store.seq_of(Topic::kAlerts));
}

class Stream : public ServedApi {
 protected:
  static Json hello(Json resume = nullptr, Json topics = {"fleet", "nodes", "gpus", "jobs", "alerts"}) {
    return {{"type", "hello"},       {"proto", 1},   {"topics", topics},
            {"encodings", {"json"}}, {"rate_hz", 1}, {"resume", resume}};
  }
  std::unique_ptr<http::RawClient> connect() {
    auto client = std::make_unique<http::RawClient>(server_->address());
    EXPECT_EQ(client->upgrade("/api/v1/stream")->status, 101);
    return client;
  }
  static Json next(http::RawClient& client) {
    const auto text = client.receive_text();
    return text ? Json::parse(*text) : Json{{"type", "closed"}};
  }
  // Reads until `done` or the end of the connection.
  template <class Done>
  static Json read_until(http::RawClient& client, Mirror& mirror, Done done) {
    for (;;) {
      const Json message = next(client);
      mirror.apply(message);
      if (message["type"] == "closed" || done(message)) return message;
    }
  }
  std::string job_state(const Mirror& mirror, const JobId& job) {
    const auto topic = mirror.topics.find("jobs");
    if (topic == mirror.topics.end() || !topic->second.items.contains(job.str())) return "";
    return topic->second.items.at(job.str())["state"];
  }
};

TEST_F(Stream, GivesWelcomeSnapshotsAndThenChanges) {
  serve();
  control_.add_gpu(0);
  const auto client = connect();
  client->send_text(hello().dump());
  const Json welcome = next(*client);
  EXPECT_EQ(welcome["type"], "welcome");
  EXPECT_EQ(welcome["resumed"], false);
  EXPECT_EQ(welcome["interval_ms"], 1000);
  Mirror mirror;
  std::set<std::string> snapshots;
  while (snapshots.size() < 5) {
    const Json message = next(*client);
    ASSERT_EQ(message["type"], "snapshot");
    snapshots.insert(message["topic"].get<std::string>());
    mirror.apply(message);
  }
  EXPECT_EQ(mirror.topics["gpus"].items.size(), 1u);
  const JobId job = control_.add_job(JobState::kPending);
  read_until(*client, mirror, [&](const Json&) { return job_state(mirror, job) == "PENDING"; });
  control_.set_state(job, JobState::kRunning);
  read_until(*client, mirror, [&](const Json&) { return job_state(mirror, job) == "RUNNING"; });
  EXPECT_EQ(mirror.needs_resync, "");
  EXPECT_EQ(job_state(mirror, job), "RUNNING");
}

TEST_F(Stream, GivesReadingsAsColumnsToWhoAsksForThem) {
  serve();
  for (int i = 0; i < 3; ++i) control_.add_gpu(i);
  control_.set_reading("GPU-1", 44);
  const auto client = connect();
  Json first = hello(nullptr, {"gpus", "nodes"});
  first["encodings"] = {"columns-v1", "json"};
  client->send_text(first.dump());
  const Json welcome = next(*client);
  EXPECT_EQ(welcome["encoding"], "columns-v1");
  Mirror mirror;
  Json gpus;
  while (mirror.topics.size() < 2) {
    const Json message = next(*client);
    if (message["topic"] == "gpus") gpus = message;
    mirror.apply(message);
  }
  ASSERT_EQ(gpus["items"].size(), 3u);
  EXPECT_FALSE(gpus["items"][0].contains("sample"));
  EXPECT_FALSE(mirror.topics["nodes"].items.at("n1").contains("power_draw_w"));
  const auto next_binary = [&] {
    for (;;) {
      const auto frame = client->receive_frame();
      EXPECT_TRUE(frame);
      if (!frame || frame->opcode == 2) return frame ? frame->payload : std::string();
    }
  };
  const std::string full = next_binary();
  EXPECT_EQ(full.substr(0, 5), std::string("AEC1\x01"));
  std::uint32_t epoch = 0, inventory = 0;
  std::memcpy(&epoch, full.data() + 8, 4);
  std::memcpy(&inventory, full.data() + 12, 4);
  EXPECT_EQ(epoch, welcome["epoch"].get<std::uint32_t>());
  EXPECT_EQ(inventory, gpus["inventory"].get<std::uint32_t>());
  const std::string delta = next_binary();
  EXPECT_EQ(delta.substr(0, 5), std::string("AEC1\x02"));
  EXPECT_EQ(delta.substr(16, 8), full.substr(24, 8));  // builds on the frame before
  client->send_text(R"({"type":"resync","topic":"gpus"})");
  read_until(*client, mirror, [](const Json& message) { return message["type"] == "snapshot"; });
  EXPECT_EQ(next_binary().substr(0, 5), std::string("AEC1\x01"));
}

TEST_F(Stream, AnotherGpuIsAnotherInventoryWithItsOwnSnapshot) {
  serve();
  control_.add_gpu(0);
  const auto client = connect();
  Json first = hello(nullptr, {"gpus"});
  first["encodings"] = {"columns-v1"};
  client->send_text(first.dump());
  Mirror mirror;
  const Json before = read_until(*client, mirror, [](const Json& m) { return m["type"] == "snapshot"; });
  control_.add_gpu(1);
  const Json after = read_until(*client, mirror, [](const Json& m) { return m["type"] == "snapshot"; });
  EXPECT_EQ(after["items"].size(), 2u);
  EXPECT_GT(after["inventory"], before["inventory"]);
}

TEST_F(Stream, ResumesWhereTheClientWas) {
  serve();
  Mirror mirror;
  auto client = connect();
  client->send_text(hello().dump());
  const std::string stream = next(*client)["stream"];
  read_until(*client, mirror, [&](const Json&) { return mirror.topics.size() == 5; });
  client.reset();
  const JobId job = control_.add_job(JobState::kPending);
  client = connect();
  client->send_text(hello({{"stream", stream}, {"seq", mirror.last_seq}}).dump());
  const Json welcome = next(*client);
  EXPECT_EQ(welcome["resumed"], true);
  bool saw_snapshot = false;
  read_until(*client, mirror, [&](const Json& message) {
    saw_snapshot = saw_snapshot || message["type"] == "snapshot";
    return job_state(mirror, job) == "PENDING";
  });
  EXPECT_FALSE(saw_snapshot);
  EXPECT_EQ(mirror.needs_resync, "");
  const auto other = connect();
  other->send_text(hello({{"stream", "another"}, {"seq", 1}}).dump());
  EXPECT_EQ(next(*other)["resumed"], false);
  EXPECT_EQ(next(*other)["type"], "snapshot");
}

TEST_F(Stream, ResyncGivesAFreshSnapshot) {
  serve();
  Mirror mirror;
  const auto client = connect();
  client->send_text(hello().dump());
  read_until(*client, mirror, [&](const Json&) { return mirror.topics.size() == 5; });
  client->send_text(R"({"type":"resync","topic":"jobs"})");
  const Json snapshot = read_until(*client, mirror, [](const Json& message) { return message["type"] == "snapshot"; });
  EXPECT_EQ(snapshot["topic"], "jobs");
}

TEST_F(Stream, RefusesWhatItDoesNotKnow) {
  serve();
  const auto client = connect();
  client->send_text(hello(nullptr, {"jobs"}).dump());
  Mirror mirror;
  read_until(*client, mirror, [&](const Json&) { return mirror.topics.size() == 1; });
  const auto error_after = [&](const std::string& text) {
    client->send_text(text);
    return read_until(*client, mirror, [](const Json& message) { return message["type"] == "error"; })["code"]
        .get<std::string>();
  };
  EXPECT_EQ(error_after(R"({"type":"subscribe","topics":["gpu"]})"), "unknown_topic");
  EXPECT_EQ(error_after(R"({"type":"subscribe","topics":["job.99.log"]})"), "not_found");
  EXPECT_EQ(error_after(R"({"type":"resync","topic":"gpus"})"), "unknown_topic");
  EXPECT_EQ(error_after(R"({"type":"dance"})"), "unknown_message");
  EXPECT_EQ(error_after("{"), "malformed_json");
  EXPECT_EQ(error_after("[]"), "malformed_json");
  const auto rude = connect();
  rude->send_text(R"({"type":"subscribe","topics":["jobs"]})");
  EXPECT_EQ(next(*rude)["code"], "hello_first");
  EXPECT_EQ(rude->receive_close_code(), 1002);
  const auto old = connect();
  old->send_text(R"({"type":"hello","proto":2,"topics":[]})");
  EXPECT_EQ(next(*old)["code"], "unsupported_proto");
  const auto loud = connect();
  loud->send_text(std::string(9000, ' '));
  EXPECT_EQ(loud->receive_close_code(), 1009);
}

TEST_F(Stream, CarriesALogToItsEnd) {
  serve();
  const JobId job = control_.add_job(JobState::kRunning);
  control_.print(job, "stdout", "hello ");
  const auto client = connect();
  client->send_text(hello(nullptr, Json::array()).dump());
  EXPECT_EQ(next(*client)["type"], "welcome");
  client->send_text(Json{{"type", "subscribe"}, {"topics", {"job.1.log"}}}.dump());
  std::string text;
  bool complete = false, is_printed = false;
  while (!complete) {
    const Json message = next(*client);
    ASSERT_EQ(message["type"], "log") << message;
    EXPECT_EQ(message["job"], job.str());
    if (message["stream_name"] != "stdout") continue;
    EXPECT_EQ(message["offset"], text.size());
    text += *codec::base64_decode(message["data_b64"].get<std::string>());
    complete = message["complete"];
    if (!is_printed) {
      control_.print(job, "stdout", "to all who read this line");
      control_.set_state(job, JobState::kCompleted);
      is_printed = true;
    }
  }
  EXPECT_EQ(text, "hello to all who read this line");
}

TEST_F(Stream, SaysByeBeforeItEnds) {
  serve();
  const auto client = connect();
  client->send_text(hello(nullptr, Json::array()).dump());
  EXPECT_EQ(next(*client)["type"], "welcome");
  api_->stop();
  const Json bye = next(*client);
  EXPECT_EQ(bye["type"], "bye");
  EXPECT_GT(bye["retry_after_ms"], 0);
}

TEST_F(Stream, ASlowClientSkipsToThePresentAndOthersDoNotWait) {
  serve();
  for (int i = 0; i < 6; ++i) control_.add_job(JobState::kPending, std::string(100, 'x'));
  http::RawClient slow(server_->address(), 4096);
  EXPECT_EQ(slow.upgrade("/api/v1/stream")->status, 101);
  slow.send_text(hello(nullptr, {"jobs"}).dump());
  const auto quick = connect();
  quick->send_text(hello(nullptr, {"jobs"}).dump());
  Mirror of_quick, of_slow;
  read_until(*quick, of_quick, [&](const Json&) { return of_quick.topics.size() == 1; });
  // More than the slow client's queue and its socket's buffers hold, while it reads nothing.
  JobId last;
  for (int round = 0; round < 6; ++round) {
    control_.publish([&](ClusterView& view) {
      for (int i = 0; i < 40; ++i) {
        auto job = std::make_shared<Job>();
        job->id = last = JobId(fmt::format("big-{}-{}", round, i));
        job->spec.script = std::string(30000, 'x');
        view.jobs[job->id] = job;
        if (round > 0) view.jobs.erase(JobId(fmt::format("big-{}-{}", round - 1, i)));
      }
    });
    read_until(*quick, of_quick, [&](const Json&) { return job_state(of_quick, last) == "PENDING"; });
  }
  bool saw_gap = false;
  read_until(slow, of_slow, [&](const Json& message) {
    saw_gap = saw_gap || message["type"] == "gap";
    return job_state(of_slow, last) == "PENDING";
  });
  EXPECT_TRUE(saw_gap);
  EXPECT_EQ(of_slow.needs_resync, "");
  EXPECT_EQ(of_slow.topics["jobs"], of_quick.topics["jobs"]);
}

}  // namespace
}  // namespace aether::api
