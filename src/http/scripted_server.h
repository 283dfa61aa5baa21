#pragma once
// For tests: a raw-socket HTTP server on 127.0.0.1 whose handler writes the reply's bytes itself, so that a
// test can send what no proper server would: half a reply, a wrong length, a redirect.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cctype>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace aether::http {

struct ScriptedRequest {
  std::string method;
  std::string target;                          // path and query as sent
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  std::string path() const { return target.substr(0, target.find('?')); }
};

// The handler runs on the connection's thread; one call at a time. The connection stays open after the reply
// unless the reply holds "Connection: close".
class ScriptedServer {
 public:
  using Handler = std::function<std::string(const ScriptedRequest&)>;

  explicit ScriptedServer(Handler handler)
      : handler_(std::move(handler)), listener_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener_, 16) != 0 ||
        getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      std::abort();
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_loop(); });
  }
  ~ScriptedServer() {
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    {
      std::lock_guard lock(mutex_);
      for (const int fd : connections_) shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
    for (const int fd : connections_) close(fd);
    close(listener_);
  }
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  int port() const { return port_; }
  std::size_t connection_count() const {
    std::lock_guard lock(mutex_);
    return connections_.size();
  }
  // All requests so far, oldest first.
  std::vector<ScriptedRequest> requests() const {
    std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void accept_loop() {
    while (true) {
      const int fd = accept(listener_, nullptr, nullptr);
      if (fd < 0) return;
      std::lock_guard lock(mutex_);
      connections_.push_back(fd);
      threads_.emplace_back([this, fd] { serve(fd); });
    }
  }

  void serve(int fd) {
    std::string buffer;
    ScriptedRequest request;
    while (read_request(fd, buffer, request)) {
      std::string reply;
      {
        std::lock_guard handler_lock(handler_mutex_);
        {
          std::lock_guard lock(mutex_);
          requests_.push_back(request);
        }
        reply = handler_(request);
      }
      if (!write_all(fd, reply) || reply.find("Connection: close") != std::string::npos) break;
      request = {};
    }
    shutdown(fd, SHUT_RDWR);
  }

  static bool write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  static bool read_more(int fd, std::string& buffer) {
    char bytes[4096];
    const ssize_t got = recv(fd, bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    buffer.append(bytes, static_cast<std::size_t>(got));
    return true;
  }

  static bool read_request(int fd, std::string& buffer, ScriptedRequest& out) {
    std::size_t end = 0;
    while ((end = buffer.find("\r\n\r\n")) == std::string::npos)
      if (!read_more(fd, buffer)) return false;
    const std::string head = buffer.substr(0, end + 2);
    buffer.erase(0, end + 4);
    const std::size_t first_space = head.find(' '), second_space = head.find(' ', first_space + 1);
    out.method = head.substr(0, first_space);
    out.target = head.substr(first_space + 1, second_space - first_space - 1);
    for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
      const std::size_t line_end = head.find("\r\n", at), colon = head.find(':', at);
      std::string name = head.substr(at, colon - at);
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      const std::size_t value = head.find_first_not_of(' ', colon + 1);
      out.headers[name] = head.substr(value, line_end - value);
      at = line_end + 2;
    }
    const auto length = out.headers.find("content-length");
    const std::size_t size =
        length == out.headers.end() ? 0 : std::strtoul(length->second.c_str(), nullptr, 10);
    while (buffer.size() < size)
      if (!read_more(fd, buffer)) return false;
    out.body = buffer.substr(0, size);
    buffer.erase(0, size);
    return true;
  }

  Handler handler_;
  int listener_;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::mutex handler_mutex_;
  std::vector<int> connections_;
  std::vector<std::thread> threads_;
  std::vector<ScriptedRequest> requests_;
  std::thread acceptor_;
};

// A well-formed reply.
inline std::string scripted_reply(int status, std::string_view body,
                                  std::string_view content_type = "application/json",
                                  std::string_view more_headers = {}) {
  return "HTTP/1.1 " + std::to_string(status) + " Scripted\r\nContent-Type: " + std::string(content_type) +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + std::string(more_headers) + "\r\n" +
         std::string(body);
}

}  // namespace aether::http
