/* fail.h - how skepctl ends, and what it says then. */
#ifndef CLI_FAIL_H
#define CLI_FAIL_H

#include <stddef.h>

/* The exit codes, as the manual page has them. Functions that return one have said why, if it isn't EXIT_OK. */
enum exit_code {
    EXIT_OK = 0,
    EXIT_NO = 1,         /* the answer is no: it differs, it crashed, it didn't come up */
    EXIT_USAGE = 2,      /* the command line, the contexts or a document are wrong */
    EXIT_CONNECTION = 3, /* no connection, or not to the Skep whose key is pinned */
    EXIT_REFUSED = 4,    /* the API refuses it: 4xx */
    EXIT_SERVER = 5,     /* Skep can't do it now, or what it sent is not right: 5xx */
    EXIT_LOCAL = 6,      /* a file on this side */
};

/* Says why on standard error, and returns the code. Control characters don't reach a terminal. */
int fail(enum exit_code code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for things that don't end it. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the program if there is no memory for it. */
void *memory_take(size_t bytes);
void *memory_resize(void *memory, size_t bytes);
char *text_copy(const char *text);
char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The text with more behind it; the text itself is freed. */
char *text_extend(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Replaces control characters but this one (0 = all of them), and returns the text. */
char *text_clean(char *text, char kept);

#endif
