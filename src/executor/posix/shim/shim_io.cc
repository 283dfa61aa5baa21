// The ears and the mouth of the shim: its descriptors and its words on the socket.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "executor/posix/shim/child.h"
#include "executor/posix/shim/shim.h"

namespace aether::executor {
namespace {

void close_and_forget(int& fd) {
  if (fd >= 0) close(fd);
  fd = -1;
}

}  // namespace

void Shim::wait_for_something() {
  std::array<pollfd, 10> polled;
  nfds_t count = 0;
  const auto add = [&](int fd) { polled[count++] = {fd, POLLIN, 0}; };  // poll ignores negative descriptors
  for (const int fd : {signal_fd_, timer_fd_, listener_, error_channel_, output_.fd, error_output_.fd}) add(fd);
  for (const int client : clients_) add(client);
  if (poll(polled.data(), count, -1) < 0) return;
  if (polled[3].revents) read_error_channel();
  if (polled[4].revents) read_output(output_);
  if (polled[5].revents) read_output(error_output_);
  if (polled[0].revents) reap();
  for (std::size_t i = 0; i < clients_.size(); ++i)
    if (polled[6 + i].revents) read_client(clients_[i]);
  if (polled[2].revents) accept_client();
  check_deadlines();
}

void Shim::read_error_channel() {
  if (error_channel_ < 0) return;
  LaunchFailure failure;
  const ssize_t got = read(error_channel_, &failure, sizeof failure);
  if (got < 0) return;
  close_and_forget(error_channel_);
  if (got == sizeof failure) {
    exit_.step = failure.step;
    exit_.error = failure.error;
    return;
  }
  if (main_ended_ || exit_.step != LaunchStep::kNone) return;
  exit_.started_us = wall_clock_us();
  if (phase_ == Phase::kStarting) phase_ = Phase::kRunning;
  tell_clients();
}

void Shim::read_output(Capture& capture) {
  static char buffer[65536];
  if (capture.fd < 0) return;
  const ssize_t got = read(capture.fd, buffer, sizeof buffer);
  if (got > 0) capture.log->append(buffer, static_cast<std::size_t>(got));
  else if (got == 0 || (errno != EAGAIN && errno != EINTR)) close_and_forget(capture.fd);
}

void Shim::accept_client() {
  const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (client < 0) return;
  ucred peer{};
  socklen_t size = sizeof peer;
  const bool allowed = getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
                       (peer.uid == 0 || peer.uid == geteuid());
  const auto place = std::find(clients_.begin(), clients_.end(), -1);
  if (!allowed || place == clients_.end()) {
    close(client);
    return;
  }
  *place = client;
  const std::string message = state_message();
  if (send(client, message.data(), message.size(), MSG_NOSIGNAL) < 0) close_and_forget(*place);
}

void Shim::read_client(int& client) {
  if (client < 0) return;
  char message[kMessageBytes];
  const ssize_t got = recv(client, message, sizeof message, 0);
  if (got > 0) obey({message, static_cast<std::size_t>(got)});
  else if (got == 0 || (errno != EAGAIN && errno != EINTR)) close_and_forget(client);
}

// "<version> stop <reason> <grace_ms>"; anything else is ignored.
void Shim::obey(std::string_view message) {
  char reason[33] = {};
  int version = 0;
  long long grace_ms = 0;
  if (std::sscanf(std::string(message).c_str(), "%d stop %32s %lld", &version, reason, &grace_ms) != 3) return;
  if (version != kShimProtocolVersion || !is_plain_word(reason) || grace_ms < 0) return;
  order_stop(reason, grace_ms);
}

std::string Shim::state_message() const {
  const char* word = phase_ == Phase::kStarting ? "starting"
                     : phase_ == Phase::kRunning ? "running"
                     : phase_ == Phase::kEnded   ? "ended"
                     : main_ended_               ? "completing"
                                                 : "stopping";
  return std::to_string(kShimProtocolVersion) + " " + word + " " + std::to_string(exit_.started_us);
}

void Shim::tell_clients() {
  const std::string message = state_message();
  for (int& client : clients_)
    if (client >= 0 && send(client, message.data(), message.size(), MSG_NOSIGNAL) < 0 && errno != EAGAIN)
      close_and_forget(client);
}

}  // namespace aether::executor
