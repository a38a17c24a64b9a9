/*
 * native_main.c - the control service as a Linux program, with a model of ring 0.
 *
 *   skep-control-native [--port N] [--token T] [--cmdline WORDS] [--module FILE] [--disk FILE]
 *                       [--volumes FILE] [--panic TEXT]
 *
 * The first process is ring 0: it keeps the machine and starts the service again when that crashes. With a disk the
 * machine starts anew when it is rebooted.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/service.h"
#include "control/test/fake.h"

struct options {
    int port;
    bool has_disk;
    char cmdline[2048], module[16384];
    const char *disk, *panic;
};

/* The file's size is the disk's. */
static void open_disk(struct options *o, const char *path)
{
    int fd = open(path, O_RDWR);
    struct stat status;
    void *data;

    if (fd < 0 || fstat(fd, &status) != 0) {
        perror(path);
        exit(2);
    }
    data = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) {
        perror(path);
        exit(2);
    }
    close(fd);
    fake_set_disk(data, (uint64_t)status.st_size);
    o->has_disk = true;
}

static void read_module(struct options *o, const char *path)
{
    FILE *file = fopen(path, "r");

    if (!file) {
        perror(path);
        exit(2);
    }
    o->module[fread(o->module, 1, sizeof(o->module) - 1, file)] = '\0';
    fclose(file);
}

static void add_words(struct options *o, const char *prefix, const char *words)
{
    size_t used = strlen(o->cmdline);
    snprintf(o->cmdline + used, sizeof(o->cmdline) - used, " %s%s", prefix, words);
}

static void read_options(struct options *o, int argc, char **argv)
{
    o->port = 8443;
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--port") == 0) {
            o->port = (int)strtol(value, NULL, 10);
        } else if (strcmp(argv[i], "--token") == 0) {
            add_words(o, "token=", value);
        } else if (strcmp(argv[i], "--cmdline") == 0) {
            add_words(o, "", value);
        } else if (strcmp(argv[i], "--volumes") == 0) {
            o->disk = value;
        } else if (strcmp(argv[i], "--panic") == 0) {
            o->panic = value;
        } else if (strcmp(argv[i], "--module") == 0) {
            read_module(o, value);
        } else if (strcmp(argv[i], "--disk") == 0) {
            open_disk(o, value);
        } else {
            fprintf(stderr,
                    "usage: %s [--port N] [--token T] [--cmdline WORDS] [--module FILE] "
                    "[--disk FILE] [--volumes FILE] [--panic TEXT]\n",
                    argv[0]);
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    static struct options options;
    int status = 0;

    signal(SIGPIPE, SIG_IGN);
    read_options(&options, argc, argv);
    fake_start(options.cmdline, options.module);
    if (options.panic)
        fake_set_panic(options.panic);
    if (options.disk)
        fake_disk_add(options.disk, 0);
    for (;;) {
        pid_t child = fork();
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            exit(service_run((uint16_t)options.port));
        }
        if (child < 0 || waitpid(child, &status, 0) != child)
            return 1;
        if (WIFEXITED(status) && WEXITSTATUS(status) == FAKE_CRASH_CODE)
            fake_count_restart(false);
        else if (WIFEXITED(status) && WEXITSTATUS(status) == FAKE_REBOOT_CODE && options.has_disk)
            fake_start(options.cmdline, options.module);
        else
            break;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
