# The functions that the project's folders build with.
#
#   skep_core_library(name SOURCES … [INCLUDES …])
#       Ring-0 code. Sees hv/include (<skep/…>), hv/ and the INCLUDES.
#
#   skep_guest_library(name SOURCES … [INCLUDES …] [LIBS …])
#       Ring-3 code. Sees hv/include, guestlib/include, net/include, the POSIX headers (libc-shim,
#       newlib) and its own INCLUDES, which its users see too.
#
#   skep_add_guest(name SOURCES … [FILES …] [FILESYSTEM] [LTO] [LIBS …] [STACK bytes] [OUTPUT_DIRECTORY dir])
#       A guest: <build>/examples/<name>.elf, a static PIE with function names but without debug
#       information and symbols, which go to <name>.debug beside it. Sees what a guest library sees.
#       - Linked are, as far as the program uses them: the LIBS, the targets guestlib, libc-shim,
#         net and lwip (those that exist), newlib and libgcc. Their order doesn't matter.
#       - Execution starts at _start, which guestlib defines. No undefined symbol is left.
#       - FILES are put into the image, where POSIX's calls find them (docs/files.md): a file under its
#         path relative to the CMakeLists.txt, and all that is in a folder at the root, so that FILES www
#         makes www/a/b.html /a/b.html. The build notices what is added, changed and removed. Links are
#         followed, empty folders left out. pack-files packs them; the symbol is skep_files_pack.
#       - FILESYSTEM is for programs that use volumes: it links ext4, and mounts what SKEP_MOUNTS names
#         before main(). Such a program is also under libext2fs' licence (docs/licences.md).
#       - LTO optimises it as a whole, with its libraries: faster or not, smaller or not.
#       - STACK is the main thread's stack size: p_memsz of PT_GNU_STACK, 0 when not given.
#       - guestlib/skep-guest.ld is the linker script, if it exists.
#       A dependency on the file goes to the target <name>.
#
#   In the host preset guest libraries and guests don't exist: the two functions do nothing there.
#
#   skep_unit_test(name SOURCES … [INCLUDES …] [LIBS …])                    host preset only
#       A cmocka test under ctest, native, with sanitizers. SOURCES may name any file of ours; what
#       it shares with others belongs into a skep_host_library(name SOURCES … [INCLUDES …] [LIBS …]).
#       Both see hv/include, hv/ and net/include; INCLUDES of a library are seen by its users.
#
# The kernel's own link: add_executable(), then target_link_libraries(… skep_flags_core), which brings
# the linker flags too, and skep_split_debug(target). Upstream libraries: lwip, mbedtls, cjson,
# llhttp, wslay, littlefs (cmake/upstream.cmake). Code compiled by any of these functions gets SKEP_DEBUG (0 or 1) and
# SKEP_VERSION (a string); __skep__ is defined in target builds only.

include(${CMAKE_CURRENT_LIST_DIR}/files.cmake)

# Archives refer to each other in circles (libc-shim to newlib and back), so all are one group.
if(NOT SKEP_HOST)
    string(REPLACE "<LINK_LIBRARIES>" "-Wl,--start-group <LINK_LIBRARIES> -Wl,--end-group"
        CMAKE_C_LINK_EXECUTABLE "${CMAKE_C_LINK_EXECUTABLE}")
endif()

