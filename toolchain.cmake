# The target x86_64-skep: bare metal in ring 0, static PIE on newlib in ring 3.
#
# The compiler is Debian's x86_64-linux-gnu-gcc, native on amd64 and Debian's cross compiler
# elsewhere. Nothing of its C library is used; cmake/flags.cmake takes its Linux identity away.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR x86_64)

set(CMAKE_C_COMPILER x86_64-linux-gnu-gcc)
set(CMAKE_ASM_COMPILER x86_64-linux-gnu-gcc)
foreach(tool AR RANLIB NM OBJCOPY OBJDUMP READELF STRIP)
    string(TOLOWER ${tool} name)
    find_program(CMAKE_${tool} x86_64-linux-gnu-${name} REQUIRED)
endforeach()

# There is no start-up code yet when CMake tries the compiler.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
