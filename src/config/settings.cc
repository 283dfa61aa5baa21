#include "config/settings.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <functional>
#include <variant>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "base/names.h"

namespace aether {
namespace {

using Pointer = std::variant<std::string Settings::*, std::int64_t Settings::*, double Settings::*, bool Settings::*>;

struct Entry {
  const char* key;
  Pointer field;
  const char* help;
  const char* environment = nullptr;  // beside AETHER_SECTION_KEY
  double low = 0, high = 0;           // bounds of numbers; equal = none
};

const std::vector<Entry>& entries() {
  static const std::vector<Entry> all = {
      {"state.dir", &Settings::state_dir, "directory for everything that must survive a restart", "AETHER_STATE_DIR"},
      {"listen.dashboard", &Settings::listen_dashboard, "address:port of the dashboard"},
      {"listen.api", &Settings::listen_api, "address:port of the API"},
      {"listen.ai", &Settings::listen_ai, "address:port of the AI core"},
      {"listen.metrics", &Settings::listen_metrics, "address:port of the agent's /metrics"},
      {"nats.url", &Settings::nats_url, "the NATS server of the cluster roles", "NATS_URL"},
      {"database.url", &Settings::database_url, "empty: SQLite; postgres://user:password@host/name", "DATABASE_URL"},
      {"ai_core.url", &Settings::ai_core_url, "empty: in process; http://host:8000", "AI_CORE_URL"},
      {"api.anonymous_reads", &Settings::anonymous_reads, "reads on loopback need no token"},
      {"api.allowed_hosts", &Settings::allowed_hosts, "comma list of further Host names"},
      {"agent.node", &Settings::node, "name of this node; empty: the host name"},
      {"agent.gpus", &Settings::gpus, "auto | nvml | simulated:N[,seed=S,scenario=NAME|FILE] | none"},
      {"agent.nvml_library", &Settings::nvml_library, "path of libnvidia-ml.so.1; empty: the system's"},
      {"agent.sample_interval_ms", &Settings::sample_interval_ms, "time between readings", nullptr, 100, 60000},
      {"agent.heartbeat_interval_ms", &Settings::heartbeat_interval_ms, "time between heartbeats", nullptr, 100, 5000},
      {"agent.fast_interval_ms", &Settings::fast_interval_ms,
       "time between readings of the fast counters, for /metrics; 0 or from 100", nullptr, 0, 60000},
      {"agent.spool_mb", &Settings::spool_mb, "readings kept on disk while nobody takes them", nullptr, 4, 1e6},
      {"agent.dcgm_names", &Settings::dcgm_names, "names of dcgm-exporter on /metrics: old | new | both | off"},
      {"agent.metrics_host_label", &Settings::metrics_host_label,
       "label with the host name on those lines: Hostname | hostname | both | none"},
      {"executor.run_as", &Settings::run_as, "account that jobs run as; needed when Aether runs as root"},
      {"executor.shim", &Settings::shim, "path of aether-shim; empty: beside this program"},
      {"scheduler.default_time_limit_s", &Settings::default_time_limit_s, "time limit of jobs that give none", nullptr, 1,
       366.0 * 86400},
      {"scheduler.predict_deadline_ms", &Settings::predict_deadline_ms, "then placement goes on without the model", nullptr,
       1, 10000},
      {"scheduler.max_pending", &Settings::max_pending, "waiting jobs that the queue holds", nullptr, 1, 1e6},
      {"model.dir", &Settings::model_dir, "trained models; empty: models/ in the state directory"},
      {"carbon.source", &Settings::carbon_source, "typical | uk | off | file:PATH"},
      {"carbon.postcode", &Settings::carbon_postcode, "outward postcode for the regional UK intensity"},
      {"alerts.temperature_c", &Settings::alert_temperature_c, "a GPU this hot is an alert", nullptr, 30, 120},
      {"alerts.throttling_s", &Settings::alert_throttling_s, "harmful throttling for this long is an alert", nullptr, 1,
       86400},
      {"alerts.idle_pct", &Settings::alert_idle_pct, "a held GPU less busy than this is idle", nullptr, 0, 100},
      {"alerts.idle_s", &Settings::alert_idle_s, "idle for this long is an alert", nullptr, 1, 864000},
      {"alerts.anomalies", &Settings::alert_anomalies, "also alerts from a GPU's own past and from its peers"},
      {"alerts.heat_c", &Settings::alert_heat_c, "degrees above what a GPU's power explains", nullptr, 1, 100},
      {"alerts.peer_heat_c", &Settings::alert_peer_heat_c, "the same, more than its peers", nullptr, 1, 100},
      {"alerts.node_heat_c", &Settings::alert_node_heat_c, "the same, all GPUs of a node at once", nullptr, 1, 100},
      {"alerts.slow_pct", &Settings::alert_slow_pct, "of clock or work below its own past or its peers", nullptr, 1, 100},
      {"alerts.ecc_errors", &Settings::alert_ecc_errors, "corrected memory errors within ten minutes", nullptr, 1, 1e6},
      {"alerts.pcie_replays", &Settings::alert_pcie_replays, "replays on PCIe within ten minutes", nullptr, 1, 1e6},
      {"alerts.leak_pct", &Settings::alert_leak_pct, "of the memory, growing without a break", nullptr, 0.1, 100},
      {"alerts.hold_s", &Settings::alert_hold_s, "such a deviation for this long is an alert", nullptr, 10, 86400},
      {"history.raw_h", &Settings::history_raw_h, "hours of raw readings kept", nullptr, 1, 8760},
      {"history.minute_d", &Settings::history_minute_d, "days of 1-minute values kept", nullptr, 1, 3650},
      {"history.hour_d", &Settings::history_hour_d, "days of 1-hour values kept", nullptr, 1, 36500},
      {"dashboard.pages_dir", &Settings::pages_dir, "the built dashboard; empty: found beside this program"},
      {"log.level", &Settings::log_level, "debug | info | warn | error"},
      {"log.format", &Settings::log_format, "text | json"},
  };
  return all;
}

Result<void> check_one_of(const char* key, const std::string& value, std::initializer_list<const char*> known) {
  std::string list;
  for (const char* word : known) {
    if (value == word) return {};
    list += (list.empty() ? "" : ", ") + std::string(word);
  }
  return fail(ErrorCode::kInvalidArgument, fmt::format("{} = '{}'; give one of {}", key, value, list), key);
}

std::string environment_name(const Entry& entry) {
  std::string name = "AETHER_";
  for (const char* c = entry.key; *c != '\0'; ++c)
    name += *c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(*c)));
  return name;
}

