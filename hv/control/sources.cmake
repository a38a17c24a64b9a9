# What the control service is made of, whichever core it runs on.
set(control_sources)
foreach(name accounts address api api_guest api_host api_image api_log config crash crashes elf_image
        guest guest_core guest_disk guest_json guest_live guest_order guest_step guest_table host identity
        image image_disk image_put json log persist points power problem server service spec state store
        symbols tree wall)
    list(APPEND control_sources ${CMAKE_CURRENT_LIST_DIR}/${name}.c)
endforeach()
