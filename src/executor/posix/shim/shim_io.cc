// The ears and the mouth of the shim: its descriptors and its words on the socket.
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "executor/posix/descriptor_message.h"
#include "executor/posix/shim/child.h"
#include "executor/posix/shim/shim.h"

namespace aether::executor {
namespace {

constexpr std::int64_t kRetryOutputMs = 200;

}  // namespace

void Shim::wait_for_something() {
  std::array<pollfd, 10> polled;
  nfds_t count = 0;
  const auto add = [&](int fd) { polled[count++] = {fd, POLLIN, 0}; };  // poll ignores negative descriptors
  // What found no room is not read on: the pipe fills up, and the job waits.
  const auto readable = [&](const Capture& capture) { return capture.held > 0 ? -1 : capture.fd; };
  for (const int fd : {signal_fd_, timer_fd_, listener_, error_channel_, readable(output_), readable(error_output_)}) add(fd);
  for (const int client : clients_) add(client);
  if (poll(polled.data(), count, -1) < 0) return;
  if (polled[3].revents) read_error_channel();
  for (auto [capture, index] : {std::pair(&output_, 4), std::pair(&error_output_, 5)})
    if (polled[static_cast<std::size_t>(index)].revents || (capture->held > 0 && boot_ms() >= retry_output_at_ms_)) read_output(*capture);
  if (polled[0].revents) reap();
  for (std::size_t i = 0; i < clients_.size(); ++i)
    if (polled[6 + i].revents) read_client(clients_[i]);
  if (polled[2].revents) accept_client();
  check_deadlines();
}

void Shim::read_error_channel() {
  while (error_channel_ >= 0) {
    LaunchMessage message;
    int fd = -1;
    const ssize_t got = receive_with_descriptors(error_channel_, &message, sizeof message, {&fd, 1});
    if (got < 0) return;
    if (got == sizeof message && message.step == LaunchStep::kNone) {
      Capture& capture = message.stream == 1 ? output_ : error_output_;
      close_and_forget(capture.user_fd);
      capture.user_fd = fd;
      continue;
    }
    close_and_forget(error_channel_);
    if (got == sizeof message) {
      exit_.step = message.step;
      exit_.error = message.error;
      return;
    }
  }
  if (main_ended_ || exit_.step != LaunchStep::kNone || exit_.started_us > 0) return;
  exit_.started_us = time_us();
  if (phase_ == Phase::kStarting) phase_ = Phase::kRunning;
  tell_clients();
}

void Shim::read_output(Capture& capture) {
  if (capture.fd < 0) return;
  if (capture.held == 0) {
    const ssize_t got = read(capture.fd, capture.buffer.data(), capture.buffer.size());
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) close_and_forget(capture.fd);
    if (got <= 0) return;
    capture.held = static_cast<std::size_t>(got);
    store_in_user_file(capture);
  }
  const std::size_t taken = capture.log->append(capture.buffer.data(), capture.held);
  capture.held -= taken;
  if (capture.held == 0) return;
  std::memmove(capture.buffer.data(), capture.buffer.data() + taken, capture.held);
  retry_output_at_ms_ = boot_ms() + kRetryOutputMs;
}

// The job's own copy. A file that refuses (its disk is full) gets the rest later or not at all; the capture has it.
void Shim::store_in_user_file(Capture& capture) {
  std::size_t done = 0;
  while (capture.user_fd >= 0 && done < capture.held) {
    const ssize_t written = write(capture.user_fd, capture.buffer.data() + done, capture.held - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    done += static_cast<std::size_t>(written);
  }
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
  send_pipes(*place);
}

void Shim::read_client(int& client) {
  if (client < 0) return;
  char message[kMessageBytes];
  const ssize_t got = recv(client, message, sizeof message, 0);
  if (got > 0) obey({message, static_cast<std::size_t>(got)});
  else if (got == 0 || (errno != EAGAIN && errno != EINTR)) close_and_forget(client);
}

void Shim::obey(std::string_view message) {
  const auto order = decode_order(message);
  if (!order || order->version < kOldestShimProtocolVersion || order->version > args_.version) return;
  if (order->verb == "stop") return order_stop(order->word, order->number);
  if (order->version < 2) return;
  if (order->verb == "suspend") suspend();
  if (order->verb == "resume") resume();
  if (order->verb == "lease") renew_lease(order->number);
  if (order->verb == "signal" && order->number > 0 && order->number < NSIG) signal_everyone(static_cast<int>(order->number));
}

std::string Shim::state_message() const {
  const char* word = phase_ == Phase::kStarting ? "starting"
                     : phase_ == Phase::kEnded  ? "ended"
                     : phase_ == Phase::kRunning ? (suspended_ && args_.version >= 2 ? "suspended" : "running")
                     : unkillable_ && args_.version >= 2 ? "unkillable"
                     : main_ended_ ? "completing"
                                   : "stopping";
  return std::to_string(args_.version) + " " + word + " " + std::to_string(exit_.started_us);
}

// The read ends of the job's pipes: should this process be killed, the agent drains them, and the job goes on writing.
void Shim::send_pipes(int client) const {
  if (client < 0 || args_.version < 2 || output_.fd < 0 || error_output_.fd < 0) return;
  const std::string text = std::to_string(args_.version) + " pipes 0";
  const int fds[2] = {output_.fd, error_output_.fd};
  if (!send_with_descriptors(client, text.data(), text.size(), fds))
    std::fprintf(stderr, "handing over the pipes: %s\n", std::strerror(errno));
}

void Shim::tell_clients() {
  const std::string message = state_message();
  for (int& client : clients_)
    if (client >= 0 && send(client, message.data(), message.size(), MSG_NOSIGNAL) < 0 && errno != EAGAIN)
      close_and_forget(client);
}

}  // namespace aether::executor
