#pragma once
// Commands that judge the queue's policies: replay, referee-client.
#include <CLI/App.hpp>

namespace aether::apps {

void add_replay_commands(CLI::App& app, int& exit_code);

}  // namespace aether::apps
