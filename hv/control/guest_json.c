/* guest_json.c - a guest as clients see it. */
#include <stdio.h>
#include <string.h>

#include "accounts.h"
#include "address.h"
#include "crashes.h"
#include "files.h"
#include "guest.h"
#include "host.h"
#include "json.h"
#include "skep/crash_name.h"

const char *guest_state_text(const struct guest *g)
{
    bool ended = g->view.state == SKEP_GUEST_EXITED || g->view.state == SKEP_GUEST_CRASHED;

    if (g->deleting)
        return "dying";
    if (!g->handle)
        return g->spec->desired == SPEC_STOPPED ? "stopped" : "waiting";
    if (guest_is_crash_looping(g))
        return "crash-looping";
    return ended && g->view.killed ? "killed" : guest_state_name(g->view.state);
}

const char *guest_change_name(enum guest_change change)
{
    static const char *const names[] = {"none", "created", "applied", "replacing"};
    return names[change];
}

#define ADDRESSES_TEXT_MAX (SKEP_NETS_MAX * (ADDRESS_TEXT_MAX + 3) + 3)

/* Text of a JSON string without escapes. */
static char *put_string(char *at, const char *text)
{
    *at = '"';
    at = stpcpy(at + 1, text);
    return stpcpy(at, "\"");
}

/* The JSON array of all addresses, up to ADDRESSES_TEXT_MAX bytes. */
static char *put_addresses(char *at, const struct skep_guest_status *s)
{
    const char *separator = "[";

    for (uint32_t i = 0; i < s->net_count && i < SKEP_NETS_MAX; i++) {
        char text[ADDRESS_TEXT_MAX];
        if (!s->net_address[i])
            continue;
        address_format(text, s->net_address[i]);
        at = put_string(stpcpy(at, separator), text);
        separator = ",";
    }
    return stpcpy(at, *separator == '[' ? "[]" : "]");
}

static void add_addresses(cJSON *status, const struct skep_guest_status *s)
{
    char text[ADDRESSES_TEXT_MAX];

    put_addresses(text, s);
    json_add(status, "addresses", cJSON_CreateRaw(text));
}

/* In full for one guest, while it is among the latest or ring 0 still has it; in short else. */
static void add_crash(cJSON *status, const struct guest *g, const struct skep_guest_status *s,
                      bool in_list)
{
    const char *text = in_list ? NULL : crashes_text(g->crash);
    cJSON *brief;

    if (text) {
        json_add(status, "crash", cJSON_CreateRaw(text));
    } else if (!in_list && s->state == SKEP_GUEST_CRASHED && !g->view.killed) {
        json_add(status, "crash", crash_to_json(g->name, g->handle, g->log_base, s));
    } else if (g->end.reason != SKEP_CRASH_NONE) {
        brief = json_add_object(status, "crash");
        json_add_string(brief, "reason", skep_crash_name(g->end.reason));
        if (g->crash)
            json_add_integer(brief, "id", g->crash);
    } else {
        json_add_null(status, "crash");
    }
}

static void add_last_reason(cJSON *loop, const struct guest *g)
{
    char text[40];

    if (g->end.reason != SKEP_CRASH_NONE)
        snprintf(text, sizeof(text), "%s", skep_crash_name(g->end.reason));
    else
        snprintf(text, sizeof(text), "exit code %d", (int32_t)g->end.exit_code);
    json_add_string(loop, "last_reason", text);
}

static void add_crash_loop(cJSON *status, const struct guest *g)
{
    cJSON *loop;

    if (!guest_is_crash_looping(g))
        return;
    loop = json_add_object(status, "crash_loop");
    json_add_integer(loop, "count", g->failures);
    add_last_reason(loop, g);
    json_add_time(loop, "next_attempt_at", host_wall_ns(g->restart_at));
    json_add_integer(loop, "next_attempt_in_ns", host_until_ns(g->restart_at));
}

/* What ended, and what comes next. */
static void add_end(cJSON *status, const struct guest *g, const struct skep_guest_status *s,
                    bool in_list)
{
    char text[160];

    if (g->handle && s->state == SKEP_GUEST_EXITED && !g->view.killed)
        cJSON_AddNumberToObject(status, "exit_code", (int32_t)s->exit_code);
    else
        json_add_null(status, "exit_code");
    add_crash(status, g, s, in_list);
    if (g->restart_at)
        json_add_time(status, "restart_at", host_wall_ns(g->restart_at));
    add_crash_loop(status, g);
    if (guest_has_given_up(g)) {
        snprintf(text, sizeof(text), "it was started again %u times in a row, its restart_limit",
                 g->failures);
        json_add_string(status, "error", text);
    }
    if (guest_explain_wait(g, text, sizeof(text)))
        json_add_string(status, "error", text);
}