function(skep_core_library name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;INCLUDES")
    add_library(${name} OBJECT ${arg_SOURCES})
    target_link_libraries(${name} PRIVATE skep_flags_own skep_flags_core)
    target_include_directories(${name} PUBLIC
        ${CMAKE_SOURCE_DIR}/hv/include ${CMAKE_SOURCE_DIR}/hv ${arg_INCLUDES})
endfunction()

# What a guest links always.
set(SKEP_GUEST_LIBRARIES guestlib libc-shim net lwip)

set(guest_includes
    ${CMAKE_SOURCE_DIR}/hv/include ${CMAKE_SOURCE_DIR}/guestlib/include
    ${CMAKE_SOURCE_DIR}/net/include)

function(skep_guest_library name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;INCLUDES;LIBS")
    if(SKEP_HOST)
        return()
    endif()
    add_library(${name} STATIC ${arg_SOURCES})
    target_link_libraries(${name} PRIVATE skep_flags_own skep_flags_guest skep_flags_lto)
    target_link_libraries(${name} PUBLIC ${arg_LIBS})
    target_include_directories(${name} PRIVATE ${guest_includes} PUBLIC ${arg_INCLUDES})
endfunction()

# Moves a program's debug information to <program without .elf>.debug and keeps its function names.
function(skep_split_debug target)
    set(debug $<TARGET_FILE_DIR:${target}>/$<TARGET_FILE_BASE_NAME:${target}>.debug)
    add_custom_command(TARGET ${target} POST_BUILD VERBATIM
        COMMAND ${CMAKE_OBJCOPY} --only-keep-debug $<TARGET_FILE:${target}> ${debug}
        COMMAND ${CMAKE_OBJCOPY} --strip-debug --discard-locals --add-gnu-debuglink=${debug}
            $<TARGET_FILE:${target}>)
endfunction()

function(skep_add_guest name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "FILESYSTEM;LTO" "STACK;OUTPUT_DIRECTORY" "SOURCES;FILES;LIBS")
    if(SKEP_HOST)
        return()
    endif()
    if(NOT arg_OUTPUT_DIRECTORY)
        set(arg_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/examples)
    endif()
    add_executable(${name} ${arg_SOURCES})
    set_target_properties(${name} PROPERTIES
        SUFFIX .elf RUNTIME_OUTPUT_DIRECTORY ${arg_OUTPUT_DIRECTORY})
    target_include_directories(${name} PRIVATE ${guest_includes})
    target_link_libraries(${name} PRIVATE skep_flags_own skep_flags_guest)

    if(arg_LTO)
        target_link_libraries(${name} PRIVATE skep_flags_lto)
        target_link_options(${name} PRIVATE ${SKEP_LTO_LINK_FLAGS})
        set_property(TARGET ${name} APPEND PROPERTY LINK_DEPENDS ${SKEP_LTO_LINKER}/ld)
    else()
        target_link_options(${name} PRIVATE ${SKEP_NO_LTO_LINK_FLAGS})
    endif()

    if(arg_FILES)
        list(TRANSFORM arg_FILES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/ REGEX "^[^/]")
        skep_embed_files(${name} ${arg_FILES})
    endif()

    # The first definition of a name wins, so ours come before newlib's. Folders that come later in
    # the build have no targets yet, hence the question when generating.
    if(arg_FILESYSTEM)
        list(PREPEND arg_LIBS files ext2fs)
        target_link_options(${name} PRIVATE -Wl,--undefined=skep_posix_files_start)
    endif()
    target_link_libraries(${name} PRIVATE ${arg_LIBS})
    foreach(library IN LISTS SKEP_GUEST_LIBRARIES)
        target_link_libraries(${name} PRIVATE $<TARGET_NAME_IF_EXISTS:${library}>)
    endforeach()
    target_link_libraries(${name} PRIVATE newlib::c newlib::m gcc)

    if(arg_STACK)
        target_link_options(${name} PRIVATE -Wl,-z,stack-size=${arg_STACK})
    endif()
    set(script ${CMAKE_SOURCE_DIR}/guestlib/skep-guest.ld)
    if(EXISTS ${script})
        target_link_options(${name} PRIVATE -T ${script})
        set_property(TARGET ${name} APPEND PROPERTY LINK_DEPENDS ${script})
    endif()
    set(split ${CMAKE_SOURCE_DIR}/cmake/split-debug)
    add_custom_command(TARGET ${name} POST_BUILD VERBATIM COMMAND ${split} $<TARGET_FILE:${name}>)
    set_property(TARGET ${name} APPEND PROPERTY LINK_DEPENDS ${split})
endfunction()

set(host_includes
    ${CMAKE_SOURCE_DIR}/hv/include ${CMAKE_SOURCE_DIR}/hv ${CMAKE_SOURCE_DIR}/net/include)

function(skep_host_library name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;INCLUDES;LIBS")
    add_library(${name} STATIC ${arg_SOURCES})
    target_link_libraries(${name} PRIVATE skep_flags_own PUBLIC skep_flags_host ${arg_LIBS})
    target_include_directories(${name} PUBLIC ${host_includes} ${arg_INCLUDES})
endfunction()

function(skep_unit_test name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;INCLUDES;LIBS")
    add_executable(${name} ${arg_SOURCES})
    target_link_libraries(${name} PRIVATE skep_flags_own skep_flags_host ${arg_LIBS} cmocka)
    target_include_directories(${name} PRIVATE ${host_includes} ${arg_INCLUDES})
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT 120)
endfunction()
