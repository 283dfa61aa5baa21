#pragma once
// Every setting of Aether, with the place each value came from. Precedence: default < file < environment < flag.
// Files: /etc/aether/aether.toml, then $XDG_CONFIG_HOME/aether/aether.toml, or only the one that --config names.
// Environment: AETHER_SECTION_KEY, and the plain NATS_URL, DATABASE_URL, AI_CORE_URL.
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/job.h"

namespace aether {

struct Settings {
  // [state]
  std::string state_dir;             // empty until load(): /var/lib/aether as root, else $XDG_STATE_HOME/aether
  // [listen], each address:port; port 0 picks a free one
  std::string listen_dashboard = "127.0.0.1:3000";
  std::string listen_api = "127.0.0.1:8080";
  std::string listen_ai = "127.0.0.1:8000";
  std::string listen_metrics = "127.0.0.1:9400";
  // services
  std::string nats_url = "nats://localhost:4222";  // the cluster roles'; `aether up` needs no server
  std::string database_url;          // empty: SQLite in the state directory; postgres://...
  std::string ai_core_url;           // empty: in process; the cluster default is http://localhost:8000
  // [api]
  bool anonymous_reads = true;       // on loopback
  std::string allowed_hosts;         // comma list, beside the loopback names
  // [agent]
  std::string node;                  // empty: from the host name
  std::string gpus = "auto";         // auto | nvml | simulated:N[,seed=S,scenario=NAME|FILE] | none
  std::string nvml_library;          // empty: the system's
  std::int64_t sample_interval_ms = 1000;
  std::int64_t heartbeat_interval_ms = 2000;
  std::int64_t fast_interval_ms = 0;     // of the counters in between, for /metrics; 0 = none
  std::int64_t spool_mb = 640;           // readings on disk while nobody takes them
  std::string dcgm_names = "old";        // old | new | both | off: the names of dcgm-exporter beside aether_*
  std::string metrics_host_label = "Hostname";  // Hostname | hostname | both | none, on the lines with DCGM's names
  // [executor]
  std::string run_as;                // account of the jobs; needed when started as root
  std::string shim;                  // empty: beside this program
  // [scheduler]
  std::int64_t default_time_limit_s = 86400;
  std::int64_t predict_deadline_ms = 50;
  std::int64_t max_pending = 100000;
  // [model]
  std::string model_dir;             // empty: <state>/models
  // [carbon]
  std::string carbon_source = "typical";  // typical | uk | off | file:PATH
  std::string carbon_postcode;       // outward part, for the regional UK intensity
  // [alerts]
  double alert_temperature_c = 87;
  std::int64_t alert_throttling_s = 10;
  double alert_idle_pct = 5;
  std::int64_t alert_idle_s = 300;
  bool alert_anomalies = true;       // beside the fixed limits: docs/anomalies.md
  double alert_heat_c = 7;
  double alert_peer_heat_c = 5;
  double alert_node_heat_c = 5;
  double alert_slow_pct = 7;
  double alert_ecc_errors = 4;
  double alert_pcie_replays = 30;
  double alert_leak_pct = 1;
  std::int64_t alert_hold_s = 60;
  // [history]
  std::int64_t history_raw_h = 48;
  std::int64_t history_minute_d = 30;
  std::int64_t history_hour_d = 730;
  // [dashboard]
  std::string pages_dir;             // empty: found beside the program
  // [log]
  std::string log_level = "info";    // debug | info | warn | error
  std::string log_format = "text";   // text | json

  // [job_types.training], [job_types.inference]: what POST /submit fills in. Keys: argv, gpus, time_limit_s, priority.
  std::map<std::string, JobSpec> job_types;
};

struct SettingOrigin {
  std::string key;     // "listen.api"
  std::string value;   // as text; secrets in URLs hidden
  std::string origin;  // "default", "/etc/aether/aether.toml", "environment AETHER_LISTEN_API", "flag --listen-api"
  std::string help;
};

// `flags`: "listen.api" -> text, as given on the command line. An unknown key, a value of the wrong type or out of range is
// kInvalidArgument: it names the key, the file or variable, and the nearest known key.
struct LoadedSettings {
  Settings settings;
  std::vector<SettingOrigin> origins;
};
Result<LoadedSettings> load_settings(const std::string& config_file, const std::map<std::string, std::string>& flags,
                                     const std::map<std::string, std::string>& environment);

// The process's environment as a map.
std::map<std::string, std::string> process_environment();

// postgres://user:***@host/db
std::string hide_password(const std::string& url);

// For flags and completion: every key with its help.
struct SettingInfo {
  std::string key, flag, help;
};
std::vector<SettingInfo> known_settings();

}  // namespace aether
