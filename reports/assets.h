#pragma once

#include <string_view>

namespace verdict::reports {

// A file of reports/assets, embedded at build; empty: there is none of that name.
std::string_view asset(std::string_view name);

}  // namespace verdict::reports
