#include "client/slurm_options.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/names.h"
#include "client/terminal.h"

namespace aether::client {
namespace {

enum class Value { kNone, kNeeded, kOptional };

struct Known {
  const char* name;
  char letter;  // 0 = none
  Value value;
  const char* refused_because = nullptr;
};

constexpr std::array kKnown = {
    Known{"job-name", 'J', Value::kNeeded},
    Known{"partition", 'p', Value::kNeeded},
    Known{"account", 'A', Value::kNeeded},
    Known{"comment", 0, Value::kNeeded},
    Known{"gpus", 'G', Value::kNeeded},
    Known{"gres", 0, Value::kNeeded},
    Known{"gpus-per-node", 0, Value::kNeeded},
    Known{"gpus-per-task", 0, Value::kNeeded},
    Known{"nodes", 'N', Value::kNeeded},
    Known{"ntasks", 'n', Value::kNeeded},
    Known{"ntasks-per-node", 0, Value::kNeeded},
    Known{"cpus-per-task", 'c', Value::kNeeded},
    Known{"cpus-per-gpu", 0, Value::kNeeded},
    Known{"mem", 0, Value::kNeeded},
    Known{"mem-per-cpu", 0, Value::kNeeded},
    Known{"mem-per-gpu", 0, Value::kNeeded},
    Known{"time", 't', Value::kNeeded},
    Known{"deadline", 0, Value::kNeeded},
    Known{"begin", 'b', Value::kNeeded},
    Known{"array", 'a', Value::kNeeded},
    Known{"dependency", 'd', Value::kNeeded},
    Known{"kill-on-invalid-dep", 0, Value::kNeeded},
    Known{"chdir", 'D', Value::kNeeded},
    Known{"output", 'o', Value::kNeeded},
    Known{"error", 'e', Value::kNeeded},
    Known{"open-mode", 0, Value::kNeeded},
    Known{"export", 0, Value::kNeeded},
    Known{"signal", 0, Value::kNeeded},
    Known{"requeue", 0, Value::kNone},
    Known{"no-requeue", 0, Value::kNone},
    Known{"hold", 'H', Value::kNone},
    Known{"nice", 0, Value::kOptional},
    Known{"priority", 0, Value::kNeeded},
    Known{"exclusive", 0, Value::kNone},
    Known{"parsable", 0, Value::kNone},
    Known{"wait", 'W', Value::kNone},
    Known{"quiet", 'Q', Value::kNone},
    Known{"wrap", 0, Value::kNeeded},
    Known{"test-only", 0, Value::kNone},
    Known{"time-min", 0, Value::kNeeded, "Aether starts no job with a shortened limit; give --time"},
    Known{"gpu-freq", 0, Value::kNeeded, "clocks are the operator's"},
    Known{"qos", 'q', Value::kNeeded, "use --priority"},
    Known{"constraint", 'C', Value::kNeeded, "name the GPU: --gpus=h100:2"},
    Known{"licenses", 'L', Value::kNeeded, "Aether counts no licences"},
    Known{"reservation", 0, Value::kNeeded, "there are no reservations yet"},
    Known{"mail-type", 0, Value::kNeeded, "Aether sends no mail; `aether events -f` and `aether wait` tell when a job ends"},
    Known{"mail-user", 0, Value::kNeeded, "Aether sends no mail; `aether events -f` and `aether wait` tell when a job ends"},
    Known{"nodelist", 'w', Value::kNeeded, "the scheduler chooses the node; drain those that it must not use"},
    Known{"exclude", 'x', Value::kNeeded, "the scheduler chooses the node; drain those that it must not use"},
    Known{"oversubscribe", 's', Value::kNone, "share a GPU by memory: #AETHER --gpu-mem 24G"},
};

const Known* find_known(std::string_view name) {
  const auto it = std::find_if(kKnown.begin(), kKnown.end(), [&](const Known& known) { return name == known.name; });
  return it == kKnown.end() ? nullptr : &*it;
}

const Known* find_letter(char letter) {
  const auto it = std::find_if(kKnown.begin(), kKnown.end(), [&](const Known& known) { return letter != 0 && letter == known.letter; });
  return it == kKnown.end() ? nullptr : &*it;
}

Failure unknown(const std::string& word) {
  std::vector<std::string> names;
  for (const Known& known : kKnown) names.push_back(std::string("--") + known.name);
  const std::string near = nearest_name(word.substr(0, 64), names);
  return {kUsage, fmt::format("Aether does not know {}{}", visible(word), near.empty() ? "" : "; is " + near + " meant?")};
}

std::optional<std::int64_t> whole(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || value < 0 || value > 1'000'000'000)
    return std::nullopt;
  return value;
}

tl::unexpected<Failure> bad(const std::string& name, const std::string& value, std::string_view wanted) {
  return failed(kUsage, fmt::format("--{}={}: {}", name, visible(value), wanted));
}

}  // namespace

std::optional<std::int64_t> parse_slurm_time(std::string_view text) {
  std::int64_t days = 0;
  const std::size_t dash = text.find('-');
  if (dash != std::string_view::npos) {
    const auto given = whole(text.substr(0, dash));
    if (!given || *given > 36600) return std::nullopt;
    days = *given;
    text = text.substr(dash + 1);
  }
  std::vector<std::int64_t> parts;
  while (true) {
    const std::size_t colon = text.find(':');
    const auto part = whole(text.substr(0, colon));
    if (!part || *part > 10'000'000) return std::nullopt;
    parts.push_back(*part);
    if (colon == std::string_view::npos) break;
    text.remove_prefix(colon + 1);
  }
  if (parts.size() > 3) return std::nullopt;
  // Behind days the first number is hours; without days, one or two numbers are minutes and seconds.
  if (dash == std::string_view::npos && parts.size() < 3) parts.insert(parts.begin(), 0);
  parts.resize(3);
  return days * 86400 + parts[0] * 3600 + parts[1] * 60 + parts[2];
}

std::optional<std::int64_t> parse_slurm_memory_mb(std::string_view text) {
  std::int64_t factor = 1, divisor = 1;
  if (!text.empty()) switch (text.back()) {
      case 'K': divisor = 1024; break;
      case 'M': break;
      case 'G': factor = 1024; break;
      case 'T': factor = 1024 * 1024; break;
      default: return whole(text);
    }
  if (text.empty()) return std::nullopt;
  text.remove_suffix(1);
  const auto value = whole(text);
  return value ? std::optional((*value * factor + divisor - 1) / divisor) : std::nullopt;
}

std::string SlurmOptions::value(const std::string& name) const {
  const auto it = given_.find(name);
  return it == given_.end() ? "" : it->second;
}

Outcome<std::size_t> SlurmOptions::parse(const std::vector<std::string>& words) {
  std::size_t i = 0;
  while (i < words.size()) {
    const std::string& word = words[i];
    if (word == ":" || word == "hetjob")
      return failed(kUsage, "jobs of several parts are not known here; submit each part, joined by --dependency");
    if (word.size() < 2 || word[0] != '-') break;
    ++i;
    if (word == "--") break;
    const bool is_long = word[1] == '-';
    const std::size_t equals = is_long ? word.find('=') : std::string::npos;
    const std::string shown = is_long ? word.substr(0, equals) : word.substr(0, 2);
    const Known* known = is_long ? find_known(std::string_view(shown).substr(2)) : find_letter(word[1]);
    if (known == nullptr) return failed(unknown(shown));
    if (known->refused_because != nullptr)
      return failed(kUsage, fmt::format("{} can't be honoured: {}", shown, known->refused_because));
    std::optional<std::string> value;
    if (equals != std::string::npos) value = word.substr(equals + 1);
    if (!is_long && word.size() > 2) value = word.substr(word[2] == '=' ? 3 : 2);
    if (known->value == Value::kNone && value && std::string_view(known->name) != "exclusive")
      return failed(kUsage, fmt::format("{} takes no value", shown));
    if (known->value == Value::kNeeded && !value) {
      if (i == words.size()) return failed(kUsage, fmt::format("{} lacks its value", shown));
      value = words[i++];
    }
    given_[known->name] = value.value_or("");
  }
  return i;
}

namespace {

// "2", "h100:2", "gpu:2", "gpu:h100:2".
struct GpuCount {
  std::string type;
  std::int64_t count = 0;
};
std::optional<GpuCount> parse_gpus(std::string text, bool gres) {
  if (gres) {
    if (text == "gpu") return GpuCount{"", 1};
    if (!text.starts_with("gpu:")) return std::nullopt;
    text = text.substr(4);
  }
  GpuCount out;
  const std::size_t colon = text.rfind(':');
  if (colon != std::string::npos) out.type = text.substr(0, colon);
  const std::string number = colon == std::string::npos ? text : text.substr(colon + 1);
  const auto count = whole(number);
  if (!count && gres && colon == std::string::npos) return GpuCount{number, 1};  // --gres=gpu:h100
  if (!count || *count > 1024 || out.type.find(',') != std::string::npos) return std::nullopt;
  out.count = *count;
  return out;
}

std::string label_value(const std::string& text) { return text.substr(0, 63); }

// One step per group of options; each reads what was given and writes flags.
class SlurmTranslation {
 public:
  SlurmTranslation(const SlurmOptions& options, JobSpecFlags& flags, std::vector<std::string>& notes)
      : options_(options), flags_(flags), notes_(notes) {}

