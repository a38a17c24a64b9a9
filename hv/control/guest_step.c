/*
 * guest_step.c - the one state machine of guests: what ring 0's guest is, what the spec wishes, and
 * the step between.
 *
 *   wish        ring 0's guest is …
 *               none      created   running    paused     stopping         exited, crashed
 *   running     create    start     -          start      -                by restart policy: destroy
 *   paused      create    -         pause      -          -                -
 *   stopped     -         destroy   shut down  shut down  end it in time   -
 *   replacing   (cleared) destroy   shut down  shut down  end it in time   destroy
 *   deleting    erase     destroy   destroy    destroy    destroy          destroy
 *
 * Each end passes through dying, while ring 0 takes the memory back.
 */
#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "log.h"
#include "points.h"
#include "store.h"

#define MS             1000000ull
#define STOP_GRACE_NS  (10000 * MS)
#define BACKOFF_MIN_NS (500 * MS)
#define BACKOFF_MAX_NS (60000 * MS)
#define DYING_NS       (100 * MS)   /* between looks at one, should its notification be lost */
#define STABLE_NS      (30000 * MS) /* having run so long forgets earlier failures */

enum outcome { SETTLED, AGAIN, FORGOTTEN };

/* Ends ring 0's guest. Its output stays counted, so that log offsets never go back. */
static enum outcome destroy(struct guest *g)
{
    uint64_t printed = g->status.console_end;
    int64_t result;

    g->log_base += printed;
    if (!g->deleting && !guest_retain(g)) {
        g->log_base -= printed;
        return SETTLED;
    }
    result = core_guest_destroy(g->handle);
    if (result != 0 && result != -SKEP_ENOENT) {
        g->log_base -= printed;
        log_line("guest '%s' can't be destroyed (error %d)", g->name, (int)-result);
        return SETTLED;
    }
    g->stop_deadline = 0;
    guest_refresh(g);
    return g->handle && g->status.state != SKEP_GUEST_DYING ? SETTLED : AGAIN;
}

static enum outcome shut_down(struct guest *g)
{
    int64_t result;

    /* A paused guest couldn't see the event. */
    if (g->status.state == SKEP_GUEST_PAUSED)
        core_guest_start(g->handle);
    result = core_guest_stop(g->handle, false);
    if (result != 0)
        core_guest_stop(g->handle, true);
    g->stop_deadline = core_clock_ns() + STOP_GRACE_NS;
    return result == 0 ? AGAIN : SETTLED;
}

static enum outcome end_in_time(struct guest *g)
{
    uint64_t now = core_clock_ns();

    if (g->stop_deadline == 0) /* adopted amid stopping */
        g->stop_deadline = now + STOP_GRACE_NS;
    if (now >= g->stop_deadline) {
        log_line("guest '%s' didn't stop in time and is ended", g->name);
        core_guest_stop(g->handle, true);
        g->stop_deadline = now + STOP_GRACE_NS;
    }
    return SETTLED;
}

static enum outcome start(struct guest *g)
{
    int64_t result = core_guest_start(g->handle);

    if (result != 0)
        log_line("guest '%s' can't be started (error %d)", g->name, (int)-result);
    else
        commit_point(POINT_GUEST_STARTED);
    return SETTLED;
}

static uint64_t backoff_ns(uint32_t failures)
{
    uint64_t ns = BACKOFF_MIN_NS << (failures < 8 ? failures : 8);
    return ns < BACKOFF_MAX_NS ? ns : BACKOFF_MAX_NS;
}

static enum outcome without_guest(struct guest *g)
{
    if (g->deleting) {
        commit_point(POINT_GUEST_GONE);
        if (!store_erase(g->record))
            return SETTLED;
        commit_point(POINT_GUEST_ERASED);
        guest_forget(g);
        return FORGOTTEN;
    }
    if (g->replacing) {
        g->replacing = false;
        if (!guest_retain(g))
            return SETTLED;
    }
    if (g->spec.desired == SPEC_STOPPED || core_clock_ns() < g->restart_at)
        return SETTLED;
    g->restart_at = 0;
    if (guest_create_in_core(g) == 0)
        return AGAIN;
    g->failures++;
    g->restart_at = core_clock_ns() + backoff_ns(g->failures);
    return SETTLED;
}

