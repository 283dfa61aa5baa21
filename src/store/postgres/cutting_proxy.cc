#include "store/postgres/cutting_proxy.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>

namespace aether::store {
namespace {

constexpr int kPollMs = 50;
constexpr std::string_view kCommit{"Q\0\0\0\x0b" "COMMIT\0", 12};  // a simple query, as libpq sends it

sockaddr_un address_of(const std::string& directory) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = directory + "/.s.PGSQL.5432";
  std::memcpy(address.sun_path, path.c_str(), std::min(path.size(), sizeof address.sun_path - 1));
  return address;
}

int connect_to(const std::string& directory) {
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = address_of(directory);
  if (connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return socket;
  close(socket);
  return -1;
}

bool readable(int socket, int timeout_ms) {
  pollfd entry{socket, POLLIN, 0};
  return poll(&entry, 1, timeout_ms) > 0;
}

// What is there to be read; empty at the end.
std::string receive(int socket) {
  std::string data(65536, '\0');
  const ssize_t size = recv(socket, data.data(), data.size(), 0);
  data.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return data;
}

bool pass_on(int socket, std::string_view data) {
  while (!data.empty()) {
    const ssize_t sent = send(socket, data.data(), data.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    data.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

}  // namespace

Result<std::unique_ptr<CuttingProxy>> CuttingProxy::start(const std::string& upstream) {
  char name[] = "/tmp/aether-proxy-XXXXXX";
  if (!mkdtemp(name)) return fail(ErrorCode::kIo, "making a temporary directory");
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = address_of(name);
  if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || listen(listener, 16) != 0) {
    close(listener);
    return fail(ErrorCode::kIo, "listening in " + std::string(name));
  }
  std::unique_ptr<CuttingProxy> proxy(new CuttingProxy(name, upstream, listener));
  proxy->acceptor_ = std::thread([raw = proxy.get()] { raw->accept_all(); });
  return proxy;
}

CuttingProxy::~CuttingProxy() {
  stopping_ = true;
  acceptor_.join();
  while (serving_ > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  close(listener_);
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void CuttingProxy::accept_all() {
  while (!stopping_) {
    if (!readable(listener_, kPollMs)) continue;
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    ++serving_;
    std::thread([this, client] {
      serve(client);
      close(client);
      --serving_;
    }).detach();
  }
}

void CuttingProxy::serve(int client) {
  const int server = connect_to(upstream_);
  bool silent = false;
  while (server >= 0 && !stopping_) {
    pollfd entries[] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
    if (poll(entries, 2, kPollMs) <= 0) continue;
    if (entries[0].revents != 0) {
      const std::string data = receive(client);
      if (data.empty()) break;
      const Cut cut = data.find(kCommit) != std::string::npos ? cut_.exchange(Cut::kNever) : Cut::kNever;
      if (cut != Cut::kNever) ++cuts_;
      if (cut == Cut::kBeforeCommit) break;
      silent = silent || cut == Cut::kWhileSilent;
      if (!silent && !pass_on(server, data)) break;
      if (cut == Cut::kAfterCommit) {
        while (!stopping_ && !readable(server, kPollMs)) {
        }
        break;
      }
    }
    if (entries[1].revents != 0) {
      const std::string data = receive(server);
      if (data.empty()) break;
      if (!silent && !pass_on(client, data)) break;
    }
  }
  if (server >= 0) close(server);
}

}  // namespace aether::store
