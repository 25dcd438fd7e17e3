# The library's scenarios are part of the program, so that `verdict run` works from anywhere.
file(GLOB library CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/scenarios/library/*.json)
set(embedded ${PROJECT_BINARY_DIR}/generated/scenarios/library.cpp)
add_custom_command(OUTPUT ${embedded}
  COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/scenarios/embed.py ${embedded} ${library}
  DEPENDS ${PROJECT_SOURCE_DIR}/scenarios/embed.py ${library})
target_sources(verdict_scenarios PRIVATE ${embedded})
