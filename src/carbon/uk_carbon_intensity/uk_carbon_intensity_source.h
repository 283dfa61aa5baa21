#pragma once
// Great Britain's Carbon Intensity API (National Energy System Operator; free, no key, data under CC BY 4.0).
// Average intensity in g/kWh by half hours, 48 h ahead. Ask at minute 1 and 31 so that its caches help.
#include <memory>
#include <string>

#include "carbon/carbon_source.h"
#include "http/client.h"

namespace aether::carbon {

struct UkCarbonIntensityOptions {
  std::string postcode;  // only its first part, "RG10"; empty = national
  std::string base_url = "https://api.carbonintensity.org.uk";
  // https and public addresses only; off for tests, which replay replies from this machine.
  bool public_internet_only = true;
};

// 5 s and 1 MiB per request. A failure leaves nothing behind: the caller keeps its last report and shows its
// age.
class UkCarbonIntensitySource final : public CarbonSource {
 public:
  explicit UkCarbonIntensitySource(UkCarbonIntensityOptions options);

  // kInvalidArgument for a postcode that is none; kPermissionDenied when the address is not public.
  Result<CarbonReport> fetch(Time now) override;

 private:
  Result<std::string> get(const std::string& path);
  Result<CarbonReport> fetch_national(Time now);
  Result<CarbonReport> fetch_regional(Time now);

  UkCarbonIntensityOptions options_;
  http::Client client_;
};

}  // namespace aether::carbon
