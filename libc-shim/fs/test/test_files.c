/*
 * test_files.c - each call on files and folders, with its errors.
 */
#include "check.h"

static unsigned db;

static int set_up(void **state)
{
    db = disk_new("db", 32 << 20, 4096);
    mount_db(FS_MOUNT_FORMAT);
    return 0;
}

static int tear_down(void **state)
{
    fs_set_current("/");
    unmount_db();
    assert_clean(db);
    disk_delete_all();
    test_folder_remove();
    messages_since();
    return 0;
}

static struct fs_file *open_file(const char *path, int flags)
{
    struct fs_file *file;
    int result = fs_open(path, flags, 0644, &file);
    if (result != 0)
        print_error("%s: %d\n", path, result);
    assert_int_equal(result, 0);
    return file;
}

static int open_error(const char *path, int flags)
{
    struct fs_file *file;
    return fs_open(path, flags, 0644, &file);
}

static void a_file_keeps_what_is_written(void **state)
{
    char data[10000], back[10000];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 7);
    write_file("/db/a", data, sizeof(data));
    assert_int_equal(read_file("/db/a", back, sizeof(back)), sizeof(back));
    assert_memory_equal(data, back, sizeof(data));
    unmount_db();
    mount_db(0);
    assert_int_equal(read_file("/db/a", back, sizeof(back)), sizeof(back));
    assert_memory_equal(data, back, sizeof(data));
    assert_int_equal(open_error("/db/b", O_RDONLY), -ENOENT);
    fs_close(open_file("/db/a", O_RDONLY));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_keeps_what_is_written, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