std::string flag_of(std::string key) {
  if (const auto agent = key.find("agent."); agent == 0) key = key.substr(6);
  std::replace(key.begin(), key.end(), '.', '-');
  std::replace(key.begin(), key.end(), '_', '-');
  return "--" + key;
}

std::string print(const Settings& settings, const Pointer& field) {
  return std::visit(
      [&](auto pointer) -> std::string {
        const auto& value = settings.*pointer;
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string>)
          return hide_password(value);
        else
          return fmt::format("{}", value);
      },
      field);
}

template <class T>
bool parse_number(const std::string& text, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

tl::unexpected<Error> bad_value(const Entry& entry, const std::string& text, const std::string& origin,
                                std::string_view wanted) {
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("{} = '{}' ({}): {}; it is {}", entry.key, hide_password(text), origin, wanted, entry.help),
              entry.key);
}

Result<void> check_choice(const Entry& entry, const std::string& text, const std::string& origin) {
  const std::string_view help = entry.help;
  if (std::string_view(entry.key) != "log.level" && std::string_view(entry.key) != "log.format") return {};
  if (help.find(text) == std::string_view::npos || text.empty()) return bad_value(entry, text, origin, "not one of its values");
  return {};
}

Result<void> assign(Settings& settings, const Entry& entry, const std::string& text, const std::string& origin) {
  if (auto* field = std::get_if<std::string Settings::*>(&entry.field)) {
    settings.**field = text;
    return check_choice(entry, text, origin);
  }
  if (auto* field = std::get_if<bool Settings::*>(&entry.field)) {
    if (text != "true" && text != "false") return bad_value(entry, text, origin, "give true or false");
    settings.**field = text == "true";
    return {};
  }
  double number = 0;
  if (auto* field = std::get_if<std::int64_t Settings::*>(&entry.field)) {
    if (!parse_number(text, settings.**field)) return bad_value(entry, text, origin, "not a whole number");
    number = static_cast<double>(settings.**field);
  } else if (auto* real = std::get_if<double Settings::*>(&entry.field)) {
    if (!parse_number(text, settings.**real)) return bad_value(entry, text, origin, "not a number");
    number = settings.**real;
  }
  if (entry.low < entry.high && !(number >= entry.low && number <= entry.high))
    return bad_value(entry, text, origin, fmt::format("outside {} to {}", entry.low, entry.high));
  return {};
}

const Entry* find_entry(const std::string& key) {
  for (const Entry& entry : entries())
    if (key == entry.key) return &entry;
  return nullptr;
}

