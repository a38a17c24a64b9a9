# Upstream source trees: sets newlib_DIR, lwip_DIR, … and the versions, fetching what is missing.
execute_process(
    COMMAND ${CMAKE_SOURCE_DIR}/ci/deps --paths
    OUTPUT_VARIABLE rows OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "\n" ";" rows "${rows}")
foreach(row IN LISTS rows)
    string(REGEX MATCH "^([^ ]+) ([^ ]+) (.+)$" row "${row}")
    set(${CMAKE_MATCH_1}_VERSION ${CMAKE_MATCH_2})
    set(${CMAKE_MATCH_1}_DIR ${CMAKE_MATCH_3})
endforeach()

# New pins take effect at the next build.
file(GLOB patches CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/ci/patches/*.patch)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
    ${CMAKE_SOURCE_DIR}/ci/deps ${patches})
