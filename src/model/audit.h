#pragma once
// The audit log: one line for every order that somebody gave and that was followed. Each line is sealed with a hash over
// itself and the seal of the line before, so that no line can be changed, taken out or put in unnoticed. Pure.
#include <cstdint>
#include <span>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace aether {

struct AuditRecord {
  Time time;
  std::string actor;   // the identity that gave the order; "agent" for what a node did by itself
  std::string action;  // "submit", "cancel", "drain", ...
  std::string target;  // a job's id, a node, a GPU's UUID
  std::string detail;  // for people
  friend bool operator==(const AuditRecord&, const AuditRecord&) = default;
};

struct AuditLine {
  std::int64_t seq = 0;  // from 1, without gaps
  AuditRecord record;
  std::string hash;      // 64 hexadecimal digits
  friend bool operator==(const AuditLine&, const AuditLine&) = default;
};

// The line that follows `previous` (a default AuditLine before the first).
AuditLine seal(const AuditLine& previous, AuditRecord record);

// kCorrupt, with the first line that is not what it was when it was sealed. `previous` is trusted. Lines cut off at the end
// show only beside a seal that was kept elsewhere: the newest one is logged every hour.
Result<void> check_audit_chain(const AuditLine& previous, std::span<const AuditLine> lines);

}  // namespace aether
