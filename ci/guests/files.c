/*
 * files.c - what a program may expect of POSIX's files: in a guest on a volume (/data, or its argument), and on Linux in any
 * folder, which shows that the expectations are POSIX's.
 *
 * Its last line is "files: ok"; on any failure it says which check, and ends with 1.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#define REQUIRE(condition) require(condition, #condition, __LINE__)

static void require(bool condition, const char *text, int line)
{
    if (condition)
        return;
    printf("files: line %d: %s (errno %d: %s)\n", line, text, errno, strerror(errno));
    exit(1);
}

static bool fails(long result, int error)
{
    return result == -1 && errno == error;
}

static void test_descriptors(void)
{
    char data[16] = "";
    struct stat status;
    int fd = open("a", O_CREAT | O_TRUNC | O_RDWR, 0640);
    REQUIRE(fd >= 0);
    REQUIRE(write(fd, "hello", 5) == 5);
    REQUIRE(pwrite(fd, "J", 1, 0) == 1);
    REQUIRE(lseek(fd, 0, SEEK_CUR) == 5);
    REQUIRE(pread(fd, data, sizeof(data), 1) == 4 && memcmp(data, "ello", 4) == 0);
    struct iovec parts[2] = {{data, 2}, {data + 2, 10}};
    REQUIRE(lseek(fd, 0, SEEK_SET) == 0);
    REQUIRE(readv(fd, parts, 2) == 5 && memcmp(data, "Jello", 5) == 0);
    REQUIRE(writev(fd, parts, 1) == 2);
    REQUIRE(ftruncate(fd, 100000) == 0 && fsync(fd) == 0 && fdatasync(fd) == 0);
    REQUIRE(fstat(fd, &status) == 0 && status.st_size == 100000 && S_ISREG(status.st_mode));
    REQUIRE((status.st_mode & 0777) == 0640);
    REQUIRE(posix_fallocate(fd, 0, 200000) == 0);
    REQUIRE(flock(fd, LOCK_EX) == 0);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    REQUIRE(fcntl(fd, F_SETLK, &lock) == 0);
    REQUIRE(close(fd) == 0 && fails(close(fd), EBADF));
    fd = open("a", O_RDONLY);
    REQUIRE(fails(write(fd, "x", 1), EBADF) && fails(pwrite(fd, "x", 1, 0), EBADF));
    REQUIRE(fcntl(fd, F_GETFL) >= 0 && dup2(fd, 100) == 100 && close(fd) == 0 && close(100) == 0);
    REQUIRE(fails(open("a", O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST));
    REQUIRE(fails(open("none", O_RDWR), ENOENT) && fails(open(".", O_RDWR), EISDIR));
}

static void test_stdio(void)
{
    char line[64];
    FILE *file = fopen("text", "w+");
    REQUIRE(file != NULL);
    for (int i = 0; i < 5000; i++)
        REQUIRE(fprintf(file, "line %d\n", i) > 0);
    REQUIRE(fseek(file, 0, SEEK_SET) == 0);
    for (int i = 0; i < 5000; i++)
        REQUIRE(fgets(line, sizeof(line), file) != NULL &&
                strtol(line + strlen("line "), NULL, 10) == i);
    REQUIRE(fclose(file) == 0);
    file = fopen("text", "a");
    REQUIRE(file != NULL && fputs("end\n", file) >= 0 && fclose(file) == 0);
    REQUIRE(remove("text") == 0 && fails(access("text", F_OK), ENOENT));
    file = tmpfile(); /* not everybody has a /tmp */
    REQUIRE(file == NULL || fclose(file) == 0);
}

/* Files are told apart by their numbers. */
_Static_assert(sizeof(((struct stat *)0)->st_ino) == 8,
               "large volumes have more than 65,535 files");

