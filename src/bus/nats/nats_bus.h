#pragma once
// The bus between programs: NATS core, at most once. Reconnects by itself for ever; subscriptions come back with it, messages
// published or missed while it was away do not.
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "bus/bus.h"

namespace aether {

// A server's address as people may see it: without user and password. kInvalidArgument names NATS_URL.
Result<std::string> check_nats_url(std::string_view url);

// Handlers run on a thread per subscription. A full subscription drops the message that arrives and counts it.
class NatsBus final : public Bus {
 public:
  struct Options {
    std::string url = "nats://127.0.0.1:4222";  // nats:// or tls://, host, port; user and password allowed
    std::string name = "aether";                // the server's name for this client
    std::size_t queue_capacity = 65'536;        // messages per subscription
    bool require_connected = false;             // open() fails with kUnavailable when no server answers now
    std::chrono::milliseconds ping_interval{2000};  // a server that leaves two pings without answer counts as gone
  };

  // kInvalidArgument for a URL that can't be one.
  static Result<std::unique_ptr<NatsBus>> open(Options options);

  // Not from a handler: waits until every handler has returned. Subscriptions may be destroyed later.
  ~NatsBus() override;

  Result<void> publish(std::string_view subject, std::string_view payload) override;
  Result<std::unique_ptr<Subscription>> subscribe(std::string_view pattern, Handler handler) override;
  bool connected() const override;
  BusCounters counters() const override;
  std::string_view name() const override { return "nats"; }

 private:
  struct Core;
  class Handle;
  struct Callbacks;
  explicit NatsBus(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;
};

}  // namespace aether