  Outcome<void> run() {
    AETHER_CLI_TRY(words());
    AETHER_CLI_TRY(size());
    AETHER_CLI_TRY(gpus());
    AETHER_CLI_TRY(host());
    AETHER_CLI_TRY(times());
    AETHER_CLI_TRY(environment());
    return order();
  }

 private:
  bool has(const char* name) const { return options_.has(name); }
  std::string value(const char* name) const { return options_.value(name); }

  Outcome<std::int64_t> count(const char* name, std::int64_t otherwise) const {
    if (!has(name)) return otherwise;
    const auto number = whole(value(name));
    if (!number || *number < 1) return bad(name, value(name), "a whole number from 1");
    return *number;
  }

  Outcome<void> words() {
    flags_.name = value("job-name");
    flags_.chdir = value("chdir");
    flags_.stdout_path = value("output");
    flags_.stderr_path = value("error");
    flags_.open_mode = value("open-mode");
    flags_.hold = has("hold");
    flags_.requeue = has("requeue");
    flags_.no_requeue = has("no-requeue");
    flags_.array = value("array");
    for (const char* name : {"partition", "account", "comment"})
      if (has(name)) flags_.labels.push_back(fmt::format("{}={}", name, label_value(value(name))));
    if (has("partition") || has("account")) notes_.push_back("there is one queue; partition and account are kept as labels");
    if (has("exclusive")) flags_.share = "exclusive";
    if (!has("signal")) return {};
    std::string signal = value("signal");
    if (signal.starts_with("B:") || signal.starts_with("R:")) signal = signal.substr(2);
    flags_.signal = signal;
    return {};
  }

