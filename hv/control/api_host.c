/* api_host.c - handlers for the host, its health, its end, and commit points in debug builds. */
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "guest.h"
#include "host.h"
#include "json.h"
#include "points.h"
#include "power.h"
#include "skep_tls.h"

#define GRACE_MS_MAX 3600000u
#define WRITE_NS     30000000000ull

int api_health(struct request *r)
{
    r->json = cJSON_CreateObject();
    cJSON_AddStringToObject(r->json, "status", "ok");
    return 200;
}

int api_host(struct request *r)
{
    r->json = host_to_json();
    if (!r->json)
        return problem_set(&r->problem, 500, "The core doesn't answer.");
    return 200;
}

int api_host_panic(struct request *r)
{
    char *text = host_panic_text();

    if (!text)
        return problem_set(&r->problem, 404, "No panic is known of before this boot.");
    r->http->write_deadline = tls_clock_ns() + WRITE_NS;
    if (http_reply(r->http, 200, "text/plain; charset=utf-8", NULL, text, strlen(text)) != 0)
        r->http->keep_alive = false;
    free(text);
    return 0;
}

/* {"grace_ms": N}, which may be left out, and so may the body. */
static int read_grace(struct request *r, uint64_t *grace_ns)
{
    uint64_t ms = GRACE_MS_MAX;
    cJSON *body;
    const cJSON *item;
    int result = 0;

    *grace_ns = POWER_GRACE_NONE;
    if (!api_has_body(r))
        return 0;
    if ((body = api_read_json(r)) == NULL)
        return -1;
    if (!cJSON_IsObject(body)) {
        cJSON_Delete(body);
        return problem_set(&r->problem, 422, "The body must be a JSON object.");
    }
    cJSON_ArrayForEach(item, body)
    {
        if (strcmp(item->string, "grace_ms") != 0)
            result = problem_set(&r->problem, 422, "There is no field but grace_ms.");
        else if (!json_integer(item, 0, GRACE_MS_MAX, &ms))
            result = problem_set(&r->problem, 422, "grace_ms must be an integer from 0 to %u.",
                                 GRACE_MS_MAX);
        else
            *grace_ns = ms * 1000000u;
    }
    cJSON_Delete(body);
    return result;
}

static int end_host(struct request *r, bool reboot)
{
    uint64_t grace_ns;
    int result = read_grace(r, &grace_ns);

    if (result != 0)
        return result;
    model_lock();
    result = power_begin(reboot, grace_ns, &r->problem);
    model_unlock();
    if (result != 0)
        return result;
    r->json = cJSON_CreateObject();
    cJSON_AddStringToObject(r->json, "power", power_name());
    return 202;
}

int api_host_reboot(struct request *r)
{
    return end_host(r, true);
}

int api_host_shutdown(struct request *r)
{
    return end_host(r, false);
}

int api_debug_points(struct request *r)
{
    cJSON *items = api_new_list(r);

    for (unsigned i = POINT_NONE + 1; i < POINT_COUNT; i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddNumberToObject(item, "at", i);
        cJSON_AddStringToObject(item, "name", point_name((enum commit_point)i));
        cJSON_AddItemToArray(items, item);
    }
    return 200;
}

static int arm(const cJSON *body, struct problem *p)
{
    const cJSON *at = cJSON_GetObjectItemCaseSensitive(body, "at");
    const cJSON *after = cJSON_GetObjectItemCaseSensitive(body, "after_ns");
    uint64_t number;

    if (!after == !at)
        return problem_set(p, 422, "There must be either at or after_ns.");
    if (at && !json_integer(at, 0, POINT_COUNT - 1, &number))
        return problem_set(p, 422, "at must be the number of a commit point, or 0.");
    if (after && !json_integer(after, 0, POINT_DELAY_NS_MAX, &number))
        return problem_set(p, 422, "after_ns must be an integer from 0 to %llu.",
                           POINT_DELAY_NS_MAX);
    if (after && !point_arm_delay(number))
        return problem_set(p, 503, "There is no memory for the request now; try again.");
    if (at)
        point_arm((enum commit_point)number);
    return 204;
}

int api_debug_crash(struct request *r)
{
    cJSON *body = api_read_json(r);
    int result = body ? arm(body, &r->problem) : -1;

    cJSON_Delete(body);
    return result;
}
