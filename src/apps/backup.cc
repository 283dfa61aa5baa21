// `aether backup` and `aether restore`.
#include <cstdio>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "apps/admin.h"
#include "apps/wiring.h"
#include "base/files.h"
#include "base/log.h"
#include "codec/codec.h"

namespace aether::apps {
namespace {

int refuse(const Error& error) {
  std::fprintf(stderr, "aether: %s\n", log::sanitise(error.message).c_str());
  switch (error.code) {
    case ErrorCode::kConflict: return 5;
    case ErrorCode::kNotFound: return 3;
    default: return 1;
  }
}

std::string contents(const store::BackupSummary& summary) {
  return fmt::format("{} jobs, {} samples, {} audit lines with every seal right, {:.1f} MB", summary.jobs, summary.samples, summary.audit_lines,
                     static_cast<double>(summary.bytes) / 1e6);
}

void print_json(const store::BackupSummary& summary) {
  std::printf("%s\n", codec::dump_pretty({{"path", summary.path},
                                          {"moved_aside", summary.moved_aside.empty() ? nlohmann::json(nullptr) : nlohmann::json(summary.moved_aside)},
                                          {"jobs", summary.jobs},
                                          {"samples", summary.samples},
                                          {"audit_lines", summary.audit_lines},
                                          {"bytes", summary.bytes},
                                          {"jobs_schema", summary.jobs_schema},
                                          {"telemetry_schema", summary.telemetry_schema}})
                          .c_str());
}

}  // namespace

int backup(const LoadedSettings& loaded, const std::string& target, bool as_json) {
  log::init(log::Level::kError, log::Format::kText);
  const Settings& settings = loaded.settings;
  std::string path = target;
  if (path.empty()) {
    if (auto made = make_private_directory(settings.state_dir + "/backups"); !made) return refuse(made.error());
    path = fmt::format("{}/backups/{:%Y%m%dT%H%M%SZ}", settings.state_dir, std::chrono::floor<std::chrono::seconds>(SystemClock().now()));
  }
  const auto summary = back_up_store(settings, path);
  if (!summary) return refuse(summary.error());
  if (as_json) return print_json(*summary), 0;
  std::printf("%s: %s\n", summary->path.c_str(), contents(*summary).c_str());
  std::fprintf(stderr, "aether: it holds no keys; keep the other files of %s as well, and as secret\n", settings.state_dir.c_str());
  return 0;
}

int restore(const LoadedSettings& loaded, const std::string& from, bool as_json) {
  log::init(log::Level::kError, log::Format::kText);
  const SystemClock clock;
  const auto summary = restore_store(loaded.settings, from, clock);
  if (!summary) return refuse(summary.error());
  if (as_json) return print_json(*summary), 0;
  std::printf("restored %s: %s\n", summary->path.c_str(), contents(*summary).c_str());
  if (!summary->moved_aside.empty()) std::printf("the store from before is %s; remove it when it is no longer needed\n", summary->moved_aside.c_str());
  return 0;
}

}  // namespace aether::apps
