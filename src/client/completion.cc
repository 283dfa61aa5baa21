#include "client/completion.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <vector>

#include "model/gpu.h"

namespace aether::client {
namespace {

struct Switch {
  std::vector<std::string> names;  // with their dashes
  std::string description;
  std::string value;  // type name; empty for a flag
};
struct Verb {
  std::string name, description;
  std::vector<Switch> switches;
  std::string operand;  // "JOB", "GPU", "NODE", "SHELL", "CMD...": the type name of its positional
};

// Without what a check adds to it: "FORMAT:{table,wide}" is FORMAT.
std::string type_name_of(const CLI::Option& option) {
  const std::string name = option.get_type_name();
  return name.substr(0, name.find(':'));
}

std::vector<Switch> switches_of(const CLI::App& app) {
  std::vector<Switch> out;
  for (const CLI::Option* option : app.get_options()) {
    Switch entry;
    for (const std::string& name : option->get_snames()) entry.names.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) entry.names.push_back("--" + name);
    if (entry.names.empty()) continue;
    entry.description = option->get_description();
    if (option->get_expected_max() > 0 && option->get_type_size() > 0) entry.value = type_name_of(*option);
    out.push_back(std::move(entry));
  }
  return out;
}

std::vector<Verb> verbs_of(const CLI::App& app) {
  std::vector<Verb> out;
  for (const CLI::App* sub :
       app.get_subcommands([](const CLI::App* child) { return !child->get_name().empty(); })) {
    Verb verb{sub->get_name(), sub->get_description(), switches_of(*sub), {}};
    for (const CLI::Option* option : sub->get_options())
      if (option->get_positional() && verb.operand.empty()) verb.operand = type_name_of(*option);
    out.push_back(verb);
    for (const std::string& alias : sub->get_aliases()) {
      verb.name = alias;
      out.push_back(verb);
    }
  }
  return out;
}

std::string names_of(const std::vector<Switch>& switches) {
  std::string out;
  for (const Switch& entry : switches)
    for (const std::string& name : entry.names) out += (out.empty() ? "" : " ") + name;
  return out;
}

std::string metric_words() {
  std::string words;
  for (const GpuMetric& metric : gpu_metrics()) words += (words.empty() ? "" : " ") + std::string(metric.name);
  return words;
}

// What follows a switch or a verb, as a shell expression that prints words; empty = files.
std::string words_for(const std::string& program, const std::string& type) {
  if (type.starts_with("JOB")) return fmt::format("$({} queue -o name --timeout 2s 2>/dev/null)", program);
  if (type.starts_with("GPU")) return fmt::format("$({} gpus -o name --timeout 2s 2>/dev/null)", program);
  if (type.starts_with("NODE")) return fmt::format("$({} nodes -o name --timeout 2s 2>/dev/null)", program);
  if (type == "FORMAT") return "table wide json csv name";
  if (type == "AGG") return "mean min max sum last p95";
  if (type == "BY") return "gpu node all";
  if (type == "WHOSE") return "user job queue";
  if (type == "METRIC") return metric_words();
  if (type == "SUBJECT")
    return fmt::format("$(echo fleet; {0} gpus -o name --timeout 2s 2>/dev/null; {0} nodes -o name --timeout 2s 2>/dev/null)", program);
  if (type == "SHELL") return "bash zsh fish";
  if (type == "TYPE") return "training inference";
  if (type == "HOW") return "exclusive memory";
  if (type == "SIGNAL") return "HUP INT USR1 USR2 TERM CONT";
  if (type == "MODE") return "append truncate";
  if (type == "POLICY") return "truncate block";
  if (type == "STREAM") return "stdout stderr";
  return {};
}

std::string quoted(std::string text) {  // inside single quotes of any of the shells
  std::string out;
  for (const char c : text) {
    if (c == '\'')
      out += "’";
    else if (c == '[' || c == ']' || c == ':')
      out += c == ':' ? "," : "|";
    else
      out += c;
  }
  return out;
}

std::string bash_script(const std::string& program, const std::vector<Verb>& verbs,
                        const std::vector<Switch>& globals) {
  std::string names, value_cases, verb_cases;
  for (const Verb& verb : verbs) names += (names.empty() ? "" : " ") + verb.name;
  std::vector<Switch> with_value = globals;
  for (const Verb& verb : verbs)
    with_value.insert(with_value.end(), verb.switches.begin(), verb.switches.end());
  for (const Switch& entry : with_value) {
    if (entry.value.empty()) continue;
    std::string pattern;
    for (const std::string& name : entry.names) pattern += (pattern.empty() ? "" : "|") + name;
    const std::string words = words_for(program, entry.value);
    value_cases += words.empty()
                       ? fmt::format("    {}) return ;;\n", pattern)
                       : fmt::format("    {}) COMPREPLY=($(compgen -W \"{}\" -- \"$cur\")); return ;;\n",
                                     pattern, words);
  }
  for (const Verb& verb : verbs)
    verb_cases += fmt::format("    {}) options=\"{}\"; operands=\"{}\" ;;\n", verb.name,
                              names_of(verb.switches), words_for(program, verb.operand));
  return fmt::format(R"(# bash completion for {0}; load it with: source <({0} completion bash)
_{0}() {{
  local cur prev verb="" options="" operands="" i
  cur="${{COMP_WORDS[COMP_CWORD]}}"
  prev="${{COMP_WORDS[COMP_CWORD-1]}}"
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ "${{COMP_WORDS[i]}}" == "--" ]] && return
    if [[ -z "$verb" && " {1} " == *" ${{COMP_WORDS[i]}} "* ]]; then verb="${{COMP_WORDS[i]}}"; fi
  done
  case "$prev" in
{2}  esac
  case "$verb" in
    "") operands="{1}" ;;
{3}  esac
  if [[ "$cur" == -* ]]; then
    COMPREPLY=($(compgen -W "$options {4}" -- "$cur"))
  else
    COMPREPLY=($(compgen -W "$operands" -- "$cur"))
  fi
}}
complete -o default -F _{0} {0}
)",
                     program, names, value_cases, verb_cases, names_of(globals));
}

