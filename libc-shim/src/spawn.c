/*
 * spawn.c - the ways to another process, of which a guest has none: ENOSYS, and a line on the console that says which
 * function of the program asked.
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shim.h"

/* The address is the one in the ELF file, for addr2line. */
static int refuse(const char *function, const void *caller)
{
    char line[96];
    int bytes =
        snprintf(line, sizeof(line), "%s(): a guest has no other processes; called at %#lx\n",
                 function, (uintptr_t)caller - 1 - skep_start_info()->image_base);
    skep_console_write(line, (size_t)bytes);
    return -ENOSYS;
}

#define REFUSE() refuse(__func__, __builtin_return_address(0))

pid_t fork(void)
{
    return (pid_t)skep_posix_result(REFUSE());
}

pid_t vfork(void)
{
    return (pid_t)skep_posix_result(REFUSE());
}

int daemon(int stay_in_folder, int keep_descriptors)
{
    return (int)skep_posix_result(REFUSE());
}

int execve(const char *path, char *const argv[], char *const envp[])
{
    return (int)skep_posix_result(REFUSE());
}

int fexecve(int fd, char *const argv[], char *const envp[])
{
    return (int)skep_posix_result(REFUSE());
}

int execv(const char *path, char *const argv[])
{
    return (int)skep_posix_result(REFUSE());
}

int execvp(const char *file, char *const argv[])
{
    return (int)skep_posix_result(REFUSE());
}

int execvpe(const char *file, char *const argv[], char *const envp[])
{
    return (int)skep_posix_result(REFUSE());
}

int execl(const char *path, const char *argument, ...)
{
    return (int)skep_posix_result(REFUSE());
}

int execle(const char *path, const char *argument, ...)
{
    return (int)skep_posix_result(REFUSE());
}

int execlp(const char *file, const char *argument, ...)
{
    return (int)skep_posix_result(REFUSE());
}

int posix_spawn(pid_t *restrict process, const char *restrict path,
                const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *restrict attributes, char *const argv[],
                char *const envp[])
{
    return -REFUSE();
}

int posix_spawnp(pid_t *restrict process, const char *restrict file,
                 const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *restrict attributes, char *const argv[],
                 char *const envp[])
{
    return -REFUSE();
}

/* NULL asks whether there is a shell. */
int system(const char *command)
{
    return command == NULL ? 0 : (int)skep_posix_result(REFUSE());
}

FILE *popen(const char *command, const char *mode)
{
    errno = -REFUSE();
    return NULL;
}

/* No stream is one of popen()'s. */
int pclose(FILE *stream)
{
    return (int)skep_posix_result(-EINVAL);
}

/*
 * What posix_spawn() would be told. Programs prepare that before, and none gets beyond the first call.
 */

int posix_spawn_file_actions_init(posix_spawn_file_actions_t *actions)
{
    return ENOSYS;
}

int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *actions)
{
    return ENOSYS;
}

int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *restrict actions, int fd,
                                     const char *restrict path, int flags, mode_t mode)
{
    return ENOSYS;
}

int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int fd, int target)
{
    return ENOSYS;
}

int posix_spawn_file_actions_addclose(posix_spawn_file_actions_t *actions, int fd)
{
    return ENOSYS;
}

int posix_spawnattr_init(posix_spawnattr_t *attributes)
{
    return ENOSYS;
}

int posix_spawnattr_destroy(posix_spawnattr_t *attributes)
{
    return ENOSYS;
}

int posix_spawnattr_setflags(posix_spawnattr_t *attributes, short flags)
{
    return ENOSYS;
}

int posix_spawnattr_setpgroup(posix_spawnattr_t *attributes, pid_t group)
{
    return ENOSYS;
}

int posix_spawnattr_setsigmask(posix_spawnattr_t *restrict attributes, const sigset_t *restrict set)
{
    return ENOSYS;
}

int posix_spawnattr_setsigdefault(posix_spawnattr_t *restrict attributes,
                                  const sigset_t *restrict set)
{
    return ENOSYS;
}

int posix_spawnattr_getflags(const posix_spawnattr_t *restrict attributes, short *restrict flags)
{
    return ENOSYS;
}

int posix_spawnattr_getpgroup(const posix_spawnattr_t *restrict attributes, pid_t *restrict group)
{
    return ENOSYS;
}

int posix_spawnattr_getsigmask(const posix_spawnattr_t *restrict attributes, sigset_t *restrict set)
{
    return ENOSYS;
}

int posix_spawnattr_getsigdefault(const posix_spawnattr_t *restrict attributes,
                                  sigset_t *restrict set)
{
    return ENOSYS;
}

int posix_spawnattr_getschedpolicy(const posix_spawnattr_t *restrict attributes,
                                   int *restrict policy)
{
    return ENOSYS;
}

int posix_spawnattr_getschedparam(const posix_spawnattr_t *restrict attributes,
                                  struct sched_param *restrict parameters)
{
    return ENOSYS;
}

int posix_spawnattr_setschedpolicy(posix_spawnattr_t *attributes, int policy)
{
    return ENOSYS;
}

int posix_spawnattr_setschedparam(posix_spawnattr_t *restrict attributes,
                                  const struct sched_param *restrict parameters)
{
    return ENOSYS;
}
