/*
 * end.c - how a guest ends.
 */
#include <string.h>

#include "internal.h"

/* The compiler calls it when a stack's canary has changed. */
_Noreturn void __stack_chk_fail(void);

_Noreturn void skep_exit(uint32_t code)
{
    skep_hc_exit(code);
}

_Noreturn void skep_abort(const char *message)
{
    skep_hc_abort(message, strlen(message));
}

_Noreturn void __stack_chk_fail(void)
{
    skep_abort("stack smashing detected");
}
