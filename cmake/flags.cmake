# How each kind of code is compiled, as interface libraries:
#
#   skep_flags_common   everything
#   skep_flags_own      our own code: warnings, and they are errors
#   skep_flags_core     ring 0
#   skep_flags_guest    ring 3: guests, the control service, and the upstream code in them
#   skep_flags_lto      libraries for ring 3, and what is linked with them as a whole
#   skep_flags_host     native code for unit tests

# Paths are made relative in debug information and __FILE__, so that two builds in different
# folders give the same bytes. GCC tries the last map first.
set(SKEP_PREFIX_MAPS
    -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.
    -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=
    -ffile-prefix-map=${CMAKE_BINARY_DIR}=build)
foreach(name newlib lwip mbedtls cjson llhttp wslay littlefs e2fsprogs sqlite lua)
    list(APPEND SKEP_PREFIX_MAPS -ffile-prefix-map=${${name}_DIR}=${name})
endforeach()

# Strict aliasing buys nothing here and is a trap in code that looks at packets and pages.
set(SKEP_COMMON_FLAGS -O2 -g -fno-strict-aliasing ${SKEP_PREFIX_MAPS})
add_library(skep_flags_common INTERFACE)
target_compile_options(skep_flags_common INTERFACE
    ${SKEP_COMMON_FLAGS}
    $<$<COMPILE_LANGUAGE:C>:-std=gnu17>)

add_library(skep_flags_own INTERFACE)
target_link_libraries(skep_flags_own INTERFACE skep_flags_common)
target_compile_options(skep_flags_own INTERFACE
    -Wall -Wextra -Wundef
    $<$<COMPILE_LANGUAGE:C>:
        -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wvla
        -Wpointer-arith -Wwrite-strings -Wimplicit-fallthrough -Wformat=2
        $<$<C_COMPILER_ID:GNU>:-Wformat-truncation=0> -Wno-unused-parameter>
    $<$<BOOL:${SKEP_WERROR}>:-Werror>)
target_compile_definitions(skep_flags_own INTERFACE
    SKEP_VERSION="${PROJECT_VERSION}"
    SKEP_DEBUG=$<BOOL:${SKEP_DEBUG}>)

if(SKEP_HOST)
    add_library(skep_flags_host INTERFACE)
    target_link_libraries(skep_flags_host INTERFACE skep_flags_common)
    target_compile_options(skep_flags_host INTERFACE -fno-omit-frame-pointer)
    if(SKEP_SANITIZE)
        set(sanitizers -fsanitize=address,undefined -fno-sanitize-recover=all)
        target_compile_options(skep_flags_host INTERFACE ${sanitizers})
        target_link_options(skep_flags_host INTERFACE ${sanitizers})
    endif()
    if(SKEP_FUZZ)
        target_compile_options(skep_flags_host INTERFACE -fsanitize=fuzzer-no-link)
        target_link_options(skep_flags_host INTERFACE -fsanitize=fuzzer-no-link)
    endif()
    return()
endif()

# A Linux compiler must not say that this is Linux. It may say __unix__: programs have a branch of theirs for Windows else.
set(SKEP_TARGET_FLAGS
    -D__skep__=1 -Ulinux -U__linux -U__linux__ -U__gnu_linux__ -Uunix
    -fcf-protection=none)

# Ring 0 has no thread pointer, so its canary is the global __stack_chk_guard. It is optimised as a whole when it is
# linked: its paths are short and go through many files.
add_library(skep_flags_core INTERFACE)
target_link_libraries(skep_flags_core INTERFACE skep_flags_common)
set(SKEP_CORE_FLAGS
    ${SKEP_TARGET_FLAGS}
    -flto
    -ffreestanding -mcmodel=kernel -mgeneral-regs-only -mno-red-zone -fno-pic -fno-pie
    -fno-omit-frame-pointer -fno-asynchronous-unwind-tables -fno-common
    -fstack-protector-strong -mstack-protector-guard=global -Wa,--noexecstack
    -ffunction-sections -fdata-sections
    # Indirect branches, those by the tables of switches too, go through entry.S, which decides by CPU.
    -mindirect-branch=thunk-extern -mindirect-branch-register -fjump-tables)
