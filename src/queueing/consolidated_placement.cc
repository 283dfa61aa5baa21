#include "queueing/consolidated_placement.h"

namespace aether::queueing {
namespace {

std::optional<std::vector<NodeShare>> tightest_node(std::span<const int> free_gpus, int gpus) {
  int best = -1;
  for (int node = 0; node < static_cast<int>(free_gpus.size()); ++node)
    if (free_gpus[node] >= gpus && (best < 0 || free_gpus[node] < free_gpus[best])) best = node;
  if (best < 0) return std::nullopt;
  return std::vector<NodeShare>{{best, gpus}};
}

}  // namespace

std::optional<std::vector<NodeShare>> place_consolidated(std::span<const int> free_gpus, int gpus) {
  if (gpus <= kGpusPerNode) return tightest_node(free_gpus, gpus);
  const int whole_nodes = gpus / kGpusPerNode;
  const int remainder = gpus % kGpusPerNode;
  std::vector<NodeShare> shares;
  int widest = -1;
  for (int node = 0; node < static_cast<int>(free_gpus.size()); ++node) {
    if (free_gpus[node] == kGpusPerNode && static_cast<int>(shares.size()) < whole_nodes)
      shares.push_back({node, kGpusPerNode});
    else if (free_gpus[node] >= remainder && (widest < 0 || free_gpus[node] > free_gpus[widest]))
      widest = node;
  }
  if (static_cast<int>(shares.size()) < whole_nodes || (remainder > 0 && widest < 0)) return std::nullopt;
  if (remainder > 0) shares.push_back({widest, remainder});
  return shares;
}

}  // namespace aether::queueing
