/* guest.c - guests: ps, inspect, logs. */
#include "guest.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "commands.h"
#include "interrupt.h"
#include "table.h"

#define LOOK_MS 100 /* between looks at a guest */

bool guest_has_ended(const char *state)
{
    static const char *const ends[] = {"exited", "killed", "crashed", "stopped"};

    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
        if (strcmp(state, ends[i]) == 0)
            return true;
    return false;
}

int guest_wait(const char *name, guest_condition *condition, void *arg, unsigned long seconds,
               struct answer *a)
{
    char *path = api_path("guests", name, "");
    time_t end = time(NULL) + (time_t)seconds + 1;
    bool there;
    int result;

    for (;;) {
        result = api_look(path, a, &there);
        if (result != EXIT_OK || !there || condition(value_at(a->json, "status"), arg))
            break;
        if (time(NULL) >= end || !interrupt_sleep(LOOK_MS)) {
            result = fail(EXIT_NO, "guest %s is %s after %lu s%s%s", name,
                          value_text(a->json, "status.state", "?"), seconds,
                          value_at(a->json, "status.error") ? ": " : "",
                          value_text(a->json, "status.error", ""));
            break;
        }
        answer_end(a);
    }
    free(path);
    return result;
}

int guest_wish(const char *name, const char *state, struct answer *a)
{
    cJSON *patch = cJSON_CreateObject();
    int result;

    cJSON_AddStringToObject(patch, "desired_state", state);
    result = api_patch("guests", name, patch, a);
    cJSON_Delete(patch);
    return result;
}

/*
 * ps and inspect
 */

/* The addresses with commas in between. The caller frees it. */
static char *addresses_of(const cJSON *guest)
{
    char *text = text_copy("");
    const cJSON *address;

    cJSON_ArrayForEach(address, value_at(guest, "status.addresses"))
    {
        text = text_extend(text, "%s%s", *text ? "," : "", string_of(address));
    }
    return text;
}

static void add_guest(struct table *t, const cJSON *guest)
{
    char used[TEXT_MAX], promised[TEXT_MAX], cpu[TEXT_MAX], moment[32];
    char *addresses = addresses_of(guest);

    table_add(t, "%s\t%s\t%s\t%s\t%s / %s\t%s\t%.0f\t%s", value_text(guest, "name", "?"),
              value_text(guest, "status.state", "?"), value_text(guest, "spec.image", "?"),
              *addresses ? addresses : "-",
              size_text(value_number(guest, "status.memory_used_bytes"), used),
              size_text(value_number(guest, "status.memory_promised_bytes"), promised),
              duration_text(value_number(guest, "status.cpu_time_ns"), cpu),
              value_number(guest, "status.restarts"),
              moment_text(guest, "status.started_at", moment));
    free(addresses);
}

static void print_guests(const cJSON *list)
{
    const cJSON *guest;
    struct table t;

    table_begin(&t, "NAME\t*STATE\tIMAGE\tADDRESS\t>MEMORY\t>CPU TIME\t>RESTARTS\tSTARTED");
    cJSON_ArrayForEach(guest, value_at(list, "items")) add_guest(&t, guest);
    table_end(&t);
}

int guest_list(const struct call *call)
{
    return api_show_labelled(call, call->json ? "/v1/guests" : "/v1/guests?view=basic",
                             print_guests);
}

/* The first of several commands' results that isn't good. */
static void join(int *result, int next)
{
    if (*result == EXIT_OK)
        *result = next;
}

static int inspect(const struct call *call, const char *kind, const char *name)
{
    char *path = api_path(kind, name, "");
    struct answer a;
    int result = api_get(path, &a);

    if (result == EXIT_OK && call->json)
        answer_print(&a);
    else if (result == EXIT_OK)
        json_print(a.http.body);
    answer_end(&a);
    free(path);
    return result;
}

int each_inspect(const struct call *call, const char *kind)
{
    int result = EXIT_OK;

    for (int i = 0; i < call->operand_count; i++)
        join(&result, inspect(call, kind, call->operands[i]));
    return result;
}

int each_operand(const struct call *call, int (*act)(const struct call *call, const char *name))
{
    int result = EXIT_OK;

    for (int i = 0; i < call->operand_count; i++)
        join(&result, act(call, call->operands[i]));
    return result;
}

int guest_inspect(const struct call *call)
{
    return each_inspect(call, "guests");
}

int each_delete(const struct call *call, const char *kind)
{
    int result = EXIT_OK;

    for (int i = 0; i < call->operand_count; i++) {
        char *path = api_path(kind, call->operands[i], "");
        struct answer a;
        join(&result, api_call("DELETE", path, NULL, &a));
        answer_end(&a);
        free(path);
    }
    return result;
}

/*
 * Logs
 */

int guest_log(const char *name, uint64_t offset, bool follow)
{
    char query[64] = "?", *path;
    struct answer a = {.json = NULL};
    struct stream to;
    int result = stream_write(&to, "-");

    if (offset != UINT64_MAX)
        snprintf(query, sizeof(query), "?offset=%" PRIu64 "&", offset);
    path = api_path("guests", name, "/log");
    path = text_extend(path, "%sfollow=%s", query, follow ? "true" : "false");
    if (result == EXIT_OK) {
        struct http_request request = {.method = "GET", .path = path, .to = &to, .endless = follow};
        result = api_transfer(&request, &a);
        stream_end(&to, true);
    }
    answer_end(&a);
    free(path);
    return result;
}

int guest_logs(const struct call *call)
{
    bool follow = call_value(call, "follow") != NULL;
    unsigned long offset = 0;
    int result = call_number(call, "offset", 0, ULONG_MAX - 1, &offset);

    if (result != EXIT_OK)
        return result;
    if (follow)
        interrupt_catch();
    return guest_log(call->operands[0], call_value(call, "offset") ? offset : UINT64_MAX, follow);
}

void crash_explain(const cJSON *crash)
{
    const char *address = value_text(crash, "address", "?");
    const cJSON *frame;

    note("crash %.0f: %s at %s%s%s", value_number(crash, "id"), value_text(crash, "reason", "?"),
         address, value_at(crash, "access") ? ", " : "", value_text(crash, "access", ""));
    if (value_at(crash, "message"))
        note("%s", value_text(crash, "message", ""));
    cJSON_ArrayForEach(frame, value_at(crash, "backtrace")) note("  %s", string_of(frame));
}
