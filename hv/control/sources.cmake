# What the control service is made of, whichever core it runs on.
set(control_sources)
foreach(name address api api_guest api_host api_image config crash elf_image guest guest_json
        guest_step host identity image json log points problem server service spec store symbols)
    list(APPEND control_sources ${CMAKE_CURRENT_LIST_DIR}/${name}.c)
endforeach()
