// The command line of `aether submit`, one argument a line. Files are not read here.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <nlohmann/json.hpp>

#include "client/job_spec_flags.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace aether;
  std::vector<std::string> words = fuzz::lines_of(fuzz::text_of(data, size));
  for (const std::string& word : words)
    if (word.find('\0') != std::string::npos) return 0;  // no argument holds one
  CLI::App app;
  client::JobSpecFlags flags;
  client::add_job_spec_flags(app, flags);
  std::vector<const char*> argv = {"submit"};
  for (const std::string& word : words) argv.push_back(word.c_str());
  try {
    app.parse(static_cast<int>(argv.size()), argv.data());
  } catch (const CLI::Error&) {
    return 0;
  }
  if (!flags.script_file.empty() || !flags.env_file.empty()) return 0;
  const auto json = client::job_spec_json(flags);
  if (json) AETHER_ASSERT(json->is_object());
  return 0;
}
