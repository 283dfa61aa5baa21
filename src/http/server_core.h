#pragma once
// Inside of the server, for its own .cc files only: what connections and sockets share. No Beast here.
//
// Threads: `io` runs on the network threads; each connection and each socket lives on a strand of its own. `pool` runs
// handlers. Other threads (late replies, Socket::send) enter through the Gate, which stop() closes first.
#include <atomic>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "http/guard.h"
#include "http/routes.h"
#include "http/server.h"

namespace aether::http {

namespace net = boost::asio;
using Tcp = net::ip::tcp;
using ErrorCodeAsio = boost::system::error_code;
using Strand = net::strand<net::io_context::executor_type>;

// Keeps threads that outlive the server from touching it. Such a thread holds weak pointers alone.
class Gate {
 public:
  // Runs `work` at once while the server is sure to exist; false when it is gone.
  bool enter(const std::function<void()>& work) {
    std::lock_guard lock(mutex_);
    if (closed_) return false;
    work();
    return true;
  }
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }

 private:
  std::mutex mutex_;
  bool closed_ = false;
};

// What stop() can ask of a connection or a socket, from any thread.
class Peer {
 public:
  virtual ~Peer() = default;
  virtual void shut_down() = 0;  // finish what runs, then close
  virtual void abandon() = 0;    // after the network threads ended: tell the owner it is over
};

struct Core {
  explicit Core(ServerOptions server_options)
      : options(std::move(server_options)), pool(static_cast<std::size_t>(options.workers)) {}

  // False when a limit on connections is reached.
  bool admit(Peer* peer, std::shared_ptr<Peer> owner, const std::string& address);
  // A WebSocket takes its connection's place.
  void replace(Peer* old_peer, Peer* peer, std::shared_ptr<Peer> owner);
  void forget(Peer* peer);
  std::size_t open_peers();

  ServerOptions options;
  net::io_context io;
  net::thread_pool pool;
  RouteTable routes;
  Handler fallback;
  std::unique_ptr<Guard> guard;
  std::shared_ptr<Gate> gate = std::make_shared<Gate>();
  std::atomic<bool> stopping{false};
  std::atomic<std::uint64_t> requests{0}, rejected{0}, connections{0}, sockets{0}, slow_sockets{0};

  struct Entry {
    std::shared_ptr<Peer> peer;
    std::string address;
  };
  std::mutex mutex;  // peers, per_address
  std::map<Peer*, Entry> peers;
  std::map<std::string, std::size_t> per_address;
};

// Takes over an accepted connection.
void serve_connection(Core& core, Tcp::socket socket, Strand strand, const std::string& address);

// Takes over a connection whose request `head` asked for an upgrade and passed all checks.
void serve_socket(Core& core, Tcp::socket socket, Strand strand, Peer* connection, std::string head, Request request,
                  const SocketHandlers& handlers);

}  // namespace aether::http
