/*
 * numbered.h - numbered arguments of printf(), for newlib (ci/patches).
 */
#ifndef LIBC_SHIM_NUMBERED_H
#define LIBC_SHIM_NUMBERED_H

#include <stdarg.h>

/*
 * 1: `ordered` has the arguments in the order in which the format at *ordered_format uses them, which numbers none; free() gives
 * back both. 0: the format numbers none itself. -1: it isn't right (EINVAL), or there is no memory (ENOMEM).
 */
int skep_posix_order_arguments(const char *format, va_list arguments, char **ordered_format,
                               va_list ordered);

#endif
