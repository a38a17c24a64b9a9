/*
 * tree.c - looks at the read-only files of a guest: those of its image (FILES tree) and of its spec. Built with and without
 * FILESYSTEM, it must find the same.
 *
 * "calls" checks each call on what is in ci/guests/tree; "list" prints each file below a folder, in the order in which they
 * are found; "sum" prints how many there are, and a sum over their paths and contents; "print" prints files' contents; "leak"
 * reads a file and then crashes. The last line is "tree: ok".
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <termios.h>
#include <unistd.h>

#define REQUIRE(condition) require(condition, #condition, __LINE__)

static void require(bool condition, const char *text, int line)
{
    if (condition)
        return;
    printf("tree: line %d: %s (errno %d: %s)\n", line, text, errno, strerror(errno));
    exit(1);
}

static bool fails(long result, int error)
{
    return result == -1 && errno == error;
}

static void test_reading(void)
{
    char data[64] = "";
    struct stat status, again;
    int fd = open("/index.html", O_RDONLY);
    REQUIRE(fd >= 0 && read(fd, data, 8) == 8 && memcmp(data, "The root", 8) == 0);
    REQUIRE(lseek(fd, 0, SEEK_CUR) == 8 && lseek(fd, -6, SEEK_END) == 16);
    REQUIRE(read(fd, data, sizeof(data)) == 6 && memcmp(data, "tree.\n", 6) == 0);
    REQUIRE(read(fd, data, sizeof(data)) == 0);
    REQUIRE(pread(fd, data, 4, 4) == 4 && memcmp(data, "root", 4) == 0);
    REQUIRE(pread(fd, data, 4, 1000) == 0 && fails(pread(fd, data, 4, -1), EINVAL));
    REQUIRE(lseek(fd, 1000, SEEK_SET) == 1000 && read(fd, data, 4) == 0);
    REQUIRE(fails(lseek(fd, -1, SEEK_SET), EINVAL) && lseek(fd, 0, SEEK_CUR) == 1000);
    REQUIRE(fails(write(fd, "x", 1), EBADF) && fails(ftruncate(fd, 0), EINVAL));
    REQUIRE(fstat(fd, &status) == 0 && status.st_size == 22 && status.st_mode == (S_IFREG | 0444));
    REQUIRE(stat("index.html", &again) == 0 && again.st_ino == status.st_ino);
    REQUIRE(again.st_mtime == 0 && lstat("/./index.html", &again) == 0 && again.st_size == 22);
    REQUIRE(stat("/www", &again) == 0 && again.st_ino != status.st_ino);
    REQUIRE(close(fd) == 0);
    fd = open("/www/empty", O_RDONLY);
    REQUIRE(fd >= 0 && read(fd, data, 1) == 0 && close(fd) == 0);
}

static void test_folders(void)
{
    struct stat status;
    char data[4];
    REQUIRE(stat("/", &status) == 0 && S_ISDIR(status.st_mode));
    REQUIRE(stat("/deep/er/", &status) == 0 && status.st_mode == (S_IFDIR | 0755));
    int fd = open("/deep", O_RDONLY | O_DIRECTORY);
    REQUIRE(fd >= 0 && fstat(fd, &status) == 0 && S_ISDIR(status.st_mode));
    REQUIRE(fails(read(fd, data, 1), EISDIR) && fails(pread(fd, data, 1, 0), EISDIR));
    REQUIRE(close(fd) == 0);
    DIR *folder = opendir("/deep/../www/.");
    REQUIRE(folder != NULL);
    struct dirent *entry = readdir(folder);
    REQUIRE(entry != NULL && strcmp(entry->d_name, "app.conf") == 0 && entry->d_type == DT_REG);
    long position = telldir(folder);
    entry = readdir(folder);
    REQUIRE(entry != NULL && strcmp(entry->d_name, "empty") == 0 && readdir(folder) == NULL);
    seekdir(folder, position);
    entry = readdir(folder);
    REQUIRE(entry != NULL && strcmp(entry->d_name, "empty") == 0);
    rewinddir(folder);
    entry = readdir(folder);
    REQUIRE(entry != NULL && strcmp(entry->d_name, "app.conf") == 0);
    fd = dirfd(folder);
    REQUIRE(fd >= 0 && fstatat(fd, entry->d_name, &status, 0) == 0 && S_ISREG(status.st_mode));
    REQUIRE(closedir(folder) == 0 && fails(fstat(fd, &status), EBADF));
    fd = open("/www", O_RDONLY | O_DIRECTORY);
    folder = fdopendir(fd);
    REQUIRE(folder != NULL && dirfd(folder) == fd && readdir(folder) != NULL);
    REQUIRE(closedir(folder) == 0 && fails(close(fd), EBADF));
    fd = open("/index.html", O_RDONLY);
    REQUIRE(fdopendir(fd) == NULL && errno == ENOTDIR && close(fd) == 0);
    REQUIRE(fdopendir(fd) == NULL && errno == EBADF);
}

static void test_errors(void)
{
    struct stat status;
    REQUIRE(fails(open("/none", O_RDONLY), ENOENT) && fails(open("", O_RDONLY), ENOENT));
    REQUIRE(fails(open("/none/x", O_RDONLY), ENOENT));
    REQUIRE(fails(open("/none", O_RDWR | O_CREAT, 0600), EROFS));
    REQUIRE(fails(open("/none/x", O_RDWR | O_CREAT, 0600), ENOENT));
    REQUIRE(fails(open("/index.html/x", O_RDWR | O_CREAT, 0600), ENOTDIR));
    REQUIRE(fails(open("/index.html", O_RDWR), EROFS));
    REQUIRE(fails(open("/index.html", O_WRONLY | O_TRUNC), EROFS));
    REQUIRE(fails(open("/index.html", O_RDONLY | O_CREAT | O_EXCL, 0600), EEXIST));
    REQUIRE(fails(open("/index.html/x", O_RDONLY), ENOTDIR));
    REQUIRE(fails(open("/index.html/", O_RDONLY), ENOTDIR));
    REQUIRE(fails(open("/index.html", O_RDONLY | O_DIRECTORY), ENOTDIR));
    REQUIRE(fails(open("/deep", O_RDWR), EISDIR) && fails(open("/deep/", O_WRONLY), EISDIR));
    REQUIRE(fails(stat("/deep/none", &status), ENOENT));
    REQUIRE(fails(stat("/deep-er.txt/", &status), ENOTDIR));
    REQUIRE(fails(stat("/deep-er.tx", &status), ENOENT));
    REQUIRE(opendir("/index.html") == NULL && errno == ENOTDIR);
    REQUIRE(opendir("/none") == NULL && errno == ENOENT);
    REQUIRE(fails(unlink("/index.html"), EROFS) && fails(mkdir("/new", 0755), EROFS));
    REQUIRE(fails(mkdir("/deep", 0755), EEXIST) && fails(mkdir("/dev/null", 0755), EEXIST));
    REQUIRE(fails(rename("/index.html", "/other"), EROFS) && fails(rmdir("/deep"), EROFS));
    REQUIRE(fails(unlink("/none"), ENOENT) && fails(rmdir("/none"), ENOENT));
    REQUIRE(fails(remove("/none"), ENOENT) && fails(rename("/none", "/other"), ENOENT));
    REQUIRE(fails(mkdir("/none/new", 0755), ENOENT) && fails(mkdir("", 0755), ENOENT));
    REQUIRE(fails(mkdir("/index.html/new", 0755), ENOTDIR) && fails(mkdir("/new/", 0755), EROFS));
    REQUIRE(fails(symlink("x", "/deep/new"), EROFS) && fails(symlink("x", "/deep"), EEXIST));
    REQUIRE(fails(symlink("x", "/none/new"), ENOENT) && fails(symlink("", "/new"), ENOENT));
    REQUIRE(fails(link("/none", "/new"), ENOENT) && fails(link("/index.html", "/new"), EROFS));
    REQUIRE(fails(stat("/none/../index.html", &status), ENOENT));
    REQUIRE(fails(open("/index.html/../deep/er/file.txt", O_RDONLY), ENOTDIR));
    REQUIRE(stat("/deep/er/../../index.html", &status) == 0);
    REQUIRE(access("/index.html", R_OK) == 0 && fails(access("/index.html", W_OK), EROFS));
    REQUIRE(fails(access("/index.html", X_OK), EACCES) && access("/deep", R_OK | X_OK) == 0);
    REQUIRE(fails(access("/none", F_OK), ENOENT));
    REQUIRE(fails(access("/index.html", 8), EINVAL) && realpath(NULL, NULL) == NULL);
    REQUIRE(errno == EINVAL);
    REQUIRE(access("/dev/null", R_OK | W_OK) == 0 && stat("/dev/zero", &status) == 0);
    REQUIRE(S_ISCHR(status.st_mode));
}

/* Files that can't be changed, and those that aren't there. */
static void test_changes(void)
{
    char target[8];
    struct statvfs usage;
    REQUIRE(fails(chmod("/index.html", 0600), EROFS) && fails(chmod("/none", 0600), ENOENT));
    REQUIRE(fails(chown("/index.html", 1, 1), EROFS) && fails(chown("/none", 1, 1), ENOENT));
    REQUIRE(fails(lchown("/index.html", 1, 1), EROFS) && fails(lchown("/none", 1, 1), ENOENT));
    REQUIRE(fails(truncate("/index.html", 0), EROFS) && fails(truncate("/none", 0), ENOENT));
    REQUIRE(fails(utimensat(AT_FDCWD, "/index.html", NULL, 0), EROFS));
    REQUIRE(fails(utimensat(AT_FDCWD, "/none", NULL, 0), ENOENT));
    REQUIRE(fails(readlink("/index.html", target, sizeof(target)), EINVAL));
    REQUIRE(fails(readlink("/none", target, sizeof(target)), ENOENT));
    int fd = open("/index.html", O_RDONLY);
    REQUIRE(fails(fchmod(fd, 0600), EROFS) && fails(fchown(fd, 1, 1), EROFS));
    REQUIRE(fails(futimens(fd, NULL), EROFS) && posix_fallocate(fd, 0, 1) == ENODEV);
    REQUIRE(fstatvfs(fd, &usage) == 0 && usage.f_flag & ST_RDONLY && close(fd) == 0);
    REQUIRE(statvfs("/deep", &usage) == 0 && usage.f_bavail == 0 && usage.f_bsize == 4096);
    REQUIRE(usage.f_namemax == 255 && fails(statvfs("/none", &usage), ENOENT));
    REQUIRE(fails(fstatvfs(fd, &usage), EBADF));
    struct statfs old;
    REQUIRE(statfs("/deep", &old) == 0 && old.f_type == ROMFS_MAGIC && old.f_bsize == 4096);
    REQUIRE(old.f_flags == ST_RDONLY && old.f_namelen == 255 && old.f_bavail == 0);
    REQUIRE(fails(statfs("/none", &old), ENOENT) && fails(fstatfs(fd, &old), EBADF));
    REQUIRE(fails(fchmod(fd, 0600), EBADF) && fails(futimens(fd, NULL), EBADF));
}

