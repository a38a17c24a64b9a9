# libext2fs, and the replay of jbd2 journals from debugfs and e2fsck: ext4 for guests, and for the tests on the host.
# What configure would write is in libc-shim/fs/upstream, beside the few functions whose originals would need a host.
set(e2 ${e2fsprogs_DIR})
set(port ${CMAKE_SOURCE_DIR}/libc-shim/fs/upstream)
set(generated ${CMAKE_BINARY_DIR}/ext2fs)

# Error numbers come from a table, by awk.
if(NOT EXISTS ${generated}/ext2fs/ext2_err.h)
    find_program(SKEP_AWK NAMES awk gawk mawk REQUIRED)
    file(MAKE_DIRECTORY ${generated}/ext2fs)
    file(READ ${e2}/lib/ext2fs/ext2_err.et.in table)
    string(REPLACE "@E2FSPROGS_VERSION@" "${e2fsprogs_VERSION}" table "${table}")
    file(WRITE ${generated}/ext2fs/ext2_err.et "${table}")
    execute_process(
        COMMAND ${SKEP_AWK} -f ${e2}/lib/et/et_h.awk outfile=ext2_err.h outfn=ext2_err.h ext2_err.et
        WORKING_DIRECTORY ${generated}/ext2fs COMMAND_ERROR_IS_FATAL ANY)
endif()

set(sources)
foreach(name
        alloc alloc_sb alloc_stats alloc_tables badblocks bb_inode bitmaps bitops blkmap64_ba blkmap64_rb blknum block bmap
        check_desc closefs crc16 csum dblist dblist_dir dir_iterate dirblock dirhash expanddir ext_attr extent fallocate fileio
        freefs gen_bitmap gen_bitmap64 get_num_dirs get_pathname hashmap i_block ind_block initialize inline inline_data
        inode io_manager link lookup mkdir mkjournal mmp namei newdir openfs orphan punch rbtree read_bb res_gdt rw_bitmaps sha512
        symlink unlink valid_blk)
    list(APPEND sources ${e2}/lib/ext2fs/${name}.c)
endforeach()
upstream_library(ext2fs LTO
    SOURCES
        ${sources} ${e2}/debugfs/journal.c ${e2}/e2fsck/recovery.c ${e2}/e2fsck/revoke.c ${port}/port.c
    INCLUDES ${port} ${generated} ${e2}/lib ${e2}/lib/ext2fs ${generated}/ext2fs)
target_include_directories(ext2fs PRIVATE ${e2}/e2fsck ${e2}/debugfs)
target_compile_definitions(ext2fs PUBLIC HAVE_CONFIG_H PRIVATE DEBUGFS _GNU_SOURCE OMIT_COM_ERR)
