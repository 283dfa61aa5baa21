#include "model/node.h"

namespace aether {

std::string_view to_string(NodeState state) {
  switch (state) {
    case NodeState::kUp: return "up";
    case NodeState::kStale: return "stale";
    case NodeState::kDown: return "down";
    case NodeState::kDrained: return "drained";
  }
  return "down";
}

}  // namespace aether
