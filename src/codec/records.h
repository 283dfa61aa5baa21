#pragma once
// Internal to codec/: the fields of nested structs, shared by the files that decode them.
#include "codec/fields.h"
#include "model/gpu.h"
#include "model/job.h"
#include "model/node.h"

namespace aether::codec {

void read_spec_fields(Fields& in, JobSpec& spec);  // ignores unknown keys: another version of Aether wrote it
void read_gpu_info(Fields& in, GpuInfo& info);
void read_inventory(Fields& in, NodeInventory& inventory);
void read_exit(Fields& in, ExitStatus& exit);
void read_placement(Fields& in, Placement& placement);

// Names that become parts of paths and subjects: read, and refused when their form is wrong.
void need_job(Fields& in, const char* key, JobId& job);
void need_node(Fields& in, const char* key, NodeId& node);
// "job" and "attempt" (from 1).
void need_attempt(Fields& in, AttemptId& attempt);
void put_attempt(Json& json, const AttemptId& attempt);

}  // namespace aether::codec
