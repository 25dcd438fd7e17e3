# The report's script, style and page, and the build's id, become sources of verdict_reports.
file(GLOB assets CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/reports/assets/*)
set(embedded_assets ${PROJECT_BINARY_DIR}/generated/reports/assets.cpp)
add_custom_command(OUTPUT ${embedded_assets}
  COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/reports/embed.py ${embedded_assets} ${assets}
  DEPENDS ${PROJECT_SOURCE_DIR}/reports/embed.py ${assets})
set(build_id ${PROJECT_BINARY_DIR}/generated/reports/build_id.cpp)
add_custom_target(verdict_build_id BYPRODUCTS ${build_id}
  COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/reports/build_id.py ${build_id} ${PROJECT_SOURCE_DIR}
          clang-${CMAKE_CXX_COMPILER_VERSION} zstd-${ZSTD_VERSION} lz4-${LZ4_VERSION} zlib-${ZLIB_VERSION_STRING})
target_sources(verdict_reports PRIVATE ${embedded_assets} ${build_id})
add_dependencies(verdict_reports verdict_build_id)
target_link_libraries(verdict_reports PRIVATE PkgConfig::ZSTD)
