#pragma once
// Shell completion from the application's own structure. Pure.
#include <string>

#include "client/outcome.h"

namespace CLI {
class App;
}

namespace aether::client {

// `shell`: bash, zsh or fish. Words after -- are left to the shell's own file completion; jobs, GPUs and
// nodes are asked from the server by `aether queue|gpus|nodes -o name`.
Outcome<std::string> completion_script(const CLI::App& app, const std::string& shell);

}  // namespace aether::client
