/* api_host.c - handlers for the host, its health, and commit points in debug builds. */
#include "api.h"
#include "host.h"
#include "json.h"
#include "points.h"

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

int api_debug_crash(struct request *r)
{
    cJSON *body = api_read_json(r);
    uint64_t at;

    if (!body)
        return -1;
    if (!json_integer(cJSON_GetObjectItemCaseSensitive(body, "at"), 0, POINT_COUNT - 1, &at)) {
        cJSON_Delete(body);
        return problem_set(&r->problem, 422, "at must be the number of a commit point, or 0.");
    }
    cJSON_Delete(body);
    point_arm((enum commit_point)at);
    return 204;
}
