/*
 * records.c - a program that keeps records in files, each of which is durable before the next is written.
 *
 *   records resume SEED COUNT    says how many are there already ("found N"), and writes the others ("durable N")
 *
 * A record is a block of 4 KiB. They go in turn to files in folders, which are made when they are needed. After each eighth
 * one "/data/current" is replaced, as programs do it: another file is written, made durable, and renamed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "pattern.h"

#define FOLDERS 3u
#define FILES   7u
#define STEP    8u

static void folder_of(unsigned number, char path[32])
{
    snprintf(path, 32, "/data/d%u", number % FOLDERS);
}

static int open_file(unsigned number, int flags)
{
    char path[32];
    folder_of(number, path);
    size_t end = strlen(path);
    snprintf(path + end, sizeof(path) - end, "/f%u", number % FILES);
    return open(path, flags, 0644);
}

static off_t place(unsigned number)
{
    return (off_t)(number / (FOLDERS * FILES)) * BLOCK;
}

static bool is_there(uint64_t seed, unsigned number)
{
    static uint64_t block[BLOCK / 8], expected[BLOCK / 8];
    int file = open_file(number, O_RDONLY);
    CHECK(file >= 0 || errno == ENOENT);
    if (file < 0)
        return false;
    ssize_t bytes = pread(file, block, BLOCK, place(number));
    CHECK(bytes >= 0 && close(file) == 0);
    fill(expected, seed, number);
    return bytes == BLOCK && memcmp(block, expected, BLOCK) == 0;
}

static void write_record(uint64_t seed, unsigned number)
{
    static uint64_t block[BLOCK / 8];
    char folder[32];
    folder_of(number, folder);
    CHECK(mkdir(folder, 0755) == 0 || errno == EEXIST);
    int file = open_file(number, O_RDWR | O_CREAT);
    CHECK(file >= 0);
    fill(block, seed, number);
    CHECK(pwrite(file, block, BLOCK, place(number)) == BLOCK);
    CHECK(fsync(file) == 0 && close(file) == 0);
}

static void replace_current(unsigned count)
{
    char text[16];
    int bytes = snprintf(text, sizeof(text), "%u\n", count);
    int file = open("/data/new", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    CHECK(file >= 0 && write(file, text, (size_t)bytes) == bytes);
    CHECK(fsync(file) == 0 && close(file) == 0);
    CHECK(rename("/data/new", "/data/current") == 0);
    int folder = open("/data", O_RDONLY | O_DIRECTORY);
    CHECK(folder >= 0 && fsync(folder) == 0 && close(folder) == 0);
}

int main(int argc, char **argv)
{
    CHECK(argc == 4 && strcmp(argv[1], "resume") == 0);
    uint64_t seed = strtoull(argv[2], NULL, 10);
    unsigned count = (unsigned)strtoul(argv[3], NULL, 10), number = 0;
    while (number < count && is_there(seed, number))
        number++;
    printf("found %u\n", number);
    fflush(stdout);
    while (number < count) {
        write_record(seed, number++);
        if (number % STEP == 0)
            replace_current(number);
        printf("durable %u\n", number);
        fflush(stdout);
    }
    return 0;
}
