#pragma once
// Where a gang goes among nodes of eight GPUs: small jobs on one node, large ones on whole nodes.
#include <optional>
#include <span>
#include <vector>

namespace aether::queueing {

inline constexpr int kGpusPerNode = 8;

// `gpus` of the job's GPUs lie on `node`, an index into the partition's nodes.
struct NodeShare {
  int node = 0;
  int gpus = 0;
};

// Up to eight GPUs: the feasible node with the fewest free GPUs. More: the lowest completely free nodes, and the
// remainder on the node with the most free GPUs. Ties go to the lowest index; nullopt when the job can't start now.
std::optional<std::vector<NodeShare>> place_consolidated(std::span<const int> free_gpus, int gpus);

}  // namespace aether::queueing
