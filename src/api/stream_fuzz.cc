// Messages of a client of the live stream, one a line. The hub answers each with JSON or closes.
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>

#include "api/fake_control.h"
#include "api/stream.h"
#include "fuzz.h"

namespace {

using namespace aether;

class FakeSocket final : public http::Socket {
 public:
  bool send(std::shared_ptr<const std::string> text) override {
    const auto json = nlohmann::json::parse(*text, nullptr, false);
    AETHER_ASSERT(json.is_object() && json.contains("type"));
    std::lock_guard lock(mutex_);
    if (text->find("end-of-input") != std::string::npos) done_ = true;
    changed_.notify_all();
    return true;
  }
  bool send_binary(std::shared_ptr<const std::string> bytes) override {
    AETHER_ASSERT(!bytes->empty());
    return true;
  }
  std::size_t queued() const override { return 0; }
  void close(int code, std::string) override {
    AETHER_ASSERT(code >= 1000 && code < 5000);
    std::lock_guard lock(mutex_);
    done_ = true;
    changed_.notify_all();
  }
  bool wait() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return done_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
};

struct Hub {
  api::FakeControl control;
  ManualClock clock{Time(std::chrono::hours(24 * 365 * 56))};
  api::EventLog events;
  api::StreamHub hub{control, clock, events, {}};
  http::SocketHandlers handlers = hub.handlers();
  Hub() { hub.start(); }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Hub* const hub = new Hub;  // its thread lives as long as the process
  const auto socket = std::make_shared<FakeSocket>();
  hub->handlers.on_open(socket, {});
  for (std::string& line : fuzz::lines_of(fuzz::text_of(data, size))) hub->handlers.on_message(socket, std::move(line));
  for (const char* last : {R"({"type":"hello","proto":1,"topics":["fleet"]})", R"({"type":"end-of-input"})"})
    hub->handlers.on_message(socket, last);
  AETHER_ASSERT(socket->wait());
  hub->handlers.on_close(socket);
  return 0;
}
