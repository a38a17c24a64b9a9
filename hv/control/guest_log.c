/* guest_log.c - reads guests' logs from ring 0's consoles. */
#include "guest_log.h"

#include <inttypes.h>

#include "guest.h"

#define OVERTAKEN_MAX 16 /* reads in a row that a guest's output may overtake */

static uint64_t log_first(const struct guest *g)
{
    return g->log_base + g->view.console_first;
}

static int begin(const struct guest *g, uint64_t *offset, struct problem *p)
{
    uint64_t first = log_first(g), end = g->log_base + g->view.console_end;

    if (*offset == GUEST_LOG_OLDEST)
        *offset = first;
    if (*offset > end)
        return problem_set(p, 400, "offset is beyond the log's end, %" PRIu64 ".", end);
    if (*offset >= first)
        return 0;
    p->has_oldest = true;
    p->oldest_offset = first;
    return problem_set(p, 410, "The log's bytes before offset %" PRIu64 " are gone.", first);
}

int guest_log_begin(const char *name, uint64_t *offset, uint64_t *end, struct problem *p)
{
    struct guest *g;
    int result = -1;

    model_lock();
    g = guest_find(name);
    if (g) {
        guest_refresh(g);
        *end = g->log_base + g->view.console_end;
        result = begin(g, offset, p);
    } else {
        problem_set(p, 404, "There is no guest '%s'.", name);
    }
    model_unlock();
    return result;
}

/* A guest can print a whole ring between a look at it and the read: then on from the newest bytes, which stay longest. */
static int64_t read_console(struct guest *g, uint64_t *offset, void *data, size_t room)
{
    int64_t n = core_console_read(g->handle, *offset - g->log_base, data, room);

    for (int tries = 0; n == -SKEP_ERANGE && tries < OVERTAKEN_MAX; tries++) {
        uint64_t end, kept;
        guest_refresh(g);
        if (!g->handle)
            return 0;
        end = g->view.console_end;
        kept = end - g->view.console_first;
        *offset = g->log_base + end - (kept < room ? kept : room);
        n = core_console_read(g->handle, *offset - g->log_base, data, room);
    }
    return n;
}

static int64_t read_on(struct guest *g, uint64_t *offset, void *data, size_t room)
{
    guest_refresh(g);
    if (*offset < log_first(g))
        *offset = log_first(g);
    return g->handle ? read_console(g, offset, data, room) : 0;
}

int guest_log_read(const char *name, uint64_t *offset, void *data, size_t room, uint64_t *lost)
{
    uint64_t from = *offset;
    struct guest *g;
    int64_t n = 0;
    bool over = true;

    model_lock();
    g = guest_find(name);
    if (g) {
        n = read_on(g, offset, data, room);
        over = guest_has_ended(g);
    }
    model_unlock();
    *lost += *offset - from;
    if (n > 0)
        *offset += (uint64_t)n;
    return n > 0 ? (int)n : over ? GUEST_LOG_OVER : 0;
}