static bool policy_restarts(const struct guest *g)
{
    bool failed = g->status.state == SKEP_GUEST_CRASHED || g->status.exit_code != 0;

    return g->spec.desired == SPEC_RUNNING &&
           (g->spec.restart == SPEC_ALWAYS || (g->spec.restart == SPEC_ON_FAILURE && failed));
}

static enum outcome ended(struct guest *g)
{
    uint64_t now = core_clock_ns();

    g->stop_deadline = 0;
    if (g->deleting || g->replacing)
        return destroy(g);
    if (!policy_restarts(g)) {
        g->restart_at = 0;
        return SETTLED;
    }
    if (g->restart_at == 0) {
        if (g->status.ended_ns - g->status.started_ns >= STABLE_NS)
            g->failures = 0;
        g->restart_at = now + backoff_ns(g->failures++);
    }
    return now >= g->restart_at ? destroy(g) : SETTLED;
}

static enum outcome running_or_paused(struct guest *g)
{
    bool paused = g->status.state == SKEP_GUEST_PAUSED;

    if (g->deleting)
        return destroy(g);
    if (g->replacing || g->spec.desired == SPEC_STOPPED)
        return shut_down(g);
    if (g->spec.desired == SPEC_RUNNING && paused)
        return start(g);
    if (g->spec.desired == SPEC_PAUSED && !paused)
        core_guest_pause(g->handle);
    return SETTLED;
}

static enum outcome created(struct guest *g)
{
    if (g->deleting || g->replacing || g->spec.desired == SPEC_STOPPED)
        return destroy(g);
    return g->spec.desired == SPEC_RUNNING ? start(g) : SETTLED;
}

/* It gives its memory back, and then has exited, crashed, or is gone if it was destroyed. */
static enum outcome dying(struct guest *g)
{
    if (g->deleting)
        core_guest_destroy(g->handle);
    return SETTLED;
}

static enum outcome step_once(struct guest *g)
{
    guest_refresh(g);
    if (!g->handle)
        return without_guest(g);
    switch ((enum skep_guest_state)g->status.state) {
    case SKEP_GUEST_CREATED:
        return created(g);
    case SKEP_GUEST_RUNNING:
    case SKEP_GUEST_PAUSED:
        return running_or_paused(g);
    case SKEP_GUEST_STOPPING:
        return g->deleting ? destroy(g) : end_in_time(g);
    case SKEP_GUEST_EXITED:
    case SKEP_GUEST_CRASHED:
        return ended(g);
    case SKEP_GUEST_DYING:
        return dying(g);
    }
    return SETTLED;
}

void guest_step(struct guest *g)
{
    enum outcome outcome;

    /* Destroy and create are the longest way to go at once. */
    for (int i = 0; i < 8; i++) {
        outcome = step_once(g);
        if (outcome == FORGOTTEN)
            return;
        if (outcome == SETTLED || (g->handle && g->status.state == SKEP_GUEST_DYING))
            break;
    }
    guest_refresh(g);
    /* Whoever waits for notifications may have to wake up earlier now. */
    core_notify_kick();
}

void guest_step_handle(uint64_t handle)
{
    struct guest *next;

    for (struct guest *g = guest_first(); g; g = next) {
        next = g->next;
        /* Whoever looked at the guest since may have found it gone already: it has no handle then. */
        if (handle == 0 || g->handle == 0 || g->handle == handle)
            guest_step(g);
    }
}

uint64_t guest_next_deadline(void)
{
    uint64_t deadline = UINT64_MAX, now = core_clock_ns();

    for (struct guest *g = guest_first(); g; g = g->next) {
        if (g->handle && g->status.state == SKEP_GUEST_DYING && now + DYING_NS < deadline)
            deadline = now + DYING_NS;
        if (g->stop_deadline && g->stop_deadline < deadline)
            deadline = g->stop_deadline;
        if (g->restart_at && g->restart_at < deadline)
            deadline = g->restart_at;
    }
    return deadline;
}

bool guest_has_ended(const struct guest *g)
{
    bool ended = g->status.state == SKEP_GUEST_EXITED || g->status.state == SKEP_GUEST_CRASHED;

    if (g->deleting || (!g->handle && g->spec.desired == SPEC_STOPPED))
        return true;
    return g->handle && ended && !g->replacing && !policy_restarts(g);
}