std::string zsh_switches(const std::string& program, const std::vector<Switch>& switches) {
  std::string out;
  for (const Switch& entry : switches)
    for (const std::string& name : entry.names) {
      const std::string words = words_for(program, entry.value);
      std::string action;
      if (!entry.value.empty())
        action = words.empty() ? ":value:_files"
                               : fmt::format(":value:({})", words.starts_with("$(") ? "" : words);
      out += fmt::format(" \\\n        '{}[{}]{}'", name, quoted(entry.description), action);
    }
  return out;
}

std::string zsh_script(const std::string& program, const std::vector<Verb>& verbs,
                       const std::vector<Switch>& globals) {
  std::string names, cases;
  for (const Verb& verb : verbs) {
    names += fmt::format("    '{}:{}'\n", verb.name, quoted(verb.description));
    const std::string words = words_for(program, verb.operand);
    cases += fmt::format("    {})\n      operands=({})\n      _arguments -S{}{} '*:operand:{}'\n      ;;\n",
                         verb.name, words, zsh_switches(program, verb.switches),
                         zsh_switches(program, globals), words.empty() ? "_files" : "($operands)");
  }
  return fmt::format(R"(#compdef {0}
# zsh completion for {0}; put it as _{0} into a folder of $fpath, or: source <({0} completion zsh)
_{0}() {{
  local -a verbs operands
  verbs=(
{1}  )
  if (( CURRENT == 2 )); then
    _describe 'verb' verbs
    return
  fi
  local verb=${{words[2]}}
  shift words
  (( CURRENT-- ))
  case $verb in
{2}  esac
}}
if [[ "$funcstack[1]" == "_{0}" ]]; then _{0} "$@"; else compdef _{0} {0}; fi
)",
                     program, names, cases);
}

void add_fish_switches(std::string& out, const std::string& program, const std::string& condition,
                       const std::vector<Switch>& switches) {
  for (const Switch& entry : switches) {
    out += fmt::format("complete -c {}{}", program, condition);
    for (const std::string& name : entry.names)
      out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
    if (!entry.value.empty()) {
      std::string words = words_for(program, entry.value);
      if (words.starts_with("$("))
        words = words.substr(1);  // fish writes command substitution without the dollar
      out += words.empty() ? " -r" : fmt::format(" -x -a \"{}\"", words);
    }
    out += fmt::format(" -d '{}'\n", quoted(entry.description));
  }
}

std::string fish_script(const std::string& program, const std::vector<Verb>& verbs,
                        const std::vector<Switch>& globals) {
  std::string out =
      fmt::format("# fish completion for {0}; load it with: {0} completion fish | source\n", program);
  add_fish_switches(out, program, "", globals);
  for (const Verb& verb : verbs) {
    out += fmt::format("complete -c {} -f -n __fish_use_subcommand -a {} -d '{}'\n", program, verb.name,
                       quoted(verb.description));
    const std::string condition = fmt::format(" -n '__fish_seen_subcommand_from {}'", verb.name);
    add_fish_switches(out, program, condition, verb.switches);
    std::string words = words_for(program, verb.operand);
    if (words.starts_with("$(")) words = words.substr(1);
    if (!words.empty()) out += fmt::format("complete -c {} -f{} -a \"{}\"\n", program, condition, words);
  }
  return out;
}

}  // namespace

Outcome<std::string> completion_script(const CLI::App& app, const std::string& shell) {
  const std::string program = "aether";
  const auto verbs = verbs_of(app);
  const auto globals = switches_of(app);
  if (shell == "bash") return bash_script(program, verbs, globals);
  if (shell == "zsh") return zsh_script(program, verbs, globals);
  if (shell == "fish") return fish_script(program, verbs, globals);
  return failed(kUsage, fmt::format("no completion for '{}'; there is bash, zsh and fish", shell));
}

}  // namespace aether::client
