#pragma once
// Every subject of Aether. A node name that is_valid_name() refuses never enters a subject: building one with it is a bug.
//   aether.telemetry.gpu-<node>-<index>   one sample (also the prototype's plain gpu-<index>: node "unknown")
//   aether.commands.<node>                orchestrator -> agent
//   aether.events.<node>                  agent -> orchestrator
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/ids.h"

namespace aether::subjects {

inline constexpr std::string_view kAllTelemetry = "aether.telemetry.*";
inline constexpr std::string_view kAllEvents = "aether.events.*";

std::string telemetry(const NodeId& node, int gpu_index);
std::string commands(const NodeId& node);
std::string events(const NodeId& node);

struct TelemetrySource {
  NodeId node;
  int gpu_index = 0;
};
// "aether.telemetry.gpu-node-3-0" -> (node-3, 0); "aether.telemetry.gpu-0" -> (unknown, 0).
std::optional<TelemetrySource> parse_telemetry(std::string_view subject);
// "aether.events.node-3" -> node-3.
std::optional<NodeId> parse_events(std::string_view subject);

// Tokens of printable ASCII joined by dots, at most kMaxSubjectBytes. A publishable subject holds no wildcard; a pattern
// may have "*" as a whole token and ">" as its last one.
inline constexpr std::size_t kMaxSubjectBytes = 255;
bool is_publishable(std::string_view subject);
bool is_pattern(std::string_view pattern);
// True when the subject matches the pattern by the rules of NATS.
bool matches(std::string_view pattern, std::string_view subject);

}  // namespace aether::subjects
