# find_package(Skep):
#
#   skep_add_guest(name SOURCES … [FILES …] [FILESYSTEM] [LIBS …] [STACK bytes])
#       A guest <name>.elf, with its debug information in <name>.debug beside it.
#       - FILES are put into the image: a file under its path relative to the CMakeLists.txt, and all that is in a folder
#         at the root, so that FILES www makes www/a/b.html /a/b.html (share/doc/skep/files.md).
#       - FILESYSTEM is for programs that use volumes: it links ext4, and mounts what SKEP_MOUNTS names before main().
#         Such a program is also under libext2fs' licence (share/doc/skep/licences.md).
#       - STACK is the main thread's stack in bytes; 256 KiB when not given.
#
# It is what is built where CMAKE_TOOLCHAIN_FILE is the toolchain.cmake beside this file. Without that skep_add_guest()
# makes the same program for this Linux, where FILES, FILESYSTEM and STACK have nothing to do: files are Linux' own.
include(${CMAKE_CURRENT_LIST_DIR}/files.cmake)
if(CMAKE_SYSTEM_NAME STREQUAL "Skep")
    enable_language(ASM) # for files
endif()

function(skep_add_guest name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "FILESYSTEM" "STACK" "SOURCES;FILES;LIBS")
    if(arg_UNPARSED_ARGUMENTS OR NOT arg_SOURCES)
        message(FATAL_ERROR "skep_add_guest(${name}): SOURCES are needed, and these aren't understood: "
            "${arg_UNPARSED_ARGUMENTS}")
    endif()
    add_executable(${name} ${arg_SOURCES})
    target_link_libraries(${name} PRIVATE ${arg_LIBS})
    if(NOT CMAKE_SYSTEM_NAME STREQUAL "Skep")
        return()
    endif()
    set_target_properties(${name} PROPERTIES SUFFIX .elf)
    if(arg_FILES)
        skep_embed_files(${name} ${arg_FILES})
    endif()
    if(arg_FILESYSTEM)
        target_link_libraries(${name} PRIVATE skep-filesystem)
    endif()
    if(arg_STACK)
        target_link_options(${name} PRIVATE -Wl,-z,stack-size=${arg_STACK})
    endif()
endfunction()
