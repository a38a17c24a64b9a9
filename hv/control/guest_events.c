/* guest_events.c - tells what becomes of guests (events.h). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "events.h"
#include "guest.h"
#include "host.h"
#include "json.h"
#include "skep/crash_name.h"

/* What there is to say of the state, as members of an object, each behind a comma. */
static void describe(const struct guest *g, char *text, size_t room)
{
    char why[EVENT_CHANGE_MAX / 2 + 40] = "";

    text[0] = '\0';
    if (g->deleting)
        return;
    if (g->handle && g->view.state == SKEP_GUEST_CRASHED && !g->view.killed)
        snprintf(text, room, ",\"reason\":\"%s\",\"crash\":%" PRIu32,
                 skep_crash_name(g->end.reason), g->crash);
    else if (g->handle && g->view.state == SKEP_GUEST_EXITED && !g->view.killed)
        snprintf(text, room, ",\"exit_code\":%" PRId32, (int32_t)g->view.exit_code);
    else if (!g->handle && guest_explain_wait(g, why, sizeof(why)))
        snprintf(text, room, ",\"error\":\"%s\"", why);
}

/* How a guest ended by itself may be found within a call, and isn't that one's doing. */
static const char *caller_of(const struct guest *g)
{
    return g->view.state < SKEP_GUEST_EXITED || g->deleting ? audit_caller() : NULL;
}

/* One that gives its memory back has ended in a moment, and how is what counts. */
void guest_tell_state(struct guest *g)
{
    const char *state = guest_state_text(g);
    bool passes = g->handle && g->view.state == SKEP_GUEST_DYING && !g->deleting;
    char more[EVENT_CHANGE_MAX];

    if (passes || (g->told && strcmp(g->told, state) == 0))
        return;
    g->told = state;
    describe(g, more, sizeof(more));
    events_add(EVENT_GUESTS, "state", g->name, caller_of(g), "\"state\":\"%s\"%s", state, more);
}

void guest_tell_created(const struct guest *g)
{
    events_add(EVENT_GUESTS, "created", g->name, audit_caller(),
               "\"image\":\"%s\",\"desired_state\":\"%s\"", g->spec->image,
               spec_desired_name((enum spec_desired)g->spec->desired));
}

void guest_tell_changed(const struct guest *g, enum guest_change change)
{
    events_add(EVENT_GUESTS, "changed", g->name, audit_caller(),
               "\"change\":\"%s\",\"image\":\"%s\",\"desired_state\":\"%s\"",
               guest_change_name(change), g->spec->image,
               spec_desired_name((enum spec_desired)g->spec->desired));
}

void guest_tell_restart(const struct guest *g)
{
    char at[JSON_TIME_MAX];

    json_time_text(host_wall_ns(g->restart_at), at);
    events_add(EVENT_GUESTS, "restart", g->name, NULL,
               "\"restarts\":%" PRIu32 ",\"in_ns\":%" PRIu64 ",\"at\":%s%s%s", g->failures,
               host_until_ns(g->restart_at), *at ? "\"" : "null", at, *at ? "\"" : "");
}

void guest_tell_deleted(const struct guest *g)
{
    events_add(EVENT_GUESTS, "deleted", g->name, audit_caller(), "%s", "");
}
