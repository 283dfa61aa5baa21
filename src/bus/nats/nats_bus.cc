#include "bus/nats/nats_bus.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <vector>

#include <fmt/format.h>
#include <nats/nats.h>

#include "base/log.h"
#include "bus/checks.h"
#include "model/job.h"

namespace aether {
namespace {

constexpr std::int64_t kReconnectWaitMs = 200;
constexpr std::int64_t kReconnectJitterMs = 100;
constexpr int kMaxPingsOut = 2;
constexpr std::int64_t kConnectTimeoutMs = 2000;
constexpr std::int64_t kWriteDeadlineMs = 2000;
constexpr std::int64_t kFlushTimeoutMs = 1000;
constexpr int kPendingBytesPerSubscription = 64 * 1024 * 1024;
// libnats replays what is published while it is away before its subscribers are back, so it is lost without an error. A
// size of 0 means its default of 8 MB; 1 byte is the smallest there is, and publish() asks for the state first.
constexpr int kReconnectBufferBytes = 1;

ErrorCode code_of(natsStatus status) {
  switch (status) {
    case NATS_INVALID_ARG:
    case NATS_INVALID_SUBJECT:
    case NATS_MAX_PAYLOAD: return ErrorCode::kInvalidArgument;
    case NATS_NOT_PERMITTED: return ErrorCode::kPermissionDenied;
    case NATS_CONNECTION_AUTH_FAILED: return ErrorCode::kUnauthenticated;
    case NATS_NO_MEMORY: return ErrorCode::kResourceExhausted;
    default: return ErrorCode::kUnavailable;
  }
}

tl::unexpected<Error> nats_error(std::string_view what, natsStatus status) {
  return fail(code_of(status), fmt::format("{}: {}", what, natsStatus_GetText(status)));
}

struct OptionsDeleter {
  void operator()(natsOptions* options) const { natsOptions_Destroy(options); }
};
using OptionsPtr = std::unique_ptr<natsOptions, OptionsDeleter>;

// One subscription's handler. Its mutex is held while the handler runs; recursive, so that the handler may end itself.
struct HandlerState {
  std::recursive_mutex mutex;
  bool ended = false;
  Bus::Handler handler;
};

}  // namespace

// Shared by the bus, its subscriptions and the callbacks of libnats, which come from its threads.
struct NatsBus::Core {
  natsConnection* connection = nullptr;
  std::string shown_url;
  std::size_t queue_capacity = 0;
  std::atomic<std::uint64_t> published{0}, received{0}, publish_failed{0}, reconnects{0};
  std::atomic<bool> bus_gone{false};

  std::mutex mutex;
  std::condition_variable changed;
  bool closed = false;                 // the last callback of the connection has run
  std::uint64_t dropped_by_ended = 0;
  std::map<natsSubscription*, std::shared_ptr<HandlerState>> live;
  struct Closure {
    Core* core;
    std::shared_ptr<HandlerState> state;
  };
  std::map<Closure*, std::unique_ptr<Closure>> closures;  // until libnats says that the handler has returned for good
  std::vector<std::unique_ptr<Closure>> orphans;          // of subscriptions for which it can't say so

  // libnats 3.4.1 uses a subscription after it has let go of the lock that keeps it alive (natsConn_processMsg, no retain):
  // destroying one while a message arrives crashes. So an ended subscription is only unsubscribed, and its memory kept until
  // a round trip to the server has shown that the reading thread is past it.
  std::vector<natsSubscription*> retired;

  ~Core() {
    for (natsSubscription* subscription : retired) natsSubscription_Destroy(subscription);
    natsConnection_Destroy(connection);
  }

  // Puts everything that was sent before in force at the server. Not while it is away: then it follows the reconnect.
  void round_trip() {
    if (!is_connected()) return;
    std::vector<natsSubscription*> unused;
    {
      std::lock_guard lock(mutex);
      unused.swap(retired);
    }
    if (natsConnection_FlushTimeout(connection, kFlushTimeoutMs) == NATS_OK) {
      for (natsSubscription* subscription : unused) natsSubscription_Destroy(subscription);
      return;
    }
    std::lock_guard lock(mutex);
    retired.insert(retired.end(), unused.begin(), unused.end());
  }

  static std::uint64_t dropped_of(natsSubscription* subscription) {
    std::int64_t dropped = 0;
    return natsSubscription_GetDropped(subscription, &dropped) == NATS_OK ? static_cast<std::uint64_t>(dropped) : 0;
  }

  // With `mutex` held.
  std::unique_ptr<Closure> take(Closure* closure) {
    const auto at = closures.find(closure);
    if (at == closures.end()) return nullptr;
    std::unique_ptr<Closure> owned = std::move(at->second);
    closures.erase(at);
    return owned;
  }

  bool is_connected() const { return natsConnection_Status(connection) == NATS_CONN_STATUS_CONNECTED; }

  // Lets the connection go and waits until no callback can come any more.
  void shut_down() {
    bus_gone = true;
    {
      std::lock_guard lock(mutex);
      for (const auto& [subscription, state] : live) dropped_by_ended += dropped_of(subscription);
    }
    natsConnection_Close(connection);
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return closed && closures.empty(); });
  }
};