static void test_devices(void)
{
    char data[4] = "abc";
    int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDWR);
    REQUIRE(null >= 0 && pwrite(null, data, 4, 7) == 4 && pread(null, data, 4, 0) == 0 &&
            data[0] == 'a');
    REQUIRE(zero >= 0 && pwrite(zero, data, 4, 0) == 4 && pread(zero, data, 4, 9) == 4 &&
            data[0] == 0);
    REQUIRE(lseek(null, 10, SEEK_SET) == 0 && lseek(zero, 0, SEEK_END) == 0);
    REQUIRE(fails(lseek(null, 0, 99), EINVAL));
    REQUIRE(fails(open("/dev/null", O_WRONLY | O_CREAT | O_EXCL, 0600), EEXIST));
    REQUIRE(close(null) == 0 && close(zero) == 0);
}

static void test_console(void)
{
    char line[] = "a line to /dev/stdout\n";
    ssize_t bytes = sizeof(line) - 1;
    int fd = open("/dev/stdout", O_WRONLY | O_APPEND | O_CREAT, 0644);
    REQUIRE(fd > 2 && isatty(fd) && write(fd, line, (size_t)bytes) == bytes);
    REQUIRE(fails(read(fd, line, 1), EBADF) && close(fd) == 0 && isatty(STDOUT_FILENO));
}

