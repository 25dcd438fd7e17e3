#pragma once

#include <string_view>

#include "runtime/asio/asio_runtime.h"

namespace verdict::real {

// One write(2) a line. Control characters in what is logged become \xNN, so that a line stays a line.
void write_log(int descriptor, LogFormat format, WallTime time, LogLevel level, std::string_view logger,
               std::string_view message);

}  // namespace verdict::real
