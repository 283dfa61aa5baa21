#pragma once
// The live stream's clients: who listens to what, how far each one is, and the logs they follow. Network threads only
// hand over; everything else happens on the hub's own thread. A client that takes little gets less, never late: it is
// brought to the present by a gap and a snapshot.
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "api/event_log.h"
#include "api/topics.h"
#include "base/bounded_queue.h"
#include "http/server.h"
#include "orchestrator/control.h"

namespace aether::api {

struct StreamOptions {
  std::string version;
  std::chrono::milliseconds interval{1000};        // readings
  std::chrono::milliseconds change_interval{200};  // changes of state
  std::chrono::milliseconds log_interval{300};
};

class StreamHub {
 public:
  StreamHub(Control& control, const Clock& clock, EventLog& events, StreamOptions options);
  ~StreamHub();

  http::SocketHandlers handlers();
  void start();
  void stop();

 private:
  using Json = nlohmann::json;
  using SocketPtr = std::shared_ptr<http::Socket>;
  using Mono = std::chrono::steady_clock::time_point;

  struct Opened {
    SocketPtr socket;
  };
  struct Received {
    SocketPtr socket;
    std::string text;
  };
  struct LogAnswer {
    SocketPtr socket;
    std::string topic, stream;
    Result<LogChunk> chunk;
  };
  using Event = std::variant<Opened, Received, LogAnswer>;
  // Shared with callbacks that may come after the hub's end.
  struct Inbox {
    BoundedQueue<Event> events{4096, WhenFull::kReject};
    std::mutex mutex;
    std::vector<SocketPtr> closed;
  };

  struct ClientTopic {
    bool is_live = false;  // false: a snapshot is due or on its way
    std::uint64_t held = 0;
    SharedText gap;  // goes before the snapshot
    std::shared_ptr<const Snapshot> snapshot;
    std::size_t next_part = 0;
  };
  struct LogStream {
    std::int64_t offset = 0;
    bool is_asked = false, is_done = false;
  };
  struct LogFollow {
    JobId job;
    std::map<std::string, LogStream> streams;
  };
  struct Client {
    SocketPtr socket;
    bool is_welcome = false;
    bool is_slow = false;  // its queue was full lately
    bool has_columns = false;
    std::chrono::milliseconds readings_every{0};  // 0: every tick
    Mono readings_at;
    std::uint64_t held_readings = 0;
    std::uint32_t held_inventory = 0;
    std::map<Topic, ClientTopic> topics;
    std::map<std::string, LogFollow> logs;  // by topic name
  };

  void run();
  void tick(Mono now);
  void handle(Event event);
  void remove_closed();
  void on_text(Client& client, const std::string& text);
  void on_hello(Client& client, const Json& message);
  void subscribe(Client& client, const std::string& name);
  void refuse(Client& client, int status, const std::string& code, const std::string& detail);
  void resync(Client& client, const std::string& name);

  void follow_log(Client& client, const std::string& topic, const std::string& key);
  void poll_logs(Client& client);
  void on_log(Client& client, const LogAnswer& answer);

  TopicSet wanted() const;
  void bring_up_to_date(TopicSet also);
  void catch_up(Client& client);
  void send_readings(Client& client, Mono now);
  void set_rate(Client& client, const Json& message);
  bool send_snapshot(Client& client, Topic topic, ClientTopic& state);
  void start_over(Client& client, Topic topic, const char* reason);
  bool send(Client& client, const SharedText& text);
  bool send(Client& client, const Json& message);

  Control& control_;
  const Clock& clock_;
  EventLog& events_;
  const StreamOptions options_;
  const std::string stream_id_;
  const std::uint32_t epoch_;  // the stream's id as a number, for binary frames
  const std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();
  std::map<http::Socket*, Client> clients_;  // the hub's thread
  TopicStore topics_;
  std::uint64_t seen_version_ = 0, full_version_ = 0;  // of the view, at the last look and at the last full update
  Mono last_full_, last_changes_, last_logs_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace aether::api
