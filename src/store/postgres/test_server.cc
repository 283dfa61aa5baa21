#include "store/postgres/test_server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <vector>

namespace aether::store {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

Result<void> execute(const std::string& url, const std::string& sql) {
  PGconn* connection = PQconnectdb(url.c_str());
  PGresult* result = PQexec(connection, sql.c_str());
  const bool good = PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK;
  const std::string reason = PQerrorMessage(connection);
  PQclear(result);
  PQfinish(connection);
  if (!good) return fail(ErrorCode::kUnavailable, reason);
  return {};
}

std::string programs_directory() {
  std::vector<std::string> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/usr/lib/postgresql", ignored))
    if (std::filesystem::exists(entry.path() / "bin" / "initdb", ignored))
      found.push_back(entry.path() / "bin");
  return found.empty() ? std::string() : *std::max_element(found.begin(), found.end());
}

// "postgres://host/old?x" -> "postgres://host/name?x"; "postgres:///?host=..." likewise.
std::string with_database(const std::string& url, const std::string& name) {
  const std::size_t authority = url.find("//") + 2;
  const std::size_t query = std::min(url.find('?', authority), url.size());
  const std::size_t path = std::min(url.find('/', authority), query);
  return url.substr(0, path) + "/" + name + url.substr(query);
}

Result<std::unique_ptr<TestDatabase>> make_database_on(const std::string& server_url) {
  static std::atomic<int> next = 0;
  const std::string name = fmt::format("aether_test_{}_{}", getpid(), next++);
  AETHER_TRY(execute(server_url, "CREATE DATABASE " + name + " TEMPLATE template0"));
  return std::make_unique<TestDatabase>(server_url, name, with_database(server_url, name));
}

class NamedServer final : public TestServer {
 public:
  explicit NamedServer(std::string url) : url_(std::move(url)) {}
  Result<std::unique_ptr<TestDatabase>> make_database() override { return make_database_on(url_); }
  bool can_restart() const override { return false; }
  void stop() override {}
  Result<void> start_again() override { return {}; }

 private:
  const std::string url_;
};

class OwnServer final : public TestServer {
 public:
  OwnServer(std::string programs, std::string directory, Fsync fsync)
      : programs_(std::move(programs)), directory_(std::move(directory)), fsync_(fsync) {}
  ~OwnServer() override {
    stop();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  Result<void> initialise() {
    if (const passwd* account = account_for_root())
      if (chown(directory_.c_str(), account->pw_uid, account->pw_gid) != 0)
        return fail(ErrorCode::kIo, "chown of " + directory_);
    const pid_t child = spawn({programs_ + "/initdb", "-D", directory_ + "/data", "-U", "aether", "-A",
                               "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"});
    int status = 0;
    waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return fail(ErrorCode::kUnavailable, "initdb failed");
    return start_again();
  }

  Result<std::unique_ptr<TestDatabase>> make_database() override { return make_database_on(url()); }
  bool can_restart() const override { return true; }

  void stop() override {
    if (server_ <= 0) return;
    kill(server_, SIGQUIT);
    waitpid(server_, nullptr, 0);
    server_ = 0;
  }

  Result<void> start_again() override {
    server_ = spawn({programs_ + "/postgres", "-D", directory_ + "/data", "-k", directory_, "-c",
                     "listen_addresses=", "-c", fsync_ == Fsync::kOn ? "fsync=on" : "fsync=off", "-c",
                     "shared_buffers=256MB", "-c", "max_wal_size=2GB"});
    const auto deadline = steady_clock::now() + std::chrono::seconds(30);
    while (steady_clock::now() < deadline) {
      if (PQping(url().c_str()) == PQPING_OK) return {};
      if (waitpid(server_, nullptr, WNOHANG) == server_) break;
      std::this_thread::sleep_for(milliseconds(20));
    }
    return fail(ErrorCode::kUnavailable, "the test server did not start");
  }

 private:
  std::string url() const { return "postgres:///postgres?user=aether&host=" + directory_; }

  // The server refuses to run as root.
  static const passwd* account_for_root() { return getuid() == 0 ? getpwnam("postgres") : nullptr; }

  pid_t spawn(std::vector<std::string> arguments) const {
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    const passwd* account = account_for_root();
    const pid_t child = fork();
    if (child != 0) return child;
    if (account &&
        (setgroups(0, nullptr) != 0 || setgid(account->pw_gid) != 0 || setuid(account->pw_uid) != 0))
      _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    const int silence = open("/dev/null", O_RDWR);
    for (int file = 0; file < 3; ++file) dup2(silence, file);
    if (chdir("/") != 0) _exit(126);
    execv(pointers[0], pointers.data());
    _exit(127);
  }

  const std::string programs_, directory_;
  const Fsync fsync_;
  pid_t server_ = 0;
};

}  // namespace

Result<std::unique_ptr<TestServer>> TestServer::start(Fsync fsync) {
  if (const char* url = std::getenv("AETHER_TEST_DATABASE_URL"); url && *url)
    return std::unique_ptr<TestServer>(new NamedServer(url));
  const std::string programs = programs_directory();
  if (programs.empty())
    return fail(ErrorCode::kNotFound,
                "PostgreSQL is not installed (apt-get install postgresql) and "
                "AETHER_TEST_DATABASE_URL is not set");
  char name[] = "/tmp/aether-postgres-XXXXXX";
  if (!mkdtemp(name)) return fail(ErrorCode::kIo, "making a temporary directory");
  auto server = std::make_unique<OwnServer>(programs, name, fsync);
  AETHER_TRY(server->initialise());
  return std::unique_ptr<TestServer>(std::move(server));
}

TestDatabase::~TestDatabase() {
  (void)execute(server_url_, "DROP DATABASE IF EXISTS " + name_ + " WITH (FORCE)");
}

}  // namespace aether::store
