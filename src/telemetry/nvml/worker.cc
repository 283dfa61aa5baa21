#include "telemetry/nvml/worker.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <thread>

#include "telemetry/nvml/wire.h"

namespace aether::nvml {
namespace {

// Owned by one thread; a second one only waits for the end of the socket.
class Worker {
 public:
  Worker(int socket, const WorkerOptions& options) : socket_(socket), options_(options), buffer_(wire::kMaxFrameBytes, '\0') {}

  int serve() {
    for (;;) {
      pollfd waiting{socket_, POLLIN, 0};
      const int ready = poll(&waiting, 1, driver_ ? static_cast<int>(options_.event_interval.count()) : -1);
      if (ready < 0 && errno != EINTR) return 1;
      if (ready > 0 && !take_request()) return 0;
      if (driver_) driver_->poll_events();
    }
  }

 private:
  // False when nobody is at the other end any more.
  bool take_request() {
    const ssize_t got = recv(socket_, buffer_.data(), buffer_.size(), 0);
    if (got < 0) return errno == EINTR || errno == EAGAIN;
    if (got == 0) return false;
    const auto frame = wire::decode({buffer_.data(), static_cast<std::size_t>(got)});
    if (!frame) return send(0, wire::FailedReply{frame.error()});
    if (const auto* request = std::get_if<wire::EnumerateRequest>(&frame->body)) return send(frame->seq, enumerate(*request));
    if (const auto* request = std::get_if<wire::ReadRequest>(&frame->body)) return send(frame->seq, read(*request));
    return send(frame->seq, wire::FailedReply{{ErrorCode::kInvalidArgument, "this is no request"}});
  }

  wire::Body enumerate(const wire::EnumerateRequest& request) {
    if (!driver_) {
      auto opened = NvmlDriver::open(options_.nvml, clock_);
      if (!opened) return wire::FailedReply{opened.error()};
      driver_ = *std::move(opened);
      driver_->set_on_event([this](const GpuEvent& event) { send(0, event); });
    }
    NvmlAttachPlan plan;
    plan.bus_ids = request.bus_ids;
    plan.skip_indexes = request.skip_indexes;
    plan.before_each = [this](std::uint32_t index, const std::string& bus_id) { send(0, wire::AttachingNote{index, bus_id}); };
    auto gpus = driver_->enumerate(plan);
    if (!gpus) return wire::FailedReply{gpus.error()};
    return wire::EnumeratedReply{driver_->driver_version(), *std::move(gpus)};
  }

  wire::Body read(const wire::ReadRequest& request) {
    if (!driver_) return wire::FailedReply{{ErrorCode::kUnavailable, "nothing was enumerated yet"}};
    wire::ReadingReply reply;
    reply.read_at = clock_.mono();
    auto sample = request.tier == ReadTier::kFast ? driver_->read_fast(request.gpu_uuid) : driver_->read(request.gpu_uuid);
    if (!sample) return wire::FailedReply{sample.error()};
    reply.sample = *std::move(sample);
    reply.detail = driver_->detail(request.gpu_uuid).value_or(GpuDetail{});
    return reply;
  }

  bool send(std::uint32_t seq, wire::Body body) {
    const std::string bytes = wire::encode({seq, std::move(body)});
    ssize_t sent = -1;
    do sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == static_cast<ssize_t>(bytes.size());
  }

  const int socket_;
  const WorkerOptions options_;
  const SystemClock clock_;
  std::string buffer_;
  std::unique_ptr<NvmlDriver> driver_;
};

// An agent that is gone must not leave a worker behind, and one that hangs in the library can't look at its socket.
void end_with(int socket) {
  pollfd waiting{socket, POLLRDHUP, 0};
  for (;;)
    if (poll(&waiting, 1, -1) > 0 && (waiting.revents & (POLLHUP | POLLRDHUP | POLLERR | POLLNVAL)) != 0) _exit(0);
}

}  // namespace

int run_worker(int socket, const WorkerOptions& options) {
  std::thread(end_with, socket).detach();
  return Worker(socket, options).serve();
}

int worker_main(int argc, char** argv) {
  prctl(PR_SET_NAME, "aether-nvml");
  mallopt(M_ARENA_MAX, 1);
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // also when this process is stopped and can't see its socket close
  signal(SIGPIPE, SIG_IGN);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  WorkerOptions options;
  if (argc > 1) options.nvml.library_path = argv[1];
  const int code = run_worker(kWorkerSocket, options);
  _exit(code);  // the library's own destructors may hang
}

}  // namespace aether::nvml