/* It is one, and raw. */
static void test_terminal(void)
{
    char data[8];
    int bytes = -1;
    struct stat status;
    struct winsize size;
    struct termios settings, raw;
    int fd = open("/dev/tty", O_RDWR), file = open("/index.html", O_RDONLY);
    REQUIRE(isatty(fd) && !isatty(file) && errno == ENOTTY && !isatty(99) && errno == EBADF);
    REQUIRE(stat(ttyname(fd), &status) == 0 && S_ISCHR(status.st_mode));
    REQUIRE(ttyname_r(fd, data, 8) == ERANGE && ttyname(file) == NULL && errno == ENOTTY);
    REQUIRE(strcmp(ctermid(NULL), "/dev/tty") == 0 && access(ctermid(NULL), R_OK | W_OK) == 0);
    REQUIRE(tcgetattr(fd, &settings) == 0 && !(settings.c_lflag & (ICANON | ECHO | ISIG)));
    REQUIRE(settings.c_cc[VMIN] == 1 && fails(tcgetattr(file, &raw), ENOTTY));
    raw = settings;
    cfmakeraw(&raw);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 1;
    REQUIRE(tcsetattr(fd, TCSAFLUSH, &raw) == 0 && fails(tcsetattr(fd, 99, &raw), EINVAL));
    REQUIRE(tcgetattr(STDIN_FILENO, &raw) == 0 && raw.c_cc[VTIME] == 1);
    REQUIRE(read(fd, data, sizeof(data)) == 0); /* nobody says anything for a tenth of a second */
    REQUIRE(tcsetattr(fd, TCSANOW, &settings) == 0 && tcflush(fd, TCIOFLUSH) == 0);
    REQUIRE(fails(tcflush(fd, 99), EINVAL) && tcdrain(fd) == 0);
    REQUIRE(ioctl(fd, FIONREAD, &bytes) == 0 && bytes == 0);
    REQUIRE(ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col == 80);
    REQUIRE(fails(ioctl(file, TIOCGWINSZ, &size), ENOTTY));
    REQUIRE(tcgetpgrp(fd) == getpgrp() && tcsetpgrp(fd, getpgrp()) == 0 && tcgetsid(fd) == 1);
    REQUIRE(close(fd) == 0 && close(file) == 0 && fails(tcgetpgrp(fd), EBADF));
}

