#pragma once
// Port: messages between programs, at most once. A message may be lost, doubled or late; acknowledgements come from the
// application. Adapters: in_process/, nats/.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace aether {

struct BusMessage {
  std::string subject;
  std::string payload;
};

struct BusCounters {
  std::uint64_t published = 0;
  std::uint64_t received = 0;
  std::uint64_t publish_failed = 0;
  std::uint64_t dropped = 0;       // by a full subscription; never silently
  std::uint64_t reconnects = 0;
};

// Thread-safe.
class Bus {
 public:
  // Runs on a thread of the bus, one message at a time per subscription; it must only hand over and return.
  using Handler = std::function<void(const BusMessage&)>;

  // Ends its subscription when destroyed; the handler does not run afterwards. Destroying it waits for a running call of the
  // handler, so the destroyer holds no lock that the handler takes. A handler may end its own subscription.
  class Subscription {
   public:
    virtual ~Subscription() = default;
  };

  virtual ~Bus() = default;

  // kUnavailable while the connection is away (nothing is buffered), kInvalidArgument for a payload over 64 KiB or a
  // subject with wildcards, spaces or empty tokens.
  virtual Result<void> publish(std::string_view subject, std::string_view payload) = 0;

  // `pattern` may hold the wildcards of NATS: "*" for one token, ">" for one or more at the end. Survives reconnects.
  virtual Result<std::unique_ptr<Subscription>> subscribe(std::string_view pattern, Handler handler) = 0;

  virtual bool connected() const = 0;
  virtual BusCounters counters() const = 0;
  // For people and /version: "in_process" or "nats".
  virtual std::string_view name() const = 0;
};

}  // namespace aether
