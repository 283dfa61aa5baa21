#pragma once
// Commands with a signature, over any bus. The signature covers the subject and every byte of the command; it travels as the
// command's last field, so that whoever only reads commands reads them as before:
//   {...}  ->  {...,"signature":"<128 hexadecimal digits>"}
// Everything that is no command passes as it is. Both thread-safe; both outlived by the bus below.
#include <atomic>

#include "bus/bus.h"
#include "bus/signed/command_key.h"

namespace aether {

// The orchestrator's side.
class SigningBus final : public Bus {
 public:
  SigningBus(Bus& bus, CommandKey key) : bus_(bus), key_(key) {}
  Result<void> publish(std::string_view subject, std::string_view payload) override;
  Result<std::unique_ptr<Subscription>> subscribe(std::string_view pattern, Handler handler) override {
    return bus_.subscribe(pattern, std::move(handler));
  }
  bool connected() const override { return bus_.connected(); }
  BusCounters counters() const override { return bus_.counters(); }
  std::string_view name() const override { return bus_.name(); }

 private:
  Bus& bus_;
  const CommandKey key_;
};

// A node's side: a command without the cluster's signature reaches no handler; it is counted and said.
class VerifyingBus final : public Bus {
 public:
  VerifyingBus(Bus& bus, std::string public_key_path) : bus_(bus), verifier_(std::move(public_key_path)) {}
  Result<void> publish(std::string_view subject, std::string_view payload) override { return bus_.publish(subject, payload); }
  Result<std::unique_ptr<Subscription>> subscribe(std::string_view pattern, Handler handler) override;
  bool connected() const override { return bus_.connected(); }
  BusCounters counters() const override { return bus_.counters(); }
  std::string_view name() const override { return bus_.name(); }
  std::uint64_t refused() const { return refused_; }

 private:
  bool accept(BusMessage& message);
  Bus& bus_;
  CommandVerifier verifier_;
  std::atomic<std::uint64_t> refused_{0};
};

}  // namespace aether
