/*
 * error.h - GNU's messages on the standard error output, after the program's name; status: 0, or with what the program ends.
 */
#ifndef _ERROR_H
#define _ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/* cause: an error's number, whose description follows, or 0. The standard output is flushed first. */
void error(int status, int cause, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same, with a place in a file. With error_one_per_line nothing comes of a second one on the same line. */
void error_at_line(int status, int cause, const char *file, unsigned line, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

extern unsigned error_message_count;       /* of both */
extern int error_one_per_line;             /* 0 */
extern void (*error_print_progname)(void); /* NULL; else it writes what goes before the message */

#ifdef __cplusplus
}
#endif

#endif
