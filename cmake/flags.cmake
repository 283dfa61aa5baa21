# One interface target carries every compiler setting; nothing global but the standard and the output folders.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")  # asserts stay on

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  # base_dir and no hash_dir: two checkouts share their results; the sloppiness is what precompiled headers need.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE_PROGRAM})
endif()

add_library(aether_flags INTERFACE)
target_compile_options(aether_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Werror
                       -fno-omit-frame-pointer)
if(AETHER_FUZZ)
  # clang: other warnings than the compiler of every other build, so they stop nobody.
  target_compile_options(aether_flags INTERFACE -fsanitize=fuzzer-no-link -O1 -Wno-error -Wno-unknown-warning-option)
  target_link_options(aether_flags INTERFACE -fsanitize=fuzzer-no-link)
  add_custom_target(fuzzers)
endif()
if(AETHER_SANITIZE)
  target_compile_options(aether_flags INTERFACE -fsanitize=${AETHER_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(aether_flags INTERFACE -fsanitize=${AETHER_SANITIZE})
  # g++ 12 reports false positives of these two under sanitizers.
  target_compile_options(aether_flags INTERFACE -Wno-maybe-uninitialized -Wno-stringop-overflow -Wno-tsan)
endif()
