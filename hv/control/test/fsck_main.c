/*
 * fsck_main.c - checks a disk, or a file with a disk's content, that Skep has formatted.
 *
 *   skep-fsck [-q] FILE     exit code 0 = clean, 1 = errors, 2 = it couldn't be checked
 *
 * It writes nothing. A journal that is to be replayed is, in memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "skep/abi.h"
#include "storage/fsck.h"
#include "storage/probe.h"

struct file_disk {
    struct bdev dev;
    int fd;
};

static int file_read(struct bdev *dev, uint64_t offset, void *data, size_t bytes)
{
    struct file_disk *file = (struct file_disk *)dev;

    while (bytes > 0) {
        ssize_t n = pread(file->fd, data, bytes, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -SKEP_EIO;
        data = (char *)data + n;
        offset += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return 0;
}

static void say(void *argument, const char *line)
{
    (void)argument;
    printf("%s\n", line);
}

static int report(struct bdev *dev, bool quiet)
{
    struct fsck_result r;
    int result = fsck_disk(dev, quiet ? NULL : say, NULL, &r);

    if (result != 0) {
        int kind = probe_disk(dev);
        fprintf(stderr, "skep-fsck: %s%s\n",
                result == -SKEP_ENODEV ? "no disk of Skep's, but " : "it can't be read: ",
                kind >= 0 ? probe_name((enum probe_kind)kind) : "input or output error");
        return 2;
    }
    printf("%" PRIu32 " volumes, %" PRIu32 " snapshots; chunks: %" PRIu32 " of %" PRIu32
           " used, %" PRIu32 " shared; metadata blocks: %" PRIu32 " of %" PRIu32 " used; %" PRIu32
           " transactions in the journal\n",
           r.volumes, r.snapshots, r.chunks_used, r.chunks, r.chunks_shared, r.metas_used, r.metas,
           r.replayed);
    printf("%s: %" PRIu32 " errors, %" PRIu32 " warnings\n", r.errors ? "damaged" : "clean",
           r.errors, r.warnings);
    return r.errors != 0;
}

int main(int argc, char **argv)
{
    bool quiet = argc > 2 && strcmp(argv[1], "-q") == 0;
    const char *path = argc == 2 + quiet ? argv[1 + quiet] : NULL;
    struct file_disk file;
    off_t bytes;

    if (!path || path[0] == '-') {
        fprintf(stderr, "usage: skep-fsck [-q] FILE\n");
        return 2;
    }
    file.fd = open(path, O_RDONLY);
    bytes = file.fd >= 0 ? lseek(file.fd, 0, SEEK_END) : -1;
    if (bytes < 0) {
        perror(path);
        return 2;
    }
    /* The checker's writes stay in memory: only reads come here. */
    file.dev = (struct bdev){.bytes = (uint64_t)bytes / BDEV_BLOCK * BDEV_BLOCK, .read = file_read};
    return report(&file.dev, quiet);
}
