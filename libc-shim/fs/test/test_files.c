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
    int result = fs_open(path, flags, 0644, &file, NULL);
    if (result != 0)
        print_error("%s: %d\n", path, result);
    assert_int_equal(result, 0);
    return file;
}

static int open_error(const char *path, int flags)
{
    struct fs_file *file;
    return fs_open(path, flags, 0644, &file, NULL);
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

static void open_does_what_its_flags_say(void **state)
{
    char data[16];
    write_file("/db/a", "hello", 5);
    assert_int_equal(open_error("/db/a", O_CREAT | O_EXCL | O_RDWR), -EEXIST);
    assert_int_equal(open_error("/db/a", O_DIRECTORY), -ENOTDIR);
    assert_int_equal(open_error("/db/a/", O_RDONLY), -ENOTDIR);
    assert_int_equal(open_error("/db/a/b", O_RDONLY), -ENOTDIR);
    assert_int_equal(open_error("/db/none/b", O_CREAT | O_RDWR), -ENOENT);
    assert_int_equal(open_error("/db/new/", O_CREAT | O_RDWR), -EISDIR);
    assert_int_equal(open_error("/db", O_RDWR), -EISDIR);
    assert_int_equal(open_error("/db", O_CREAT | O_RDONLY), -EISDIR);
    assert_int_equal(open_error("", O_RDONLY), -ENOENT);
    assert_int_equal(open_error("/etc/passwd", O_RDONLY), FS_OUTSIDE);
    fs_close(open_file("/db", O_RDONLY | O_DIRECTORY));

    struct fs_file *file = open_file("/db/a", O_WRONLY | O_APPEND);
    assert_int_equal(fs_write(file, " you", 4, O_APPEND), 4);
    assert_int_equal(fs_seek(file, 0, SEEK_CUR), 9);
    fs_close(file);
    assert_int_equal(read_file("/db/a", data, sizeof(data)), 9);
    assert_memory_equal(data, "hello you", 9);
    fs_close(open_file("/db/a", O_WRONLY | O_TRUNC));
    assert_int_equal(read_file("/db/a", data, sizeof(data)), 0);
}

static void long_names_and_paths_are_refused(void **state)
{
    char path[2000], name[300];
    memset(name, 'n', sizeof(name));
    name[255] = 0;
    snprintf(path, sizeof(path), "/db/%s", name);
    write_file(path, "x", 1);
    assert_true(path_exists(path));
    name[255] = 'n';
    name[256] = 0;
    snprintf(path, sizeof(path), "/db/%s", name);
    assert_int_equal(open_error(path, O_CREAT | O_RDWR), -ENAMETOOLONG);
    memset(path, '/', sizeof(path));
    path[sizeof(path) - 1] = 0;
    assert_int_equal(open_error(path, O_RDONLY), -ENAMETOOLONG);
}

static void seeking_and_holes(void **state)
{
    char data[8];
    struct fs_file *file = open_file("/db/a", O_CREAT | O_RDWR);
    assert_int_equal(fs_seek(file, 1 << 30, SEEK_SET), 1 << 30);
    assert_int_equal(fs_seek(file, -1, SEEK_SET), -EINVAL);
    assert_int_equal(fs_seek(file, 0, 99), -EINVAL);
    assert_int_equal(fs_write(file, "end", 3, 0), 3);
    assert_int_equal(fs_seek(file, 0, SEEK_END), (1 << 30) + 3);
    assert_int_equal(fs_pread(file, data, 8, 500000), 8);
    assert_memory_equal(data, "\0\0\0\0\0\0\0\0", 8);
    assert_int_equal(fs_pread(file, data, 8, 1 << 30), 3);
    assert_int_equal(fs_pread(file, data, 8, 1ll << 40), 0);
    assert_int_equal(fs_pread(file, data, 8, -1), -EINVAL);
    assert_int_equal(fs_pwrite(file, data, 8, -1, 0), -EINVAL);
    assert_int_equal(fs_pwrite(file, data, 8, 1ll << 44, 0), -EFBIG);
    assert_int_equal(fs_resize(file, -1), -EINVAL);
    assert_int_equal(fs_resize(file, 1ll << 50), -EFBIG);
    struct stat status;
    assert_int_equal(fs_stat_file(file, &status), 0);
    assert_true(status.st_blocks <= 16);
    fs_close(file);
}

static void an_unlinked_file_lives_until_it_is_closed(void **state)
{
    static char data[1 << 20], back[sizeof(data)];
    struct fs_usage before, after;
    assert_int_equal(fs_usage("/db", &before), 0);
    memset(data, 'd', sizeof(data));
    write_file("/db/a", data, sizeof(data));
    struct fs_file *file = open_file("/db/a", O_RDWR);
    assert_int_equal(fs_unlink("/db/a"), 0);
    assert_false(path_exists("/db/a"));
    assert_int_equal(fs_pwrite(file, "new", 3, 4096, 0), 3);
    assert_int_equal(fs_sync(file, false), 0);
    assert_int_equal(fs_pread(file, back, sizeof(back), 0), sizeof(back));
    assert_memory_equal(back + 4096, "new", 3);
    struct stat status;
    assert_int_equal(fs_stat_file(file, &status), 0);
    assert_int_equal(status.st_nlink, 0);
    fs_close(file);
    assert_int_equal(fs_usage("/db", &after), 0);
    assert_int_equal(after.free_blocks, before.free_blocks);
    assert_int_equal(after.free_files, before.free_files);
}

static void a_power_cut_frees_files_without_a_name(void **state)
{
    struct fs_usage before, after;
    assert_int_equal(fs_usage("/db", &before), 0);
    struct fs_file *file[2];
    for (int i = 0; i < 2; i++) {
        file[i] = open_file("/db/a", O_CREAT | O_RDWR);
        assert_int_equal(fs_write(file[i], "data", 4, 0), 4);
        assert_int_equal(fs_unlink("/db/a"), 0);
    }
    assert_int_equal(fs_sync(file[1], false), 0);
    fs_tree_discard();
    free(file[0]);
    free(file[1]);
    mount_db(0);
    assert_int_equal(fs_usage("/db", &after), 0);
    assert_int_equal(after.free_blocks, before.free_blocks);
    assert_int_equal(after.free_files, before.free_files);
}

static void folders(void **state)
{
    assert_int_equal(fs_mkdir("/db/a", 0755), 0);
    assert_int_equal(fs_mkdir("/db/a", 0755), -EEXIST);
    assert_int_equal(fs_mkdir("/db/a/", 0755), -EEXIST);
    assert_int_equal(fs_mkdir("/db", 0755), -EEXIST);
    assert_int_equal(fs_mkdir("/db/x/y", 0755), -ENOENT);
    assert_int_equal(fs_mkdir("/db/a/b/", 0700), 0);
    assert_int_equal(fs_rmdir("/db/a"), -ENOTEMPTY);
    assert_int_equal(fs_unlink("/db/a"), -EISDIR);
    write_file("/db/f", "f", 1);
    assert_int_equal(fs_mkdir("/db/f/g", 0755), -ENOTDIR);
    assert_int_equal(fs_rmdir("/db/f"), -ENOTDIR);
    assert_int_equal(fs_rmdir("/db/none"), -ENOENT);
    assert_int_equal(fs_rmdir("/db"), -EBUSY);
    assert_int_equal(fs_rmdir("/db/a/."), -EINVAL);
    assert_int_equal(fs_mkdir("/elsewhere", 0755), FS_OUTSIDE);
    struct stat status;
    assert_int_equal(fs_stat("/db/a", true, &status, NULL), 0);
    assert_int_equal(status.st_nlink, 3);
    assert_int_equal(fs_stat("/db/a/b/../../f", true, &status, NULL), 0);
    assert_int_equal(fs_stat("/there/../db/f", true, &status, NULL), 0);
    assert_int_equal(fs_stat("/missing/../db/f", true, &status, NULL), -ENOENT);
    assert_int_equal(fs_rmdir("/db/a/b"), 0);
    assert_int_equal(fs_rmdir("/db/a"), 0);
    assert_false(path_exists("/db/a"));
}

/* So many names that the folder has many blocks; what is removed meanwhile doesn't disturb. */
static void a_large_folder_is_listed_whole(void **state)
{
    enum { NAMES = 700 };
    char path[64];
    bool seen[NAMES] = {false};
    for (int i = 0; i < NAMES; i++) {
        snprintf(path, sizeof(path), "/db/a-name-that-takes-its-space-%d", i);
        write_file(path, "", 0);
    }
    struct fs_file *folder = open_file("/db", O_RDONLY | O_DIRECTORY);
    struct fs_name entry;
    static const char prefix[] = "a-name-that-takes-its-space-";
    long number;
    int others = 0;
    while (fs_read_folder(folder, &entry) == 1) {
        if (strncmp(entry.name, prefix, strlen(prefix)) != 0) {
            others++;
            continue;
        }
        number = strtol(entry.name + strlen(prefix), NULL, 10);
        assert_in_range(number, 0, NAMES - 1);
        assert_false(seen[number]);
        seen[number] = true;
        snprintf(path, sizeof(path), "/db/%s", entry.name);
        assert_int_equal(fs_unlink(path), 0);
    }
    fs_close(folder);
    assert_int_equal(others, 3); /* ., .. and lost+found */
    for (int i = 0; i < NAMES; i++)
        assert_true(seen[i]);
}

static void renaming(void **state)
{
    char data[8];
    write_file("/db/a", "a", 1);
    write_file("/db/b", "b", 1);
    assert_int_equal(fs_mkdir("/db/d", 0755), 0);
    assert_int_equal(fs_mkdir("/db/d/e", 0755), 0);
    assert_int_equal(fs_rename("/db/none", "/db/x"), -ENOENT);
    assert_int_equal(fs_rename("/db/a", "/db/d"), -EISDIR);
    assert_int_equal(fs_rename("/db/d", "/db/a"), -ENOTDIR);
    assert_int_equal(fs_rename("/db/d", "/db/d/e/f"), -EINVAL);
    assert_int_equal(fs_rename("/db/d/e", "/db/d"), -ENOTEMPTY);
    assert_int_equal(fs_rename("/db", "/db/x"), -EBUSY);
    assert_int_equal(fs_rename("/db/a", "/tmp/a"), -EXDEV);
    assert_int_equal(fs_rename("/tmp/a", "/db/a"), FS_OUTSIDE);
    assert_int_equal(fs_rename("/db/a", "/db/new/"), -ENOTDIR);
    assert_int_equal(fs_rename("/db/a", "/db/b"), 0);
    assert_int_equal(read_file("/db/b", data, sizeof(data)), 1);
    assert_int_equal(data[0], 'a');
    assert_int_equal(fs_rename("/db/d/e", "/db/moved"), 0);
    write_file("/db/moved/in", "in", 2);
    struct stat outer, inner;
    assert_int_equal(fs_stat("/db", true, &outer, NULL), 0);
    assert_int_equal(fs_stat("/db/moved/..", true, &inner, NULL), 0);
    assert_int_equal(outer.st_ino, inner.st_ino);
    assert_int_equal(fs_link("/db/b", "/db/c"), 0);
    assert_int_equal(fs_rename("/db/b", "/db/c"), 0); /* the same file: nothing happens */
    assert_true(path_exists("/db/b") && path_exists("/db/c"));
}

static void links(void **state)
{
    char text[32];
    struct stat status;
    write_file("/db/a", "a", 1);
    assert_int_equal(fs_link("/db/a", "/db/b"), 0);
    assert_int_equal(fs_link("/db/a", "/db/b"), -EEXIST);
    assert_int_equal(fs_link("/db/none", "/db/x"), -ENOENT);
    assert_int_equal(fs_link("/db/lost+found", "/db/x"), -EPERM);
    assert_int_equal(fs_link("/db/a", "/tmp/x"), -EXDEV);
    assert_int_equal(fs_stat("/db/b", true, &status, NULL), 0);
    assert_int_equal(status.st_nlink, 2);

    assert_int_equal(fs_symlink("a", "/db/s"), 0);
    assert_int_equal(fs_symlink("a", "/db/s"), -EEXIST);
    assert_int_equal(fs_symlink("/db/lost+found/..", "/db/up"), 0);
    assert_int_equal(fs_symlink("loop", "/db/loop"), 0);
    assert_int_equal(fs_readlink("/db/s", text, sizeof(text)), 1);
    assert_int_equal(fs_readlink("/db/a", text, sizeof(text)), -EINVAL);
    assert_int_equal(fs_stat("/db/s", true, &status, NULL), 0);
    assert_true(S_ISREG(status.st_mode));
    assert_int_equal(fs_stat("/db/s", false, &status, NULL), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(read_file("/db/up/up/s", text, sizeof(text)), 1);
    assert_int_equal(open_error("/db/loop", O_RDONLY), -ELOOP);
    assert_int_equal(open_error("/db/s", O_RDONLY | O_NOFOLLOW), -ELOOP);
    char target[200], back[200];
    memset(target, 't', sizeof(target));
    target[199] = 0;
    assert_int_equal(fs_symlink(target, "/db/long"), 0);
    assert_int_equal(fs_readlink("/db/long", back, sizeof(back)), 199);
    assert_memory_equal(target, back, 199);
    assert_int_equal(fs_unlink("/db/long"), 0);
}

static void set_owner(const char *path, uid_t user, gid_t group)
{
    struct fs_file *file;
    assert_int_equal(fs_open(path, O_RDWR, 0, &file, NULL), 0);
    assert_int_equal(fs_chown_file(file, user, group), 0);
    fs_close(file);
}

static void modes_owners_and_times_are_kept(void **state)
{
    const struct timespec times[2] = {{.tv_sec = 1000000000, .tv_nsec = 1},
                                      {.tv_sec = 5000000000, .tv_nsec = 999999999}};
    const struct timespec wrong[2] = {{.tv_nsec = 1000000000}, {.tv_nsec = 0}};
    struct stat status;
    write_file("/db/a", "a", 1);
    assert_int_equal(fs_chmod("/db/a", 0604), 0);
    set_owner("/db/a", 1000, 100);
    set_owner("/db/a", (uid_t)-1, 101);
    assert_int_equal(fs_set_times("/db/a", true, wrong), -EINVAL);
    assert_int_equal(fs_set_times("/db/a", true, times), 0);
    unmount_db();
    mount_db(0);
    assert_int_equal(fs_stat("/db/a", true, &status, NULL), 0);
    assert_int_equal(status.st_mode, S_IFREG | 0604);
    assert_int_equal(status.st_uid, 1000);
    assert_int_equal(status.st_gid, 101);
    assert_int_equal(status.st_atim.tv_sec, 1000000000);
    assert_int_equal(status.st_atim.tv_nsec, 1);
    assert_int_equal(status.st_mtim.tv_sec, 5000000000);
    assert_int_equal(status.st_mtim.tv_nsec, 999999999);
}

static void the_current_folder(void **state)
{
    char path[FS_PATH_BYTES], data[4];
    assert_int_equal(fs_mkdir("/db/a", 0755), 0);
    write_file("/db/a/f", "f", 1);
    assert_int_equal(fs_chdir("/db/a/f"), -ENOTDIR);
    assert_int_equal(fs_chdir("/db/none"), -ENOENT);
    assert_int_equal(fs_chdir("/nowhere"), FS_OUTSIDE);
    assert_int_equal(fs_chdir("/db/a"), 0);
    fs_current(path);
    assert_string_equal(path, "/db/a");
    assert_int_equal(read_file("f", data, sizeof(data)), 1);
    assert_int_equal(read_file("../a/./f", data, sizeof(data)), 1);
    assert_int_equal(fs_chdir(".."), 0);
    fs_current(path);
    assert_string_equal(path, "/db");
}

static void a_folder_far_below(void **state)
{
    char expected[FS_PATH_BYTES] = "/db", path[FS_PATH_BYTES];
    const char *name = "fourteen-bytes";
    int result = fs_chdir("/db");
    while (result == 0) {
        fs_current(path);
        assert_string_equal(path, expected);
        assert_int_equal(fs_canonical(".", path), 0);
        assert_string_equal(path, expected);
        assert_int_equal(fs_mkdir(name, 0755), 0);
        result = fs_chdir(name);
        if (result == 0)
            strcat(strcat(expected, "/"), name);
    }
    /* As far as a path goes; from there the way back is open. */
    assert_int_equal(result, -ENAMETOOLONG);
    assert_int_equal(strlen(expected), FS_PATH_BYTES - 1);
    assert_int_equal(fs_rmdir(name), 0);
    assert_int_equal(fs_chdir(".."), 0);
    *strrchr(expected, '/') = 0;
    fs_current(path);
    assert_string_equal(path, expected);
}

static void allocating(void **state)
{
    char data[4096], zeros[4096] = {0};
    struct fs_usage usage;
    struct stat status;
    struct fs_file *file = open_file("/db/a", O_CREAT | O_RDWR);
    assert_int_equal(fs_write(file, "abc", 3, 0), 3);
    assert_int_equal(fs_allocate(file, 0, 0), -EINVAL);
    assert_int_equal(fs_allocate(file, 0, 1000000), 0);
    assert_int_equal(fs_stat_file(file, &status), 0);
    assert_int_equal(status.st_size, 1000000);
    assert_true(status.st_blocks * 512 >= 1000000);
    assert_int_equal(fs_pread(file, data, 3, 0), 3);
    assert_memory_equal(data, "abc", 3);
    assert_int_equal(fs_pread(file, data, sizeof(data), 500000), sizeof(data));
    assert_memory_equal(data, zeros, sizeof(data));
    assert_int_equal(fs_usage("/db", &usage), 0);
    assert_int_equal(fs_allocate(file, 0, (off_t)(usage.blocks * usage.block_bytes)), -ENOSPC);
    assert_int_equal(fs_stat_file(file, &status), 0);
    assert_int_equal(status.st_size, 1000000);
    fs_close(file);
}

/* What was removed before lies in front, so the file gets the last block of the disk before it gets that. */
static void a_full_volume_is_emptied_again(void **state)
{
    static char data[1 << 20];
    struct fs_usage empty, usage;
    ssize_t written;
    assert_int_equal(fs_usage("/db", &empty), 0);
    write_file("/db/first", data, sizeof(data));
    assert_int_equal(fs_unlink("/db/first"), 0);
    struct fs_file *file = open_file("/db/a", O_CREAT | O_RDWR);
    while ((written = fs_write(file, data, sizeof(data), 0)) > 0)
        continue;
    assert_int_equal(written, -ENOSPC);
    assert_int_equal(fs_usage("/db", &usage), 0);
    assert_int_equal(usage.free_blocks, 0);
    assert_int_equal(fs_resize(file, 100), 0);
    fs_close(file);
    assert_int_equal(fs_unlink("/db/a"), 0);
    assert_int_equal(fs_usage("/db", &usage), 0);
    assert_int_equal(usage.free_blocks, empty.free_blocks);
    assert_string_equal(messages_since(), "");
}

/* A write in the middle of a large file is a write of the disk of that length, and fdatasync() a flush. */
static void a_write_in_place_costs_what_it_writes(void **state)
{
    static char data[4 << 20];
    struct fs_file *file = open_file("/db/a", O_CREAT | O_RDWR);
    assert_int_equal(fs_write(file, data, sizeof(data), 0), sizeof(data));
    assert_int_equal(fs_sync(file, false), 0);
    assert_int_equal(fs_pwrite(file, data, 4096, 1 << 20, 0), 4096);
    assert_int_equal(fs_sync(file, true), 0);
    struct disk_counts before = disk_counts(db);
    assert_int_equal(fs_pwrite(file, data, 4096, 2 << 20, 0), 4096);
    assert_int_equal(fs_sync(file, true), 0);
    struct disk_counts after = disk_counts(db);
    assert_int_equal(after.bytes[DISK_WRITE] - before.bytes[DISK_WRITE], 4096);
    assert_int_equal(after.requests[DISK_WRITE] - before.requests[DISK_WRITE], 1);
    assert_int_equal(after.requests[DISK_READ] - before.requests[DISK_READ], 0);
    assert_int_equal(after.requests[DISK_FLUSH] - before.requests[DISK_FLUSH], 1);
    fs_close(file);
}

static void mounting_is_refused_where_it_must_be(void **state)
{
    unsigned other = disk_new("other", 16 << 20, 512);
    assert_int_equal(fs_tree_mount("other", "/other", 0), -EINVAL);
    memset(disk_data(other), 'x', 100);
    assert_int_equal(fs_tree_mount("other", "/other", FS_MOUNT_FORMAT), -EINVAL);
    memset(disk_data(other), 0, 100);
    assert_int_equal(fs_tree_mount("none", "/none", 0), -ENODEV);
    assert_int_equal(fs_tree_mount("other", "other", FS_MOUNT_FORMAT), -EINVAL);
    assert_int_equal(fs_tree_mount("other", "/", FS_MOUNT_FORMAT), -EINVAL);
    assert_int_equal(fs_tree_mount("other", "/db/in", FS_MOUNT_FORMAT), -EINVAL);
    assert_int_equal(fs_tree_mount("other", "/a/../b", FS_MOUNT_FORMAT), -EINVAL);
    disk_new("small", 1 << 20, 512);
    assert_int_equal(fs_tree_mount("small", "/small", FS_MOUNT_FORMAT), -ENOSPC);
    assert_int_equal(fs_tree_mount("other", "/other/deep", FS_MOUNT_FORMAT), 0);
    write_file("/other/deep/a", "a", 1);
    assert_int_equal(fs_rename("/other/deep/a", "/db/a"), -EXDEV);
    assert_int_equal(fs_link("/other/deep/a", "/db/a"), -EXDEV);
    assert_true(path_exists("/db/../other/deep/a"));
}

static void a_volume_can_be_read_only(void **state)
{
    char data[4];
    write_file("/db/a", "a", 1);
    unmount_db();
    mount_db(FS_MOUNT_READ_ONLY);
    struct disk_counts before = disk_counts(db);
    assert_int_equal(read_file("/db/a", data, sizeof(data)), 1);
    assert_int_equal(open_error("/db/a", O_RDWR), -EROFS);
    assert_int_equal(open_error("/db/b", O_CREAT | O_RDWR), -EROFS);
    assert_int_equal(fs_unlink("/db/a"), -EROFS);
    assert_int_equal(fs_mkdir("/db/d", 0755), -EROFS);
    assert_int_equal(fs_rename("/db/a", "/db/b"), -EROFS);
    assert_int_equal(fs_chmod("/db/a", 0600), -EROFS);
    assert_int_equal(fs_truncate("/db/a", 0), -EROFS);
    unmount_db();
    assert_int_equal(disk_counts(db).requests[DISK_WRITE], before.requests[DISK_WRITE]);
    disk_set_flags(db, 1 /* SKEP_BLOCK_READ_ONLY */);
    mount_db(0);
    assert_int_equal(open_error("/db/a", O_RDWR), -EROFS);
    unmount_db();
    disk_set_flags(db, 0);
    mount_db(0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_file_keeps_what_is_written),
        TEST(open_does_what_its_flags_say),
        TEST(long_names_and_paths_are_refused),
        TEST(seeking_and_holes),
        TEST(an_unlinked_file_lives_until_it_is_closed),
        TEST(a_power_cut_frees_files_without_a_name),
        TEST(folders),
        TEST(a_large_folder_is_listed_whole),
        TEST(renaming),
        TEST(links),
        TEST(modes_owners_and_times_are_kept),
        TEST(the_current_folder),
        TEST(a_folder_far_below),
        TEST(allocating),
        TEST(a_full_volume_is_emptied_again),
        TEST(a_write_in_place_costs_what_it_writes),
        TEST(mounting_is_refused_where_it_must_be),
        TEST(a_volume_can_be_read_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
