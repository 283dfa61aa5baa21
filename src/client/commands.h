#pragma once
// Every client verb of the command line (API.md §8), registered on the program's CLI11 application.
#include <CLI/App.hpp>
#include <iosfwd>

namespace aether::client {

// Adds the verbs and the global options (--server, -o, ...) to `app`. A verb runs when `app` has parsed its
// command line and then writes `exit_code`, which outlives `app`. Results go to stdout, everything else to
// stderr.
void add_commands(CLI::App& app, int& exit_code);
// The same with other streams, which outlive `app`; they are never taken for terminals.
void add_commands(CLI::App& app, int& exit_code, std::ostream& out, std::ostream& err);

// Parses and runs. 0 for help, 2 for a usage error (printed with the nearest word), else what the verb left
// in `exit_code`.
int run_command_line(CLI::App& app, int argc, const char* const* argv, const int& exit_code);

}  // namespace aether::client
