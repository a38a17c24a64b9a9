# The SDK: what programs for Skep are built with elsewhere.
#
#   cmake --install build --prefix DIR
#
#   bin/                     x86_64-skep-gcc, -ar, -pkg-config and so on, and x86_64-skep-files, which packs files
#   lib/skep/                what the compiler reads and the linker it calls
#   lib/cmake/Skep/          find_package(Skep), and toolchain.cmake
#   x86_64-skep/             the sysroot: include/ (ours, mbedTLS'), sys-include/ (newlib's), lib/, share/config.site
#   share/doc/skep/          what a porter reads
#
# The target sdk puts it into build/sdk, for examples/ports; its file, ${SKEP_SDK_STAMP}, is newer than all in there, and
# the files ${SKEP_SDK_COMPILER} change with what programs are compiled by, but not with the libraries.
#
# Nothing in it knows where it lies: the folder may be moved. cmake/sdk has its scripts.
set(sdk ${CMAKE_SOURCE_DIR}/cmake/sdk)
set(generated ${CMAKE_BINARY_DIR}/sdk-files)
set(sysroot x86_64-skep)

# One library for what a guest links always; ext4 has another licence, and is named.
set(objects "")
foreach(target IN LISTS SKEP_GUEST_LIBRARIES)
    list(APPEND objects $<TARGET_OBJECTS:${target}>)
endforeach()
add_library(skep_sdk STATIC ${objects})
set_target_properties(skep_sdk PROPERTIES OUTPUT_NAME skep LINKER_LANGUAGE C ARCHIVE_OUTPUT_DIRECTORY ${generated})
add_library(skep_sdk_ext4 STATIC $<TARGET_OBJECTS:files> $<TARGET_OBJECTS:ext2fs>)
set_target_properties(skep_sdk_ext4 PROPERTIES
    OUTPUT_NAME skep-ext4 LINKER_LANGUAGE C ARCHIVE_OUTPUT_DIRECTORY ${generated})
install(TARGETS skep_sdk skep_sdk_ext4 ARCHIVE DESTINATION ${sysroot}/lib)
install(FILES ${newlib_PREFIX}/lib/libc.a ${newlib_PREFIX}/lib/libm.a DESTINATION ${sysroot}/lib)

# A script of the linker's, so that -lskep-filesystem brings the start of the file system along. And makefiles name
# libraries that POSIX systems have, whose contents are in libc here.
file(WRITE ${generated}/libskep-filesystem.a "EXTERN(skep_posix_files_start)\nINPUT(-lskep-ext4)\n")
set(libraries ${generated}/libskep-filesystem.a)
foreach(name pthread rt dl)
    file(WRITE ${generated}/lib${name}.a "!<arch>\n")
    list(APPEND libraries ${generated}/lib${name}.a)
endforeach()
install(FILES ${libraries} DESTINATION ${sysroot}/lib)

include(sdk-mbedtls)

install(DIRECTORY libc-shim/include/ DESTINATION ${sysroot}/include PATTERN skep EXCLUDE)
install(DIRECTORY ${newlib_PREFIX}/include/ DESTINATION ${sysroot}/sys-include)
set(headers hv/include/skep/abi.h net/include/skep/net.h)
foreach(name block fault guest hypercall spinlock thread virtqueue)
    list(APPEND headers guestlib/include/skep/${name}.h)
endforeach()
install(FILES ${headers} DESTINATION ${sysroot}/include/skep)
install(FILES ${sdk}/config.site DESTINATION ${sysroot}/share)

# What a program is compiled and linked with is what the project's own guests are.
set(defines ${SKEP_GUEST_FLAGS})
list(FILTER defines INCLUDE REGEX "^-[DU]")
set(flags ${SKEP_GUEST_FLAGS} ${SKEP_GUEST_BACKTRACE_FLAGS})
list(FILTER flags EXCLUDE REGEX "^-([DU]|Wa,)")
set(link ${SKEP_GUEST_LINK_FLAGS})
list(FILTER link INCLUDE REGEX "^-Wl,")
list(TRANSFORM link REPLACE "^-Wl," "")
foreach(name defines flags link)
    string(TOUPPER ${name} upper)
    string(REPLACE "," " " SKEP_SPECS_${upper} "${${name}}")
    list(JOIN SKEP_SPECS_${upper} " " SKEP_SPECS_${upper})
endforeach()
configure_file(${sdk}/skep.specs.in ${generated}/skep.specs @ONLY)
install(FILES ${generated}/skep.specs DESTINATION lib/skep)
install(PROGRAMS ${sdk}/ld cmake/split-debug DESTINATION lib/skep)
install(PROGRAMS ${SKEP_LTO_LINKER}/ld DESTINATION lib/skep/lto)

foreach(name gcc pkg-config backtrace)
    install(PROGRAMS ${sdk}/${name} DESTINATION bin RENAME x86_64-skep-${name})
endforeach()
foreach(name ar nm objcopy objdump ranlib readelf size strings strip addr2line gcc-ar gcc-nm gcc-ranlib)
    install(PROGRAMS ${sdk}/binutil DESTINATION bin RENAME x86_64-skep-${name})
endforeach()

include(CMakePackageConfigHelpers)
write_basic_package_version_file(${generated}/SkepConfigVersion.cmake
    VERSION ${PROJECT_VERSION} COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
set(cmake lib/cmake/Skep)
install(FILES ${generated}/SkepConfigVersion.cmake ${sdk}/SkepConfig.cmake ${sdk}/toolchain.cmake cmake/files.cmake
    DESTINATION ${cmake})
install(DIRECTORY ${sdk}/Platform DESTINATION ${cmake})
install(PROGRAMS cmake/pack-files DESTINATION ${cmake})
install(CODE [[file(CREATE_LINK ../lib/cmake/Skep/pack-files
    $ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}/bin/x86_64-skep-files SYMBOLIC)]])

install(FILES LICENSE docs/porting.md docs/posix.md docs/files.md docs/licences.md DESTINATION share/doc/skep)

set(SKEP_SDK ${CMAKE_BINARY_DIR}/sdk)
set(SKEP_SDK_STAMP ${generated}/installed)
file(GLOB_RECURSE installed CONFIGURE_DEPENDS ${sdk}/* libc-shim/include/*.h)
add_custom_command(OUTPUT ${SKEP_SDK_STAMP} VERBATIM
    COMMAND ${CMAKE_COMMAND} -E rm -rf ${SKEP_SDK}
    COMMAND ${CMAKE_COMMAND} --install ${CMAKE_BINARY_DIR} --prefix ${SKEP_SDK}
    COMMAND ${CMAKE_COMMAND} -E touch ${SKEP_SDK_STAMP}
    DEPENDS skep_sdk skep_sdk_ext4 sdk_mbedcrypto sdk_mbedx509 sdk_mbedtls ${config} ${installed}
        ${CMAKE_SOURCE_DIR}/cmake/files.cmake ${CMAKE_SOURCE_DIR}/cmake/pack-files ${CMAKE_SOURCE_DIR}/cmake/split-debug
        ${SKEP_LTO_LINKER}/ld)
add_custom_target(sdk DEPENDS ${SKEP_SDK_STAMP})
set(SKEP_SDK_COMPILER ${installed} ${generated}/skep.specs ${newlib_PREFIX}/lib/libc.a) # what objects are made by
