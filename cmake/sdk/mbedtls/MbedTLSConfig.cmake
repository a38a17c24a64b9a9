# find_package(MbedTLS): the targets MbedTLS::mbedtls, MbedTLS::mbedx509 and MbedTLS::mbedcrypto, as upstream's own has them.
get_filename_component(root ${CMAKE_CURRENT_LIST_DIR}/../../.. ABSOLUTE)
foreach(name mbedcrypto mbedx509 mbedtls)
    if(NOT TARGET MbedTLS::${name})
        add_library(MbedTLS::${name} STATIC IMPORTED)
        set_target_properties(MbedTLS::${name} PROPERTIES
            IMPORTED_LOCATION ${root}/lib/lib${name}.a INTERFACE_LINK_LIBRARIES "${needed}")
    endif()
    list(PREPEND needed MbedTLS::${name})
endforeach()
unset(needed)
