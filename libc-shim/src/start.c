/*
 * start.c - from guestlib's start to main(), and exit.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim.h"
#include "wide.h"

typedef void (*function)(void);

extern function __preinit_array_start[] __attribute__((visibility("hidden")));
extern function __preinit_array_end[] __attribute__((visibility("hidden")));
extern function __init_array_start[] __attribute__((visibility("hidden")));
extern function __init_array_end[] __attribute__((visibility("hidden")));
extern function __fini_array_start[] __attribute__((visibility("hidden")));
extern function __fini_array_end[] __attribute__((visibility("hidden")));

extern int main(int argc, char **argv, char **envp);

_Noreturn void skep_main(int argc, char **argv, char **envp);

static char no_name[] = "";
char *program_invocation_name = no_name;
char *program_invocation_short_name = no_name;

static char *last_part(char *path)
{
    char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

const char *getprogname(void)
{
    return program_invocation_short_name;
}

void setprogname(const char *name)
{
    program_invocation_short_name = last_part((char *)name);
}

static void run_destructors(void)
{
    for (function *f = __fini_array_end; f-- != __fini_array_start;)
        (*f)();
}

_Noreturn void skep_main(int argc, char **argv, char **envp)
{
    skep_posix_string_start(skep_start_info()->xcr0);
    environ = envp;
    if (argc > 0) {
        program_invocation_name = argv[0];
        program_invocation_short_name = last_part(argv[0]);
    }
    skep_posix_fd_start();
    skep_posix_signals_start();
    for (function *f = __preinit_array_start; f != __preinit_array_end; f++)
        (*f)();
    for (function *f = __init_array_start; f != __init_array_end; f++)
        (*f)();
    if (&__fini_array_start[0] != &__fini_array_end[0])
        atexit(run_destructors);
    exit(main(argc, argv, envp));
}

_Noreturn void _exit(int code)
{
    if (skep_posix_files_end !=
        NULL) /* here, since stdio writes its last data after what atexit() named */
        skep_posix_files_end();
    skep_exit((uint32_t)code & 0xff);
}
