# How a folder becomes a library, a program or a test. Sources are globbed, so that adding a file needs no edit here.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(ZLIB REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(Python3 REQUIRED COMPONENTS Interpreter)
pkg_check_modules(LZ4 REQUIRED IMPORTED_TARGET liblz4)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(RE2 REQUIRED IMPORTED_TARGET re2)
# re2.pc asks for -pthread when compiling, which only some targets would then have: none could share the precompiled
# headers with the others. Linking (Threads, glibc) needs no such flag.
set_property(TARGET PkgConfig::RE2 PROPERTY INTERFACE_COMPILE_OPTIONS "")
find_library(SNAPPY_LIBRARY snappy REQUIRED)
add_library(snappy_imported INTERFACE)
target_link_libraries(snappy_imported INTERFACE ${SNAPPY_LIBRARY})
add_library(PkgConfig::SNAPPY ALIAS snappy_imported)
find_library(RAPIDCHECK_LIBRARY rapidcheck REQUIRED)
add_library(rapidcheck INTERFACE)
target_link_libraries(rapidcheck INTERFACE ${RAPIDCHECK_LIBRARY})

# glibc's malloc takes a seventh of a simulation's time, tcmalloc half of that, and less when it need not be called
# through the linkage table. Sanitizers bring their own.
add_library(verdict_allocator INTERFACE)
if(NOT VERDICT_SANITIZE)
  find_library(TCMALLOC_LIBRARY NAMES libtcmalloc_minimal.a tcmalloc_minimal REQUIRED)
  target_link_libraries(verdict_allocator INTERFACE ${TCMALLOC_LIBRARY})
endif()

add_library(verdict_options INTERFACE)
target_include_directories(verdict_options INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/generated)
if(PROJECT_IS_TOP_LEVEL)  # in somebody's project (add_subdirectory) warnings are that project's
  target_compile_options(verdict_options INTERFACE
    -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion -Wsign-conversion -Wno-missing-field-initializers
    -Wno-missing-designated-field-initializers)
