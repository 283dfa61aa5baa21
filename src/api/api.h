#pragma once
// HTTP routes, the live stream, metrics and the dashboard's pages over the orchestrator's control port. One object
// serves every listener, so that all of them show the same cluster. The paths are those of schema/http/openapi.yaml.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "http/server.h"
#include "model/job.h"
#include "orchestrator/control.h"
#include "store/store.h"

namespace aether {

struct ApiOptions {
  std::string version;  // of Aether
  std::string cluster = "aether";
  std::string mode = "embedded";             // "embedded", "cluster"
  std::string bus = "in_process";            // "in_process", "nats"
  std::map<std::string, JobSpec> job_types;  // "training", "inference": what POST /submit starts from
  std::string pages_directory;  // the dashboard's export (out/); empty or missing: a page says how to build it
};

// Thread-safe after start(). `control`, `store`, `clock` and the servers outlive it; stop() before the servers stop.
class Api {
 public:
  // Without a store (null) there is no history: only what the orchestrator holds in memory.
  Api(Control& control, Store* store, const Clock& clock, ApiOptions options);
  ~Api();
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  // Before the server's start(). `with_pages`: also the dashboard, as the server's fallback.
  void register_on(http::Server& server, bool with_pages);
  // The stream's own thread.
  void start();
  // Says bye to the stream's clients. Idempotent.
  void stop();

  // The API description that /openapi.json serves.
  static const std::string& openapi();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace aether
