#include "apps/service.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <thread>

#include <fmt/format.h>

#include "base/files.h"
#include "base/log.h"
#include "client/endpoint.h"

namespace aether::apps {
namespace {

int exit_code_of(const Error& error) {
  switch (error.code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kPermissionDenied:
    case ErrorCode::kUnsupported: return 78;
    case ErrorCode::kConflict: return 75;
    case ErrorCode::kIo:
    case ErrorCode::kCorrupt: return 74;
    default: return 69;
  }
}

log::Level level_of(const std::string& text) {
  if (text == "debug") return log::Level::kDebug;
  if (text == "warn") return log::Level::kWarn;
  if (text == "error") return log::Level::kError;
  return log::Level::kInfo;
}

// Signals are taken by sigwait alone, so that every thread is free of them.
sigset_t block_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, number);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return set;
}

void wait_for_signal(const sigset_t& set) {
  int number = 0;
  do sigwait(&set, &number);
  while (number == SIGHUP);
}

void say_ready_as_json(const Settings& settings, const std::string& name, const Addresses& at) {
  std::string line = fmt::format(R"({{"event":"ready","role":"{}","pid":{})", name, getpid());
  const std::pair<const char*, std::string> fields[] = {{"dashboard", url(at.dashboard)},
                                                        {"api", url(at.api)},
                                                        {"ai", url(at.ai)},
                                                        {"metrics", url(at.metrics)},
                                                        {"token_file", client::token_path(settings.state_dir)},
                                                        {"state_dir", settings.state_dir}};
  for (const auto& [key, value] : fields)
    if (!value.empty()) line += fmt::format(R"(,"{}":"{}")", key, value);
  std::printf("%s}\n", line.c_str());
}

void say_ready_to_people(const Settings& settings, const std::string& name, const Addresses& at) {
  std::printf("Aether %s (%s) is ready\n", AETHER_VERSION, name.c_str());
  if (!at.dashboard.empty()) std::printf("  dashboard  %s\n", url(at.dashboard).c_str());
  if (!at.api.empty()) std::printf("  API        %s\n", url(at.api).c_str());
  if (!at.ai.empty()) std::printf("  AI core    %s\n", url(at.ai).c_str());
  if (!at.metrics.empty()) std::printf("  metrics    %s/metrics\n", url(at.metrics).c_str());
  std::printf("  state      %s\n", settings.state_dir.c_str());
  if (!at.note.empty()) std::printf("  GPUs       %s\n", at.note.c_str());
  // Once, to a terminal only: a fragment reaches neither servers nor logs.
  if (!isatty(STDOUT_FILENO) || at.dashboard.empty()) return;
  if (const auto token = client::read_token(client::token_path(settings.state_dir)))
    std::printf("  sign in    %s/#token=%s\n", url(at.dashboard).c_str(), token->c_str());
}

}  // namespace

std::string program_directory() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path().string();
}

int refuse(const Error& error) {
  std::fprintf(stderr, "aether: %s\n", log::sanitise(error.message).c_str());
  return exit_code_of(error);
}

std::string url(const std::string& address) { return address.empty() ? "" : "http://" + address; }

Result<Service> Service::enter(const Settings& settings, std::string name) {
  Service service;
  service.name_ = std::move(name);
  log::init(level_of(settings.log_level), settings.log_format == "json" ? log::Format::kJson : log::Format::kText);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  service.signals_ = block_signals();
  AETHER_TRY(make_private_directory(settings.state_dir));
  auto token = client::ensure_token(settings.state_dir);
  if (!token) return fail(token.error());
  service.token_ = *std::move(token);
  return service;
}

void Service::say_ready(const Settings& settings, const Addresses& at, const std::string& hint) const {
  if (settings.log_format == "json") {
    say_ready_as_json(settings, name_, at);
  } else {
    say_ready_to_people(settings, name_, at);
    if (!hint.empty()) std::printf("%s\n", hint.c_str());
  }
  std::fflush(stdout);
  malloc_trim(0);  // what only the start needed
}

void Service::wait_for_stop() const {
  wait_for_signal(signals_);
  log::info(name_, "stopping; a second signal ends at once");
  std::thread([signals = signals_] {
    wait_for_signal(signals);
    _exit(130);
  }).detach();
}

}  // namespace aether::apps
