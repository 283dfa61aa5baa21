#include "store/postgres/postgres_connection.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>

#include <cerrno>
#include <string_view>
#include <thread>

#include "base/log.h"
#include "store/postgres/text_values.h"

namespace aether::store {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kReconnectPause{200};
constexpr std::size_t kMaxStatements = 256;
constexpr std::string_view kUrlRemedy =
    "set DATABASE_URL to postgres://USER:PASSWORD@HOST:5432/DATABASE, or leave it empty to use the embedded "
    "store";

struct ResultCloser {
  void operator()(PGresult* result) const { PQclear(result); }
};
using ResultHandle = std::unique_ptr<PGresult, ResultCloser>;

bool succeeded(const ResultHandle& result) {
  const ExecStatusType status = PQresultStatus(result.get());
  return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

ErrorCode error_code(std::string_view state) {
  if (state == "23503") return ErrorCode::kInvalidArgument;  // refers to a row that is not there
  if (state.starts_with("23")) return ErrorCode::kConflict;
  if (state.starts_with("22")) return ErrorCode::kInvalidArgument;
  if (state == "53100" || state == "53200") return ErrorCode::kResourceExhausted;
  if (state == "58030") return ErrorCode::kIo;
  if (state.starts_with("XX00")) return ErrorCode::kCorrupt;
  if (state.starts_with("08") || state.starts_with("57P") || state.starts_with("40") ||
      state.starts_with("53"))
    return ErrorCode::kUnavailable;
  if (state == "57014" || state == "55P03") return ErrorCode::kTimeout;
  if (state == "42501") return ErrorCode::kPermissionDenied;
  return ErrorCode::kInternal;
}

std::string one_line(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  for (char& c : text)
    if (c == '\n' || c == '\t') c = ' ';
  return text;
}

SqlValue decode(const PGresult* result, int row, int column) {
  if (PQgetisnull(result, row, column)) return {};
  const auto length = static_cast<std::size_t>(PQgetlength(result, row, column));
  return decode_value({PQgetvalue(result, row, column), length}, PQftype(result, column));
}

SqlResult read_result(const PGresult* result) {
  SqlResult read;
  for (int row = 0; row < PQntuples(result); ++row) {
    std::vector<SqlValue> values;
    values.reserve(static_cast<std::size_t>(PQnfields(result)));
    for (int column = 0; column < PQnfields(result); ++column) values.push_back(decode(result, row, column));
    read.rows.emplace_back(std::move(values));
  }
  read.changed = parse_integer(PQcmdTuples(const_cast<PGresult*>(result)));
  return read;
}

}  // namespace

Result<void> check_database_url(const std::string& url) {
  char* reason = nullptr;
  PQconninfoOption* options = PQconninfoParse(url.c_str(), &reason);
  PQfreemem(reason);  // may quote the URL
  bool good = options != nullptr;
  for (const PQconninfoOption* option = options; good && option->keyword; ++option)
    if (option->val && std::string_view(option->keyword) == "port")
      good = std::string_view(option->val).find_first_not_of("0123456789,") == std::string_view::npos;
  PQconninfoFree(options);
  if (good && !url.empty()) return {};
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("DATABASE_URL is no PostgreSQL address; {}", kUrlRemedy), "DATABASE_URL");
}

Result<std::unique_ptr<PostgresConnection>> PostgresConnection::open(Options options) {
  AETHER_TRY(check_database_url(options.url));
  std::unique_ptr<PostgresConnection> connection(new PostgresConnection(std::move(options)));
  AETHER_TRY(connection->connect());
  return connection;
}

PostgresConnection::~PostgresConnection() { PQfinish(connection_); }

Result<void> PostgresConnection::connect() {
  PQfinish(connection_);
  prepared_.clear();
  transaction_id_.clear();
  broken_ = false;
  // What stands in the URL comes last and wins.
  const char* keys[] = {"application_name",
                        "connect_timeout",
                        "keepalives_idle",
                        "tcp_user_timeout",
                        "client_encoding",
                        "dbname",
                        nullptr};
  const char* values[] = {"aether", "2", "10", "10000", "UTF8", options_.url.c_str(), nullptr};
  connection_ = PQconnectdbParams(keys, values, 1);
  if (PQstatus(connection_) != CONNECTION_OK) return unavailable(PQerrorMessage(connection_));
  PQsetNoticeProcessor(
      connection_, [](void*, const char*) {}, nullptr);
  auto ready = run_script("SET client_min_messages = warning; SET extra_float_digits = 1; " +
                          options_.session_settings);
  if (ready && options_.on_connect) ready = options_.on_connect(*this);
  if (ready) return {};
  PQfinish(connection_);
  connection_ = nullptr;
  return ready;
}

