/*
 * err.h - messages on the standard error output, after the program's name, and ends of the program after them.
 */
#ifndef _ERR_H
#define _ERR_H

#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void warnx(const char *format, ...) __attribute__((format(printf, 1, 2)));
void vwarn(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));
void vwarnx(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

void err(int code, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
void errx(int code, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
void verr(int code, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0), noreturn));
void verrx(int code, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0), noreturn));

#ifdef __cplusplus
}
#endif

#endif
