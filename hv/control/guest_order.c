/*
 * guest_order.c - the order in which guests start (start_after).
 *
 * A guest that isn't in ring 0 is made only when each one that its start_after names is up: it runs, or it has
 * exited with code 0 (so a job that has done its work holds nobody up). One that doesn't exist, or not yet, is waited for as well. A guest
 * that waits is in an index by the name of the first one that isn't up, and is stepped again when that is.
 *
 * Cycles would wait for ever, so no spec may close one. As all others have none, a cycle has the new spec's guest in it:
 * it is looked for from there, through those that it waits for directly or indirectly.
 */
#include <stdio.h>
#include <string.h>

#include "access.h"
#include "guest.h"

bool guest_is_up(const struct guest *g)
{
    if (!g->handle || g->deleting || g->replacing)
        return false;
    return g->view.state == SKEP_GUEST_RUNNING ||
           (g->view.state == SKEP_GUEST_EXITED && g->view.exit_code == 0 && !g->view.killed);
}

bool guest_must_wait(struct guest *g)
{
    const char *name = spec_start_after(g->spec);

    guest_set_wait(g, NULL);
    for (uint32_t i = 0; i < g->spec->after_count; i++, name += strlen(name) + 1) {
        const struct guest *other = guest_find(name);
        if (other && guest_is_up(other))
            continue;
        guest_set_wait(g, name);
        return true;
    }
    return false;
}

void guest_wake_waiting(const struct guest *g)
{
    struct guest *waiting;

    while ((waiting = guest_first_waiting(g->name)) != NULL) {
        guest_set_wait(waiting, NULL);
        guest_schedule(waiting, 1);
    }
}

/*
 * Cycles
 */

struct search {
    struct guest *first, **end; /* those to look at */
};

static uint32_t round_number;

/* Those that the spec names, found by way of `via`, to be looked at once. */
static void add_all(struct search *search, const struct spec *spec, struct guest *via)
{
    const char *name = spec_start_after(spec);

    for (uint32_t i = 0; i < spec->after_count; i++, name += strlen(name) + 1) {
        struct guest *g = guest_find(name);
        if (!g || g->search.round == round_number)
            continue;
        g->search.round = round_number;
        g->search.via = via;
        g->search.next = NULL;
        *search->end = g;
        search->end = &g->search.next;
    }
}

static bool names(const struct spec *spec, const char *wanted)
{
    const char *name = spec_start_after(spec);

    for (uint32_t i = 0; i < spec->after_count; i++, name += strlen(name) + 1)
        if (strcmp(name, wanted) == 0)
            return true;
    return false;
}

/* "web, db, cache, web": put together from its end; what doesn't fit is left out behind the first. */
static int tell_cycle(const char *name, const struct guest *last, struct problem *p)
{
    char text[256], *at = text + sizeof(text) - strlen(name) - 1;

    memcpy(at, name, strlen(name) + 1);
    for (const struct guest *g = last; g; g = g->search.via) {
        const char *shown = access_shown(g->name);
        size_t bytes = strlen(shown);
        bool fits = (size_t)(at - text) >= bytes + 2;
        const char *put = fits ? shown : "...";
        bytes = fits ? bytes : 3;
        if ((size_t)(at - text) < bytes + 2)
            break;
        at -= 2;
        memcpy(at, ", ", 2);
        at -= bytes;
        memcpy(at, put, bytes);
        if (!fits)
            break;
    }
    return problem_set(p, 422, "start_after makes a cycle, in which none can start: %s, %s.", name,
                       at);
}

/* Whoever waits for a guest sees when it is up. So only its own guests may be named by who doesn't see all, and those that
 * somebody else has put there. */
static int check_seen(const struct guest *old, const struct spec *spec, struct problem *p)
{
    const char *name = spec_start_after(spec);

    for (uint32_t i = 0; i < spec->after_count; i++, name += strlen(name) + 1)
        if (!access_sees(name) && !(old && names(old->spec, name)))
            return problem_set(p, 422,
                               "start_after: '%s' doesn't begin with '%s', as all names must "
                               "that this token is for.",
                               name, access_prefix());
    return 0;
}

int guest_check_order(const char *name, const struct spec *spec, struct problem *p)
{
    struct search search = {NULL, &search.first};

    if (check_seen(guest_find(name), spec, p) != 0)
        return -1;
    round_number++;
    add_all(&search, spec, NULL);
    for (struct guest *g = search.first; g; g = g->search.next) {
        if (names(g->spec, name))
            return tell_cycle(name, g, p);
        add_all(&search, g->spec, g);
    }
    return 0;
}