target_compile_options(skep_flags_core INTERFACE ${SKEP_CORE_FLAGS})
target_link_options(skep_flags_core INTERFACE
    ${SKEP_COMMON_FLAGS} ${SKEP_CORE_FLAGS} -flto-partition=one
    -nostdlib -static -no-pie
    -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack -Wl,-z,norelro -Wl,--build-id=sha1
    -Wl,--gc-sections -Wl,--no-undefined -Wl,--fatal-warnings)

# The canary is at %fs:0x28, in the thread control block that guestlib lays out. newlib is compiled
# with these flags too. Nothing unwinds through a guest but frame pointers. Targets of jumps aren't aligned, other than
# loops and functions: the gaps would be a seventeenth of the code.
set(SKEP_GUEST_FLAGS
    ${SKEP_TARGET_FLAGS}
    -fPIE -mno-red-zone -fno-omit-frame-pointer -fno-asynchronous-unwind-tables -fno-common -fno-align-jumps
    -fstack-protector-strong -ftls-model=local-exec -ffunction-sections -fdata-sections
    -Wa,--noexecstack)
add_library(skep_flags_guest INTERFACE)
target_link_libraries(skep_flags_guest INTERFACE skep_flags_common)
# A crash's backtrace names every caller only if functions have frames and call the next one rather
# than jump to it.
set(SKEP_GUEST_BACKTRACE_FLAGS
    -fno-shrink-wrap -fno-optimize-sibling-calls -fno-isolate-erroneous-paths-dereference)
target_compile_options(skep_flags_guest INTERFACE ${SKEP_GUEST_FLAGS} -nostdinc ${SKEP_GUEST_BACKTRACE_FLAGS})
set(SKEP_GUEST_LINK_FLAGS
    -nostdlib -static-pie
    # newlib brings locks that do nothing and an assert() that prints, and its own objects would find those first.
    -Wl,--undefined=__retarget_lock_acquire_recursive -Wl,--undefined=__assert_func
    # main() may be in a library, too.
    -Wl,--entry=_start -Wl,--undefined=_start -Wl,--undefined=main -Wl,--no-dynamic-linker -Wl,-z,text
    -Wl,-z,separate-code -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,-z,max-page-size=4096
    # guestlib corrects addresses by bit maps; a table of them has 24 bytes for each.
    -Wl,-z,pack-relative-relocs
    -Wl,--build-id=sha1 -Wl,--hash-style=gnu -Wl,--gc-sections -Wl,--no-undefined)
target_link_options(skep_flags_guest INTERFACE ${SKEP_GUEST_LINK_FLAGS} -Wl,--fatal-warnings)

# Objects have both code and what it was made from: a program that is linked with -flto is optimised as a whole with the
# libraries, another one is linked as ever. The seed is for names of sections, which are by chance otherwise; it is the same
# for all, since debug information has it and mustn't say where something was built.
set(SKEP_LTO_FLAGS -flto -ffat-lto-objects -frandom-seed=skep -Wa,--debug-prefix-map=${CMAKE_BINARY_DIR}=build)
add_library(skep_flags_lto INTERFACE)
target_compile_options(skep_flags_lto INTERFACE $<$<COMPILE_LANGUAGE:C>:${SKEP_LTO_FLAGS}>)
# What a program is linked with, this or that.
set(SKEP_LTO_LINKER ${CMAKE_SOURCE_DIR}/cmake/lto)
set(SKEP_LTO_LINK_FLAGS -flto=auto -B${SKEP_LTO_LINKER} ${SKEP_COMMON_FLAGS} ${SKEP_GUEST_FLAGS} ${SKEP_GUEST_BACKTRACE_FLAGS})
set(SKEP_NO_LTO_LINK_FLAGS -fno-lto)
