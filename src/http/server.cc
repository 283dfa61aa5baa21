// Opening, accepting and stopping. What happens on a connection is in connection.cc and websocket.cc.
#include "http/server.h"

#include <fmt/format.h>

#include <boost/asio/executor_work_guard.hpp>
#include <chrono>
#include <thread>

#include "base/assert.h"
#include "base/log.h"
#include "http/server_core.h"

namespace aether::http {

bool Core::admit(Peer* peer, std::shared_ptr<Peer> owner, const std::string& address) {
  std::lock_guard lock(mutex);
  if (stopping || peers.size() >= options.limits.connections) return false;
  if (!is_loopback(address) && per_address[address] >= options.limits.connections_per_address) return false;
  ++per_address[address];
  peers.emplace(peer, Entry{std::move(owner), address});
  return true;
}

void Core::replace(Peer* old_peer, Peer* peer, std::shared_ptr<Peer> owner) {
  std::shared_ptr<Peer> dropped;  // destroyed outside the lock
  std::lock_guard lock(mutex);
  const auto found = peers.find(old_peer);
  if (found == peers.end()) return;
  Entry entry{std::move(owner), found->second.address};
  dropped = std::move(found->second.peer);
  peers.erase(found);
  peers.emplace(peer, std::move(entry));
}

void Core::forget(Peer* peer) {
  std::shared_ptr<Peer> dropped;
  std::lock_guard lock(mutex);
  const auto found = peers.find(peer);
  if (found == peers.end()) return;
  const auto count = per_address.find(found->second.address);
  if (count != per_address.end() && --count->second == 0) per_address.erase(count);
  dropped = std::move(found->second.peer);
  peers.erase(found);
}

std::size_t Core::open_peers() {
  std::lock_guard lock(mutex);
  return peers.size();
}

namespace {

struct ListenAddress {
  net::ip::address address;
  std::uint16_t port = 0;
};

Result<ListenAddress> parse_listen(const ServerOptions& options) {
  const std::string& setting = options.setting;
  const std::size_t colon = options.listen.rfind(':');
  std::string host = options.listen.substr(0, colon);
  const std::string port = colon == std::string::npos ? "" : options.listen.substr(colon + 1);
  const bool is_number = !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos;
  if (!is_number || std::stoul(port) > 65535)
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("{} = \"{}\" is not an address with a port, like \"127.0.0.1:8080\"", setting, options.listen),
        setting);
  if (host == "localhost") host = "127.0.0.1";
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  ErrorCodeAsio error;
  ListenAddress out{net::ip::make_address(host, error), static_cast<std::uint16_t>(std::stoul(port))};
  if (error)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} = \"{}\": the part before the port must be an IP address or localhost", setting,
                            options.listen),
                setting);
  return out;
}

Result<void> check_exposure(const ServerOptions& options, const ListenAddress& listen) {
  if (listen.address.is_loopback()) return {};
  return fail(
      ErrorCode::kPermissionDenied,
      fmt::format("{0} = \"{1}\" can be reached from other machines, which needs both TLS and tokens; TLS is not in this "
                  "release, so only loopback addresses can be served. Keep {0} = \"127.0.0.1:{2}\" and reach it from "
                  "elsewhere through an SSH tunnel (ssh -L {2}:127.0.0.1:{2} THIS-HOST) or a TLS proxy on this host whose "
                  "name is in api.allowed_hosts",
                  options.setting, options.listen, listen.port),
      options.setting);
}

Result<void> check_options(const ServerOptions& options) {
  for (const Token& token : options.tokens)
    if (token.sha256.size() != 64 || token.sha256.find_first_not_of("0123456789abcdef") != std::string::npos ||
        token.identity.empty())
      return fail(ErrorCode::kInvalidArgument,
                  "a token needs 64 lower-case hexadecimal digits of SHA-256 and an identity",
                  options.name + ".tokens");
  if (options.threads < 1 || options.workers < 1)
    return fail(ErrorCode::kInvalidArgument, "a server needs at least one network thread and one worker",
                options.name + ".threads");
  return {};
}

class ServerImpl final : public Server {
 public:
  explicit ServerImpl(ServerOptions options) : core_(std::move(options)), acceptor_(core_.io), retry_(core_.io) {}
  ~ServerImpl() override { stop(); }

  Result<void> bind(const ListenAddress& listen);

  void route(std::string method, std::string pattern, Access access, Run run, Handler handler) override {
    Endpoint endpoint;
    endpoint.access = access;
    endpoint.run = run;
    endpoint.handler = std::move(handler);
    add(method, pattern, std::move(endpoint));
  }
  void route_async(std::string method, std::string pattern, Access access, AsyncHandler handler) override {
    Endpoint endpoint;
    endpoint.access = access;
    endpoint.async_handler = std::move(handler);
    add(method, pattern, std::move(endpoint));
  }
  void socket(std::string path, Access access, SocketHandlers handlers) override {
    Endpoint endpoint;
    endpoint.access = access;
    endpoint.socket = std::move(handlers);
    add("GET", path, std::move(endpoint));
  }
  void fallback(Handler handler) override { core_.fallback = std::move(handler); }

