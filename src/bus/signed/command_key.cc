#include "bus/signed/command_key.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#include <memory>
#include <utility>

#include "base/files.h"

namespace aether {
namespace {

// Made once for each key: importing one costs as much as signing with it.
using KeyHandle = std::shared_ptr<EVP_PKEY>;
KeyHandle own(EVP_PKEY* key) { return {key, EVP_PKEY_free}; }
struct ContextCloser {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using ContextHandle = std::unique_ptr<EVP_MD_CTX, ContextCloser>;

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

template <std::size_t size>
Result<std::array<unsigned char, size>> read_key(const std::string& path) {
  auto text = read_file(path);
  if (!text) return fail(text.error());
  while (!text->empty() && text->back() == '\n') text->pop_back();
  std::array<unsigned char, size> key{};
  if (!from_hex(*text, key.data(), size))
    return fail(ErrorCode::kCorrupt, fmt::format("{} holds no key; on a node, copy it again from the orchestrator's host", path));
  return key;
}

Result<CommandPublicKey> public_half(const KeyHandle& key) {
  CommandPublicKey out{};
  std::size_t size = out.size();
  if (!key || EVP_PKEY_get_raw_public_key(key.get(), out.data(), &size) != 1 || size != out.size())
    return fail(ErrorCode::kInternal, "no public half of the command key");
  return out;
}

Result<std::array<unsigned char, 32>> make_key(const std::string& path) {
  const KeyHandle key = own(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  std::array<unsigned char, 32> seed{};
  std::size_t size = seed.size();
  if (!key || EVP_PKEY_get_raw_private_key(key.get(), seed.data(), &size) != 1 || size != seed.size())
    return fail(ErrorCode::kInternal, "no new command key");
  AETHER_TRY(write_file_durably(path, to_hex(seed.data(), seed.size()) + "\n", 0600));
  return seed;
}

}  // namespace

std::string to_hex(const unsigned char* bytes, std::size_t size) {
  std::string out;
  out.reserve(2 * size);
  for (std::size_t i = 0; i < size; ++i) {
    out += "0123456789abcdef"[bytes[i] >> 4];
    out += "0123456789abcdef"[bytes[i] & 15];
  }
  return out;
}

bool from_hex(std::string_view text, unsigned char* bytes, std::size_t size) {
  if (text.size() != 2 * size) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return false;
    bytes[i / 2] = static_cast<unsigned char>(i % 2 == 0 ? digit << 4 : bytes[i / 2] | digit);
  }
  return true;
}

std::string command_key_path(const std::string& state_dir) { return state_dir + "/command_key"; }
std::string command_public_key_path(const std::string& state_dir) { return state_dir + "/command_key.pub"; }

Result<CommandKey> CommandKey::ensure(const std::string& state_dir) {
  const std::string path = command_key_path(state_dir);
  struct stat info {};
  const bool present = stat(path.c_str(), &info) == 0;
  if (present && (info.st_mode & 077) != 0)
    return fail(ErrorCode::kPermissionDenied, fmt::format("others can read the command key; run: chmod 600 {}", path));
  const auto seed = present ? read_key<32>(path) : make_key(path);
  if (!seed) return fail(seed.error());
  KeyHandle key = own(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed->data(), seed->size()));
  const auto shown = public_half(key);
  if (!shown) return fail(shown.error());
  const std::string text = to_hex(shown->data(), shown->size()) + "\n";
  const std::string public_path = command_public_key_path(state_dir);
  if (const auto there = read_file(public_path); !there || *there != text)
    AETHER_TRY(write_file_durably(public_path, text, 0644));
  return CommandKey(std::move(key));
}

Result<CommandSignature> CommandKey::sign(std::string_view text) const {
  const ContextHandle context(EVP_MD_CTX_new());
  CommandSignature signature{};
  std::size_t size = signature.size();
  const bool done = context && EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1 &&
                    EVP_DigestSign(context.get(), signature.data(), &size, bytes_of(text), text.size()) == 1 &&
                    size == signature.size();
  if (!done) return fail(ErrorCode::kInternal, "a command could not be signed");
  return signature;
}

Result<KeyHandle> CommandVerifier::key() {
  std::lock_guard lock(mutex_);
  if (key_) return key_;
  const auto read = read_key<32>(path_);
  if (!read) return fail(read.error());
  key_ = own(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, read->data(), read->size()));
  if (!key_) return fail(ErrorCode::kCorrupt, path_ + " holds no key; copy it again from the orchestrator's host");
  return key_;
}

Result<void> CommandVerifier::verify(std::string_view text, const CommandSignature& signature) {
  const auto known = key();
  if (!known) return fail(known.error());
  const ContextHandle context(EVP_MD_CTX_new());
  const bool good = context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, known->get()) == 1 &&
                    EVP_DigestVerify(context.get(), signature.data(), signature.size(), bytes_of(text), text.size()) == 1;
  if (!good) return fail(ErrorCode::kPermissionDenied, "not signed with the key of " + path_);
  return {};
}

}  // namespace aether
