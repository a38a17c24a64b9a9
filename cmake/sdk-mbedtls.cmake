# mbedTLS for programs that the SDK builds: libmbedcrypto, libmbedx509 and libmbedtls, with upstream's default configuration
# and what cmake/sdk/mbedtls/config.h adds; headers, packages of pkg-config, and CMake's. The control service has its own.
set(config ${generated}/mbedtls/include/mbedtls/mbedtls_config.h)
set(parts ${mbedtls_DIR}/include/mbedtls/mbedtls_config.h ${sdk}/mbedtls/config.h)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${parts})
execute_process(COMMAND ${CMAKE_COMMAND} -E cat ${parts} OUTPUT_VARIABLE text COMMAND_ERROR_IS_FATAL ANY)
file(CONFIGURE OUTPUT ${config} CONTENT "${text}" @ONLY)

# Which file is whose: as in upstream's library/CMakeLists.txt.
set(crypto ${mbedtls_SOURCES} net/mbedtls/skep_entropy.c net/mbedtls/skep_gcm.c)
set(x509 ${mbedtls_SOURCES})
set(tls ${mbedtls_SOURCES})
list(FILTER x509 INCLUDE REGEX "/library/(x509[a-z0-9_]*|pkcs7)\\.c$")
list(FILTER tls INCLUDE REGEX "/library/(ssl_[a-z0-9_]*|debug|mps_[a-z]*|net_sockets)\\.c$")
list(REMOVE_ITEM crypto ${x509} ${tls})

function(sdk_mbedtls name)
    upstream_library(sdk_${name} LTO SOURCES ${ARGN}
        INCLUDES ${generated}/mbedtls/include ${mbedtls_DIR}/include)
    target_include_directories(sdk_${name} PRIVATE ${mbedtls_PRIVATE_INCLUDES})
    set_target_properties(sdk_${name} PROPERTIES OUTPUT_NAME ${name} ARCHIVE_OUTPUT_DIRECTORY ${generated})
    set_property(TARGET sdk_${name} PROPERTY EXCLUDE_FROM_ALL OFF)
    install(TARGETS sdk_${name} ARCHIVE DESTINATION ${sysroot}/lib)

    # Upstream's template, which knows these names.
    set(CMAKE_INSTALL_PREFIX "\${pcfiledir}/../..")
    set(PKGCONFIG_INCLUDEDIR "\${prefix}/include")
    set(PKGCONFIG_LIBDIR "\${prefix}/lib")
    set(PROJECT_NAME "Mbed TLS")
    set(PKGCONFIG_PROJECT_DESCRIPTION "${name} of Mbed TLS, for guests of Skep")
    set(PKGCONFIG_PROJECT_HOMEPAGE_URL https://www.trustedfirmware.org/projects/mbed-tls/)
    set(PROJECT_VERSION ${mbedtls_VERSION})
    configure_file(${mbedtls_DIR}/pkgconfig/${name}.pc.in ${generated}/${name}.pc @ONLY)
    install(FILES ${generated}/${name}.pc DESTINATION ${sysroot}/lib/pkgconfig)
endfunction()
sdk_mbedtls(mbedcrypto ${crypto})
sdk_mbedtls(mbedx509 ${x509})
sdk_mbedtls(mbedtls ${tls})

install(DIRECTORY ${mbedtls_DIR}/include/mbedtls ${mbedtls_DIR}/include/psa DESTINATION ${sysroot}/include
    FILES_MATCHING PATTERN *.h PATTERN mbedtls_config.h EXCLUDE)
install(FILES ${config} DESTINATION ${sysroot}/include/mbedtls)
install(FILES ${everest}/include/everest/everest.h ${everest}/include/everest/x25519.h
    DESTINATION ${sysroot}/include/everest)
install(FILES ${sdk}/mbedtls/MbedTLSConfig.cmake DESTINATION ${sysroot}/lib/cmake/MbedTLS)