Error unknown_key(const std::string& key, const std::string& origin) {
  std::vector<std::string> known;
  for (const Entry& entry : entries()) known.push_back(entry.key);
  const std::string nearest = nearest_name(key, known);
  return {ErrorCode::kInvalidArgument,
          fmt::format("unknown setting '{}' in {}{}; `aether config show` lists them all", key, origin,
                      nearest.empty() ? "" : fmt::format(", did you mean '{}'?", nearest)),
          key};
}

class Loader {
 public:
  Loader() {
    for (const Entry& entry : entries()) origin_[entry.key] = "default";
    loaded_.settings.job_types["training"] = demonstration("training", "epoch", 3);
    loaded_.settings.job_types["inference"] = demonstration("inference", "request", 2);
  }

  Result<void> file(const std::string& path) {
    toml::table table;
    try {
      table = toml::parse_file(path);
    } catch (const toml::parse_error& error) {
      const auto where = error.source().begin;
      return fail(ErrorCode::kInvalidArgument, fmt::format("{}:{}:{}: {}", path, where.line, where.column, error.description()), path);
    }
    for (const auto& [section, content] : table) {
      const std::string name(section.str());
      const toml::table* keys = content.as_table();
      if (keys == nullptr) return fail(unknown_key(name, path));
      if (name == "job_types") {
        AETHER_TRY(job_types(*keys, path));
        continue;
      }
      for (const auto& [key, value] : *keys) AETHER_TRY(set(name + "." + std::string(key.str()), text_of(value), path));
    }
    return {};
  }

  Result<void> environment(const std::map<std::string, std::string>& variables) {
    for (const Entry& entry : entries()) {
      for (const std::string& name : {std::string(entry.environment != nullptr ? entry.environment : ""), environment_name(entry)})
        if (const auto it = variables.find(name); it != variables.end()) AETHER_TRY(set(entry.key, it->second, "environment " + name));
    }
    return {};
  }

  Result<void> set(const std::string& key, const std::string& text, const std::string& origin) {
    const Entry* entry = find_entry(key);
    if (entry == nullptr) return fail(unknown_key(key, origin));
    origin_[key] = origin;
    return assign(loaded_.settings, *entry, text, origin);
  }

  LoadedSettings take() {
    for (const Entry& entry : entries())
      loaded_.origins.push_back({entry.key, print(loaded_.settings, entry.field), origin_[entry.key], entry.help});
    return std::move(loaded_);
  }

  LoadedSettings& loaded() { return loaded_; }

 private:
  // Harmless: prints its GPUs and a few lines, and ends.
  static JobSpec demonstration(const std::string& type, const std::string& step, int count) {
    JobSpec spec;
    spec.type = *parse_job_type(type);
    spec.argv = {"/bin/sh", "-c",
                 fmt::format("echo \"demonstration {} job on $CUDA_VISIBLE_DEVICES\"; i=1; while [ $i -le {} ]; do echo "
                             "\"{} $i of {}\"; sleep 1; i=$((i+1)); done; echo done",
                             type, count, step, count)};
    spec.gpus = 1;
    spec.time_limit_s = 600;
    return spec;
  }

  static std::string text_of(const toml::node& value) {
    if (const auto text = value.value<std::string>(); value.is_string()) return *text;
    if (value.is_boolean()) return *value.value<bool>() ? "true" : "false";
    if (value.is_integer()) return std::to_string(*value.value<std::int64_t>());
    if (value.is_floating_point()) return fmt::format("{}", *value.value<double>());
    return "(not a plain value)";
  }

  Result<void> job_types(const toml::table& types, const std::string& path) {
    for (const auto& [name, content] : types) {
      const std::string type(name.str());
      const toml::table* keys = content.as_table();
      if (!parse_job_type(type) || keys == nullptr)
        return fail(ErrorCode::kInvalidArgument, fmt::format("{}: [job_types.{}]: the types are training and inference", path, type));
      JobSpec& spec = loaded_.settings.job_types[type];
      for (const auto& [key, value] : *keys) AETHER_TRY(template_key(spec, type, std::string(key.str()), value, path));
      if (auto valid = validate(spec); !valid)
        return fail_with_context(fmt::format("{}: [job_types.{}] {}", path, type, valid.error().field), valid.error());
    }
    return {};
  }

