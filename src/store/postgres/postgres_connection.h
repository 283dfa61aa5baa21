#pragma once
// SqlConnection over one libpq connection that comes back by itself after the server was away.
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>

#include "store/sql/connection.h"

struct pg_conn;
struct pg_result;

namespace aether::store {

// Checks a DATABASE_URL without connecting; kInvalidArgument never repeats the URL, which may hold a
// password.
Result<void> check_database_url(const std::string& url);

class PostgresConnection final : public SqlConnection {
 public:
  struct Options {
    std::string url;
    std::string session_settings;  // SQL, run after each connect
    // Runs after each connect, also after a reconnect: its error closes the connection again.
    std::function<Result<void>(PostgresConnection&)> on_connect = {};
    // How long a commit whose connection broke is looked up before its outcome is given up as unknown.
    std::chrono::milliseconds resolve_commit_for{5'000};
  };
  // From here on a server that does not answer a statement within this time is taken to be away, as if the connection had
  // broken; 0, as at first, waits without end. Not for COPY.
  void answer_within(std::chrono::milliseconds longest) { answer_within_ = longest; }
  // kUnavailable when the server does not answer.
  static Result<std::unique_ptr<PostgresConnection>> open(Options options);
  ~PostgresConnection() override;

  Result<SqlResult> run(std::string_view sql, const SqlParameters& parameters = {}) override;
  Result<void> run_script(const std::string& sql) override;
  // Connects again when the connection is broken; at most one attempt per 200 ms, kUnavailable in between.
  Result<void> begin(Access access) override;
  // When the connection breaks during a write's commit, connects again and asks the server what became of it.
  Result<void> commit() override;
  void rollback() noexcept override;

  // COPY ... FROM STDIN (FORMAT binary) with this content, header and trailer included. Returns rows copied.
  Result<std::int64_t> copy_in(const std::string& copy_sql, std::string_view content);

  // One statement without parameters and without a kept plan. Returns rows changed.
  Result<std::int64_t> change(const std::string& sql);

  std::string location() const;        // "host:port/database"
  std::string server_version() const;  // "15.4"

 private:
  explicit PostgresConnection(Options options) : options_(std::move(options)) {}
  Result<void> connect();
  bool is_alive() const;
  Result<void> ensure_connected();
  Result<void> resolve_commit(const std::string& transaction_id);
  Result<std::string> prepare(std::string_view sql);
  // The last result of what was sent; null when nothing came in time.
  pg_result* await_result();
  pg_result* execute(const char* sql);
  tl::unexpected<Error> error(pg_result* result);
  tl::unexpected<Error> unavailable(std::string_view reason) const;

  const Options options_;
  pg_conn* connection_ = nullptr;
  std::unordered_set<std::string> prepared_;
  std::chrono::milliseconds answer_within_{0};
  bool broken_ = false;         // the server has ended the session, or says nothing any more
  std::string transaction_id_;  // of the write transaction that is open
  std::chrono::steady_clock::time_point next_attempt_{};
};

}  // namespace aether::store
