// What only the API shows: alerts and carbon.
#include "codec/codec.h"
#include "codec/fields.h"

namespace aether::codec {
Json encode_alert(const Alert& alert) {
  Json json = Json::object();
  put(json, "alert_id", alert.id);
  put(json, "severity", to_string(alert.severity));
  put(json, "kind", alert.kind);
  put(json, "title", alert.title);
  put(json, "detail", alert.detail);
  json["gpu_id"] = or_null(alert.gpu_id);
  json["gpu_uuid"] = or_null(alert.gpu_uuid.str());
  json["node"] = or_null(alert.node.str());
  json["job_id"] = alert.job ? Json(alert.job->str()) : Json(nullptr);
  put(json, "since", format_rfc3339(alert.since));
  json["cleared_at"] = time_or_null(alert.cleared_at);
  json["value"] = or_null(alert.value);
  json["threshold"] = or_null(alert.threshold);
  put(json, "unit", alert.unit);
  put(json, "acknowledged", alert.acknowledged);
  return json;
}

Json encode_carbon(const CarbonReport& report, Time now) {
  Json json = Json::object();
  put(json, "zone", report.zone);
  put(json, "source", report.source);
  put(json, "label", report.label);
  put(json, "is_estimated", report.is_estimated);
  put(json, "intensity_g_per_kwh", report.intensity_g_per_kwh);
  put(json, "observed_at", format_rfc3339(report.observed_at));
  const auto age = std::chrono::duration_cast<std::chrono::seconds>(now - report.observed_at);
  put(json, "age_s", std::max<std::int64_t>(0, age.count()));
  json["forecast"] = list_of(report.forecast, [](const CarbonPoint& point) {
    Json out = Json::object();
    put(out, "time", format_rfc3339(point.time));
    put(out, "intensity_g_per_kwh", point.intensity_g_per_kwh);
    return out;
  });
  return json;
}

}  // namespace aether::codec
