/*
 * test_errors.c - disks that fail: what was synced stays, nothing is said to be durable that isn't, and a file system whose
 * disk has failed under its metadata is only read from then on.
 */
#include "check.h"
#include "model.h"
#include "skep/abi.h"

static unsigned db;

static void begin(void)
{
    db = disk_new("db", 16 << 20, 4096);
    mount_db(FS_MOUNT_FORMAT);
}

static void end(void)
{
    disk_delete_all();
    test_folder_remove();
    messages_since();
}

static struct fs_file *open_file(const char *path, int flags)
{
    struct fs_file *file;
    assert_int_equal(fs_open(path, flags, 0644, &file, NULL), 0);
    return file;
}

/* Fails the n-th write or flush after a sync, for each n until none fails: the sync is told of it, and if it isn't, it holds. */
static void fail_at(enum disk_op op, uint64_t n, bool *reached)
{
    char data[5000], back[5000];
    begin();
    memset(data, 'o', sizeof(data));
    write_file("/db/old", data, sizeof(data));
    struct fs_file *file = open_file("/db/new", O_CREAT | O_RDWR);
    assert_int_equal(fs_sync(file, false), 0);
    disk_fail(db, op, n, true, -SKEP_EIO);
    ssize_t written = fs_write(file, data, sizeof(data), 0);
    int synced = fs_sync(file, false);
    *reached = written != sizeof(data) || synced != 0;
    if (*reached) {
        assert_true(written == -EIO || written == 4096 || synced == -EIO);
        struct fs_file *other;
        int result = fs_open("/db/other", O_CREAT | O_RDWR, 0644, &other, NULL);
        if (synced == -EIO)
            assert_int_equal(result, -EROFS);
        if (result == 0)
            fs_close(other);
        assert_int_equal(read_file("/db/old", back, sizeof(back)), sizeof(back));
    }
    fs_close(file);
    int unmounted = fs_tree_unmount();
    assert_true(synced == 0 || unmounted != 0);
    *reached |= unmounted != 0;
    disk_fail(db, op, 0, false, 0);
    mount_db(0);
    assert_int_equal(read_file("/db/old", back, sizeof(back)), sizeof(back));
    assert_memory_equal(data, back, sizeof(data));
    if (synced == 0 && written == sizeof(data)) {
        assert_int_equal(read_file("/db/new", back, sizeof(back)), sizeof(back));
        assert_memory_equal(data, back, sizeof(data));
    }
    unmount_db();
    assert_clean(db);
    end();
}

static void failures_are_told(enum disk_op op)
{
    bool reached = true;
    uint64_t n = 1;
    for (; reached; n++) {
        assert_true(n < 100);
        fail_at(op, n, &reached);
        if (!reached)
            break;
    }
    assert_true(n > 2);
}

static void failing_writes_are_told(void **state)
{
    failures_are_told(DISK_WRITE);
}

static void failing_flushes_are_told(void **state)
{
    failures_are_told(DISK_FLUSH);
}

static void a_failed_file_system_says_so_once(void **state)
{
    begin();
    struct fs_file *file = open_file("/db/a", O_CREAT | O_RDWR);
    messages_since();
    disk_fail(db, DISK_FLUSH, 1, true, -SKEP_EIO);
    assert_int_equal(fs_sync(file, false), -EIO);
    const char *message = messages_since();
    assert_non_null(strstr(message, "read-only"));
    assert_int_equal(fs_sync(file, false), -EIO);
    assert_int_equal(fs_write(file, "a", 1, 0), -EROFS);
    assert_int_equal(fs_mkdir("/db/d", 0755), -EROFS);
    assert_string_equal(messages_since(), "");
    fs_close(file);
    assert_int_not_equal(fs_tree_unmount(), 0);
    end();
}

/* A file's data that can't be read is its reader's trouble only. */
static void an_unreadable_file_is_no_more_than_that(void **state)
{
    static char data[100000];
    begin();
    write_file("/db/a", data, sizeof(data));
    struct fs_file *file = open_file("/db/a", O_RDWR);
    assert_int_equal(fs_pread(file, data, 4096, 0), 4096);
    disk_fail(db, DISK_READ, 1, false, -SKEP_EIO);
    assert_int_equal(fs_pread(file, data, 4096, 0), -EIO);
    assert_int_equal(fs_pread(file, data, 4096, 0), 4096);
    fs_close(file);
    write_file("/db/b", "b", 1);
    unmount_db();
    assert_clean(db);
    end();
}

/* The volume's own disk may be full where the file system isn't. */
static void a_disk_without_space_fails_writes_only(void **state)
{
    static char data[100000];
    struct stat status;
    begin();
    struct fs_file *file = open_file("/db/a", O_CREAT | O_RDWR);
    disk_fail(db, DISK_WRITE, 1, false, -SKEP_ENOSPC);
    assert_int_equal(fs_write(file, data, sizeof(data), 0), -ENOSPC);
    assert_int_equal(fs_stat_file(file, &status), 0);
    assert_int_equal(status.st_size, 0);
    assert_int_equal(status.st_blocks, 0);
    assert_int_equal(fs_write(file, data, sizeof(data), 0), sizeof(data));
    assert_int_equal(fs_sync(file, false), 0);
    fs_close(file);
    unmount_db();
    assert_clean(db);
    end();
}

/* Reads of metadata that fail at any moment of random work: whatever it does then, what is on the disk is whole. */
static void failing_reads_leave_the_disk_whole(void **state)
{
    for (uint64_t n = 1; n < 40; n++) {
        begin();
        for (int i = 0; i < 60; i++) {
            char path[32];
            snprintf(path, sizeof(path), "/db/%d", i);
            write_file(path, path, sizeof(path));
        }
        unmount_db();
        disk_fail(db, DISK_READ, n, true, -SKEP_EIO);
        if (fs_tree_mount("db", "/db", 0) == 0) {
            struct fs_file *file;
            fs_unlink("/db/7");
            fs_mkdir("/db/d", 0755);
            fs_rename("/db/8", "/db/9");
            if (fs_open("/db/10", O_RDWR | O_TRUNC, 0, &file, NULL) == 0) {
                fs_write(file, "x", 1, 0);
                fs_sync(file, false);
                fs_close(file);
            }
            fs_tree_unmount();
        }
        disk_fail(db, DISK_READ, 0, false, 0);
        mount_db(0);
        assert_true(path_exists("/db/11"));
        unmount_db();
        assert_clean(db);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failing_writes_are_told),
        cmocka_unit_test(failing_flushes_are_told),
        cmocka_unit_test(a_failed_file_system_says_so_once),
        cmocka_unit_test(an_unreadable_file_is_no_more_than_that),
        cmocka_unit_test(a_disk_without_space_fails_writes_only),
        cmocka_unit_test(failing_reads_leave_the_disk_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
