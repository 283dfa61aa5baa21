#pragma once
// Model <-> JSON: the one place that knows how the plain structs of model/ look on the wire, in the database and in the
// API. Keys are the C++ field names. Encoders never fail; decoders refuse unknown keys where a person wrote the text
// (job specs) and ignore them where another version of Aether did (messages, samples).
// Errors name the offending key as a JSON pointer. Depth is limited to 32, text to 1 MiB.
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "model/alert.h"
#include "model/carbon.h"
#include "model/decision.h"
#include "model/gpu.h"
#include "model/job.h"
#include "model/message.h"
#include "model/node.h"

namespace aether::codec {

using Json = nlohmann::json;

// Parsing with the limits above. kInvalidArgument with line and column in the message.
Result<Json> parse(std::string_view text);
// Compact text; bytes that are not UTF-8 are replaced, so this never throws.
std::string dump(const Json& json);
std::string dump_pretty(const Json& json);

// Telemetry, the hot path: written by hand, parsed with simdjson.
std::string encode_sample(const GpuSample& sample);
// Accepts Aether's own messages and those of the original prototype, which carry no time, node or UUID: then `node` and
// `gpu_index` come from the subject, the UUID is "external-<node>-<index>", and `received_at` is the sample's time.
// The prototype's throttling_reasons "None" becomes "none". A message whose own node or index differs from its subject is
// refused, as are numbers outside what a GPU can measure. Any time is kept: judging it is ingestion's business.
Result<GpuSample> decode_sample(std::string_view text, const NodeId& node, int gpu_index, Time received_at);

std::string encode_command(const Command& command);
Result<Command> decode_command(std::string_view text);
std::string encode_event(const AgentEvent& event);
Result<AgentEvent> decode_event(std::string_view text);

// Strict: an unknown key is an error that names the nearest known one. Durations and sizes are integers with units in
// their names, as in the API. Does not call validate().
Result<JobSpec> decode_job_spec(const Json& json);
Json encode_job_spec(const JobSpec& spec);
// Every key that decode_job_spec() knows.
const std::vector<std::string>& job_spec_keys();

Json encode_sample_json(const GpuSample& sample);  // with "time" beside the fields
Json encode_gpu_info(const GpuInfo& info);
Result<GpuInfo> decode_gpu_info(const Json& json);
Json encode_inventory(const NodeInventory& inventory);
Result<NodeInventory> decode_inventory(const Json& json);
Json encode_exit(const ExitStatus& exit);
Result<ExitStatus> decode_exit(const Json& json);
// Lossless, for the database; the API's view of a job is api/'s.
Json encode_attempt(const Attempt& attempt);
Result<Attempt> decode_attempt(const Json& json);
// What a job has been through besides its attempts: dependencies, restarts, holds.
Json encode_job_progress(const Job& job);
Result<void> decode_job_progress(const Json& json, Job& job);
Json encode_job_event(const JobEvent& event);
Result<JobEvent> decode_job_event(const Json& json);
Json encode_placement_record(const PlacementRecord& record);
Result<PlacementRecord> decode_placement_record(const Json& json);
Json encode_wait_record(const WaitRecord& record);
Json encode_alert(const Alert& alert);
Json encode_carbon(const CarbonReport& report, Time now);

// Base64 (RFC 4648, with padding) for bytes inside JSON.
std::string base64_encode(std::string_view bytes);
Result<std::string> base64_decode(std::string_view text);

}  // namespace aether::codec
