#pragma once
// How the services listen, by the settings.
#include <string>

#include "config/settings.h"
#include "http/server.h"

namespace aether::apps {

// `name` is for logs, `setting` the key that `listen` came from.
http::ServerOptions listener(const Settings& settings, const std::string& name, const std::string& setting,
                             const std::string& listen, const std::string& token);

}  // namespace aether::apps