static void add_vcpus(cJSON *status, const struct guest *g, const struct skep_guest_status *s)
{
    cJSON *vcpus = json_add_object(status, "vcpus");

    json_add_integer(vcpus, "wanted", g->spec->vcpus);
    json_add_integer(vcpus, "on", s->vcpus_on);
}

cJSON *guest_spec_to_json(const struct spec *spec, uint64_t files, unsigned form)
{
    cJSON *json = spec_to_json(spec);

    json_add(json, "files", files_to_json(files, (enum files_form)form));
    return json;
}

cJSON *guest_foreseen_to_json(const char *name, struct guest *g, struct spec *spec,
                              const struct files *files)
{
    struct guest none = {.spec = spec};
    cJSON *json, *wished = spec_to_json(spec);

    snprintf(none.name, sizeof(none.name), "%s", name);
    json = guest_to_json(g ? g : &none, false);
    json_add(wished, "files", files_packed_to_json(files, FILES_PUBLIC));
    cJSON_ReplaceItemInObjectCaseSensitive(json, "spec", wished);
    return json;
}

static const struct skep_guest_status no_status; /* of what ring 0 hasn't */

_Static_assert(2 * SKEP_NAME_MAX + ADDRESSES_TEXT_MAX + 400 <= GUEST_BASIC_MAX, "all fits");

char *guest_put_basic(char *at, struct guest *g)
{
    const struct skep_guest_status *s = guest_glance(g);
    char started[JSON_TIME_MAX];

    if (!s)
        s = &no_status;
    json_time_text(host_wall_ns(s->started_ns), started);
    at = put_string(stpcpy(at, "{\"name\":"), g->name);
    at = put_string(stpcpy(at, ",\"spec\":{\"image\":"), g->spec->image);
    at = put_string(stpcpy(at, "},\"status\":{\"state\":"), guest_state_text(g));
    at = put_addresses(stpcpy(at, ",\"addresses\":"), s);
    at = stpcpy(at, ",\"started_at\":");
    at = *started ? put_string(at, started) : stpcpy(at, "null");
    at = json_put_integer(stpcpy(at, ",\"cpu_time_ns\":"), s->cpu_ns);
    at = json_put_integer(stpcpy(at, ",\"memory_promised_bytes\":"), s->memory_promised);
    at = json_put_integer(stpcpy(at, ",\"memory_used_bytes\":"), s->memory_used);
    at = json_put_integer(stpcpy(at, ",\"restarts\":"), g->failures);
    return stpcpy(at, "}}");
}

cJSON *guest_to_json(struct guest *g, bool in_list)
{
    const struct skep_guest_status *s = guest_refresh(g);
    cJSON *json = cJSON_CreateObject(), *status;

    if (!s)
        s = &no_status;
    json_add_string(json, "name", g->name);
    json_add(json, "spec",
             guest_spec_to_json(g->spec, g->files, in_list ? FILES_PATHS : FILES_PUBLIC));
    status = json_add_object(json, "status");
    json_add_string(status, "state", guest_state_text(g));
    add_addresses(status, s);
    json_add_time(status, "started_at", host_wall_ns(s->started_ns));
    json_add_time(status, "ended_at", host_wall_ns(s->ended_ns));
    add_vcpus(status, g, s);
    json_add_integer(status, "cpu_time_ns", s->cpu_ns);
    json_add_integer(status, "ready_time_ns", s->ready_ns);
    json_add_integer(status, "hypercalls", s->hypercalls);
    json_add_integer(status, "page_faults", s->page_faults);
    json_add_integer(status, "memory_promised_bytes", s->memory_promised);
    json_add_integer(status, "memory_used_bytes", s->memory_used);
    json_add_integer(status, "memory_peak_bytes", s->memory_peak);
    json_add_integer(status, "restarts", g->failures);
    json_add_integer(status, "log_first", g->log_base + s->console_first);
    json_add_integer(status, "log_end", g->log_base + s->console_end);
    networks_to_json(json_add_array(status, "networks"), s);
    add_end(status, g, s, in_list);
    return json;
}
