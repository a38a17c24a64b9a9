/*
 * proc.c - what programs for Linux look up below /proc, as far as a guest knows it. The text is made when a file is opened.
 * What nobody counts is missing, or 0 where a line has its fields by number.
 */
#include <cpuid.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/times.h>
#include <unistd.h>

#include "shim.h"

/* Its room grows. */
struct text {
    char *data; /* on the heap; NULL: there was no memory */
    size_t bytes, room;
};

static void add_bytes(struct text *text, const char *data, size_t bytes)
{
    if (text->data != NULL && text->room - text->bytes < bytes) {
        text->room = 2 * text->room + bytes;
        char *larger = realloc(text->data, text->room);
        if (larger == NULL)
            free(text->data);
        text->data = larger;
    }
    if (text->data == NULL)
        return;
    memcpy(text->data + text->bytes, data, bytes);
    text->bytes += bytes;
}

static void __attribute__((format(printf, 2, 3))) add(struct text *text, const char *format, ...)
{
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    int bytes = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (bytes > 0)
        add_bytes(text, line, (size_t)bytes < sizeof(line) ? (size_t)bytes : sizeof(line) - 1);
}

static void cpu_name(char name[49])
{
    unsigned words[12] = {0};
    for (unsigned i = 0; i < 3; i++)
        __get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2],
                    &words[4 * i + 3]);
    memcpy(name, words, sizeof(words));
    name[sizeof(words)] = 0;
}

static void add_cpus(struct text *text)
{
    char name[49];
    cpu_name(name);
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    for (long i = 0; i < count; i++)
        add(text, "processor\t: %ld\nmodel name\t: %s\n\n", i, name);
}

static void add_memory(struct text *text)
{
    add(text, "MemTotal:       %8llu kB\n", (unsigned long long)(skep_posix_memory_bytes() / 1024));
}

/* The arguments lie as Linux has them here, each ended by a NUL. */
static void add_arguments(struct text *text)
{
    const struct skep_start_info *info = skep_start_info();
    const char *first = (const char *)info + info->strings_offset, *end = first;
    for (uint32_t i = 0; i < info->argc; i++)
        end += strlen(end) + 1;
    add_bytes(text, first, (size_t)(end - first));
}

static void add_stat(struct text *text)
{
    struct tms used;
    times(&used);
    int niceness = getpriority(PRIO_PROCESS, 0);
    add(text, "%d (%.15s) R %d %d %d 0 -1 0 0 0 0 0 %lu 0 0 0 %d %d 0 0", getpid(),
        program_invocation_short_name, getppid(), getpgrp(), getsid(0),
        (unsigned long)used.tms_utime, 20 + niceness, niceness);
    for (unsigned field = 22; field <= 52; field++)
        add(text, " 0");
    add(text, "\n");
}

static void add_status(struct text *text)
{
    uid_t user, effective_user, saved_user;
    gid_t group, effective_group, saved_group;
    getresuid(&user, &effective_user, &saved_user);
    getresgid(&group, &effective_group, &saved_group);
    add(text, "Name:\t%.15s\nState:\tR (running)\nTgid:\t%d\nPid:\t%d\nPPid:\t%d\n",
        program_invocation_short_name, getpid(), getpid(), getppid());
    add(text, "Uid:\t%u\t%u\t%u\t%u\n", user, effective_user, saved_user, effective_user);
    add(text, "Gid:\t%u\t%u\t%u\t%u\n", group, effective_group, saved_group, effective_group);
}

/* Folders have no function. */
static const struct {
    const char *path;
    void (*add)(struct text *text);
} entries[] = {
    {"/proc", NULL},
    {"/proc/self", NULL},
    {"/proc/cpuinfo", add_cpus},
    {"/proc/meminfo", add_memory},
    {"/proc/self/cmdline", add_arguments},
    {"/proc/self/stat", add_stat},
    {"/proc/self/status", add_status},
};

static int find(const char *path)
{
    for (size_t i = 0; i < sizeof(entries) / sizeof(*entries); i++)
        if (strcmp(path, entries[i].path) == 0)
            return (int)i;
    return -ENOENT;
}

int skep_posix_proc_find(const char *path, bool *is_folder)
{
    int found = find(path);
    if (found < 0)
        return found;
    *is_folder = entries[found].add == NULL;
    return 0;
}

const char *skep_posix_proc_path(size_t index)
{
    return index < sizeof(entries) / sizeof(*entries) ? entries[index].path : NULL;
}

char *skep_posix_proc_text(const char *path, size_t *bytes)
{
    struct text text = {.data = malloc(512), .room = 512};
    entries[find(path)].add(&text);
    *bytes = text.bytes;
    return text.data;
}
