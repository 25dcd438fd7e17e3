#pragma once

#include <string_view>

// Assertions are always on: a broken invariant stops the process with what it knew. They are for bugs; what can fail in
// operation returns std::expected, what comes from outside is parsed.
namespace verdict {

[[noreturn, gnu::cold]] void assertion_failed(const char* file, int line, const char* expression,
                                              std::string_view note = {});

}  // namespace verdict

#define VERDICT_ASSERT(condition, ...)               \
  (__builtin_expect(static_cast<bool>(condition), 1) \
       ? static_cast<void>(0)                        \
       : ::verdict::assertion_failed(__FILE__, __LINE__, #condition __VA_OPT__(, ) __VA_ARGS__))