  Outcome<void> size() {
    if (has("nodes")) {
      const std::string nodes = value("nodes");
      if (nodes != "1" && nodes != "1-1")
        return bad("nodes", nodes, "a job runs on one node here; ask for its GPUs with --gpus");
    }
    const auto per_node = count("ntasks-per-node", 1);
    if (!per_node) return failed(per_node.error());
    const auto tasks = count("ntasks", *per_node);
    if (!tasks) return failed(tasks.error());
    tasks_ = *tasks;
    if (has("ntasks") || has("ntasks-per-node")) flags_.env.push_back(fmt::format("AETHER_NTASKS={}", tasks_));
    return {};
  }

  Outcome<void> gpus() {
    if (has("gpus-per-node") && has("gres"))
      return failed(kUsage, "--gpus-per-node and --gres=gpu exclude each other; give one of them");
    flags_.gpus = 0;
    for (const char* name : {"gres", "gpus-per-node", "gpus-per-task", "gpus"}) {
      if (!has(name)) continue;
      const auto found = parse_gpus(value(name), std::string_view(name) == "gres");
      if (!found) return bad(name, value(name), std::string_view(name) == "gres" ? "write gpu:2 or gpu:h100:2" : "write 2 or h100:2");
      gpus_ = found->count * (std::string_view(name) == "gpus-per-task" ? tasks_ : 1);
      flags_.gpus = static_cast<int>(std::min<std::int64_t>(gpus_, 100000));
      if (!found->type.empty()) flags_.gpu_type = found->type;
    }
    return {};
  }

