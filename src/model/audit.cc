#include "model/audit.h"

#include <fmt/format.h>
#include <openssl/evp.h>

namespace aether {
namespace {

std::string sha256_hex(std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr);
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

// Every field with its length in front: nothing can move from one field to the next.
std::string hash_of(const std::string& previous_hash, std::int64_t seq, const AuditRecord& record) {
  std::string text = fmt::format("aether audit 1\n{}\n{}\n{}\n", previous_hash, seq, to_unix_us(record.time));
  for (const std::string* field : {&record.actor, &record.action, &record.target, &record.detail})
    text += fmt::format("{}:{}\n", field->size(), *field);
  return sha256_hex(text);
}

}  // namespace

AuditLine seal(const AuditLine& previous, AuditRecord record) {
  AuditLine line{previous.seq + 1, std::move(record), ""};
  line.hash = hash_of(previous.hash, line.seq, line.record);
  return line;
}

Result<void> check_audit_chain(const AuditLine& previous, std::span<const AuditLine> lines) {
  const AuditLine* before = &previous;
  for (const AuditLine& line : lines) {
    if (line.seq != before->seq + 1)
      return fail(ErrorCode::kCorrupt, fmt::format("line {} is missing from the audit log", before->seq + 1));
    if (line.hash != hash_of(before->hash, line.seq, line.record))
      return fail(ErrorCode::kCorrupt, fmt::format("line {} of the audit log, or the one before, was changed", line.seq));
    before = &line;
  }
  return {};
}

}  // namespace aether
