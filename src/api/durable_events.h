#pragma once
// The events of GET /api/v1/events: those of jobs from the store, so that a cursor outlives the process; those of nodes, GPUs
// and alerts from memory. Internal to api/.
#include <string>
#include <vector>

#include "api/event_log.h"
#include "store/store.h"

namespace aether::api {

// Oldest first; behind `cursor` ("<seq of a job's event>.<cursor of memory>"), or the newest without one. `query` without
// `after`: what of a job it names leaves out every event that is of no job.
Result<std::vector<SystemEvent>> read_events(Store& store, const EventLog& memory, const std::string& cursor, EventQuery query);

}  // namespace aether::api
