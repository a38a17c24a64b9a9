# newlib for guests: newlib::c and newlib::m, and the include folders of skep_flags_guest.
#
# It takes a minute to build, so the result is kept in the cache beside the sources, under a name
# that is made from everything it depends on.
find_program(SKEP_MAKE NAMES gmake make REQUIRED)
execute_process(COMMAND ${CMAKE_C_COMPILER} -print-file-name=include
    OUTPUT_VARIABLE gcc_include OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_C_COMPILER} --version
    OUTPUT_VARIABLE gcc_version COMMAND_ERROR_IS_FATAL ANY)

set(script ${CMAKE_SOURCE_DIR}/cmake/build-newlib)
file(READ ${script} script_text)
list(JOIN SKEP_GUEST_FLAGS " " flags)
get_filename_component(source_name ${newlib_DIR} NAME)
string(SHA256 key "${source_name} ${flags} ${gcc_version} ${script_text}")
string(SUBSTRING ${key} 0 12 key)
cmake_path(SET newlib_PREFIX NORMALIZE ${newlib_DIR}/../../newlib/${newlib_VERSION}-${key})

if(NOT EXISTS ${newlib_PREFIX}/lib/libc.a)
    message(STATUS "Building newlib ${newlib_VERSION} (a minute, once)")
    execute_process(
        COMMAND ${CMAKE_COMMAND} -E env MAKE=${SKEP_MAKE}
            ${script} ${newlib_DIR} ${newlib_PREFIX} ${CMAKE_C_COMPILER} ${flags}
        COMMAND_ERROR_IS_FATAL ANY)
endif()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${script})

foreach(name c m)
    add_library(newlib::${name} STATIC IMPORTED GLOBAL)
    set_target_properties(newlib::${name} PROPERTIES
        IMPORTED_LOCATION ${newlib_PREFIX}/lib/lib${name}.a)
endforeach()

# POSIX headers that newlib lacks come from libc-shim, ahead of newlib's own; GCC's <limits.h> and
# <stdint.h> expect to stand before the C library's. As options, since CMake drops include folders
# that the compiler would search by itself.
target_include_directories(skep_flags_guest INTERFACE ${CMAKE_SOURCE_DIR}/libc-shim/include)
target_compile_options(skep_flags_guest INTERFACE
    "SHELL:-isystem ${gcc_include}" "SHELL:-isystem ${newlib_PREFIX}/include"
    -ffile-prefix-map=${newlib_PREFIX}=newlib)

# Ring 0 has no C library, only the compiler's own headers; the define keeps GCC's <limits.h> from
# asking for one.
target_compile_options(skep_flags_core INTERFACE
    -nostdinc -D_LIBC_LIMITS_H_ "SHELL:-isystem ${gcc_include}")