static void test_owners(void)
{
    struct stat status;
    int fd = open("owned", O_CREAT | O_RDWR, 0600);
    REQUIRE(fd >= 0 && fchown(fd, getuid(), (gid_t)-1) == 0 && fstat(fd, &status) == 0);
    REQUIRE(status.st_uid == getuid());
    if (getuid() == 0) {
        REQUIRE(chown("owned", 100000, 200000) == 0 && stat("owned", &status) == 0);
        REQUIRE(status.st_uid == 100000 && status.st_gid == 200000);
    }
    REQUIRE(close(fd) == 0 && unlink("owned") == 0);
    REQUIRE(fails(fchown(STDOUT_FILENO + 100, 0, 0), EBADF));
    REQUIRE(strcmp(getpwuid(0)->pw_name, "root") == 0 && getpwnam("root")->pw_uid == 0);
    REQUIRE(getpwnam("nobody here") == NULL);
}

static void test_usage(void)
{
    struct rusage used = {0};
    while (used.ru_utime.tv_sec == 0 && used.ru_utime.tv_usec == 0)
        REQUIRE(getrusage(RUSAGE_SELF, &used) == 0);
    REQUIRE(fails(getrusage(12345, &used), EINVAL));
}

static void test_room(void)
{
    struct statvfs usage;
    struct statfs old;
    REQUIRE(statvfs(".", &usage) == 0 && statfs(".", &old) == 0 && old.f_bfree > 0);
    REQUIRE((unsigned long)old.f_bsize == usage.f_bsize && old.f_blocks == usage.f_blocks);
    REQUIRE(old.f_files == usage.f_files && (unsigned long)old.f_namelen == usage.f_namemax);
#ifdef __skep__
    REQUIRE(old.f_type == EXT4_SUPER_MAGIC);
#endif
    int fd = open(".", O_RDONLY);
    REQUIRE(fd >= 0 && fstatfs(fd, &old) == 0 && old.f_blocks == usage.f_blocks && close(fd) == 0);
}

static int count_names(const char *path)
{
    int count = 0;
    DIR *folder = opendir(path);
    REQUIRE(folder != NULL);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    rewinddir(folder);
    REQUIRE(readdir(folder) != NULL);
    REQUIRE(closedir(folder) == 0);
    return count;
}

static void test_names(void)
{
    struct stat status;
    char path[64], cwd[1024];
    REQUIRE(mkdir("d", 0755) == 0 && fails(mkdir("d", 0755), EEXIST));
    for (int i = 0; i < 50; i++) {
        snprintf(path, sizeof(path), "d/name-%d", i);
        int fd = open(path, O_CREAT | O_WRONLY, 0600);
        REQUIRE(fd >= 0 && close(fd) == 0);
    }
    REQUIRE(count_names("d") == 50);
    REQUIRE(fails(rmdir("d"), ENOTEMPTY) && fails(rename("d", "d/sub"), EINVAL));
    REQUIRE(rename("d", "e") == 0 && rename("e/name-0", "moved") == 0);
    REQUIRE(link("moved", "again") == 0 && stat("again", &status) == 0 && status.st_nlink == 2);
    REQUIRE(symlink("moved", "soft") == 0 && lstat("soft", &status) == 0 &&
            S_ISLNK(status.st_mode));
    REQUIRE(readlink("soft", path, sizeof(path)) == 5 && memcmp(path, "moved", 5) == 0);
    REQUIRE(chdir("e") == 0 && getcwd(cwd, sizeof(cwd)) != NULL &&
            strcmp(strrchr(cwd, '/'), "/e") == 0);
    REQUIRE(access("../moved", R_OK) == 0 && chdir("..") == 0);
    const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 2000}};
    REQUIRE(utimensat(AT_FDCWD, "moved", times, 0) == 0 && stat("moved", &status) == 0 &&
            status.st_mtime == 2000);
    REQUIRE(chmod("moved", 0444) == 0 && truncate("moved", 10) == 0);
    for (int i = 1; i < 50; i++) {
        snprintf(path, sizeof(path), "e/name-%d", i);
        REQUIRE(unlink(path) == 0);
    }
    REQUIRE(rmdir("e") == 0 && unlink("soft") == 0 && unlink("again") == 0 && unlink("moved") == 0);
}

