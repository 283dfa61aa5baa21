#pragma once
// What every service does around its parts: logs, signals, the state directory and its token, the word "ready", the end.
#include <signal.h>

#include <string>

#include "base/result.h"
#include "config/settings.h"

namespace aether::apps {

// Where this program lies; the others that belong to it lie there too.
std::string program_directory();

// One line on stderr; the exit code (see serve.h).
int refuse(const Error& error);

// For people and for scripts; empty = not served.
struct Addresses {
  std::string dashboard, api, ai, metrics, note;
};
std::string url(const std::string& address);

class Service {
 public:
  // Before any thread starts. `name` is the verb: "agent".
  static Result<Service> enter(const Settings& settings, std::string name);

  const std::string& token() const { return token_; }
  // On stdout: JSON with the JSON log format. `hint` is a last line for a person.
  void say_ready(const Settings& settings, const Addresses& at, const std::string& hint = {}) const;
  // Returns at the first SIGINT or SIGTERM; a second one ends the process at once.
  void wait_for_stop() const;

 private:
  std::string name_, token_;
  sigset_t signals_{};
};

}  // namespace aether::apps
