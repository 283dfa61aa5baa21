#pragma once
// A typical day when no feed is there: made up, and says so. Good for trying carbon-aware starts, not for
// accounts.
#include "carbon/carbon_source.h"

namespace aether::carbon {

// g/kWh at a moment of the week, hours in UTC: low at night, lowest at midday when the sun feeds in, highest
// in the evening; a weekend has a tenth less. Half-hour steps are the caller's.
double typical_intensity_g_per_kwh(Time time);

class ProfileSource final : public CarbonSource {
 public:
  Result<CarbonReport> fetch(Time now) override;
};

}  // namespace aether::carbon
