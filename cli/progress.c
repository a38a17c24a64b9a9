/* progress.c - a bar on standard error. */
#include "progress.h"

#include <stddef.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "table.h"

#define BEGIN_MS 300u /* what is done sooner has no bar */
#define STEP_MS  100u
#define BAR      30

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void progress_begin(struct progress *p, const char *what)
{
    *p = (struct progress){.what = isatty(STDERR_FILENO) ? what : NULL, .begin_ms = now_ms()};
}

void progress_show(struct progress *p, uint64_t done, uint64_t all)
{
    uint64_t now = now_ms(), part = all ? (done < all ? done : all) * BAR / all : 0;
    char size[TEXT_MAX], rate[TEXT_MAX], bar[BAR + 1];

    if (!p->what || now < p->begin_ms + BEGIN_MS || now < p->shown_ms + STEP_MS)
        return;
    for (unsigned i = 0; i < BAR; i++)
        bar[i] = i < part ? '#' : '.';
    bar[BAR] = '\0';
    fprintf(stderr, "\r\033[K%s  %s  %s  %s/s", p->what, all ? bar : "",
            size_text((double)done, size),
            size_text((double)done * 1000 / (double)(now - p->begin_ms), rate));
    p->shown = true;
    p->shown_ms = now;
}

void progress_end(struct progress *p)
{
    if (p->shown)
        fputs("\r\033[K", stderr);
}
