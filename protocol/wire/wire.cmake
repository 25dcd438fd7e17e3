# The library verdict_protocol_wire: hand-written parts here, the rest generated at configure time into
# ${build}/generated/protocol/wire/gen. Editing a declaration or the generator runs CMake again; files whose text stays
# the same stay untouched.
file(GLOB wire_inputs CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/protocol/wire/messages/*.json
     ${PROJECT_SOURCE_DIR}/protocol/wire/generator/*.py)
list(APPEND wire_inputs ${PROJECT_SOURCE_DIR}/protocol/wire/generate.py)
set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${wire_inputs})
execute_process(
  COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/protocol/wire/generate.py
          ${PROJECT_SOURCE_DIR}/protocol/wire/messages
          ${PROJECT_BINARY_DIR}/generated/protocol/wire/gen
  OUTPUT_VARIABLE wire_generated OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "\n" ";" wire_generated "${wire_generated}")
file(GLOB wire_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/protocol/wire/*.cpp)
add_library(verdict_protocol_wire STATIC ${wire_sources} ${wire_generated})
target_link_libraries(verdict_protocol_wire PUBLIC verdict_options verdict_runtime PRIVATE nlohmann_json::nlohmann_json)
verdict_precompile(verdict_protocol_wire verdict_precompiled)
