#include "runtime/assert.h"

#include <cstdio>
#include <cstdlib>

namespace verdict {

void assertion_failed(const char* file, int line, const char* expression, std::string_view note) {
  std::fprintf(stderr, "%s:%d: assertion failed: %s%s%.*s\n", file, line, expression, note.empty() ? "" : ": ",
               static_cast<int>(note.size()), note.data());
  std::abort();
}

}  // namespace verdict