/* What begins at an open folder, and what its flags say. */
static void test_at(void)
{
    struct stat status;
    REQUIRE(mkdir("at", 0755) == 0 && symlink("file", "at/soft") == 0);
    int folder = open("at", O_RDONLY | O_DIRECTORY);
    int fd = openat(folder, "file", O_CREAT | O_RDWR, 0600);
    REQUIRE(fd >= 0 && write(fd, "abc", 3) == 3);
    REQUIRE(fstatat(fd, "", &status, AT_EMPTY_PATH) == 0 && status.st_size == 3);
    REQUIRE(fstatat(AT_FDCWD, "", &status, AT_EMPTY_PATH) == 0 && S_ISDIR(status.st_mode));
    REQUIRE(fails(fstatat(fd, "", &status, 0), ENOENT));
    REQUIRE(linkat(folder, "soft", folder, "link", 0) == 0);
    REQUIRE(lstat("at/link", &status) == 0 && S_ISLNK(status.st_mode));
    REQUIRE(linkat(folder, "soft", folder, "followed", AT_SYMLINK_FOLLOW) == 0);
    REQUIRE(lstat("at/followed", &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 2);
    REQUIRE(fails(linkat(folder, "soft", folder, "new", 0x40000), EINVAL));
    REQUIRE(fails(unlinkat(folder, "file", 0x40000), EINVAL));
    REQUIRE(fails(fchmodat(folder, "file", 0600, 0x40000), EINVAL));
    REQUIRE(fails(utimensat(folder, "file", NULL, 0x40000), EINVAL));
    REQUIRE(unlinkat(folder, "soft", 0) == 0 && unlinkat(folder, "link", 0) == 0);
    REQUIRE(unlinkat(folder, "followed", 0) == 0 && unlinkat(folder, "file", 0) == 0);
    REQUIRE(close(fd) == 0 && close(folder) == 0 && unlinkat(AT_FDCWD, "at", AT_REMOVEDIR) == 0);
}

/* Far below the volume's root. */
static void test_deep_folders(void)
{
    char start[1024], now[1024], real[1024];
    int depth = 60;
    REQUIRE(getcwd(start, sizeof(start)) != NULL);
    for (int i = 0; i < depth; i++)
        REQUIRE(mkdir("deeper", 0755) == 0 && chdir("deeper") == 0);
    REQUIRE(getcwd(now, sizeof(now)) != NULL &&
            strlen(now) == strlen(start) + 7ul * (unsigned)depth);
    REQUIRE(strncmp(now, start, strlen(start)) == 0 && strstr(now, "...") == NULL);
    REQUIRE(realpath(".", real) != NULL && strcmp(real, now) == 0);
    for (int i = 0; i < depth; i++)
        REQUIRE(chdir("..") == 0 && rmdir("deeper") == 0);
    REQUIRE(getcwd(now, sizeof(now)) != NULL && strcmp(now, start) == 0);
}

static void test_access(void)
{
    int fd = open("plain", O_CREAT | O_WRONLY, 0600);
    REQUIRE(fd >= 0 && close(fd) == 0 && access("plain", R_OK | W_OK) == 0);
    REQUIRE(fails(access("plain", X_OK), EACCES) && access(".", X_OK) == 0);
    REQUIRE(mkdir("closed", 0600) == 0 && access("closed", X_OK) == 0 && rmdir("closed") == 0);
    REQUIRE(chmod("plain", 0700) == 0 && access("plain", X_OK) == 0 && unlink("plain") == 0);
}

/* A current folder that is removed has no name. */
static void test_removed_folder(void)
{
    char start[1024], now[1024];
    REQUIRE(getcwd(start, sizeof(start)) != NULL && mkdir("gone", 0755) == 0);
    REQUIRE(chdir("gone") == 0 && rmdir("../gone") == 0);
    REQUIRE(getcwd(now, sizeof(now)) == NULL && errno == ENOENT);
    REQUIRE(fails(open("file", O_CREAT | O_RDWR, 0600), ENOENT));
    REQUIRE(chdir(start) == 0 && getcwd(now, sizeof(now)) != NULL && strcmp(now, start) == 0);
}

/* Locks that the only process would get, and those that there are not. */
static void test_locks(void)
{
    struct flock lock = {.l_type = 99, .l_whence = SEEK_SET};
    int fd = open("locked", O_CREAT | O_WRONLY, 0600);
    REQUIRE(fails(fcntl(fd, F_SETLK, &lock), EINVAL) && fails(fcntl(fd, F_GETLK, &lock), EINVAL));
    lock.l_type = F_UNLCK;
    REQUIRE(fcntl(fd, F_SETLK, &lock) == 0 && fails(fcntl(fd, F_GETLK, &lock), EINVAL));
    lock.l_type = F_WRLCK;
    REQUIRE(fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type == F_UNLCK);
    lock.l_type = F_RDLCK;
    REQUIRE(fails(fcntl(fd, F_SETLKW, &lock), EBADF)); /* one for reading, of who may not */
    lock.l_type = F_WRLCK;
    lock.l_whence = 99;
    REQUIRE(fails(fcntl(fd, F_SETLK, &lock), EINVAL));
    lock.l_whence = SEEK_SET;
    lock.l_start = -5;
    REQUIRE(fails(fcntl(fd, F_SETLK, &lock), EINVAL));
    lock.l_start = 5;
    REQUIRE(fcntl(fd, F_SETLK, &lock) == 0 && close(fd) == 0 && unlink("locked") == 0);
}

static void test_temporary_names(void)
{
    struct stat status;
    char folder[] = "folderXXXXXX", path[64], end[64], other[64];
    REQUIRE(mkdtemp(folder) == folder && strspn(folder + 6, "X") < 6);
    REQUIRE(stat(folder, &status) == 0 && S_ISDIR(status.st_mode) && !(status.st_mode & 077));
    snprintf(path, sizeof(path), "%s/fileXXXXXX", folder);
    snprintf(other, sizeof(other), "%s/fileXXXXXX", folder);
    snprintf(end, sizeof(end), "%s/XXXXXX.txt", folder);
    int fd = mkstemp(path), second = mkostemp(other, O_APPEND), third = mkstemps(end, 4);
    REQUIRE(fd >= 0 && second >= 0 && third >= 0 && strcmp(path, other) != 0);
    REQUIRE(strcmp(end + strlen(end) - 4, ".txt") == 0);
    REQUIRE(fstat(fd, &status) == 0 && (status.st_mode & 07777) == 0600);
    REQUIRE((fcntl(second, F_GETFL) & (O_APPEND | O_ACCMODE)) == (O_APPEND | O_RDWR));
    REQUIRE(write(fd, "a", 1) == 1 && close(fd) == 0 && close(second) == 0 && close(third) == 0);
    REQUIRE(unlink(path) == 0 && unlink(other) == 0 && unlink(end) == 0 && rmdir(folder) == 0);
    char few[] = "folderXXXXX", lost[] = "none/XXXXXX", again[] = "none/XXXXXX";
    REQUIRE(fails(mkstemp(few), EINVAL) && mkdtemp(few) == NULL && errno == EINVAL);
    REQUIRE(fails(mkstemp(lost), ENOENT) && mkdtemp(again) == NULL && errno == ENOENT);
}

/* What a run before this one wrote is there: the file counts the runs. */
static int count_runs(void)
{
    char line[32] = "0";
    FILE *file = fopen("runs", "r");
    if (file != NULL) {
        REQUIRE(fgets(line, sizeof(line), file) != NULL);
        fclose(file);
    }
    int runs = (int)strtol(line, NULL, 10) + 1;
    file = fopen("runs.new", "w");
    REQUIRE(file != NULL && fprintf(file, "%d\n", runs) > 0 && fflush(file) == 0);
    REQUIRE(fsync(fileno(file)) == 0 && fclose(file) == 0 && rename("runs.new", "runs") == 0);
    return runs;
}

int main(int argc, char **argv)
{
    struct statvfs usage;
    REQUIRE(chdir(argc > 1 ? argv[1] : "/data") == 0);
    REQUIRE(statvfs(".", &usage) == 0 && usage.f_bfree > 0);
    test_descriptors();
    test_stdio();
    test_owners();
    test_usage();
    test_room();
    test_names();
    test_at();
    test_temporary_names();
    test_deep_folders();
    test_access();
    test_removed_folder();
    test_locks();
    printf("files: run %d\n", count_runs());
    sync();
    printf("files: ok\n");
    return 0;
}
