#pragma once
// One process per agent that forks the keepers of attempts: what an exec costs is paid once and not for every job.
//
// A request is one message on the socket at kRequestDescriptor: the attempt's directory, and beside it two descriptors, its
// start gate and its ready pipe. The zygote answers nothing. Whether a keeper is there, its ready pipe says; whether it may
// go on, its gate: a zygote that is killed at any moment has started no job.
#include <string>

namespace aether::executor {

inline constexpr int kRequestDescriptor = 3;

// Returns in every keeper, in a session of its own, with gate and ready pipe at their places and the attempt's directory;
// in the zygote "" when the agent's end of the socket is closed. Keepers have `title` and their directory as command line.
std::string serve_requests(char** argv, const char* title);

}  // namespace aether::executor
