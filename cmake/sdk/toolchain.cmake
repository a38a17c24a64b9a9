# cmake -DCMAKE_TOOLCHAIN_FILE=<SDK>/lib/cmake/Skep/toolchain.cmake: programs for Skep instead of this Linux.
cmake_path(GET CMAKE_CURRENT_LIST_DIR PARENT_PATH sdk)
cmake_path(GET sdk PARENT_PATH sdk)
cmake_path(GET sdk PARENT_PATH sdk)

set(CMAKE_SYSTEM_NAME Skep)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})

set(CMAKE_C_COMPILER ${sdk}/bin/x86_64-skep-gcc)
set(CMAKE_ASM_COMPILER ${sdk}/bin/x86_64-skep-gcc)
foreach(tool AR RANLIB NM OBJCOPY OBJDUMP READELF STRIP)
    string(TOLOWER ${tool} name)
    set(CMAKE_${tool} ${sdk}/bin/x86_64-skep-${name})
endforeach()
set(PKG_CONFIG_EXECUTABLE ${sdk}/bin/x86_64-skep-pkg-config)

set(CMAKE_FIND_ROOT_PATH ${sdk}/x86_64-skep)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(Skep_DIR ${CMAKE_CURRENT_LIST_DIR})
