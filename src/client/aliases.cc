#include "client/aliases.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "client/slurm_options.h"
#include "client/terminal.h"

namespace aether::client {
namespace {

using Words = std::vector<std::string>;

tl::unexpected<Failure> no_option(const std::string& alias, const std::string& word) {
  return failed(kUsage, fmt::format("{} does not know {} here; `aether --help` lists what there is", alias, visible(word)));
}

// Takes "-x value", "-xvalue", "--name value" and "--name=value" one by one.
class Reader {
 public:
  explicit Reader(const Words& words) : words_(words) {}
  bool done() const { return at_ >= words_.size(); }
  // The next word; of an option only its name.
  std::string next() {
    const std::string word = words_[at_++];
    value_.reset();
    if (word.starts_with("--")) {
      const std::size_t equals = word.find('=');
      if (equals != std::string::npos) value_ = word.substr(equals + 1);
      return word.substr(0, equals);
    }
    if (word.size() > 2 && word[0] == '-') value_ = word.substr(2);
    return word.starts_with("-") ? word.substr(0, 2) : word;
  }
  std::string value() {
    if (value_) return *value_;
    return done() ? "" : words_[at_++];
  }

 private:
  const Words& words_;
  std::size_t at_ = 0;
  std::optional<std::string> value_;
};

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

// "PD,R" and "PENDING,RUNNING" as the API has them.
std::string states_of(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    std::string state = upper(text.substr(at, end - at));
    for (const auto& [code, word] : {std::pair("PD", "PENDING"), std::pair("R", "RUNNING"), std::pair("S", "SUSPENDED"),
                                     std::pair("CG", "COMPLETING"), std::pair("CD", "COMPLETED"), std::pair("F", "FAILED"),
                                     std::pair("CA", "CANCELLED"), std::pair("TO", "TIMEOUT"), std::pair("NF", "NODE_FAIL"),
                                     std::pair("PR", "PREEMPTED"), std::pair("OOM", "OUT_OF_MEMORY"), std::pair("DL", "DEADLINE")})
      if (state == code) state = word;
    out += (out.empty() ? "" : ",") + state;
    at = end + 1;
  }
  return out;
}

Outcome<Words> expand_sbatch(const Words& words) {
  SlurmOptions options;
  const auto used = options.parse(words);
  if (!used) return failed(used.error());
  const auto end = words.begin() + static_cast<std::ptrdiff_t>(*used);
  Words out{"batch", "--sbatch"};
  for (auto word = words.begin(); word != end; ++word)
    if (*word != "--") out.push_back("--sbatch-word=" + *word);
  out.push_back("--");
  out.insert(out.end(), end, words.end());
  return out;
}

// squeue and sacct: lists with filters.
Outcome<Words> expand_list(const std::string& alias, const Words& words) {
  Words out{"queue"};
  Words shown;
  if (alias == "sacct") out.push_back("--all");
  for (Reader reader(words); !reader.done();) {
    const std::string word = reader.next();
    if (word == "-u" || word == "--user")
      out.insert(out.end(), {"--user", reader.value()});
    else if (word == "-t" || word == "-s" || word == "--states" || word == "--state")
      out.insert(out.end(), {"--state", states_of(reader.value())});
    else if (word == "-n" || word == "--name")
      out.insert(out.end(), {"--name", reader.value()});
    else if (word == "-j" || word == "--jobs" || word == "--job")
      shown.push_back(reader.value());
    else if (word == "-h" || word == "--noheader")
      out.push_back("--no-headers");
    else if (word == "-l" || word == "--long")
      out.insert(out.end(), {"-o", "wide"});
    else if (word != "--me" && word != "-X" && word != "--allocations")
      return no_option(alias, word);
  }
  if (shown.empty()) return out;
  out = {"show"};
  for (const std::string& list : shown)
    for (std::size_t at = 0; at <= list.size();) {
      const std::size_t end = std::min(list.find(',', at), list.size());
      out.push_back(list.substr(at, end - at));
      at = end + 1;
    }
  return out;
}

Outcome<Words> expand_scancel(const Words& words) {
  std::string signal;
  Words jobs;
  for (Reader reader(words); !reader.done();) {
    const std::string word = reader.next();
    if (word == "-s" || word == "--signal")
      signal = reader.value();
    else if (word.starts_with("-"))
      return no_option("scancel", word);
    else
      jobs.push_back(word);
  }
  Words out = signal.empty() ? Words{"cancel"} : Words{"signal", "-s", signal};
  out.insert(out.end(), jobs.begin(), jobs.end());
  return out;
}

Outcome<Words> expand_sinfo(const Words& words) {
  Words out{"nodes"};
  for (Reader reader(words); !reader.done();) {
    const std::string word = reader.next();
    if (word == "-h" || word == "--noheader")
      out.push_back("--no-headers");
    else if (word == "-l" || word == "--long")
      out.insert(out.end(), {"-o", "wide"});
    else if (word != "-N" && word != "--Node")
      return no_option("sinfo", word);
  }
  return out;
}

Outcome<Words> expand_update(const Words& words) {
  Words out{"update"};
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    const std::string name = upper(word.substr(0, equals));
    const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
    if (name == "JOBID" || name == "JOB") {
      out.push_back(value);
    } else if (name == "PRIORITY") {
      out.insert(out.end(), {"--priority", value});
    } else if (name == "TIMELIMIT") {
      const auto seconds = parse_slurm_time(value);
      if (!seconds) return failed(kUsage, fmt::format("TimeLimit={} is no time", visible(value)));
      out.insert(out.end(), {"--time", fmt::format("{}s", *seconds)});
    } else {
      return failed(kUsage, fmt::format("scontrol update changes Priority and TimeLimit here, not {}", visible(word)));
    }
  }
  return out;
}