struct NatsBus::Callbacks {
  static void on_message(natsConnection*, natsSubscription*, natsMsg* message, void* closure) {
    auto* entry = static_cast<Core::Closure*>(closure);
    {
      std::lock_guard lock(entry->state->mutex);
      if (!entry->state->ended) {
        entry->core->received.fetch_add(1, std::memory_order_relaxed);
        entry->state->handler(
            BusMessage{natsMsg_GetSubject(message),
                       std::string(natsMsg_GetData(message), static_cast<std::size_t>(natsMsg_GetDataLength(message)))});
      }
    }
    natsMsg_Destroy(message);
  }

  static void on_complete(void* closure) {
    auto* entry = static_cast<Core::Closure*>(closure);
    Core& core = *entry->core;
    std::unique_ptr<Core::Closure> last;  // destroyed after the lock: the handler's captures are the caller's
    std::lock_guard lock(core.mutex);
    last = core.take(entry);
    core.changed.notify_all();
  }

  static void on_connected(natsConnection*, void* closure) {
    const Core& core = *static_cast<Core*>(closure);
    log::info("bus", "connected to the NATS server", {{"url", core.shown_url}});
  }
  static void on_disconnected(natsConnection*, void* closure) {
    const Core& core = *static_cast<Core*>(closure);
    if (core.bus_gone) return;  // our own farewell
    log::warn("bus", "connection to the NATS server lost; trying again", {{"url", core.shown_url}});
  }
  static void on_reconnected(natsConnection*, void* closure) {
    Core& core = *static_cast<Core*>(closure);
    core.reconnects.fetch_add(1);
    log::info("bus", "connected to the NATS server again", {{"url", core.shown_url}});
  }
  // Runs once, after every other callback of the connection.
  static void on_closed(natsConnection*, void* closure) {
    Core& core = *static_cast<Core*>(closure);
    std::lock_guard lock(core.mutex);
    if (!core.bus_gone)
      log::error("bus", "the NATS server refused this client for good; check user and password", {{"url", core.shown_url}});
    core.closed = true;
    core.changed.notify_all();
  }
  static void on_error(natsConnection*, natsSubscription*, natsStatus status, void* closure) {
    const Core& core = *static_cast<Core*>(closure);
    if (status == NATS_SLOW_CONSUMER)  // counted by the subscription; once per episode here
      log::warn("bus", "a subscription is full and drops messages", {{"url", core.shown_url}});
    else
      log::warn("bus", "NATS reports an error", {{"url", core.shown_url}, {"error", natsStatus_GetText(status)}});
  }
};

// Ends its subscription when destroyed, also after the bus.
class NatsBus::Handle final : public Bus::Subscription {
 public:
  Handle(std::shared_ptr<Core> core, natsSubscription* subscription, std::shared_ptr<HandlerState> state)
      : core_(std::move(core)), subscription_(subscription), state_(std::move(state)) {}

  ~Handle() override {
    {
      std::lock_guard running(state_->mutex);
      state_->ended = true;
    }
    {
      std::lock_guard lock(core_->mutex);
      core_->live.erase(subscription_);
      if (!core_->bus_gone) core_->dropped_by_ended += Core::dropped_of(subscription_);
    }
    // Any status will do: a connection that is gone has no subscriptions.
    (void)natsSubscription_Unsubscribe(subscription_);
    std::lock_guard lock(core_->mutex);
    core_->retired.push_back(subscription_);
  }

 private:
  const std::shared_ptr<Core> core_;
  natsSubscription* const subscription_;
  const std::shared_ptr<HandlerState> state_;
};

namespace {

// Sets everything; the first status that is not OK wins.
natsStatus set_options(natsOptions* options, const NatsBus::Options& wanted) {
  const natsStatus all[] = {
      natsOptions_SetURL(options, wanted.url.c_str()),
      natsOptions_SetName(options, wanted.name.c_str()),
      natsOptions_SetTimeout(options, kConnectTimeoutMs),
      natsOptions_SetAllowReconnect(options, true),
      natsOptions_SetMaxReconnect(options, -1),
      natsOptions_SetReconnectWait(options, kReconnectWaitMs),
      natsOptions_SetReconnectJitter(options, kReconnectJitterMs, kReconnectJitterMs),
      natsOptions_SetReconnectBufSize(options, kReconnectBufferBytes),
      natsOptions_SetPingInterval(options, wanted.ping_interval.count()),
      natsOptions_SetMaxPingsOut(options, kMaxPingsOut),
      natsOptions_SetWriteDeadline(options, kWriteDeadlineMs),
      // Only the address given: a server's gossip can't lead a client elsewhere.
      natsOptions_SetIgnoreDiscoveredServers(options, true),
      wanted.url.starts_with("tls://") ? natsOptions_SetSecure(options, true) : NATS_OK,
  };
  for (const natsStatus status : all)
    if (status != NATS_OK) return status;
  return NATS_OK;
}

}  // namespace

