#pragma once
// For tests: an Aether API that answers from a script, a private state directory, and the command line run in
// this process.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "client/commands.h"
#include "client/endpoint.h"
#include "http/scripted_server.h"

namespace aether::client {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "aether-client-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct RunResult {
  int exit_code = -1;
  std::string out, err;
};

// Runs `aether ARGUMENTS...` with this state directory.
inline RunResult run_aether(const std::string& state_dir, std::vector<std::string> arguments) {
  std::ostringstream out, err;
  RunResult result;
  CLI::App app("aether");
  add_commands(app, result.exit_code, out, err);
  arguments.insert(arguments.begin(), {"aether", "--state-dir", state_dir});
  std::vector<const char*> argv;
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  result.exit_code = run_command_line(app, static_cast<int>(argv.size()), argv.data(), result.exit_code);
  result.out = out.str();
  result.err = err.str();
  return result;
}

class FakeApi {
 public:
  // Replies by "METHOD /path", the query not counted; the last of several stays. Anything else is 404.
  using Replies = std::map<std::string, std::vector<std::string>>;

  explicit FakeApi(Replies replies)
      : replies_(std::move(replies)),
        server_([this](const http::ScriptedRequest& request) { return answer(request); }) {
    token_ = ensure_token(state_.path()).value();
    if (!write_endpoint(state_.path(), {server_.url(), "http://127.0.0.1:3000", 1})) std::abort();
  }
  RunResult run(std::vector<std::string> arguments) {
    return run_aether(state_.path(), std::move(arguments));
  }
  std::vector<http::ScriptedRequest> requests() const { return server_.requests(); }
  std::optional<http::ScriptedRequest> find(const std::string& method, const std::string& path) const {
    for (const auto& request : requests())
      if (request.method == method && request.path() == path) return request;
    return std::nullopt;
  }
  const std::string& token() const { return token_; }
  const std::string& state_dir() const { return state_.path(); }
  std::string url() const { return server_.url(); }

 private:
  std::string answer(const http::ScriptedRequest& request) {
    const auto it = replies_.find(request.method + " " + request.path());
    if (it == replies_.end() || it->second.empty())
      return http::scripted_reply(
          404, R"({"title":"not found","status":404,"code":"not_found","detail":"no such thing"})",
          "application/problem+json");
    const std::string reply = it->second.front();
    if (it->second.size() > 1) it->second.erase(it->second.begin());
    return reply;
  }

  TemporaryDirectory state_;
  Replies replies_;
  std::string token_;
  http::ScriptedServer server_;
};

// Replies with a job, with a piece of a log, and with a problem document.
inline std::string job_reply(const std::string& state, const std::string& more = {}) {
  return http::scripted_reply(
      200, R"({"job_id":"01J","number":7,"name":"train","gpus":1,"state":")" + state + "\"" + more + "}");
}
inline std::string log_reply(const std::string& text, int offset, bool complete) {
  return http::scripted_reply(
      200, text, "application/octet-stream",
      "Aether-Log-Offset: " + std::to_string(offset) +
          "\r\nAether-Log-Next-Offset: " + std::to_string(offset + static_cast<int>(text.size())) +
          "\r\nAether-Log-Complete: " + (complete ? "true" : "false") + "\r\n");
}
inline std::string problem(int status, const std::string& code) {
  return http::scripted_reply(
      status, R"({"title":"t","status":0,"code":")" + code + R"(","detail":"it is so","hint":"do that"})",
      "application/problem+json");
}

}  // namespace aether::client
