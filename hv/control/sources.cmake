# What the control service is made of, whichever core it runs on.
set(control_sources)
foreach(name access accounts address api api_audit api_backup api_certificate api_console api_data api_events api_guest
        api_host api_image api_log api_openapi api_token api_volume audit audit_json audit_log backup certificate config
        crash crashes elf_image events files guest guest_core guest_disk guest_events guest_json guest_live
        guest_log guest_order guest_step guest_table hex host identity image image_disk image_put json log
        persist points power problem quota restore restore_start seal server service spec spec_volume state state_name
        storage storage_core storage_data storage_json store symbols throttle tokens tokens_json tree wall)
    list(APPEND control_sources ${CMAKE_CURRENT_LIST_DIR}/${name}.c)
endforeach()

# Disks and volumes, which need nothing of the service.
set(storage_sources)
foreach(name crc32c format fsck journal overlay probe usage volumes volumes_change volumes_open)
    list(APPEND storage_sources ${CMAKE_CURRENT_LIST_DIR}/storage/${name}.c)
endforeach()
list(APPEND control_sources ${storage_sources})

# The API's description, which the service sends to who asks for it.
set(openapi ${CMAKE_CURRENT_BINARY_DIR}/openapi.S)
add_custom_command(OUTPUT ${openapi} VERBATIM
    COMMAND ${CMAKE_SOURCE_DIR}/cmake/embed-json ${openapi} ${CMAKE_SOURCE_DIR}/docs/openapi.json openapi_json
    DEPENDS ${CMAKE_SOURCE_DIR}/docs/openapi.json ${CMAKE_SOURCE_DIR}/cmake/embed-json)
list(APPEND control_sources ${openapi})