bool PostgresConnection::is_alive() const {
  return connection_ && !broken_ && PQstatus(connection_) == CONNECTION_OK;
}

Result<void> PostgresConnection::ensure_connected() {
  if (is_alive()) return {};
  const auto now = steady_clock::now();
  if (now < next_attempt_) return unavailable("waiting before the next attempt");
  next_attempt_ = now + kReconnectPause;
  AETHER_TRY(connect());
  log::info("store", "connected to PostgreSQL again", {{"location", location()}});
  return {};
}

tl::unexpected<Error> PostgresConnection::unavailable(std::string_view reason) const {
  return fail(
      ErrorCode::kUnavailable,
      fmt::format("PostgreSQL does not answer: {}; check that the server runs and that DATABASE_URL is right",
                  one_line(std::string(reason))),
      "DATABASE_URL");
}

// A session that the server has ended may still look alive to libpq; FATAL and errors without a code tell.
tl::unexpected<Error> PostgresConnection::error(PGresult* result) {
  const char* state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : nullptr;
  const char* text = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : nullptr;
  const char* severity = result ? PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED) : nullptr;
  const bool ended = !state || (severity && std::string_view(severity) != "ERROR");
  broken_ = broken_ || ended || PQstatus(connection_) != CONNECTION_OK;
  const std::string_view said = text ? text : PQerrorMessage(connection_);
  if (broken_) return unavailable(said.empty() ? "no answer in time" : said);
  return fail(error_code(state), fmt::format("PostgreSQL: {} ({})", text ? text : "no text", state));
}

PGresult* PostgresConnection::execute(const char* sql) {
  if (answer_within_.count() == 0) return PQexec(connection_, sql);
  return PQsendQuery(connection_, sql) == 1 ? await_result() : nullptr;
}

PGresult* PostgresConnection::await_result() {
  const auto deadline = steady_clock::now() + answer_within_;
  PGresult* last = nullptr;
  while (true) {
    while (PQisBusy(connection_) == 1) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - steady_clock::now());
      const bool endless = answer_within_.count() == 0;
      pollfd entry{PQsocket(connection_), POLLIN, 0};
      const int ready = endless || left.count() > 0 ? poll(&entry, 1, endless ? -1 : static_cast<int>(left.count())) : 0;
      if (ready < 0 && errno == EINTR) continue;
      if (ready > 0 && PQconsumeInput(connection_) == 1) continue;
      broken_ = true;  // late words of this session would answer the wrong question
      PQclear(last);
      return nullptr;
    }
    PGresult* next = PQgetResult(connection_);
    if (next == nullptr) return last;
    PQclear(last);
    last = next;
  }
}

Result<std::string> PostgresConnection::prepare(std::string_view sql) {
  const std::string name = fmt::format("s{:x}", std::hash<std::string_view>{}(sql));
  if (prepared_.contains(name)) return name;
  if (prepared_.size() >= kMaxStatements) {
    ResultHandle done(execute("DEALLOCATE ALL"));
    if (!succeeded(done)) return error(done.get());
    prepared_.clear();
  }
  const bool sent = PQsendPrepare(connection_, name.c_str(), std::string(sql).c_str(), 0, nullptr) == 1;
  ResultHandle done(sent ? await_result() : nullptr);
  if (!succeeded(done)) return error(done.get());
  prepared_.insert(name);
  return name;
}

Result<SqlResult> PostgresConnection::run(std::string_view sql, const SqlParameters& parameters) {
  if (!connection_) return unavailable("not connected");
  auto name = prepare(sql);
  if (!name) return fail(name.error());
  std::vector<std::optional<std::string>> texts;
  std::vector<const char*> values;
  texts.reserve(parameters.size());
  for (const SqlValue& parameter : parameters) {
    texts.push_back(encode_value(parameter));
    values.push_back(texts.back() ? texts.back()->c_str() : nullptr);
  }
  const bool sent = PQsendQueryPrepared(connection_, name->c_str(), static_cast<int>(values.size()), values.data(),
                                        nullptr, nullptr, 0) == 1;
  ResultHandle result(sent ? await_result() : nullptr);
  if (!succeeded(result)) return error(result.get());
  return read_result(result.get());
}

