# What the control service is made of, whichever core it runs on.
set(control_sources)
foreach(name access accounts address api api_app api_audit api_backup api_certificate api_console api_data api_events
        api_guest api_host api_image api_log api_match api_metrics api_operation api_query api_static api_token api_volume app app_apply app_json app_plan audit audit_json
        audit_log audit_value backup certificate config counters crash crashes elf_image events exposition files functions guest
        guest_core guest_disk guest_events guest_json guest_live guest_log guest_order guest_step guest_table
        hex host identity image image_disk image_put json label log metrics_guest metrics_host metrics_storage operations persist
        points power problem quota restore restore_start seal server service spec spec6 spec_volume state state_name
        storage storage_copy storage_core storage_data storage_json store symbols thread throttle tokens tokens_json tree wall)
    list(APPEND control_sources ${CMAKE_CURRENT_LIST_DIR}/${name}.c)
endforeach()

# Disks and volumes, which need nothing of the service.
set(storage_sources)
foreach(name crc32c format fsck journal overlay probe usage volumes volumes_change volumes_open)
    list(APPEND storage_sources ${CMAKE_CURRENT_LIST_DIR}/storage/${name}.c)
endforeach()
list(APPEND control_sources ${storage_sources})

# What the service sends as it is: the page, and the API's description.
set(static ${CMAKE_CURRENT_BINARY_DIR}/static-files.S)
set(static_files ${CMAKE_SOURCE_DIR}/docs/openapi.json ${CMAKE_CURRENT_LIST_DIR}/page/index.html
    ${CMAKE_CURRENT_LIST_DIR}/page/style.css)
foreach(name api apps audit certificate dom events guest guests host images live main operations plot tokens volumes)
    list(APPEND static_files ${CMAKE_CURRENT_LIST_DIR}/page/${name}.js)
endforeach()
add_custom_command(OUTPUT ${static} VERBATIM
    COMMAND ${CMAKE_SOURCE_DIR}/cmake/embed-static ${static} ${static_files}
    DEPENDS ${static_files} ${CMAKE_SOURCE_DIR}/cmake/embed-static)
list(APPEND control_sources ${static})