static void test_current(void)
{
    char path[1024], small[4];
    REQUIRE(chdir("/deep") == 0 && getcwd(path, sizeof(path)) != NULL);
    REQUIRE(strcmp(path, "/deep") == 0 && access("er/file.txt", R_OK) == 0);
    REQUIRE(getcwd(small, sizeof(small)) == NULL && errno == ERANGE);
    REQUIRE(chdir("er/../er") == 0 && access("../../index.html", R_OK) == 0);
    REQUIRE(realpath("./../er//file.txt", path) != NULL);
    REQUIRE(strcmp(path, "/deep/er/file.txt") == 0);
    REQUIRE(realpath("../none", path) == NULL && errno == ENOENT);
    REQUIRE(fails(chdir("none"), ENOENT) && fails(chdir("file.txt"), ENOTDIR));
    REQUIRE(chdir("../../../..") == 0 && getcwd(path, sizeof(path)) != NULL);
    REQUIRE(strcmp(path, "/") == 0 && access("www/app.conf", R_OK) == 0);
}

/*
 * What there is
 */

struct sum {
    unsigned files;
    uint32_t value;
};

/* FNV-1a. */
static void add(struct sum *sum, const char *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        sum->value = (sum->value ^ (unsigned char)data[i]) * 16777619u;
}

static void visit_file(const char *path, bool print, struct sum *sum)
{
    char data[512];
    struct stat status;
    size_t all = 0, bytes;
    FILE *file = fopen(path, "r");
    if (file == NULL || stat(path, &status) != 0)
        require(false, path, __LINE__);
    add(sum, path, strlen(path));
    while ((bytes = fread(data, 1, sizeof(data), file)) > 0) {
        add(sum, data, bytes);
        all += bytes;
    }
    REQUIRE(fclose(file) == 0 && (off_t)all == status.st_size);
    if (print)
        printf("%s %o %u\n", path, (unsigned)status.st_mode & 07777, (unsigned)all);
    sum->files++;
}

static void visit(const char *path, bool print, struct sum *sum)
{
    char below[1024];
    DIR *folder = opendir(path);
    if (folder == NULL)
        require(false, path, __LINE__);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        struct stat status;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(below, sizeof(below), "%s/%s", strcmp(path, "/") == 0 ? "" : path, entry->d_name);
        REQUIRE(stat(below, &status) == 0);
        REQUIRE(entry->d_type == (S_ISDIR(status.st_mode) ? DT_DIR : DT_REG));
        if (S_ISDIR(status.st_mode))
            visit(below, print, sum);
        else
            visit_file(below, print, sum);
    }
    closedir(folder);
}

static int read_file(const char *path, char *data, size_t room)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return -1;
    size_t bytes = fread(data, 1, room, file);
    fclose(file);
    return (int)bytes;
}

static void print_file(const char *path)
{
    static char data[65536];
    int bytes = read_file(path, data, sizeof(data));
    if (bytes < 0)
        printf("%s: %s\n", path, strerror(errno));
    else
        printf("%s: %.*s\n", path, bytes, data);
}

/* With what the file holds in memory, on the stack and, for all that anyone knows, in registers. */
static void crash_with(const char *path)
{
    char data[256] = "";
    int bytes = read_file(path, data, sizeof(data));
    printf("read %d bytes\n", bytes);
    fflush(stdout);
    *(volatile char *)(uintptr_t)(bytes + 16) = data[0];
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "calls";
    struct sum sum = {.value = 2166136261u};
    if (strcmp(what, "calls") == 0) {
        test_reading();
        test_folders();
        test_errors();
        test_changes();
        test_devices();
        test_console();
        test_terminal();
        test_current();
    } else if (strcmp(what, "print") == 0) {
        for (int i = 2; i < argc; i++)
            print_file(argv[i]);
    } else if (strcmp(what, "leak") == 0) {
        crash_with(argv[2]);
    } else {
        visit(argc > 2 ? argv[2] : "/", strcmp(what, "list") == 0, &sum);
        printf("%u files, sum %08x\n", sum.files, (unsigned)sum.value);
    }
    puts("tree: ok");
    /* A guest of a spec that wants to look at it running. */
    if (argc > 2 && strcmp(argv[argc - 1], "stay") == 0)
        pause();
    return 0;
}
