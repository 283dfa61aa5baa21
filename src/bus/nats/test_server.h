#pragma once
// A real nats-server for tests: on 127.0.0.1, or the address that is asked for, and a free port, killed by its pid, and by the kernel if the test dies.
//   auto server = TestNatsServer::start();
//   if (!server) GTEST_SKIP() << server.error().message;
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "base/result.h"

namespace aether {

class TestNatsServer {
 public:
  static constexpr const char* kProgram = "/usr/sbin/nats-server";

  // kUnsupported when the program is not installed.
  static Result<std::unique_ptr<TestNatsServer>> start(const std::string& host = "127.0.0.1") {
    if (::access(kProgram, X_OK) != 0)
      return fail(ErrorCode::kUnsupported, std::string(kProgram) + " is not installed (package nats-server)");
    // Between finding a free port and using it another program may take it.
    for (int attempt = 0; attempt < 5; ++attempt) {
      std::unique_ptr<TestNatsServer> server(new TestNatsServer(host, free_port(host)));
      if (server->launch()) return server;
    }
    return fail(ErrorCode::kUnavailable, std::string(kProgram) + " does not answer");
  }
  ~TestNatsServer() { stop(); }
  TestNatsServer(const TestNatsServer&) = delete;
  TestNatsServer& operator=(const TestNatsServer&) = delete;

  std::uint16_t port() const { return port_; }
  std::string url() const { return "nats://" + host_ + ":" + std::to_string(port_); }

  void stop() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  // On the same port. True when it answers.
  bool restart() {
    stop();
    return launch();
  }
  // Frozen, its connections stay open: what a hung machine looks like.
  void freeze() { signal(SIGSTOP); }
  void thaw() { signal(SIGCONT); }

 private:
  void signal(int number) {
    if (pid_ > 0) ::kill(pid_, number);
  }
  TestNatsServer(std::string host, std::uint16_t port) : host_(std::move(host)), port_(port) {}

  static sockaddr_in address_of(const std::string& host, std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    ::inet_pton(AF_INET, host.c_str(), &address.sin_addr);
    return address;
  }

  static std::uint16_t free_port(const std::string& host) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = address_of(host, 0);
    socklen_t size = sizeof address;
    const bool bound = ::bind(socket, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                       ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0;
    ::close(socket);
    return bound ? ntohs(address.sin_port) : std::uint16_t{0};
  }

  bool launch() {
    const std::string port = std::to_string(port_);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const int null = ::open("/dev/null", O_RDWR);
      for (const int stream : {0, 1, 2}) ::dup2(null, stream);
      ::execl(kProgram, kProgram, "-a", host_.c_str(), "-p", port.c_str(), static_cast<char*>(nullptr));
      ::_exit(127);
    }
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (pid_ > 0 && std::chrono::steady_clock::now() < end) {
      if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
        pid_ = -1;
        return false;
      }
      if (answers()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    stop();
    return false;
  }

  // The server greets with "INFO {...}".
  bool answers() const {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = address_of(host_, port_);
    const timeval patience{1, 0};
    ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    char greeting[4] = {};
    const bool greeted = ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
                         ::recv(socket, greeting, sizeof greeting, MSG_WAITALL) == sizeof greeting;
    ::close(socket);
    return greeted && std::string(greeting, sizeof greeting) == "INFO";
  }

  const std::string host_;
  const std::uint16_t port_;
  pid_t pid_ = -1;
};

}  // namespace aether
