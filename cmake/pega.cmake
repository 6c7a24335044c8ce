# pega_library(<name> SRCS ... DEPS ... [LINK ...]) and pega_test(<name> SRCS ... DEPS ... LABELS ...).
# One static library per folder of src; DEPS are our own libraries, LINK third-party ones. Both are PUBLIC for headers' sake;
# tools/check_layers.py keeps the directions right.

# Designated initialisers leave members at their defaults on purpose: g++ 12 would warn about each.
function(pega_warnings target)
  if(PEGAINFER_FUZZ)  # clang, whose warnings are others
    return()
  endif()
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wconversion -Wshadow -Wpedantic -Werror
                         -Wno-missing-field-initializers)
endfunction()

function(pega_library name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS;LINK" ${ARGN})
  add_library(pega_${name} STATIC ${ARG_SRCS})
  target_include_directories(pega_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
  list(TRANSFORM ARG_DEPS PREPEND pega_)
  target_link_libraries(pega_${name} PUBLIC ${ARG_DEPS} ${ARG_LINK})
  pega_warnings(pega_${name})
  if(PEGAINFER_FUZZ)
    target_precompile_headers(pega_${name} REUSE_FROM pega_fuzz_headers)
  endif()
endfunction()

# One test binary per folder of src: <name>_test, registered with CTest under its labels (unit, ops, e2e, golden). Those with
# unit or ops belong to the target `unit_and_ops_tests`: all that ThreadSanitizer runs, and so all that its build builds, but for
# those that say SEQUENTIAL: what they test has no threads and shares nothing between them.
function(pega_test name)
  cmake_parse_arguments(ARG "SEQUENTIAL" "TIMEOUT" "SRCS;DEPS;LINK;LABELS;ENVIRONMENT" ${ARGN})
  if(NOT PEGAINFER_TESTS OR (ARG_SEQUENTIAL AND PEGAINFER_SANITIZE STREQUAL "thread"))
    return()
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_executable(${name}_test ${ARG_SRCS})
  target_include_directories(${name}_test PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include
                             ${PROJECT_SOURCE_DIR}/tests)
  list(TRANSFORM ARG_DEPS PREPEND pega_)
  target_link_libraries(${name}_test PRIVATE ${ARG_DEPS} ${ARG_LINK} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name}_test PRIVATE PEGA_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                             PEGA_BINARY_DIR="${PROJECT_BINARY_DIR}")
  pega_warnings(${name}_test)
  # What is tested is optimised in full; the tests themselves need not be, and -O1 takes a third less time to compile. GCC 12 then
  # sees std::string leave its bounds where it does not; src/ has these warnings at -O2, and the tests run under ASan.
  target_compile_options(${name}_test PRIVATE
    $<$<CONFIG:Release>:-O1 -Wno-array-bounds -Wno-stringop-overflow -Wno-restrict -Wno-maybe-uninitialized>
    $<$<CONFIG:Debug>:-Wno-array-bounds -Wno-stringop-overflow -Wno-restrict>)
  target_precompile_headers(${name}_test REUSE_FROM pega_test_headers)
  if("unit" IN_LIST ARG_LABELS OR "ops" IN_LIST ARG_LABELS)
    add_dependencies(unit_and_ops_tests ${name}_test)
  endif()
  add_test(NAME ${name} COMMAND ${name}_test)
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT} ENVIRONMENT "${ARG_ENVIRONMENT}")
endfunction()
