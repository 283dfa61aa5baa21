// `aether batch script.sh`, and sbatch, which is the same verb with Slurm's options on its command line.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <ostream>

#include "base/files.h"
#include "client/script_directives.h"
#include "client/verbs.h"

namespace aether::client {
namespace {

struct Script {
  std::string name;  // as the user wrote it
  std::string text;
  std::vector<std::string> arguments;
};

Outcome<Script> read_script(const std::vector<std::string>& words, const SlurmOptions& slurm) {
  Script script;
  if (slurm.has("wrap")) {
    if (!words.empty()) return failed(kUsage, "--wrap and a script exclude each other; give one of them");
    return Script{"wrap", "#!/bin/sh\n" + slurm.value("wrap") + "\n", {}};
  }
  if (words.empty()) return failed(kUsage, "no script; write `aether batch [flags] script.sh`");
  script.name = words[0];
  script.arguments.assign(words.begin() + 1, words.end());
  if (script.name == "-") {
    script.text.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    auto content = read_file(script.name);
    if (!content) return failed(kUsage, content.error().message);
    script.text = std::move(*content);
  }
  if (script.text.empty()) return failed(kUsage, script.name + " is empty");
  return script;
}

// A script with arguments runs under its own shell: "sh -c text name arguments".
Outcome<void> set_command(const Script& script, JobSpecFlags& flags) {
  flags.argv.clear();
  if (script.arguments.empty()) {
    flags.script = script.text;
    return {};
  }
  std::string shell = "/bin/sh";
  if (script.text.starts_with("#!")) {
    const auto words = split_words(std::string_view(script.text).substr(2, script.text.find('\n') - 2));
    const bool known = words && std::any_of(words->begin(), words->end(), [](const std::string& word) { return word.ends_with("sh"); });
    if (!known)
      return failed(kUsage, "arguments reach a script of a shell only; put them into the script, or name its interpreter: "
                            "aether submit -- INTERPRETER FILE ARGUMENT...");
    flags.argv = *words;
    shell.clear();
  }
  if (!shell.empty()) flags.argv = {shell};
  for (const std::string& word : {std::string("-c"), script.text, script.name}) flags.argv.push_back(word);
  flags.argv.insert(flags.argv.end(), script.arguments.begin(), script.arguments.end());
  return {};
}

const char* environment_value(const char* name) { return std::getenv(name); }

Outcome<JobSpecFlags> flags_of(const BatchFlags& batch, const Script& script, SlurmOptions& slurm,
                               std::vector<std::string>& notes) {
  auto flags = flags_of_script(script.text, slurm, notes);
  if (!flags) return failed(flags.error().exit_code, script.name + ": " + flags.error().message, flags.error().hint);
  const auto environment = flags_of_environment(environment_value);
  if (!environment) return failed(environment.error());
  overlay(*flags, *environment);
  overlay(*flags, batch.submit.spec);
  if (flags->name.empty()) flags->name = script.name.substr(script.name.rfind('/') + 1).substr(0, 128);
  char here[PATH_MAX];
  if (flags->chdir.empty() && (batch.sbatch || !slurm.empty()) && getcwd(here, sizeof here) != nullptr) flags->chdir = here;
  AETHER_CLI_TRY(set_command(script, *flags));
  return flags;
}

}  // namespace

Outcome<int> batch(Context& context, const BatchFlags& batch) {
  SlurmOptions slurm;
  const auto used = slurm.parse(batch.sbatch_words);
  if (!used) return failed(used.error());
  if (*used < batch.sbatch_words.size())
    return failed(kUsage, fmt::format("'{}' is no option", visible(batch.sbatch_words[*used])));
  const auto script = read_script(batch.submit.spec.argv, slurm);
  if (!script) return failed(script.error());
  BatchFlags own = batch;
  own.submit.spec.argv.clear();
  std::vector<std::string> notes;
  auto flags = flags_of(own, *script, slurm, notes);
  if (!flags) return failed(flags.error());
  if (!context.options().quiet && !slurm.has("quiet"))
    for (const std::string& note : notes) context.say("note: " + note);
  SubmitFlags submission = batch.submit;
  submission.spec = std::move(*flags);
  submission.dry_run = submission.dry_run || slurm.has("test-only");
  submission.wait = submission.wait || slurm.has("wait");
  if (!batch.sbatch || submission.dry_run) return submit(context, submission);
  const auto job = submit_spec(context, submission);
  if (!job) return failed(job.error());
  const std::string number = text_of(*job, "number");
  context.out() << (slurm.has("parsable") ? number : "Submitted batch job " + number) << std::endl;
  if (!submission.wait) return kOk;
  return wait(context, {.jobs = {text_of(*job, "job_id")}, .any = false, .all = true, .exit_code = true, .timeout = {}});
}

}  // namespace aether::client
