/* problem.h - what went wrong with a request, as RFC 9457 has it. */
#ifndef CONTROL_PROBLEM_H
#define CONTROL_PROBLEM_H

#include <stdbool.h>
#include <stdint.h>

struct problem {
    int status;
    char detail[400]; /* tells what to change */
    char fields[128]; /* header lines that go with it */
    bool has_oldest;  /* of an expired log offset: */
    uint64_t oldest_offset;
};

/* Fills the problem and returns -1, so that a failing function can return it. */
__attribute__((format(printf, 3, 4))) int problem_set(struct problem *p, int status,
                                                      const char *format, ...);

/* The document; the caller frees it. NULL without memory. */
char *problem_text(const struct problem *p);

#endif
