#pragma once
// The bus inside one program: `aether up`, and tests. Behaves as NATS does, down to one thread per subscription, so a slow
// handler delays nobody else. A full subscription drops its oldest message and counts it.
#include <cstddef>
#include <memory>

#include "bus/bus.h"

namespace aether {

class InProcessBus final : public Bus {
 public:
  struct Options {
    std::size_t queue_capacity = 65'536;  // messages per subscription, as in libnats
  };

  InProcessBus();
  explicit InProcessBus(Options options);
  // Subscriptions that still live are ended; their objects may be destroyed later.
  ~InProcessBus() override;

  Result<void> publish(std::string_view subject, std::string_view payload) override;
  Result<std::unique_ptr<Subscription>> subscribe(std::string_view pattern, Handler handler) override;
  bool connected() const override { return true; }
  BusCounters counters() const override;
  std::string_view name() const override { return "in_process"; }

 private:
  struct Hub;
  class Member;
  std::shared_ptr<Hub> hub_;
};

}  // namespace aether
