/*
 * guest_step.c - the one state machine of guests: what ring 0's guest is, what the spec wishes, and
 * the step between.
 *
 *   wish        ring 0's guest is …
 *               none      created   running    paused     stopping         exited, crashed
 *   running     create    start     -          start      -                by restart policy: destroy
 *   paused      create    -         pause      -          -                -
 *   stopped     -         destroy   shut down  shut down  end it in time   -
 *   on demand   create    -         -          start      -                destroy
 *   replacing   (cleared) destroy   shut down  shut down  end it in time   destroy
 *   deleting    erase     destroy   destroy    destroy    destroy          destroy
 *   host ends   -         destroy   shut down  shut down  end it in time   -
 *
 * Each end passes through dying, while ring 0 takes the memory back. "On demand" is for later, and specs are refused
 * it until then: such a guest stays created, ready to run, until the switch has a first packet for it.
 *
 * A guest that its restart policy starts again waits restart_delay_ms, and twice as long each time, up to
 * restart_delay_max_ms. From the third restart in a row on it is called crash-looping while it waits. A run of
 * restart_reset_ms, or a change by a client, forgets all that.
 *
 * Before ring 0's guest is created, each one that its start_after names must be up (guest_order.c).
 */
#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "log.h"
#include "points.h"
#include "store.h"

#define MS            1000000ull
#define DYING_NS      (100 * MS) /* between looks at one, should its notification be lost */
#define LOOP_FAILURES 3          /* restarts in a row that make a crash loop */

enum outcome { SETTLED, AGAIN, FORGOTTEN };

static bool all_end;
static uint64_t all_end_grace_ns;
static uint64_t waiting_until; /* what guest_next_deadline() said last */

static bool must_stop(const struct guest *g)
{
    return all_end || g->replacing || g->spec->desired == SPEC_STOPPED;
}

static uint64_t grace_ns(const struct guest *g)
{
    uint64_t own = g->spec->stop_grace_ms * MS;
    return all_end && all_end_grace_ns < own ? all_end_grace_ns : own;
}

/* Ends ring 0's guest. Its output stays counted, so that log offsets never go back. */
static enum outcome destroy(struct guest *g)
{
    uint64_t printed = g->view.console_end;
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
    g->stop_deadline = g->force_at = 0;
    guest_glance(g);
    return g->handle && g->view.state != SKEP_GUEST_DYING ? SETTLED : AGAIN;
}

static enum outcome shut_down(struct guest *g)
{
    int64_t result;

    /* A paused guest couldn't see the event. */
    if (g->view.state == SKEP_GUEST_PAUSED)
        core_guest_start(g->handle);
    result = core_guest_stop(g->handle, false);
    if (result != 0)
        core_guest_stop(g->handle, true);
    g->stop_deadline = core_clock_ns() + grace_ns(g);
    return result == 0 ? AGAIN : SETTLED;
}

static enum outcome end_in_time(struct guest *g)
{
    uint64_t now = core_clock_ns();

    /* It may have been adopted amid stopping, and the host's end may hurry it. */
    if (g->stop_deadline == 0 || g->stop_deadline > now + grace_ns(g))
        g->stop_deadline = now + grace_ns(g);
    if (now >= g->stop_deadline) {
        log_line("guest '%s' didn't stop within %u ms and is ended", g->name,
                 (unsigned)(grace_ns(g) / MS));
        core_guest_stop(g->handle, true);
        g->stop_deadline = now + DYING_NS; /* ring 0 would be asked again */
    }
    return SETTLED;
}

static enum outcome start(struct guest *g)
{
    int64_t result = core_guest_start(g->handle);

    if (result != 0)
        log_line("guest '%s' can't be started (error %d)", g->name, (int)-result);
    else {
        g->view.state = SKEP_GUEST_RUNNING;
        commit_point(POINT_GUEST_STARTED);
    }
    return SETTLED;
}

/* Before the restart that follows this many. */
static uint64_t backoff_ns(const struct guest *g, uint32_t failures)
{
    uint64_t ms = (uint64_t)g->spec->restart_delay_ms << (failures < 24 ? failures : 24);
    return (ms < g->spec->restart_delay_max_ms ? ms : g->spec->restart_delay_max_ms) * MS;
}

static enum outcome without_guest(struct guest *g)
{
    if (g->deleting) {
        commit_point(POINT_GUEST_GONE);
        if (!store_erase(g->record))
            return SETTLED;
        commit_point(POINT_GUEST_ERASED);
        guest_tell_deleted(g);
        guest_drop_files(g, g->files);
        guest_forget(g);
        return FORGOTTEN;
    }
    if (g->replacing) {
        g->replacing = false;
        if (!guest_retain(g))
            return SETTLED;
    }
    guest_set_wait(g, NULL);
    if (must_stop(g) || core_clock_ns() < g->restart_at)
        return SETTLED;
    g->restart_at = 0;
    if (guest_must_wait(g))
        return SETTLED;
    if (guest_create_in_core(g) == 0)
        return AGAIN;
    g->restart_at = core_clock_ns() + backoff_ns(g, g->create_tries);
    g->create_tries += g->create_tries < 24;
    return SETTLED;
}

/* Whether its run was long enough to forget what was before. */
static bool ran_well(const struct guest *g)
{
    return g->view.ended_ns - g->view.started_ns >= g->spec->restart_reset_ms * MS;
}

static bool policy_applies(const struct guest *g)
{
    bool failed = g->view.state == SKEP_GUEST_CRASHED || g->view.exit_code != 0;

    return g->spec->desired == SPEC_RUNNING && !all_end && !g->view.killed &&
           (g->spec->restart == SPEC_ALWAYS || (g->spec->restart == SPEC_ON_FAILURE && failed));
}

