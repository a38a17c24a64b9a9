/*
 * processes.c - asks for other processes in many ways, none of which a guest has.
 */
#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

static char shell[] = "sh", *const arguments[] = {shell, NULL}, *const environment[] = {NULL};

static void __attribute__((noinline)) ask_for_a_copy(void)
{
    CHECK(fork() == -1 && errno == ENOSYS);
}

static void __attribute__((noinline)) ask_for_another_program(void)
{
    CHECK(execve("/bin/sh", arguments, environment) == -1 && errno == ENOSYS);
    CHECK(execlp("sh", "sh", NULL) == -1 && errno == ENOSYS);
}

int main(void)
{
    pid_t process;
    ask_for_a_copy();
    ask_for_another_program();
    posix_spawnattr_t attributes;
    CHECK(posix_spawnattr_init(&attributes) == ENOSYS);
    CHECK(posix_spawn(&process, "/bin/sh", NULL, NULL, arguments, environment) == ENOSYS);
    CHECK(system(NULL) == 0);
    errno = 0;
    CHECK(system("true") == -1 && errno == ENOSYS);
    CHECK(popen("true", "r") == NULL && errno == ENOSYS);
    printf("processes: ok\n");
    return 0;
}
