#pragma once
// Looking at a PostgreSQL store without being its writer.
#include <string>
#include <vector>

#include "store/inspection.h"

namespace aether::store {

// Whether the server answers, the schema version, and the audit log.
std::vector<Finding> inspect_postgres(const std::string& url);

}  // namespace aether::store