bool guest_has_given_up(const struct guest *g)
{
    return g->handle && policy_applies(g) && g->restart_at == 0 && g->spec->restart_limit &&
           g->failures >= g->spec->restart_limit && !ran_well(g);
}

bool guest_policy_restarts(const struct guest *g)
{
    return policy_applies(g) && !guest_has_given_up(g);
}

bool guest_is_crash_looping(const struct guest *g)
{
    return g->handle && g->view.state >= SKEP_GUEST_EXITED && g->restart_at &&
           g->failures >= LOOP_FAILURES && guest_policy_restarts(g);
}

static enum outcome ended(struct guest *g)
{
    uint64_t now = core_clock_ns();

    g->stop_deadline = 0;
    if (g->deleting || g->replacing)
        return destroy(g);
    if (!guest_policy_restarts(g)) {
        g->restart_at = 0;
        return SETTLED;
    }
    if (g->restart_at == 0) {
        if (ran_well(g))
            g->failures = 0;
        g->restart_at = now + backoff_ns(g, g->failures++);
        guest_tell_restart(g);
        if (g->failures == LOOP_FAILURES)
            log_line("guest '%s' is crash-looping: it ended %u times in a row", g->name,
                     g->failures);
    }
    return now >= g->restart_at ? destroy(g) : SETTLED;
}

static enum outcome running_or_paused(struct guest *g)
{
    bool paused = g->view.state == SKEP_GUEST_PAUSED;

    if (g->deleting)
        return destroy(g);
    if (must_stop(g))
        return shut_down(g);
    if (g->force_at && core_clock_ns() >= g->force_at)
        guest_force_vcpus(g);
    if (g->spec->desired == SPEC_RUNNING && paused)
        return start(g);
    if (g->spec->desired == SPEC_PAUSED && !paused && core_guest_pause(g->handle) == 0)
        g->view.state = SKEP_GUEST_PAUSED;
    return SETTLED;
}

static enum outcome created(struct guest *g)
{
    if (g->deleting || must_stop(g))
        return destroy(g);
    return g->spec->desired == SPEC_RUNNING ? start(g) : SETTLED;
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
    /* Of what was made or started just now nothing else is known yet. */
    if (!g->just_changed && guest_glance(g))
        guest_tell_state(g);
    g->just_changed = false;
    if (g->old_files)
        guest_drop_files(g, 0);
    if (!g->handle)
        return without_guest(g);
    switch ((enum skep_guest_state)g->view.state) {
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

/*
 * When to look again
 */

static void earlier(uint64_t *due, uint64_t moment)
{
    if (moment && (*due == 0 || moment < *due))
        *due = moment;
}

void guest_schedule(struct guest *g, uint64_t due_ns)
{
    guest_set_due(g, due_ns);
    /* Whoever waits for notifications may have to wake up earlier now. */
    if (due_ns && due_ns < waiting_until) {
        waiting_until = due_ns;
        core_notify_kick();
    }
}

static void schedule(struct guest *g)
{
    uint64_t due = 0;

    if (g->handle && g->view.state == SKEP_GUEST_DYING)
        due = core_clock_ns() + DYING_NS;
    earlier(&due, g->stop_deadline);
    earlier(&due, g->restart_at);
    earlier(&due, g->force_at);
    guest_schedule(g, due);
}

uint64_t guest_next_deadline(void)
{
    const struct guest *g = guest_first_due();

    waiting_until = g ? g->due_ns : UINT64_MAX;
    return waiting_until;
}

/*
 * Steps
 */

void guest_step(struct guest *g)
{
    enum outcome outcome = AGAIN;

    /* Destroy and create are the longest way to go at once. */
    for (int i = 0; i < 8 && outcome == AGAIN; i++) {
        outcome = step_once(g);
        if (outcome == FORGOTTEN)
            return;
        if (g->handle && g->view.state == SKEP_GUEST_DYING)
            break;
    }
    schedule(g);
    guest_tell_state(g);
    if (guest_is_up(g))
        guest_wake_waiting(g);
}

void guest_step_handle(uint64_t handle)
{
    struct guest *g = guest_by_handle(handle);

    if (g)
        guest_step(g);
}

bool guest_step_due(unsigned most)
{
    uint64_t now = core_clock_ns();
    struct guest *g;

    while ((g = guest_first_due()) != NULL && g->due_ns <= now) {
        if (most-- == 0)
            return true;
        guest_set_due(g, 0); /* it isn't due again unless it says so */
        guest_step(g);
    }
    return false;
}

bool guest_step_after(char name[SKEP_NAME_MAX], unsigned most)
{
    struct guest *g;

    while ((g = guest_after(name)) != NULL) {
        if (most-- == 0)
            return true;
        memcpy(name, g->name, SKEP_NAME_MAX);
        guest_step(g);
    }
    return false;
}

bool guest_has_ended(const struct guest *g)
{
    bool ended = g->view.state == SKEP_GUEST_EXITED || g->view.state == SKEP_GUEST_CRASHED;

    if (g->deleting || (!g->handle && g->spec->desired == SPEC_STOPPED))
        return true;
    return g->handle && ended && !g->replacing && !guest_policy_restarts(g);
}

void guest_end_all(uint64_t longest_grace_ns)
{
    all_end = true;
    all_end_grace_ns = longest_grace_ns;
}

void guest_end_none(void)
{
    all_end = false;
    for (struct guest *g = guest_first(); g; g = guest_after(g->name))
        guest_schedule(g, 1);
}
