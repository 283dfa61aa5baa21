#pragma once
// The service commands: open the parts, say "ready", wait for a signal, close.
#include <string>

#include "config/settings.h"

namespace aether::apps {

enum class Role { kUp, kOrchestrator, kAiCore };

struct ServeOptions {
  Role role = Role::kUp;
  bool stop_jobs = false;   // `up`: end running jobs before leaving
};

// The exit code: 0, or sysexits: 64 usage, 69 a port or service is taken or missing, 74 disk, 75 another orchestrator has
// the lock, 78 refused configuration.
int serve(const LoadedSettings& loaded, const ServeOptions& options);

}  // namespace aether::apps