endif()
target_compile_options(verdict_options INTERFACE -fno-omit-frame-pointer -ffp-contract=off)
target_link_options(verdict_options INTERFACE -fuse-ld=lld-19)
target_link_libraries(verdict_options INTERFACE fmt::fmt)
if(VERDICT_SANITIZE)
  target_compile_options(verdict_options INTERFACE -fsanitize=${VERDICT_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(verdict_options INTERFACE -fsanitize=${VERDICT_SANITIZE})
endif()
if(VERDICT_FUZZ)
  target_compile_options(verdict_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# A third of a cold build would read the standard library's headers again and again. With a compiler cache they are not
# precompiled: the cache would share no object, and so developers' builds show each missing include.
if(NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(precompiled <algorithm> <array> <charconv> <chrono> <coroutine> <cstdint> <deque> <expected> <filesystem>
    <fstream> <functional> <map> <memory> <optional> <set> <span> <string> <string_view> <system_error> <tuple>
    <utility> <variant> <vector> <fmt/format.h> <nlohmann/json.hpp>)
  file(WRITE ${PROJECT_BINARY_DIR}/generated/precompiled.cpp "")
  add_library(verdict_precompiled STATIC ${PROJECT_BINARY_DIR}/generated/precompiled.cpp)
  target_link_libraries(verdict_precompiled PRIVATE verdict_options nlohmann_json::nlohmann_json)
  target_precompile_headers(verdict_precompiled PRIVATE ${precompiled})
  if(VERDICT_TESTS)
    find_package(GTest REQUIRED)
    add_library(verdict_precompiled_tests STATIC ${PROJECT_BINARY_DIR}/generated/precompiled.cpp)
    target_link_libraries(verdict_precompiled_tests PRIVATE verdict_options nlohmann_json::nlohmann_json rapidcheck
      GTest::gmock)
    target_precompile_headers(verdict_precompiled_tests PRIVATE ${precompiled} <gmock/gmock.h> <gtest/gtest.h>
      <rapidcheck.h>)
  endif()
endif()
function(verdict_precompile target from)
  if(TARGET ${from})
    target_precompile_headers(${target} REUSE_FROM ${from})
  endif()
endfunction()

# verdict_module(FOLDER [DEPS modules...] [LINK targets...]): the library verdict_<folder> of FOLDER/*.cpp (not of
# folders below it). A folder without sources becomes a header-only library.
function(verdict_module folder)
  cmake_parse_arguments(ARG "" "" "DEPS;LINK" ${ARGN})
  string(REPLACE "/" "_" name ${folder})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.cpp)
  list(TRANSFORM ARG_DEPS PREPEND verdict_)
  if(sources)
    add_library(verdict_${name} STATIC ${sources})
    target_link_libraries(verdict_${name} PUBLIC verdict_options ${ARG_DEPS} PRIVATE nlohmann_json::nlohmann_json)
    target_link_libraries(verdict_${name} PUBLIC ${ARG_LINK})
    verdict_precompile(verdict_${name} verdict_precompiled)
  else()
    add_library(verdict_${name} INTERFACE)
    target_link_libraries(verdict_${name} INTERFACE verdict_options ${ARG_DEPS} ${ARG_LINK})
  endif()
endfunction()

# The codecs of Kafka's messages: protocol/wire/messages/*.json -> ${build}/generated/protocol/wire/*.
function(verdict_wire_module)
  include(${PROJECT_SOURCE_DIR}/protocol/wire/wire.cmake OPTIONAL RESULT_VARIABLE found)
  if(NOT found)
    verdict_module(protocol/wire DEPS runtime)
  endif()
endfunction()

function(verdict_program name folder)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.cpp)
  if(NOT sources)
    return()
  endif()
  list(TRANSFORM ARG_DEPS PREPEND verdict_)
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE verdict_options verdict_allocator ${ARG_DEPS} nlohmann_json::nlohmann_json)
  verdict_precompile(${name} verdict_precompiled)
endfunction()

# verdict_tests(KIND MODULE DEPS...): the GoogleTest program <KIND>_<module> of tests/KIND/MODULE/*.cpp.
function(verdict_tests kind module)
  cmake_parse_arguments(ARG "" "" "DEPS;LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${kind}/${module}/*.cpp)
  if(NOT sources)
    return()
  endif()
  list(TRANSFORM ARG_DEPS PREPEND verdict_)
  set(target ${kind}_${module})
  add_executable(${target} ${sources})
  target_link_libraries(${target} PRIVATE verdict_options ${ARG_DEPS} ${ARG_LINK} nlohmann_json::nlohmann_json
    ZLIB::ZLIB rapidcheck GTest::gmock GTest::gtest_main)
  target_compile_definitions(${target} PRIVATE VERDICT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  verdict_precompile(${target} verdict_precompiled_tests)
  add_test(NAME ${target} COMMAND ${target} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_property(GLOBAL APPEND PROPERTY VERDICT_TEST_PROGRAMS ${target})
endfunction()

# verdict_fuzz(NAME DEPS modules...): the libFuzzer program fuzz_<NAME> of tests/fuzz/<NAME>.cpp, whose corpus is the
# folder tests/fuzz/corpus/<NAME>. Only with VERDICT_FUZZ (the asan preset).
function(verdict_fuzz name)
  cmake_parse_arguments(ARG "" "" "DEPS;LINK" ${ARGN})
  if(NOT VERDICT_FUZZ OR NOT EXISTS ${PROJECT_SOURCE_DIR}/tests/fuzz/${name}.cpp)
    return()
  endif()
  list(TRANSFORM ARG_DEPS PREPEND verdict_)
  add_executable(fuzz_${name} ${PROJECT_SOURCE_DIR}/tests/fuzz/${name}.cpp)
  target_link_libraries(fuzz_${name} PRIVATE verdict_options ${ARG_DEPS} ${ARG_LINK} nlohmann_json::nlohmann_json)
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  verdict_precompile(fuzz_${name} verdict_precompiled)
  set_property(GLOBAL APPEND PROPERTY VERDICT_FUZZ_PROGRAMS fuzz_${name})
endfunction()

# Writes FILE in the build directory: one path a line, relative to it, of each program in the global PROPERTY; and makes
# TARGET build them. tests/run.py reads the file.
function(verdict_list_programs property target file)
  get_property(programs GLOBAL PROPERTY ${property})
  set(lines "")
  foreach(program IN LISTS programs)
    string(APPEND lines "$<PATH:RELATIVE_PATH,$<TARGET_FILE:${program}>,${PROJECT_BINARY_DIR}>\n")
  endforeach()
  file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/${file} CONTENT "${lines}")
  add_custom_target(${target})
  if(programs)
    add_dependencies(${target} ${programs})
  endif()
endfunction()
