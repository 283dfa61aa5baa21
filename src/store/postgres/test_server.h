#pragma once
// For tests and benches: a PostgreSQL server of their own in a temporary directory, reached by a Unix socket
// there, or the server that AETHER_TEST_DATABASE_URL names.
#include <memory>
#include <string>

#include "base/result.h"

namespace aether::store {

class TestDatabase;

class TestServer {
 public:
  enum class Fsync { kOff, kOn };  // kOn for honest benches
  // kNotFound: PostgreSQL is not installed here (apt-get install postgresql). As root the server runs as the
  // account "postgres". Ends with this process, whatever happens to it.
  static Result<std::unique_ptr<TestServer>> start(Fsync fsync = Fsync::kOff);
  virtual ~TestServer() = default;

  virtual Result<std::unique_ptr<TestDatabase>> make_database() = 0;
  // False with AETHER_TEST_DATABASE_URL: somebody else's server is not stopped.
  virtual bool can_restart() const = 0;
  virtual void stop() = 0;  // at once, as a crash
  virtual Result<void> start_again() = 0;
};

// A database of its own; dropped at the end.
class TestDatabase {
 public:
  explicit TestDatabase(std::string server_url, std::string name, std::string url)
      : server_url_(std::move(server_url)), name_(std::move(name)), url_(std::move(url)) {}
  ~TestDatabase();
  TestDatabase(const TestDatabase&) = delete;
  TestDatabase& operator=(const TestDatabase&) = delete;
  const std::string& url() const { return url_; }

 private:
  const std::string server_url_, name_, url_;
};

}  // namespace aether::store
