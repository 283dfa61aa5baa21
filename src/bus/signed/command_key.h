#pragma once
// The key with which a cluster's orchestrator signs its commands (Ed25519), as two files of a state directory: command_key,
// the private half, which only the orchestrator's host has, and command_key.pub, which every node needs. A node that has the
// second one obeys nobody else, whoever may write on the bus.
#include <array>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/result.h"

struct evp_pkey_st;  // OpenSSL's key, as it computes with it

namespace aether {

using CommandSignature = std::array<unsigned char, 64>;
using CommandPublicKey = std::array<unsigned char, 32>;

std::string command_key_path(const std::string& state_dir);         // the private half
std::string command_public_key_path(const std::string& state_dir);

// The private half. Thread-safe.
class CommandKey {
 public:
  // Makes both files when there is none; restores the public one when it is missing. kPermissionDenied: others can read the
  // private half.
  static Result<CommandKey> ensure(const std::string& state_dir);
  Result<CommandSignature> sign(std::string_view text) const;

 private:
  explicit CommandKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}
  std::shared_ptr<evp_pkey_st> key_;
};

// The public half, read when it is first needed and there, then kept. Thread-safe.
class CommandVerifier {
 public:
  explicit CommandVerifier(std::string path) : path_(std::move(path)) {}
  // kNotFound: there is no key yet. kPermissionDenied: not the cluster's signature.
  Result<void> verify(std::string_view text, const CommandSignature& signature);

 private:
  Result<std::shared_ptr<evp_pkey_st>> key();
  const std::string path_;
  std::mutex mutex_;
  std::shared_ptr<evp_pkey_st> key_;
};

std::string to_hex(const unsigned char* bytes, std::size_t size);
// False when `text` is not exactly the hexadecimal form of `size` bytes.
bool from_hex(std::string_view text, unsigned char* bytes, std::size_t size);

}  // namespace aether
