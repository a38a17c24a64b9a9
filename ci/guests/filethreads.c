/*
 * filethreads.c - threads that use one file system at once: each with files of its own, in a folder that all of them
 * change, and all with one file that they append to. It is plain POSIX and is run on Linux, too:
 *
 *     filethreads [FOLDER]         /data by default
 *
 * Whatever one thread wrote is there as it wrote it, and an append is never parted by another's.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

enum {
    THREADS = 6,
    ROUNDS = 40,
    FILE_BYTES = 48 * 1024,
    PART_BYTES = 5000, /* crosses blocks */
    RECORD_BYTES = 700,
};

struct worker {
    pthread_t thread;
    uint32_t number, seed;
};

static int shared; /* opened with O_APPEND */

static uint32_t next(struct worker *worker)
{
    worker->seed = worker->seed * 1664525 + 1013904223;
    return worker->seed >> 8;
}

static uint8_t byte_of(uint32_t number, uint32_t round, uint32_t at)
{
    return (uint8_t)(number * 67 + round * 31 + at + at / 251);
}

/* Writes a part of the file anew, and then finds the whole of it as it was left. */
static void change(struct worker *worker, int fd, uint8_t *expected, uint32_t round)
{
    static _Thread_local uint8_t found[FILE_BYTES];
    uint32_t bytes = 1 + next(worker) % PART_BYTES, from = next(worker) % (FILE_BYTES - bytes);
    for (uint32_t i = 0; i < bytes; i++)
        expected[from + i] = byte_of(worker->number, round, i);
    CHECK(pwrite(fd, expected + from, bytes, from) == (ssize_t)bytes);
    if (round % 8 == 0)
        CHECK(fsync(fd) == 0);
    CHECK(pread(fd, found, FILE_BYTES, 0) == FILE_BYTES);
    CHECK(memcmp(found, expected, FILE_BYTES) == 0);
}

/* A name that comes and goes in the folder of all, and stands for this thread's file. */
static void rename_about(const struct worker *worker, uint32_t round)
{
    char name[32], other[32];
    struct stat status;
    snprintf(name, sizeof(name), "all/%u-%u", worker->number, round);
    snprintf(other, sizeof(other), "all/%u", worker->number);
    int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
    CHECK(fd >= 0 && write(fd, name, strlen(name)) == (ssize_t)strlen(name) && close(fd) == 0);
    CHECK(rename(name, other) == 0 && stat(name, &status) < 0 && errno == ENOENT);
    CHECK(stat(other, &status) == 0 && status.st_size == (off_t)strlen(name));
    if (round % 2)
        CHECK(unlink(other) == 0 && access(other, F_OK) < 0);
}

static void append(const struct worker *worker, uint32_t round)
{
    uint8_t record[RECORD_BYTES];
    record[0] = (uint8_t)worker->number;
    record[1] = (uint8_t)round;
    for (uint32_t i = 2; i < RECORD_BYTES; i++)
        record[i] = byte_of(worker->number, round, i);
    CHECK(write(shared, record, RECORD_BYTES) == RECORD_BYTES);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    static _Thread_local uint8_t expected[FILE_BYTES];
    char name[32];
    snprintf(name, sizeof(name), "own-%u", worker->number);
    int fd = open(name, O_CREAT | O_TRUNC | O_RDWR, 0600);
    CHECK(fd >= 0 && ftruncate(fd, FILE_BYTES) == 0);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        change(worker, fd, expected, round);
        rename_about(worker, round);
        append(worker, round);
    }
    CHECK(close(fd) == 0 && unlink(name) == 0);
    return NULL;
}

/* Each thread's records are all there, whole, and in the order in which it wrote them. */
static void check_records(void)
{
    uint8_t record[RECORD_BYTES];
    uint32_t rounds[THREADS] = {0};
    CHECK(lseek(shared, 0, SEEK_SET) == 0);
    for (uint32_t n = 0; n < THREADS * ROUNDS; n++) {
        CHECK(read(shared, record, RECORD_BYTES) == RECORD_BYTES);
        CHECK(record[0] < THREADS && record[1] == rounds[record[0]]++);
        for (uint32_t i = 2; i < RECORD_BYTES; i++)
            CHECK(record[i] == byte_of(record[0], record[1], i));
    }
    CHECK(read(shared, record, 1) == 0);
}

static void check_folder(void)
{
    uint32_t names = 0;
    DIR *folder = opendir("all");
    CHECK(folder != NULL);
    while (readdir(folder) != NULL)
        names++;
    CHECK(closedir(folder) == 0 && names == 2); /* . and .. */
    CHECK(rmdir("all") == 0);
}

int main(int argc, char **argv)
{
    static struct worker workers[THREADS];
    CHECK(chdir(argc > 1 ? argv[1] : "/data") == 0);
    CHECK(mkdir("all", 0700) == 0);
    shared = open("shared", O_CREAT | O_EXCL | O_RDWR | O_APPEND, 0600);
    CHECK(shared >= 0);
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i].number = workers[i].seed = i;
        CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    for (uint32_t i = 0; i < THREADS; i++)
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
    check_records();
    CHECK(close(shared) == 0 && unlink("shared") == 0);
    check_folder();
    printf("filethreads: ok\n");
    return 0;
}
