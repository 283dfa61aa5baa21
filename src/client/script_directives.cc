#include "client/script_directives.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>

#include "base/names.h"
#include "client/terminal.h"

namespace aether::client {
namespace {

// `#AETHER` and blank behind it; what follows, or nothing.
std::optional<std::string_view> behind(std::string_view line, std::string_view mark) {
  if (!line.starts_with(mark)) return std::nullopt;
  line.remove_prefix(mark.size());
  if (!line.empty() && line[0] != ' ' && line[0] != '\t') return std::nullopt;
  return line;
}

// A word that starts with # begins a comment.
std::string_view without_comment(std::string_view text) {
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (quote == 0 && (text[i] == '\'' || text[i] == '"'))
      quote = text[i];
    else if (text[i] == quote)
      quote = 0;
    else if (quote == 0 && text[i] == '#' && (i == 0 || text[i - 1] == ' ' || text[i - 1] == '\t'))
      return text.substr(0, i);
  }
  return text;
}

std::vector<std::string> long_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

struct Grammar {
  CLI::App app{"", ""};
  JobSpecFlags flags;
  Grammar() {
    app.set_help_flag();
    add_job_spec_flags(app, flags);
  }
};

}  // namespace

Outcome<std::vector<DirectiveLine>> read_directives(std::string_view script) {
  std::vector<DirectiveLine> out;
  int number = 0;
  while (!script.empty()) {
    const std::size_t end = std::min(script.find('\n'), script.size());
    std::string_view line = script.substr(0, end);
    script.remove_prefix(std::min(end + 1, script.size()));
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::size_t first = line.find_first_not_of(" \t");
    if (first == std::string_view::npos) continue;
    if (line[first] != '#') break;
    for (const bool slurm : {false, true}) {
      const auto rest = behind(line, slurm ? "#SBATCH" : "#AETHER");
      if (!rest) continue;
      auto words = split_words(without_comment(*rest));
      if (!words) return failed(kUsage, fmt::format("line {}: a quote is not closed", number));
      if (!words->empty()) out.push_back({number, slurm, std::move(*words)});
    }
  }
  return out;
}

Outcome<JobSpecFlags> parse_aether_words(const std::vector<std::string>& words) {
  Grammar grammar;
  try {
    std::vector<std::string> reversed(words.rbegin(), words.rend());
    grammar.app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    const std::vector<std::string> known = long_names(grammar.app);
    std::string message = visible(error.what());
    for (const std::string& word : words) {
      const std::string name = word.substr(0, word.find('='));
      if (!name.starts_with("-") || std::find(known.begin(), known.end(), name) != known.end()) continue;
      const std::string near = nearest_name(name.substr(0, 64), known);
      message = fmt::format("there is no flag {}{}", visible(name), near.empty() ? "" : "; is " + near + " meant?");
      break;
    }
    return failed(kUsage, message);
  }
  if (!grammar.flags.argv.empty())
    return failed(kUsage, fmt::format("'{}' is no flag; a directive holds flags only", visible(grammar.flags.argv.front())));
  return std::move(grammar.flags);
}

Outcome<JobSpecFlags> flags_of_environment(const char* (*value_of)(const char*)) {
  const Grammar grammar;
  JobSpecFlags flags;
  for (const CLI::Option* option : grammar.app.get_options())
    for (const std::string& name : option->get_lnames()) {
      std::string variable = "AETHER_" + name;
      for (char& c : variable) c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      const char* value = value_of(variable.c_str());
      if (value == nullptr || *value == '\0') continue;
      const bool is_switch = option->get_expected_max() == 0;
      if (is_switch && (std::string_view(value) == "0" || std::string_view(value) == "false")) continue;
      const auto parsed = parse_aether_words(is_switch ? std::vector<std::string>{"--" + name}
                                                       : std::vector<std::string>{"--" + name + "=" + value});
      if (!parsed) return failed(kUsage, fmt::format("{}: {}", variable, parsed.error().message));
      overlay(flags, *parsed);
    }
  return flags;
}

Outcome<JobSpecFlags> flags_of_script(std::string_view script, SlurmOptions& slurm, std::vector<std::string>& notes) {
  const auto lines = read_directives(script);
  if (!lines) return failed(lines.error());
  SlurmOptions in_script;
  JobSpecFlags own;
  for (const DirectiveLine& line : *lines) {
    const auto with_line = [&](const Failure& failure) {
      return failed(failure.exit_code, fmt::format("line {}: {}", line.line, failure.message), failure.hint);
    };
    if (line.slurm) {
      const auto used = in_script.parse(line.words);
      if (!used) return with_line(used.error());
      if (*used < line.words.size())
        return with_line({kUsage, fmt::format("'{}' is no option; a directive holds options only", visible(line.words[*used]))});
    } else {
      const auto flags = parse_aether_words(line.words);
      if (!flags) return with_line(flags.error());
      overlay(own, *flags);
    }
  }
  slurm.take_under(in_script);
  auto flags = slurm.to_flags(notes);
  if (!flags) return failed(flags.error());
  overlay(*flags, own);
  return *flags;
}

}  // namespace aether::client
