/* api_operation.c - handlers for operations. */
#include <stdio.h>
#include <stdlib.h>

#include "access.h"
#include "api.h"
#include "json.h"
#include "operations.h"
#include "skep_tls.h"

#define SECOND   1000000000ull
#define WAIT_MAX 60u   /* seconds */
#define LOOK_MS  1000u /* between looks at whether the client has left */

static void add_error(cJSON *json, const struct problem *p)
{
    char *text = p->status ? problem_text(p) : NULL;

    cJSON_AddRawToObject(json, "error", text ? text : "null");
    free(text);
}

static cJSON *to_json(const struct operation *o)
{
    static const char *const states[] = {[OPERATION_RUNNING] = "running",
                                         [OPERATION_DONE] = "done",
                                         [OPERATION_FAILED] = "failed",
                                         [OPERATION_CANCELLED] = "cancelled"};
    cJSON *json = cJSON_CreateObject();
    char result[64];

    snprintf(result, sizeof(result), "/v1/volumes/%s", o->volume);
    cJSON_AddStringToObject(json, "id", o->id);
    cJSON_AddStringToObject(json, "kind", "copy");
    cJSON_AddStringToObject(json, "state", states[o->state]);
    cJSON_AddBoolToObject(json, "cancelling", o->cancel && o->state == OPERATION_RUNNING);
    cJSON_AddStringToObject(json, "volume", o->volume);
    cJSON_AddStringToObject(json, "source", access_shown(o->source));
    if (*access_prefix())
        cJSON_AddNullToObject(json, "caller");
    else
        cJSON_AddStringToObject(json, "caller", o->caller);
    json_add_integer(json, "done_bytes", o->done_bytes);
    json_add_integer(json, "total_bytes", o->total_bytes);
    json_add_time(json, "began_at", o->began_ns);
    json_add_time(json, "ended_at", o->ended_ns);
    add_error(json, &o->error);
    if (o->state == OPERATION_DONE)
        cJSON_AddStringToObject(json, "result", result);
    else
        cJSON_AddNullToObject(json, "result");
    return json;
}

/* Of a volume that the caller sees; or -1 and the problem. */
static int find(struct request *r, struct operation *o)
{
    if (operations_find(r->name, o) && access_sees(o->volume))
        return 0;
    return problem_set(&r->problem, 404,
                       "There is no operation '%s': the latest %u are kept, until the service "
                       "starts anew.",
                       r->name, OPERATIONS_KEPT);
}

int api_operation_list(struct request *r)
{
    cJSON *items = api_new_list(r);
    struct operation o = {.number = UINT64_MAX};

    while (operations_before(o.number, &o))
        if (access_sees(o.volume))
            cJSON_AddItemToArray(items, to_json(&o));
    return 200;
}

/* Until it has ended, the client has left, or the time is over. */
static int wait_for_end(struct request *r, struct operation *o, uint64_t seconds)
{
    uint64_t until = tls_clock_ns() + seconds * SECOND, now;

    if (api_stream_begin(r) != 0)
        return -1;
    while (o->state == OPERATION_RUNNING && (now = tls_clock_ns()) < until &&
           api_still_allowed(r) && !api_client_stirs(r, 0)) {
        uint64_t left_ms = (until - now) / 1000000 + 1;
        operations_wait(o->id, left_ms < LOOK_MS ? (unsigned)left_ms : LOOK_MS);
        if (!operations_find(r->name, o))
            break;
    }
    api_stream_end(r);
    return api_still_allowed(r) ? 0 : -1;
}

int api_operation_get(struct request *r)
{
    struct operation o;
    uint64_t seconds = 0;

    if (api_query_number(r, "wait", 0, WAIT_MAX, &seconds) != 0 || find(r, &o) != 0)
        return -1;
    if (seconds && o.state == OPERATION_RUNNING && wait_for_end(r, &o, seconds) != 0)
        return -1;
    r->json = to_json(&o);
    return 200;
}

int api_operation_delete(struct request *r)
{
    struct operation o;

    if (find(r, &o) != 0)
        return -1;
    if (!operations_cancel(o.id))
        return problem_set(&r->problem, 409,
                           "The operation has ended: there is nothing to cancel.");
    if (find(r, &o) != 0)
        return -1;
    r->json = to_json(&o);
    return 202;
}

int api_operation_copy(struct request *r, const struct storage_wish *wish)
{
    struct storage_copy foreseen;
    struct operation o;

    if (r->dry_run)
        return storage_copy_begin(&foreseen, wish, &r->problem);
    if (operations_copy(wish, &o, &r->problem) < 0)
        return -1;
    audit_detail("operation %s", o.id);
    snprintf(r->fields, sizeof(r->fields), "Location: /v1/operations/%s\r\n", o.id);
    r->json = to_json(&o);
    return 202;
}
