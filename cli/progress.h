/* progress.h - a bar on standard error, if that is a terminal. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what; /* NULL = nothing is shown */
    uint64_t begin_ms, shown_ms;
    bool shown;
};

void progress_begin(struct progress *p, const char *what);
void progress_show(struct progress *p, uint64_t done, uint64_t all); /* bytes; all = 0: unknown */
void progress_end(struct progress *p);

#endif
