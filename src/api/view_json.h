#pragma once
// The orchestrator's view as the objects of the API. Pure. A missing value is null or absent, never 0.
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "orchestrator/control.h"

namespace aether::api {

using Json = nlohmann::json;

Json fleet_json(const ClusterView& view, Time now, bool with_history);
Json node_json(const NodeView& node, const ClusterView& view);
Json gpu_json(const GpuView& gpu);
// The job's present attempt is looked up in the view where it is still there.
Json job_json(const Job& job, const ClusterView& view);
Json attempt_json(const Attempt& attempt, const ClusterView& view);
Json job_event_json(const JobEvent& event);
Json alert_json(const Alert& alert, const ClusterView& view);
Json carbon_json(const CarbonReport& report, const ClusterView& view, Time now);
// From the scheduler's records alone; both may be null.
Json explain_json(const Job& job, const WaitRecord* wait, const PlacementRecord* placement, const ClusterView& view);

// True when every GPU of the fleet comes from the simulator.
bool is_simulated(const ClusterView& view);

}  // namespace aether::api
