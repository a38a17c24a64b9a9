/*
 * start.c - mounts a program's volumes before its main(), and leaves them in order at its end.
 *
 * SKEP_MOUNTS says which: "db:/data:format,logs:/logs:ro" mounts the block device db at /data, after making a file system
 * on it if it has never been written, and logs at /logs, read-only. A mount that fails ends the program.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../src/shim.h"
#include "message.h"
#include "tree.h"
#include "volume.h"

#define COMMIT_NS    (5 * NS_PER_SECOND)
#define END_NS       (10 * NS_PER_SECOND)
#define MOUNT_FAILED 111
#define THREAD_STACK 65536u

void fs_message(const char *format, ...)
{
    char line[256] = "files: ";
    size_t used = strlen(line);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line + used, sizeof(line) - used - 1, format, arguments);
    va_end(arguments);
    used += length < 0                                 ? 0
            : (size_t)length < sizeof(line) - used - 1 ? (size_t)length
                                                       : sizeof(line) - used - 2;
    line[used++] = '\n';
    skep_console_write(line, used);
}

/* What nobody syncs is durable after some seconds. Errors were told when they were made. */
static void commit_now_and_then(void *unused)
{
    for (;;) {
        skep_sleep_until(skep_clock_ns() + COMMIT_NS);
        fs_tree_commit_all();
    }
}

static int set_flags(const char *word, unsigned *flags)
{
    if (strcmp(word, "ro") == 0)
        *flags |= FS_MOUNT_READ_ONLY;
    else if (strcmp(word, "format") == 0)
        *flags |= FS_MOUNT_FORMAT;
    else
        return -EINVAL;
    return 0;
}

/* name:path[:option…] */
static int mount_one(char *text)
{
    char *rest = text, *name = strsep(&rest, ":"), *path = strsep(&rest, ":"), *word;
    unsigned flags = 0;
    int result = path == NULL ? -EINVAL : 0;
    while (result == 0 && (word = strsep(&rest, ":")) != NULL)
        result = set_flags(word, &flags);
    if (result != 0) {
        fs_message("SKEP_MOUNTS: not name:path, name:path:format or name:path:ro");
        return result;
    }
    return fs_tree_mount(name, path, flags);
}

void skep_posix_files_start(void);

__attribute__((constructor)) void skep_posix_files_start(void)
{
    const char *mounts = getenv("SKEP_MOUNTS");
    if (mounts == NULL || mounts[0] == 0)
        return;
    char *copy = strdup(mounts), *rest = copy, *one;
    if (copy == NULL)
        skep_abort("no memory to mount volumes");
    while ((one = strsep(&rest, ",")) != NULL)
        if (mount_one(one) != 0)
            skep_exit(MOUNT_FAILED);
    free(copy);
    if (skep_thread_create(NULL, THREAD_STACK, commit_now_and_then, NULL) < 0)
        skep_abort("no memory for the thread that commits");
}

void skep_posix_files_end(void)
{
    fs_tree_end(skep_clock_ns() + END_NS);
}
