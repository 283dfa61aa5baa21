#pragma once
// For tests: stands between libpq and a server's Unix socket and cuts the connection at a COMMIT of its choice.
#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "base/result.h"

namespace aether::store {

class CuttingProxy {
 public:
  enum class Cut {
    kNever,
    kBeforeCommit,  // the server never hears of it
    kAfterCommit,   // the server has answered; the answer is dropped
    kWhileSilent,   // from here on nothing is passed on, and nothing is closed
  };
  // `upstream`: the directory of the server's socket, port 5432.
  static Result<std::unique_ptr<CuttingProxy>> start(const std::string& upstream);
  ~CuttingProxy();

  // The directory to connect to instead.
  const std::string& directory() const { return directory_; }
  // At the next COMMIT of any connection, once.
  void cut(Cut cut) { cut_ = cut; }
  int cuts() const { return cuts_; }

 private:
  CuttingProxy(std::string directory, std::string upstream, int listener)
      : directory_(std::move(directory)), upstream_(std::move(upstream)), listener_(listener) {}
  void accept_all();
  void serve(int client);

  const std::string directory_, upstream_;
  const int listener_;
  std::atomic<Cut> cut_{Cut::kNever};
  std::atomic<int> cuts_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<int> serving_{0};
  std::thread acceptor_;
};

}  // namespace aether::store