Result<void> PostgresConnection::run_script(const std::string& sql) {
  if (!connection_) return unavailable("not connected");
  ResultHandle result(execute(sql.c_str()));
  if (!succeeded(result)) return error(result.get());
  return {};
}

Result<void> PostgresConnection::begin(Access access) {
  // A session that died while it was idle shows at its next use: then once more on a new one.
  for (int attempt = 0;; ++attempt) {
    AETHER_TRY(ensure_connected());
    ResultHandle result(execute(access == Access::kWrite
                                                ? "BEGIN; SELECT pg_current_xact_id()"
                                                : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
    if (succeeded(result)) {
      transaction_id_ = access == Access::kWrite ? PQgetvalue(result.get(), 0, 0) : "";
      return {};
    }
    auto failed = error(result.get());
    if (attempt > 0 || is_alive()) return failed;
  }
}

Result<void> PostgresConnection::commit() {
  ResultHandle result(execute("COMMIT"));
  const std::string transaction_id = std::exchange(transaction_id_, "");
  if (succeeded(result)) {
    if (std::string_view(PQcmdStatus(result.get())) == "COMMIT") return {};
    return fail(ErrorCode::kInternal, "PostgreSQL rolled a transaction back instead of committing it");
  }
  auto failed = error(result.get());
  if (is_alive() || transaction_id.empty()) return failed;
  return resolve_commit(transaction_id);
}

Result<void> PostgresConnection::resolve_commit(const std::string& transaction_id) {
  const auto deadline = steady_clock::now() + options_.resolve_commit_for;
  while (steady_clock::now() < deadline) {
    std::string status;
    if (ensure_connected()) {
      auto found = run("SELECT pg_xact_status(CAST(CAST($1 AS TEXT) AS xid8))", {transaction_id});
      if (found) status = found->rows.front().text(0);
    }
    if (status == "committed") return {};
    if (status == "aborted")
      return unavailable("the connection broke before the commit; nothing was written");
    std::this_thread::sleep_for(kReconnectPause);
  }
  return unavailable(
      "the connection broke during a commit and it is unknown whether it was written; load() again");
}

void PostgresConnection::rollback() noexcept {
  transaction_id_.clear();
  if (!is_alive() || PQtransactionStatus(connection_) == PQTRANS_IDLE) return;
  ResultHandle result(execute("ROLLBACK"));
}

Result<std::int64_t> PostgresConnection::copy_in(const std::string& copy_sql, std::string_view content) {
  ResultHandle started(PQexec(connection_, copy_sql.c_str()));
  if (PQresultStatus(started.get()) != PGRES_COPY_IN) return error(started.get());
  constexpr std::size_t kPiece = 1 << 20;
  bool sent = true;
  for (std::size_t at = 0; sent && at < content.size(); at += kPiece) {
    const std::string_view piece = content.substr(at, kPiece);
    sent = PQputCopyData(connection_, piece.data(), static_cast<int>(piece.size())) == 1;
  }
  sent = PQputCopyEnd(connection_, sent ? nullptr : "interrupted") == 1 && sent;
  ResultHandle done(PQgetResult(connection_));
  while (ResultHandle(PQgetResult(connection_))) {
  }
  if (!sent || !succeeded(done)) return error(done.get());
  return parse_integer(PQcmdTuples(done.get()));
}

Result<std::int64_t> PostgresConnection::change(const std::string& sql) {
  ResultHandle result(PQexec(connection_, sql.c_str()));
  if (!succeeded(result)) return error(result.get());
  return parse_integer(PQcmdTuples(result.get()));
}

std::string PostgresConnection::location() const {
  if (!connection_) return "";
  return fmt::format("{}:{}/{}", PQhost(connection_), PQport(connection_), PQdb(connection_));
}

std::string PostgresConnection::server_version() const {
  if (!connection_) return "";
  const char* version = PQparameterStatus(connection_, "server_version");
  const std::string_view text = version ? version : "";
  return std::string(text.substr(0, text.find(' ')));
}

}  // namespace aether::store
