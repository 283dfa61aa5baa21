#include "simulated_fleet.h"

#include <cmath>

namespace aether {
namespace {

constexpr int kGpusPerNode = 8;
constexpr double kMeanJobS = 7'200, kMeanIdleS = 1'200;
constexpr double kWakeUpUs = 60;    // standard deviation of how late a thread wakes
constexpr double kReadingUs = 250;  // one GPU after the other

Duration seconds_of(double value) { return Duration(static_cast<std::int64_t>(value * 1e6)); }

}  // namespace

SimulatedFleet::SimulatedFleet(int gpus, Time start, std::uint64_t seed) : clock_(start), rng_(seed) {
  for (int first = 0; first < gpus; first += kGpusPerNode) {
    Node node;
    node.name = NodeId("node-" + std::to_string(first / kGpusPerNode));
    node.phase = seconds_of(rng_.uniform(0, 0.9));
    node.driver = std::make_unique<SimulatedGpuDriver>(SimulatedOptions{.gpus = kGpusPerNode, .seed = seed}, node.name, clock_);
    const auto gpus_of_node = node.driver->enumerate();
    for (const GpuInfo& gpu : *gpus_of_node)
      node.slots.push_back({gpu.gpu_uuid, false, start + seconds_of(rng_.uniform(0, kMeanIdleS)), 0});
    nodes_.push_back(std::move(node));
  }
}

void SimulatedFleet::move_jobs(Node& node) {
  bool changed = false;
  for (Slot& slot : node.slots) {
    if (clock_.now() < slot.until) continue;
    slot.busy = !slot.busy;
    slot.jobs += slot.busy ? 1 : 0;
    slot.until = clock_.now() + seconds_of(rng_.exponential(slot.busy ? kMeanJobS : kMeanIdleS));
    changed = true;
  }
  if (!changed) return;
  std::vector<GpuLoad> loads;
  for (const Slot& slot : node.slots)
    if (slot.busy)
      loads.push_back({slot.gpu, {JobId(slot.gpu.str()), slot.jobs}, slot.jobs % 3 == 0 ? JobType::kInference : JobType::kTraining, 0});
  node.driver->set_loads(std::move(loads));
}

std::vector<GpuSample> SimulatedFleet::tick() {
  std::vector<GpuSample> samples;
  ++ticks_;
  for (Node& node : nodes_) {
    move_jobs(node);
    double late_us = std::abs(rng_.normal(0, kWakeUpUs));
    for (const Slot& slot : node.slots) {
      auto sample = node.driver->read(slot.gpu);
      late_us += kReadingUs * rng_.uniform(0.9, 1.1);
      if (!sample) continue;
      sample->node = node.name;
      sample->sample_seq = ticks_;
      sample->sample_time = clock_.now() + node.phase + Duration(static_cast<std::int64_t>(late_us));
      samples.push_back(std::move(*sample));
    }
  }
  clock_.advance(std::chrono::seconds(1));
  return samples;
}

}  // namespace aether
