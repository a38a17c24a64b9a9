/*
 * test_others.c - file systems that mke2fs has made, with Debian's features and others, are read and written here, and read
 * by debugfs afterwards.
 */
#include "check.h"

static unsigned db;

static void make(const char *options, uint64_t bytes, uint32_t unit)
{
    char command[2048];
    db = disk_new("db", bytes, unit);
    snprintf(
        command, sizeof(command),
        "cd %%2$s && rm -rf tree && mkdir -p tree/folder/deep && echo hello >tree/folder/deep/a && "
        "head -c 3000000 /dev/zero | tr '\\0' z >tree/large && ln -s folder/deep/a tree/link && "
        "seq 1 400 | while read i; do echo $i >tree/folder/with-a-long-name-$i; done && "
        "/sbin/mke2fs -q -t ext4 %s -d tree %%1$s >log 2>&1",
        options);
    if (run_on_image(db, command, true) != 0)
        fail_msg("mke2fs failed");
}

static void assert_debugfs(const char *command, const char *expected)
{
    char line[512];
    snprintf(line, sizeof(line), "/sbin/debugfs -R '%s' %%1$s 2>/dev/null | grep -q -e '%s'",
             command, expected);
    assert_int_equal(run_on_image(db, line, false), 0);
}

static void use(const char *options, uint64_t bytes, uint32_t unit)
{
    char data[64], path[64];
    static char large[3000000];
    make(options, bytes, unit);
    assert_clean(db);
    mount_db(0);
    assert_int_equal(read_file("/db/link", data, sizeof(data)), 6);
    assert_memory_equal(data, "hello\n", 6);
    assert_int_equal(read_file("/db/large", large, sizeof(large)), sizeof(large));
    assert_int_equal(large[2999999], 'z');
    for (int i = 1; i <= 400; i += 57) {
        snprintf(path, sizeof(path), "/db/folder/with-a-long-name-%d", i);
        assert_true(read_file(path, data, sizeof(data)) > 1);
        assert_int_equal(strtol(data, NULL, 10), i);
        assert_int_equal(fs_unlink(path), 0);
    }
    for (int i = 0; i < 300; i++) {
        snprintf(path, sizeof(path), "/db/folder/one-more-long-name-%d", i);
        write_file(path, path, strlen(path));
    }
    assert_int_equal(fs_rename("/db/folder/deep", "/db/moved"), 0);
    assert_int_equal(fs_truncate("/db/large", 1000001), 0);
    write_file("/db/moved/new", "written here", 12);
    unmount_db();
    assert_clean(db);
    assert_debugfs("cat /moved/new", "^written here$");
    assert_debugfs("ls -p /folder", "/one-more-long-name-299/");
    assert_debugfs("stat /large", "Size: 1000001");
    mount_db(0);
    assert_int_equal(read_file("/db/moved/new", data, sizeof(data)), 12);
    unmount_db();
    disk_delete_all();
    test_folder_remove();
    messages_since();
}

static void debian_makes_them(void **state)
{
    use("", 64 << 20, 512);
}

static void with_large_blocks(void **state)
{
    use("-b 4096 -E lazy_itable_init=1", 96 << 20, 4096);
}

static void without_checksums(void **state)
{
    use("-O ^metadata_csum,^64bit,^flex_bg", 64 << 20, 512);
}

static void with_other_blocks(void **state)
{
    use("-b 2048 -I 128", 64 << 20, 512);
}

static void what_is_not_known_is_refused(void **state)
{
    static const char *const options[] = {"-O inline_data",       "-O encrypt",
                                          "-O bigalloc -C 16384", "-O ^has_journal",
                                          "-O orphan_file",       "-O casefold"};
    for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
        make(options[i], 32 << 20, 512);
        assert_int_equal(fs_tree_mount("db", "/db", 0), -EINVAL);
        disk_delete_all();
        test_folder_remove();
        messages_since();
    }
    make("-b 1024", 32 << 20, 4096);
    assert_int_equal(fs_tree_mount("db", "/db", 0), -EINVAL);
    disk_delete_all();
    test_folder_remove();
    messages_since();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(debian_makes_them),
        cmocka_unit_test(with_large_blocks),
        cmocka_unit_test(without_checksums),
        cmocka_unit_test(with_other_blocks),
        cmocka_unit_test(what_is_not_known_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