  Outcome<void> host() {
    const auto per_task = count("cpus-per-task", 1), per_gpu = count("cpus-per-gpu", 1);
    if (!per_task || !per_gpu) return failed(per_task ? per_gpu.error() : per_task.error());
    std::int64_t cpus = *per_task * tasks_;
    if (has("cpus-per-gpu")) cpus = *per_gpu * std::max<std::int64_t>(gpus_, 1);
    if (has("cpus-per-task") || has("cpus-per-gpu") || tasks_ > 1)
      flags_.cpus = static_cast<int>(std::min<std::int64_t>(cpus, 1'000'000));
    for (const auto& [name, factor] : {std::pair("mem", std::int64_t{1}), std::pair("mem-per-cpu", cpus),
                                       std::pair("mem-per-gpu", std::max<std::int64_t>(gpus_, 1))}) {
      if (!has(name) || value(name) == "0") continue;
      const auto mebibytes = parse_slurm_memory_mb(value(name));
      if (!mebibytes) return bad(name, value(name), "write 4G, or 4096 for MiB");
      flags_.memory = fmt::format("{}M", *mebibytes * factor);
    }
    if (has("mem-per-gpu"))
      notes_.push_back("--mem-per-gpu is memory of the host, as in Slurm; for memory of the GPU use #AETHER --gpu-mem");
    return {};
  }

  Outcome<void> times() {
    flags_.begin = value("begin");
    flags_.deadline = value("deadline");
    const std::string limit = value("time");
    if (!has("time")) return {};
    if (limit == "UNLIMITED" || limit == "INFINITE" || limit == "0") {
      notes_.push_back("no time limit means 366 days here");
      flags_.time = "366d";
      return {};
    }
    const auto seconds = parse_slurm_time(limit);
    if (!seconds || *seconds == 0) return bad("time", limit, "write minutes, MM:SS, HH:MM:SS or D-HH:MM:SS");
    flags_.time = fmt::format("{}s", *seconds);
    return {};
  }

  Outcome<void> environment() {
    if (!has("export")) {
      notes_.push_back("the job's environment starts empty (Slurm: --export=ALL); name what it needs with --export");
      return {};
    }
    const std::string given = value("export");
    for (std::size_t at = 0; at <= given.size();) {
      const std::size_t end = std::min(given.find(',', at), given.size());
      const std::string name = given.substr(at, end - at);
      at = end + 1;
      if (name == "NONE" || name == "NIL" || name.empty()) continue;
      if (name != "ALL") {
        flags_.env.push_back(name);
        continue;
      }
      for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string pair = *entry;
        const bool own = pair.starts_with("AETHER_") || pair.starts_with("BASH_FUNC_") || pair.find('=') == std::string::npos;
        if (!own) flags_.env.push_back(pair);
      }
    }
    return {};
  }

  Outcome<void> order() {
    if (has("priority")) {
      const auto priority = whole(value("priority"));
      if (!priority || *priority > 100) return bad("priority", value("priority"), "0 to 100");
      flags_.priority = static_cast<int>(*priority);
    } else if (has("nice")) {
      const std::string text = value("nice").empty() ? "100" : value("nice");
      const bool negative = text.starts_with('-');
      const auto nice = whole(negative ? text.substr(1) : text);
      if (!nice) return bad("nice", text, "a whole number");
      const auto steps = static_cast<int>(std::min<std::int64_t>(*nice / 100, 50));
      flags_.priority = 50 + (negative ? steps : -steps);
      notes_.push_back(fmt::format("--nice={} becomes priority {} of 0 to 100", text, *flags_.priority));
    }
    const std::string dependency = value("dependency");
    if (dependency.find('?') != std::string::npos || dependency.find('+') != std::string::npos)
      return bad("dependency", dependency, "all of them must be met, without a delay: afterok:1:2,afterany:3");
    if (!dependency.empty()) flags_.depends_on.push_back(dependency);
    const std::string kill = value("kill-on-invalid-dep");
    if (!kill.empty() && kill != "yes" && kill != "no") return bad("kill-on-invalid-dep", kill, "yes or no");
    flags_.kill_on_invalid_dep = kill == "yes";
    return {};
  }

  const SlurmOptions& options_;
  JobSpecFlags& flags_;
  std::vector<std::string>& notes_;
  std::int64_t tasks_ = 1, gpus_ = 0;
};

}  // namespace

Outcome<JobSpecFlags> SlurmOptions::to_flags(std::vector<std::string>& notes) const {
  JobSpecFlags flags;
  if (given_.empty()) return flags;
  AETHER_CLI_TRY(SlurmTranslation(*this, flags, notes).run());
  return flags;
}

}  // namespace aether::client