Outcome<Words> expand_scontrol(const Words& words) {
  if (words.empty()) return failed(kUsage, "scontrol show, hold, release, requeue, suspend, resume or update");
  const std::string& verb = words[0];
  Words rest(words.begin() + 1, words.end());
  if (verb == "update") return expand_update(rest);
  if (verb == "show" && !rest.empty() && (rest[0] == "node" || rest[0] == "nodes")) return Words{"nodes", "-o", "wide"};
  if (verb == "show" && !rest.empty() && (rest[0] == "job" || rest[0] == "jobs")) {
    rest.erase(rest.begin());
    if (rest.empty()) return Words{"queue", "-o", "wide"};
  } else if (verb != "hold" && verb != "release" && verb != "requeue" && verb != "suspend" && verb != "resume") {
    return failed(kUsage, fmt::format("scontrol {} is not known here; show job, show node, hold, release, requeue, suspend, "
                                      "resume and update are", visible(verb)));
  }
  Words out{verb};
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

}  // namespace

const std::vector<std::string>& alias_names() {
  static const std::vector<std::string> names{"sbatch", "squeue", "scancel", "sinfo", "sacct", "scontrol"};
  return names;
}

std::optional<Outcome<Words>> expand_alias(const std::string& program, const Words& words) {
  const std::string name = program.substr(program.rfind('/') + 1);
  if (std::find(alias_names().begin(), alias_names().end(), name) == alias_names().end()) return std::nullopt;
  if (words.size() == 1 && words[0] == "--help") return Words{"--help"};
  if (name == "sbatch") return expand_sbatch(words);
  if (name == "scancel") return expand_scancel(words);
  if (name == "sinfo") return expand_sinfo(words);
  if (name == "scontrol") return expand_scontrol(words);
  return expand_list(name, words);
}

Outcome<void> install_aliases(const std::string& directory, const std::string& program) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (!fs::is_directory(directory, error)) return failed(kUsage, directory + " is no directory; make it first");
  for (const std::string& name : alias_names()) {
    const fs::path link = fs::path(directory) / name;
    if (fs::symlink_status(link, error).type() == fs::file_type::symlink) {
      const fs::path target = fs::read_symlink(link, error);
      if (target.filename() != fs::path(program).filename())
        return failed(kConflict, fmt::format("{} is there and points to {}; Aether replaces nothing", link.string(), target.string()));
      fs::remove(link, error);
    } else if (fs::exists(link, error)) {
      return failed(kConflict, link.string() + " is there; Aether replaces nothing");
    }
    fs::create_symlink(program, link, error);
    if (error) return failed(kFailure, fmt::format("{}: {}", link.string(), error.message()));
  }
  return {};
}

}  // namespace aether::client