  static Result<void> template_key(JobSpec& spec, const std::string& type, const std::string& key, const toml::node& value,
                                   const std::string& path) {
    if (key == "argv" && value.is_array()) {
      spec.argv.clear();
      for (const auto& word : *value.as_array()) spec.argv.push_back(text_of(word));
      return {};
    }
    if (value.is_integer()) {
      const std::int64_t number = *value.value<std::int64_t>();
      if (key == "gpus") return spec.gpus = static_cast<int>(std::clamp<std::int64_t>(number, -1, 100000)), Result<void>();
      if (key == "time_limit_s") return spec.time_limit_s = number, Result<void>();
      if (key == "priority") return spec.priority = static_cast<int>(std::clamp<std::int64_t>(number, -1, 1000)), Result<void>();
      if (key == "gpu_mem_mb") return spec.gpu_mem_mb = number, Result<void>();
    }
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: [job_types.{}] {}: the keys are argv (a list of words), gpus, gpu_mem_mb, time_limit_s and "
                            "priority (whole numbers)",
                            path, type, key),
                key);
  }

  LoadedSettings loaded_;
  std::map<std::string, std::string> origin_;
};

std::string value_or(const std::map<std::string, std::string>& map, const std::string& key, std::string fallback) {
  const auto it = map.find(key);
  return it == map.end() || it->second.empty() ? std::move(fallback) : it->second;
}

std::string default_node_name() {
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  std::string name;
  for (const char* c = host; *c != '\0' && *c != '.' && name.size() < 63; ++c) {
    const char lower = static_cast<char>(std::tolower(static_cast<unsigned char>(*c)));
    name += (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9') ? lower : '-';
  }
  while (!name.empty() && name.front() == '-') name.erase(0, 1);
  while (!name.empty() && name.back() == '-') name.pop_back();
  return name.empty() ? "node" : name;
}

}  // namespace

std::string hide_password(const std::string& url) {
  const std::size_t scheme = url.find("://");
  const std::size_t at = url.find('@', scheme == std::string::npos ? 0 : scheme);
  if (scheme == std::string::npos || at == std::string::npos) return url;
  const std::size_t colon = url.find(':', scheme + 3);
  if (colon == std::string::npos || colon > at) return url;
  return url.substr(0, colon + 1) + "***" + url.substr(at);
}

std::map<std::string, std::string> process_environment() {
  std::map<std::string, std::string> out;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const std::size_t equals = text.find('=');
    if (equals != std::string_view::npos) out.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

std::vector<SettingInfo> known_settings() {
  std::vector<SettingInfo> out;
  for (const Entry& entry : entries()) out.push_back({entry.key, flag_of(entry.key), entry.help});
  return out;
}

Result<LoadedSettings> load_settings(const std::string& config_file, const std::map<std::string, std::string>& flags,
                                     const std::map<std::string, std::string>& environment) {
  Loader loader;
  const std::string home = value_or(environment, "HOME", "/");
  std::vector<std::string> files = {"/etc/aether/aether.toml",
                                    value_or(environment, "XDG_CONFIG_HOME", home + "/.config") + "/aether/aether.toml"};
  if (!config_file.empty()) {
    files = {config_file};
    if (!std::filesystem::exists(config_file))
      return fail(ErrorCode::kNotFound, fmt::format("--config {}: there is no such file", config_file), "config");
  }
  for (const std::string& file : files)
    if (std::filesystem::exists(file)) AETHER_TRY(loader.file(file));
  AETHER_TRY(loader.environment(environment));
  for (const auto& [key, text] : flags) AETHER_TRY(loader.set(key, text, "flag " + flag_of(key)));

  Settings& settings = loader.loaded().settings;
  if (settings.state_dir.empty())
    settings.state_dir = geteuid() == 0 ? "/var/lib/aether" : value_or(environment, "XDG_STATE_HOME", home + "/.local/state") + "/aether";
  if (settings.state_dir[0] != '/') settings.state_dir = std::filesystem::absolute(settings.state_dir).lexically_normal().string();
  if (settings.node.empty()) settings.node = default_node_name();
  if (!is_valid_name(settings.node))
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("agent.node = '{}': a node name has lower-case letters, digits and inner dashes, at most 63", settings.node),
                "agent.node");
  if (settings.fast_interval_ms > 0 && settings.fast_interval_ms < 100)
    return fail(ErrorCode::kInvalidArgument, "agent.fast_interval_ms: 0 (no fast tier), or at least 100", "agent.fast_interval_ms");
  AETHER_TRY(check_one_of("agent.dcgm_names", settings.dcgm_names, {"old", "new", "both", "off"}));
  AETHER_TRY(check_one_of("agent.metrics_host_label", settings.metrics_host_label, {"Hostname", "hostname", "both", "none"}));
  if (settings.model_dir.empty()) settings.model_dir = settings.state_dir + "/models";
  return loader.take();
}

}  // namespace aether
