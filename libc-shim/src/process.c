/*
 * process.c - the parts of POSIX that are about processes, of which a guest has one.
 */
#include <limits.h>
#include <reent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim.h"
#include "skep/fd.h"

void *sbrk(ptrdiff_t increment)
{
    void *old_end;
    int result = skep_heap_grow(increment, &old_end);
    if (result == 0)
        return old_end;
    errno = -result;
    return (void *)-1;
}

pid_t getpid(void)
{
    return 1;
}

pid_t getppid(void)
{
    return 0;
}

/* The root stays: who wants another one is told, rather than left with files that it believes to be out of reach. */
int chroot(const char *path)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return -1;
    if (!S_ISDIR(status.st_mode))
        return (int)skep_posix_result(-ENOTDIR);
    bool is_root = path[0] == '/' && path[strspn(path, "/.")] == 0;
    return (int)skep_posix_result(is_root && geteuid() == 0 ? 0 : -EPERM);
}

/*
 * It leads the only group of the only session, whose terminal is the console.
 */

static bool is_this_process(pid_t process)
{
    return process == 0 || process == getpid();
}

pid_t getpgrp(void)
{
    return getpid();
}

pid_t getpgid(pid_t process)
{
    return (pid_t)skep_posix_result(is_this_process(process) ? getpid() : -ESRCH);
}

pid_t getsid(pid_t process)
{
    return getpgid(process);
}

int setpgid(pid_t process, pid_t group)
{
    return (int)skep_posix_result(is_this_process(process) ? -EPERM : -ESRCH);
}

int setpgrp(void)
{
    return setpgid(0, 0);
}

pid_t setsid(void)
{
    return (pid_t)skep_posix_result(-EPERM);
}

pid_t wait(int *status)
{
    return (pid_t)skep_posix_result(-ECHILD);
}

pid_t waitpid(pid_t process, int *status, int options)
{
    return wait(status);
}

pid_t wait3(int *status, int options, struct rusage *usage)
{
    return wait(status);
}

pid_t wait4(pid_t process, int *status, int options, struct rusage *usage)
{
    return wait(status);
}

int waitid(idtype_t kind, id_t id, siginfo_t *info, int options)
{
    return wait(NULL);
}

/* Its mask of files' modes: what is created on volumes has none of these. */
_Atomic mode_t skep_posix_mask = S_IWGRP | S_IWOTH;

mode_t umask(mode_t mask)
{
    return atomic_exchange_explicit(&skep_posix_mask, mask & ACCESSPERMS, memory_order_relaxed);
}

/* The host name comes by environment. */
int gethostname(char *name, size_t bytes)
{
    const char *own = getenv("HOSTNAME");
    if (bytes == 0)
        return (int)skep_posix_result(-EINVAL);
    strncpy(name, own ? own : "skep", bytes);
    name[bytes - 1] = 0;
    return 0;
}

/* Both names are the spec's business. */
__attribute__((weak)) int sethostname(const char *name, size_t bytes)
{
    return (int)skep_posix_result(-EPERM);
}

__attribute__((weak)) int setdomainname(const char *name, size_t bytes)
{
    return (int)skep_posix_result(-EPERM);
}

/* What Linux says where there is none; a short buffer gets its begin. */
__attribute__((weak)) int getdomainname(char *name, size_t bytes)
{
    static const char none[] = "(none)";
    memcpy(name, none, bytes < sizeof(none) ? bytes : sizeof(none));
    return 0;
}

ssize_t getrandom(void *data, size_t bytes, unsigned flags)
{
    skep_random(data, bytes);
    return (ssize_t)bytes;
}

long gethostid(void)
{
    return 0;
}

int uname(struct utsname *out)
{
    *out = (struct utsname){
        .sysname = "Skep", .release = SKEP_VERSION, .version = "guest", .machine = "x86_64"};
    return gethostname(out->nodename, sizeof(out->nodename));
}

/* Nothing is privileged. */
char *secure_getenv(const char *name)
{
    return getenv(name);
}

/* Nobody counts it. */
int getloadavg(double averages[], int count)
{
    return -1;
}

int getentropy(void *data, size_t bytes)
{
    if (bytes > 256)
        return (int)skep_posix_result(-EIO);
    skep_random(data, bytes);
    return 0;
}
