# aether_embed_sql(<target> <function> <folder>): compiles the folder's NNNN_name.sql files into the target as
# `const std::vector<aether::store::Migration>& <function>()`, so that no program reads schema files when it runs.
function(aether_embed_sql target function folder)
  file(GLOB scripts CONFIGURE_DEPENDS "${folder}/[0-9][0-9][0-9][0-9]_*.sql")
  list(SORT scripts)
  set(entries "")
  set(expected 1)
  foreach(script IN LISTS scripts)
    get_filename_component(name "${script}" NAME_WE)
    string(SUBSTRING "${name}" 0 4 digits)
    math(EXPR version "1${digits} - 10000")
    if(NOT version EQUAL expected)
      message(FATAL_ERROR "${script}: migrations are numbered without holes, ${expected} comes next")
    endif()
    math(EXPR expected "${expected} + 1")
    file(READ "${script}" text)
    string(APPEND entries "    {${version}, \"${name}\", R\"aether_sql(${text})aether_sql\"},\n")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${script}")
  endforeach()
  set(output "${CMAKE_CURRENT_BINARY_DIR}/${function}.cc")
  file(CONFIGURE OUTPUT "${output}" @ONLY CONTENT [=[
#include "store/sql/migrations.h"

namespace aether::store {

const std::vector<Migration>& @function@() {
  static const std::vector<Migration> migrations = {
@entries@  };
  return migrations;
}

}  // namespace aether::store
]=])
  target_sources(${target} PRIVATE "${output}")
endfunction()