  void start() override;
  void stop() override;

  std::string issue_ticket(const std::string& identity) override { return core_.guard->issue_ticket(identity); }
  std::string address() const override { return address_; }
  ServerCounters counters() const override {
    return {core_.requests, core_.rejected, core_.connections, core_.sockets, core_.slow_sockets};
  }
  std::vector<RouteInfo> routes() const override { return core_.routes.list(); }

 private:
  void add(const std::string& method, const std::string& pattern, Endpoint endpoint) {
    AETHER_ASSERT(threads_.empty());
    core_.routes.add(method, pattern, std::move(endpoint));
  }
  void accept();
  void drain();

  Core core_;
  Tcp::acceptor acceptor_;
  net::steady_timer retry_;
  std::string address_;
  std::vector<std::thread> threads_;
  net::executor_work_guard<net::io_context::executor_type> work_ = net::make_work_guard(core_.io);  // until stop()
  std::once_flag stopped_;
};

Result<void> ServerImpl::bind(const ListenAddress& listen) {
  const std::string& setting = core_.options.setting;
  const Tcp::endpoint endpoint(listen.address, listen.port);
  ErrorCodeAsio error;
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(net::socket_base::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(net::socket_base::max_listen_connections, error);
  if (error == net::error::address_in_use)
    return fail(
        ErrorCode::kUnavailable,
        fmt::format("port {0} on {1} is taken by another program: find it with  ss -ltnp 'sport = :{0}'  and stop it, "
                    "or set {2} to another port",
                    listen.port, listen.address.to_string(), setting),
        setting);
  if (error == net::error::access_denied)
    return fail(ErrorCode::kPermissionDenied,
                fmt::format("port {} needs rights this account does not have: set {} to a port above 1023",
                            listen.port, setting),
                setting);
  if (error)
    return fail(ErrorCode::kUnavailable, fmt::format("listening on {}: {}", core_.options.listen, error.message()),
                setting);
  const unsigned port = acceptor_.local_endpoint().port();
  const std::string host = listen.address.to_string();
  address_ = listen.address.is_v6() ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
  core_.guard = std::make_unique<Guard>(core_.options, host, port);
  return {};
}

void ServerImpl::start() {
  AETHER_ASSERT(threads_.empty() && !core_.stopping);
  net::post(acceptor_.get_executor(), [this] { accept(); });
  for (int i = 0; i < core_.options.threads; ++i) threads_.emplace_back([this] { core_.io.run(); });
}

void ServerImpl::accept() {
  const Strand strand = net::make_strand(core_.io);
  acceptor_.async_accept(strand, [this, strand](ErrorCodeAsio error, Tcp::socket socket) {
    if (core_.stopping || error == net::error::operation_aborted) return;
    if (error) {
      // Out of file descriptors, most likely: waiting lets some connections end.
      log::warn("http", "accepting a connection failed", {{"server", core_.options.name}, {"error", error.message()}});
      retry_.expires_after(std::chrono::milliseconds(100));
      retry_.async_wait([this](ErrorCodeAsio cancelled) {
        if (!cancelled) accept();
      });
      return;
    }
    ErrorCodeAsio ignored;
    const Tcp::endpoint remote = socket.remote_endpoint(ignored);
    ++core_.connections;
    serve_connection(core_, std::move(socket), strand, remote.address().to_string());
    accept();
  });
}

void ServerImpl::drain() {
  std::vector<std::shared_ptr<Peer>> peers;
  {
    std::lock_guard lock(core_.mutex);
    for (const auto& [unused, entry] : core_.peers) peers.push_back(entry.peer);
  }
  for (const auto& peer : peers) peer->shut_down();
  peers.clear();
  const auto deadline = std::chrono::steady_clock::now() + core_.options.limits.drain_timeout;
  while (core_.open_peers() > 0 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

void ServerImpl::stop() {
  std::call_once(stopped_, [this] {
    core_.stopping = true;
    if (!threads_.empty()) {
      net::post(acceptor_.get_executor(), [this] {
        ErrorCodeAsio ignored;
        acceptor_.close(ignored);
        retry_.cancel();
      });
      drain();
    }
    core_.gate->close();
    core_.pool.stop();  // handlers that run are finished, those that wait are dropped
    core_.pool.join();
    core_.io.stop();
    for (std::thread& thread : threads_) thread.join();
    std::map<Peer*, Core::Entry> left;
    {
      std::lock_guard lock(core_.mutex);
      left.swap(core_.peers);
    }
    for (auto& [unused, entry] : left) entry.peer->abandon();
  });
}

}  // namespace

Result<std::unique_ptr<Server>> Server::open(ServerOptions options) {
  AETHER_TRY(check_options(options));
  const auto listen = parse_listen(options);
  if (!listen) return fail(listen.error());
  AETHER_TRY(check_exposure(options, *listen));
  auto server = std::make_unique<ServerImpl>(std::move(options));
  AETHER_TRY(server->bind(*listen));
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace aether::http
