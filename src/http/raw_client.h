#pragma once
// A client for tests that sends exactly the bytes it is told to, so that wrong requests can be sent too.
// Blocking, one connection, one thread. Waits at most ten seconds for anything.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace aether::http {

struct RawResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  std::string head;
};

class RawClient {
 public:
  // "127.0.0.1:4711". A small receive buffer makes a client slow soon.
  explicit RawClient(const std::string& address, int receive_buffer_bytes = 0) {
    fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
    if (receive_buffer_bytes > 0)
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    timeval limit{10, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    const std::size_t colon = address.rfind(':');
    to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
    ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
    is_connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
    host_ = address;
  }
  ~RawClient() { ::close(fd_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool is_connected() const { return is_connected_; }
  const std::string& host() const { return host_; }

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // One answer; nothing when the connection ends before a whole one.
  std::optional<RawResponse> receive(bool to_head_request = false) {
    RawResponse out;
    std::size_t end = 0;
    while ((end = in_.find("\r\n\r\n")) == std::string::npos)
      if (!more()) return std::nullopt;
    out.head = take(end + 4);
    parse_head(out);
    if (to_head_request || out.status == 204 || out.status == 304 || out.status < 200) return out;
    if (out.headers["transfer-encoding"] == "chunked") return receive_chunks(out) ? std::optional(out) : std::nullopt;
    if (!out.headers.contains("content-length")) {
      while (more()) {
      }
      out.body = take(in_.size());
      return out;
    }
    const std::size_t size = std::stoul(out.headers["content-length"]);
    while (in_.size() < size)
      if (!more()) return std::nullopt;
    out.body = take(size);
    return out;
  }

  // Method, path, and further header lines, each with its CRLF.
  std::optional<RawResponse> request(const std::string& method, const std::string& target,
                                     const std::string& headers = {}, const std::string& body = {}) {
    std::string text = method + " " + target + " HTTP/1.1\r\nHost: " + host_ + "\r\n" + headers;
    if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    send(text + "\r\n" + body);
    return receive(method == "HEAD");
  }

  // True once the server has closed the connection; bytes before that are dropped.
  bool is_closed_by_server() {
    while (more()) {
    }
    return ended_;
  }

  void set_patience(std::chrono::milliseconds patience) {
    const timeval limit{patience.count() / 1000, patience.count() % 1000 * 1000};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  void finish_sending() { ::shutdown(fd_, SHUT_WR); }
  // Whatever comes until the server closes.
  std::string receive_all() {
    while (more()) {
    }
    return take(in_.size());
  }

  std::optional<RawResponse> upgrade(const std::string& target, const std::string& headers = {}) {
    return request("GET", target,
                   "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
                       headers);
  }
  bool send_frame(int opcode, std::string_view payload) {
    std::string frame(1, static_cast<char>(0x80 | opcode));
    if (payload.size() < 126) {
      frame += static_cast<char>(0x80 | payload.size());
    } else if (payload.size() < 65536) {
      frame += static_cast<char>(0x80 | 126);
      for (int shift : {8, 0}) frame += static_cast<char>((payload.size() >> shift) & 0xff);
    } else {
      frame += static_cast<char>(0x80 | 127);
      for (int shift : {56, 48, 40, 32, 24, 16, 8, 0}) frame += static_cast<char>((payload.size() >> shift) & 0xff);
    }
    frame.append(4, '\0');  // a mask of zeros leaves the payload as it is
    frame += payload;
    return send(frame);
  }
  bool send_text(std::string_view text) { return send_frame(1, text); }

  struct Frame {
    int opcode = 0;
    std::string payload;
  };
  std::optional<Frame> receive_frame() {
    while (in_.size() < 2)
      if (!more()) return std::nullopt;
    std::size_t header = 2;
    std::uint64_t size = static_cast<unsigned char>(in_[1]) & 0x7f;
    const std::size_t extra = size == 126 ? 2 : size == 127 ? 8 : 0;
    header += extra;
    while (in_.size() < header)
      if (!more()) return std::nullopt;
    if (extra > 0) size = 0;
    for (std::size_t i = 0; i < extra; ++i) size = size << 8 | static_cast<unsigned char>(in_[2 + i]);
    while (in_.size() < header + size)
      if (!more()) return std::nullopt;
    Frame frame{static_cast<unsigned char>(in_[0]) & 0x0f, in_.substr(header, size)};
    in_.erase(0, header + size);
    return frame;
  }
  // The next text message; pings on the way are answered.
  std::optional<std::string> receive_text() {
    while (auto frame = receive_frame()) {
      if (frame->opcode == 9) send_frame(10, frame->payload);
      if (frame->opcode == 1) return frame->payload;
      if (frame->opcode == 8) return std::nullopt;
    }
    return std::nullopt;
  }
  // The code of the close frame, 0 when the connection ended without one.
  int receive_close_code() {
    while (auto frame = receive_frame()) {
      if (frame->opcode != 8) continue;
      send_frame(8, frame->payload.substr(0, 2));
      if (frame->payload.size() < 2) return 1005;
      return static_cast<unsigned char>(frame->payload[0]) << 8 | static_cast<unsigned char>(frame->payload[1]);
    }
    return 0;
  }

 private:
  bool more() {
    char bytes[65536];
    const ssize_t got = ::recv(fd_, bytes, sizeof bytes, 0);
    if (got <= 0) {
      ended_ = got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
      return false;
    }
    in_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }
  std::string take(std::size_t size) {
    std::string out = in_.substr(0, size);
    in_.erase(0, size);
    return out;
  }
  static void parse_head(RawResponse& out) {
    out.status = out.head.size() > 12 ? std::atoi(out.head.c_str() + 9) : 0;
    std::size_t at = out.head.find("\r\n") + 2;
    for (std::size_t end; (end = out.head.find("\r\n", at)) != std::string::npos && end > at; at = end + 2) {
      const std::size_t colon = out.head.find(':', at);
      std::string name = out.head.substr(at, colon - at);
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      out.headers[name] = out.head.substr(colon + 2, end - colon - 2);
    }
  }
  bool receive_chunks(RawResponse& out) {
    for (;;) {
      std::size_t end = 0;
      while ((end = in_.find("\r\n")) == std::string::npos)
        if (!more()) return false;
      const std::size_t size = std::stoul(take(end + 2), nullptr, 16);
      while (in_.size() < size + 2)
        if (!more()) return false;
      out.body += take(size);
      take(2);
      if (size == 0) return true;
    }
  }

  int fd_ = -1;
  bool is_connected_ = false;
  bool ended_ = false;
  std::string host_;
  std::string in_;
};

}  // namespace aether::http
