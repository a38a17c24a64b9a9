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

/* A program may have variables of these names itself. */
static char no_name[] = "";
__attribute__((weak)) char *program_invocation_name = no_name;
__attribute__((weak)) char *program_invocation_short_name = no_name;

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
        char *slash = strrchr(argv[0], '/');
        program_invocation_name = argv[0];
        program_invocation_short_name = slash != NULL ? slash + 1 : argv[0];
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