NatsBus::NatsBus(std::shared_ptr<Core> core) : core_(std::move(core)) {}

NatsBus::~NatsBus() { core_->shut_down(); }

Result<std::unique_ptr<NatsBus>> NatsBus::open(Options options) {
  Result<std::string> shown = check_nats_url(options.url);
  if (!shown) return fail(shown.error());
  auto core = std::make_shared<Core>();
  core->shown_url = *shown;
  core->queue_capacity = std::max<std::size_t>(1, std::min<std::size_t>(options.queue_capacity, 1'000'000));

  natsOptions* raw = nullptr;
  if (const natsStatus status = natsOptions_Create(&raw); status != NATS_OK) return nats_error("NATS options", status);
  const OptionsPtr holder(raw);
  if (const natsStatus status = set_options(raw, options); status != NATS_OK) return nats_error("NATS options", status);
  const natsStatus callbacks[] = {
      natsOptions_SetDisconnectedCB(raw, Callbacks::on_disconnected, core.get()),
      natsOptions_SetReconnectedCB(raw, Callbacks::on_reconnected, core.get()),
      natsOptions_SetClosedCB(raw, Callbacks::on_closed, core.get()),
      natsOptions_SetErrorHandler(raw, Callbacks::on_error, core.get()),
      options.require_connected
          ? NATS_OK
          : natsOptions_SetRetryOnFailedConnect(raw, true, Callbacks::on_connected, core.get()),
  };
  for (const natsStatus status : callbacks)
    if (status != NATS_OK) return nats_error("NATS options", status);

  const natsStatus status = natsConnection_Connect(&core->connection, raw);
  if (status != NATS_OK && status != NATS_NOT_YET_CONNECTED)
    return nats_error(fmt::format("connecting to the NATS server at {} (NATS_URL)", core->shown_url), status);
  if (status == NATS_NOT_YET_CONNECTED)
    log::warn("bus", "the NATS server does not answer yet; trying again", {{"url", core->shown_url}});
  return std::unique_ptr<NatsBus>(new NatsBus(std::move(core)));
}

Result<void> NatsBus::publish(std::string_view subject, std::string_view payload) {
  Result<void> result = bus::check_message(subject, payload);
  if (result && !core_->is_connected())
    result = fail(ErrorCode::kUnavailable, fmt::format("publishing on {}: no connection to the NATS server at {}", subject,
                                                       core_->shown_url));
  if (result) {
    const natsStatus status = natsConnection_Publish(core_->connection, std::string(subject).c_str(), payload.data(),
                                                     static_cast<int>(payload.size()));
    if (status != NATS_OK) result = nats_error(fmt::format("publishing on {}", subject), status);
  }
  (result ? core_->published : core_->publish_failed).fetch_add(1, std::memory_order_relaxed);
  return result;
}

Result<std::unique_ptr<Bus::Subscription>> NatsBus::subscribe(std::string_view pattern, Handler handler) {
  AETHER_TRY(bus::check_pattern(pattern));
  auto state = std::make_shared<HandlerState>();
  state->handler = std::move(handler);
  auto owned = std::make_unique<Core::Closure>(Core::Closure{core_.get(), state});
  Core::Closure* closure = owned.get();
  {
    std::lock_guard lock(core_->mutex);
    core_->closures.emplace(closure, std::move(owned));
  }

  natsSubscription* subscription = nullptr;
  natsStatus status = natsConnection_Subscribe(&subscription, core_->connection, std::string(pattern).c_str(),
                                               Callbacks::on_message, closure);
  if (status != NATS_OK) {
    Callbacks::on_complete(closure);
    return nats_error(fmt::format("subscribing to {}", pattern), status);
  }
  {
    std::lock_guard lock(core_->mutex);
    core_->live.emplace(subscription, state);
  }
  auto handle = std::make_unique<Handle>(core_, subscription, state);
  status = natsSubscription_SetOnCompleteCB(subscription, Callbacks::on_complete, closure);
  if (status != NATS_OK) {  // closed under our hands: its thread may still hold the closure
    std::lock_guard lock(core_->mutex);
    core_->orphans.push_back(core_->take(closure));
    core_->changed.notify_all();
  }
  if (status == NATS_OK)
    status = natsSubscription_SetPendingLimits(subscription, static_cast<int>(core_->queue_capacity),
                                               kPendingBytesPerSubscription);
  if (status != NATS_OK) return nats_error(fmt::format("subscribing to {}", pattern), status);
  core_->round_trip();
  return handle;
}

bool NatsBus::connected() const { return core_->is_connected(); }

BusCounters NatsBus::counters() const {
  BusCounters counters;
  counters.published = core_->published.load();
  counters.received = core_->received.load();
  counters.publish_failed = core_->publish_failed.load();
  counters.reconnects = core_->reconnects.load();
  std::lock_guard lock(core_->mutex);
  counters.dropped = core_->dropped_by_ended;
  for (const auto& [subscription, state] : core_->live) counters.dropped += Core::dropped_of(subscription);
  return counters;
}

}  // namespace aether
