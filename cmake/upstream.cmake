# Upstream libraries, compiled as they are, for guests or natively: lwip, mbedtls, cjson, llhttp, wslay, littlefs.
# Each is built only when something links it.

# upstream_library(name [LTO] SOURCES … INCLUDES …): INCLUDES are public; LTO is for what the SDK has: code is made twice.
function(upstream_library name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "LTO" "" "SOURCES;INCLUDES")
    add_library(${name} STATIC EXCLUDE_FROM_ALL ${arg_SOURCES})
    target_compile_options(${name} PRIVATE -w)
    target_include_directories(${name} SYSTEM PUBLIC ${arg_INCLUDES})
    if(SKEP_HOST)
        target_link_libraries(${name} PRIVATE skep_flags_host)
    else()
        target_link_libraries(${name} PRIVATE skep_flags_guest $<$<BOOL:${arg_LTO}>:skep_flags_lto>)
    endif()
endfunction()

set(net ${CMAKE_SOURCE_DIR}/net)

upstream_library(cjson
    SOURCES ${cjson_DIR}/cJSON.c ${cjson_DIR}/cJSON_Utils.c
    INCLUDES ${cjson_DIR})

upstream_library(llhttp
    SOURCES ${llhttp_DIR}/src/api.c ${llhttp_DIR}/src/http.c ${llhttp_DIR}/src/llhttp.c
    INCLUDES ${llhttp_DIR}/include)

# Its own configure script would find out the version and <arpa/inet.h>.
upstream_library(wslay
    SOURCES ${wslay_DIR}/lib/wslay_event.c ${wslay_DIR}/lib/wslay_frame.c ${wslay_DIR}/lib/wslay_net.c
            ${wslay_DIR}/lib/wslay_queue.c
    INCLUDES ${wslay_DIR}/lib/includes)
target_compile_definitions(wslay PUBLIC WSLAY_VERSION="1.1.1" PRIVATE HAVE_ARPA_INET_H)

# All memory is the caller's, and nothing is printed. What its assertions find ends the program.
upstream_library(littlefs
    SOURCES ${littlefs_DIR}/lfs2.c ${littlefs_DIR}/lfs2_util.c
    INCLUDES ${littlefs_DIR})
target_compile_definitions(littlefs PUBLIC
    LFS2_NO_MALLOC LFS2_NO_DEBUG LFS2_NO_WARN LFS2_NO_ERROR)

# The options and the port's headers are ours: net/lwip/include has lwipopts.h and arch/cc.h.
if(EXISTS ${net}/lwip/include/lwipopts.h)
    set(src ${lwip_DIR}/src)
    file(GLOB sources ${src}/core/*.c ${src}/core/ipv4/*.c ${src}/core/ipv6/*.c ${src}/api/*.c)
    # DHCPv6 isn't used, and of the other two net/socket has its own.
    list(REMOVE_ITEM sources ${src}/core/ipv6/dhcp6.c ${src}/core/ipv6/inet6.c ${src}/api/netdb.c)
    upstream_library(lwip LTO
        SOURCES ${sources} ${src}/netif/ethernet.c
        INCLUDES ${net}/lwip/include ${src}/include)
    # As one unit: its layers are many small functions, which the compiler joins. Both files about fragments have a
    # variable of the same name.
    set_target_properties(lwip PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)
    set_source_files_properties(${src}/core/ipv6/ip6_frag.c PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    # Its SNTP client calls sys_timeout(), which net/lwip/network.c has.
    upstream_library(lwip_sntp
        SOURCES ${src}/apps/sntp/sntp.c
        INCLUDES ${net}/lwip/include ${src}/include)
    target_compile_definitions(lwip_sntp PRIVATE LWIP_TIMERS=1 LWIP_TIMERS_CUSTOM=1)
    foreach(library lwip lwip_sntp)
        target_include_directories(${library} PRIVATE
            $<$<BOOL:${SKEP_HOST}>:${net}/test/fake>
            ${CMAKE_SOURCE_DIR}/guestlib/include ${CMAKE_SOURCE_DIR}/hv/include)
    endforeach()
endif()

# What mbedTLS is compiled from. Of third parties' code only what the configuration asks for isn't empty.
set(p256m ${mbedtls_DIR}/3rdparty/p256-m)
set(everest ${mbedtls_DIR}/3rdparty/everest)
file(GLOB mbedtls_SOURCES ${mbedtls_DIR}/library/*.c ${p256m}/*.c ${p256m}/p256-m/*.c)
list(APPEND mbedtls_SOURCES ${everest}/library/everest.c ${everest}/library/x25519.c
    ${everest}/library/Hacl_Curve25519_joined.c)
set(mbedtls_PRIVATE_INCLUDES
    ${mbedtls_DIR}/library ${p256m} ${p256m}/p256-m ${p256m}/p256-m/include
    ${everest}/include ${everest}/include/everest ${everest}/include/everest/kremlib)
# Vectors turn bytes around where loops would, several hundred instructions for each 16 bytes. A CPU with AES-NI has SSSE3.
set_source_files_properties(${mbedtls_DIR}/library/aesni.c PROPERTIES COMPILE_OPTIONS "-O3;-mssse3")
set_source_files_properties(${mbedtls_DIR}/library/gcm.c PROPERTIES COMPILE_OPTIONS "-O3")

if(EXISTS ${net}/mbedtls/skep_mbedtls_config.h)
    upstream_library(mbedtls
        SOURCES ${mbedtls_SOURCES}
        INCLUDES ${net}/mbedtls ${mbedtls_DIR}/include)
    target_include_directories(mbedtls PRIVATE ${mbedtls_PRIVATE_INCLUDES})
    target_include_directories(mbedtls SYSTEM PUBLIC ${everest}/include)
    target_compile_definitions(mbedtls PUBLIC MBEDTLS_CONFIG_FILE="skep_mbedtls_config.h")
endif()
