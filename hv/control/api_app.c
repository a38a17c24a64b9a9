/* api_app.c - handlers for apps. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api.h"
#include "app.h"
#include "label.h"
#include "skep_tls.h"
#include "storage.h"

#define MS      1000000ull
#define WAIT_NS (2000 * MS) /* for the end of guests before answering 202 */

/* A disk that doesn't answer is waited for before the model's lock is held, which others need. */
static void lock_model(void)
{
    storage_lock();
    storage_unlock();
    model_lock();
}

int api_no_app(struct request *r)
{
    return problem_set(&r->problem, 404, "There is no app '%s'.", r->name);
}

/* Of others it isn't said that they are there. */
static struct app *find_seen(const char *name)
{
    struct app *app = app_find(name);
    return app && app_is_seen(app) ? app : NULL;
}

static bool is_wanted(const struct request *r, const struct app *app)
{
    const char *query = r->http->query;
    char text[LABEL_TEXT];

    while (http_query_next(&query, "label", text, sizeof(text)) > 0)
        if (!app_has_label(app, text))
            return false;
    return app_is_seen(app);
}

int api_app_list(struct request *r)
{
    char after[SKEP_NAME_MAX] = "";
    uint64_t left = UINT64_MAX;
    cJSON *items;

    if (api_query_page(r, after, &left) != 0 || api_check_labels(r) != 0)
        return -1;
    items = api_new_list(r);
    lock_model();
    for (const struct app *app = app_after(after); app && left; app = app->next) {
        if (!is_wanted(r, app))
            continue;
        cJSON_AddItemToArray(items, app_to_json(app, true));
        left--;
    }
    model_unlock();
    return 200;
}

/* Of what is wished. Of files their image counts: content may be secret. */
static void tag_app(const struct app *app, const cJSON *json, char etag[ETAG_MAX])
{
    cJSON *tagged = cJSON_Duplicate(json, true);
    const cJSON *item;

    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(app->record, "guests"))
    {
        const struct guest *g = guest_find(item->string);
        cJSON_AddNumberToObject(tagged, item->string, g ? (double)g->files : 0);
    }
    api_tag_json(etag, tagged);
    cJSON_Delete(tagged);
}

static void answer_app(struct request *r, const struct app *app)
{
    r->json = app_to_json(app, false);
    tag_app(app, r->json, r->etag);
}

static int check_match(struct request *r, const struct app *app)
{
    char etag[ETAG_MAX];
    cJSON *json;

    if (!api_has_match(r))
        return 0;
    json = app ? app_to_json(app, false) : NULL;
    if (app)
        tag_app(app, json, etag);
    cJSON_Delete(json);
    return api_check_match(r, app ? etag : NULL);
}

int api_app_get(struct request *r)
{
    const struct app *app;

    lock_model();
    app = find_seen(r->name);
    if (app)
        answer_app(r, app);
    model_unlock();
    return r->json ? 200 : api_no_app(r);
}

/* Whether it is done within a moment: guests that vanish mostly end at once. */
static bool wait_for(const char *name)
{
    const struct timespec pause = {.tv_nsec = 5 * MS};
    uint64_t deadline = tls_clock_ns() + WAIT_NS;
    bool busy = true;

    while (busy && tls_clock_ns() < deadline) {
        const struct app *app;
        nanosleep(&pause, NULL);
        model_lock();
        app = app_find(name);
        busy = app && app_is_busy(app);
        model_unlock();
    }
    return !busy;
}

static int put_or_foresee(struct request *r, const struct app_plan *plan)
{
    if (!r->dry_run)
        return app_apply(plan, &r->problem);
    r->json = app_plan_to_json(plan);
    return 200;
}

/* *changes is what to add to the answer. */
static int put(struct request *r, const cJSON *body, const char **change, cJSON **changes)
{
    static struct app_plan plan; /* the model's lock guards it */
    const struct app *app = app_find(r->name);
    int status;

    if (app && !app_is_seen(app))
        return problem_set(&r->problem, 403,
                           "The app '%s' has guests or volumes whose names the token '%s' is not "
                           "for.",
                           r->name, r->caller.name);
    if (check_match(r, app) != 0)
        return -1;
    status = app_plan_make(&plan, r->name, body, &r->problem);
    if (status == 0) {
        *change = app_plan_change(&plan);
        *changes = app_plan_changes(&plan);
        status = put_or_foresee(r, &plan);
    }
    app_plan_free(&plan);
    return status;
}

static void answer_put(struct request *r, const char *change, cJSON *changes)
{
    const struct app *app;

    lock_model();
    app = r->json ? NULL : find_seen(r->name);
    if (app)
        answer_app(r, app);
    model_unlock();
    if (!r->json)
        r->json = cJSON_CreateObject(); /* somebody has deleted it meanwhile */
    cJSON_AddStringToObject(r->json, "change", change);
    cJSON_AddItemToObject(r->json, "changes", changes);
}

int api_app_put(struct request *r)
{
    cJSON *body = api_read_json(r), *changes = NULL;
    const char *change = "";
    bool is_new;
    int status;

    if (!body)
        return -1;
    lock_model();
    is_new = !app_find(r->name);
    status = put(r, body, &change, &changes);
    model_unlock();
    if (status == 202 && wait_for(r->name))
        status = is_new ? 201 : 200;
    if (status > 0)
        answer_put(r, change, changes);
    else
        cJSON_Delete(changes);
    cJSON_Delete(body);
    return status;
}

int api_app_delete(struct request *r)
{
    struct app *app;
    int status;

    lock_model();
    app = find_seen(r->name);
    status = app ? check_match(r, app) : api_no_app(r);
    if (status == 0)
        status = app_delete(app, &r->problem);
    model_unlock();
    return status == 202 && wait_for(r->name) ? 204 : status;
}
