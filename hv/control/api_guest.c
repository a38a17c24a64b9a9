/* api_guest.c - handlers for guests and their crashes. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "access.h"
#include "accounts.h"
#include "api.h"
#include "app.h"
#include "crashes.h"
#include "files.h"
#include "guest.h"
#include "host.h"
#include "json.h"
#include "label.h"
#include "skep_tls.h"

#define MS        1000000ull
#define DELETE_NS (2000 * MS)  /* to wait for a guest's end before answering 202 */
#define LIST_NS   (30000 * MS) /* without a client's taking more of a list */
#define LIST_STEP 8            /* guests of a list that are looked at in one go */

int api_no_guest(struct request *r)
{
    return problem_set(&r->problem, 404, "There is no guest '%s'.", r->name);
}

/*
 * Lists are sent as they are made: however many guests there are, a few of them are in memory at a time, and others
 * get their turn with the model in between. A guest that comes or goes meanwhile may be in the list or not.
 */

struct list {
    char name[SKEP_NAME_MAX]; /* of the last one sent */
    uint64_t left;
    bool begun;
    bool basic;        /* each in short */
    const char *query; /* has the labels, all of which a guest must have; NULL = none */
};

/* The next few; *more tells whether others follow. */
static unsigned next_guests(struct list *list, struct guest *guests[LIST_STEP], bool *more)
{
    struct guest *g;
    unsigned count = 0;

    for (unsigned i = 0;
         i < LIST_STEP && list->left && (g = guest_after_with(list->name, access_prefix())); i++) {
        memcpy(list->name, g->name, sizeof(list->name));
        if (list->query && !spec_is_wanted(list->query, g->spec))
            continue;
        guests[count++] = g;
        list->left--;
    }
    *more = list->left && guest_after_with(list->name, access_prefix());
    return count;
}

static char *write_full(struct guest *const guests[], unsigned count)
{
    cJSON *items = cJSON_CreateArray();
    char *text;

    for (unsigned i = 0; i < count; i++)
        cJSON_AddItemToArray(items, guest_to_json(guests[i], true));
    text = cJSON_PrintUnformatted(items);
    cJSON_Delete(items);
    return text;
}

/* As text, since nothing in it needs escapes: a tree of members takes ten times as long to make and print. */
static char *write_basic(struct guest *const guests[], unsigned count)
{
    char *text = malloc(3 + count * (GUEST_BASIC_MAX + 1)), *at = text;

    if (!text)
        return NULL;
    *at++ = '[';
    for (unsigned i = 0; i < count; i++) {
        at = guest_put_basic(at, guests[i]);
        *at++ = ',';
    }
    stpcpy(count ? at - 1 : at, "]");
    return text;
}

/* An array of the next few, NULL without memory. */
static char *write_guests(struct list *list, bool *more)
{
    struct guest *guests[LIST_STEP];
    unsigned count;
    char *text;

    model_lock();
    count = next_guests(list, guests, more);
    text = list->basic ? write_basic(guests, count) : write_full(guests, count);
    model_unlock();
    return text;
}

static int send_guests(struct http_conn *c, struct list *list, char *text)
{
    size_t bytes = strlen(text);
    int result;

    /* Without the array's brackets; a comma goes before all but the first ones. */
    text[0] = ',';
    result = bytes <= 2    ? 0
             : list->begun ? http_reply_chunk(c, text, bytes - 1)
                           : http_reply_chunk(c, text + 1, bytes - 2);
    list->begun |= bytes > 2;
    return result;
}

static int send_list(struct request *r, struct list *list)
{
    struct http_conn *c = r->http;
    bool more = true;
    int result = http_reply_chunk(c, "{\"items\":[", 10);

    while (more && result == 0) {
        char *text = write_guests(list, &more);
        c->write_deadline = tls_clock_ns() + LIST_NS;
        result = text && api_still_allowed(r) ? send_guests(c, list, text) : HTTP_E_TRANSPORT;
        free(text);
    }
    if (result == 0)
        result = http_reply_chunk(c, "]}", 2);
    return result == 0 ? http_reply_end(c) : result;
}

static int read_view(struct request *r, bool *basic)
{
    char text[8] = "";
    int found = http_query_value(r->http->query, "view", text, sizeof(text));

    *basic = found > 0 && strcmp(text, "basic") == 0;
    if (found != 0 && !*basic && (found < 0 || strcmp(text, "full") != 0))
        return problem_set(&r->problem, 400, "view must be basic or full.");
    return 0;
}

int api_guest_list(struct request *r)
{
    struct list list = {.left = UINT64_MAX};
    char label[LABEL_TEXT];

    if (api_query_page(r, list.name, &list.left) != 0 || api_check_labels(r) != 0 ||
        read_view(r, &list.basic) != 0)
        return -1;
    if (http_query_value(r->http->query, "label", label, sizeof(label)) != 0)
        list.query = r->http->query;
    r->http->write_deadline = tls_clock_ns() + LIST_NS;
    /* A list that was broken off must not look like a whole one. */
    if (http_reply_begin(r->http, 200, "application/json", r->fields) != 0 ||
        (r->http->method != HTTP_HEAD && send_list(r, &list) != 0))
        r->http->keep_alive = false;
    return 0;
}

/* Of what is wished. Of files their image counts: a digest of contents would tell something of secrets. */
static void tag_guest(const struct guest *g, char etag[ETAG_MAX])
{
    const struct spec *spec = g->spec;
    struct tls_hash hash;
    uint8_t digest[32];

    tls_hash_begin(&hash);
    tls_hash_add(&hash, &g->files, sizeof(g->files));
    tls_hash_add(&hash, spec, offsetof(struct spec, files_digest));
    tls_hash_add(&hash, spec->net, spec->net_count * sizeof(spec->net[0]));
    tls_hash_add(&hash, spec->volume, spec->volume_count * sizeof(spec->volume[0]));
    tls_hash_add(&hash, spec->strings, spec->strings_bytes);
    tls_hash_end(&hash, digest);
    api_format_etag(etag, digest);
}

static void answer_guest(struct request *r, struct guest *g)
{
    r->json = guest_to_json(g, false);
    tag_guest(g, r->etag);
}

static int check_match(struct request *r, const struct guest *g)
{
    char etag[ETAG_MAX];

    if (!api_has_match(r))
        return 0;
    if (g)
        tag_guest(g, etag);
    return api_check_match(r, g ? etag : NULL);
}

int api_guest_get(struct request *r)
{
    struct guest *g;

    model_lock();
    g = guest_find(r->name);
    if (g)
        answer_guest(r, g);
    model_unlock();
    return r->json ? 200 : api_no_guest(r);
}

/* Does it, or tells what would be done: a status, or -1 and the problem. */
static int put_or_foresee(struct request *r, struct spec *spec, const struct files *files)
{
    enum guest_change change = GUEST_UNCHANGED;
    int status = r->dry_run ? guest_foresee(r->name, spec, &change, &r->problem)
                            : guest_put(r->name, spec, files, &change, &r->problem);
    struct guest *g = guest_find(r->name);

    if (status > 0 && r->dry_run)
        r->json = guest_foreseen_to_json(r->name, g, spec, files);
    else if (status > 0 && g)
        answer_guest(r, g);
    if (r->json)
        cJSON_AddStringToObject(r->json, "change", guest_change_name(change));
    return status;
}

/* A spec that is complete but for its files, which are in the JSON that it was made of. */
static int put_spec(struct request *r, struct spec *spec, const cJSON *json)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "files");
    const struct guest *g = guest_find(r->name);
    struct files files = {0};
    int status = check_match(r, g);

    if (status == 0 && !g && app_awaits_guest(r->name))
        status =
            problem_set(&r->problem, 409,
                        "An app is still about to make or delete its guest '%s'; try again when "
                        "that is done.",
                        r->name);
    if (status == 0)
        status = files_take(list, g ? g->files : 0, spec, &files, &r->problem);
    if (status == 0)
        status = put_or_foresee(r, spec, &files);
    files_free(&files);
    return status;
}

int api_guest_put(struct request *r)
{
    cJSON *body = api_read_json(r);
    struct spec spec;
    int status = -1;

    if (!body)
        return -1;
    if (spec_from_json(&spec, body, r->name, &r->problem) == 0) {
        model_lock();
        status = put_spec(r, &spec, body);
        model_unlock();
    }
    cJSON_Delete(body);
    return status;
}

static int patch(struct request *r, const cJSON *body)
{
    const struct guest *g = guest_find(r->name);
    struct spec spec;
    cJSON *json;
    int status = -1;

    if (!g)
        return api_no_guest(r);
    json = spec_patch(guest_spec_to_json(g->spec, g->files, FILES_PATHS), body, &r->problem);
    if (json && spec_from_json(&spec, json, r->name, &r->problem) == 0)
        status = put_spec(r, &spec, json);
    cJSON_Delete(json);
    return status;
}

int api_guest_patch(struct request *r)
{
    return api_change_model(r, patch);
}

/* Mostly it is gone at once, or after the moment in which devices return its pages. */
int api_guest_delete(struct request *r)
{
    const struct timespec pause = {.tv_nsec = 5 * MS};
    uint64_t deadline = tls_clock_ns() + DELETE_NS;
    struct guest *g;
    int status;

    model_lock();
    g = guest_find(r->name);
    status = g ? check_match(r, g) : api_no_guest(r);
    if (status == 0)
        status = guest_delete(g, &r->problem);
    if (status > 0)
        app_lose_guest(r->name);
    model_unlock();
    while (status == 202 && tls_clock_ns() < deadline) {
        nanosleep(&pause, NULL);
        model_lock();
        g = guest_find(r->name);
        if (!g || !g->deleting)
            status = 204;
        model_unlock();
    }
    return status;
}

/*
 * What ring 0 counts and traces
 */

static int of_guest(struct request *r, cJSON *(*get)(const struct guest *g, struct problem *p))
{
    struct guest *g;

    model_lock();
    g = guest_find(r->name);
    if (g)
        r->json = get(g, &r->problem);
    else
        api_no_guest(r);
    model_unlock();
    return r->json ? 200 : -1;
}

static cJSON *get_vcpus(const struct guest *g, struct problem *p)
{
    return vcpus_of_guest(g->handle, g->spec->max_vcpus, p);
}

int api_guest_vcpus(struct request *r)
{
    return of_guest(r, get_vcpus);
}

static cJSON *get_trace(const struct guest *g, struct problem *p)
{
    return trace_of_guest(g->handle, host_cpu_count(), p);
}

int api_guest_trace(struct request *r)
{
    return of_guest(r, get_trace);
}

/*
 * Crashes
 */

int api_crash_list(struct request *r)
{
    uint64_t before = UINT64_MAX, limit = UINT64_MAX;

    if (api_query_number(r, "after", 1, UINT32_MAX, &before) != 0 ||
        api_query_number(r, "limit", 1, UINT32_MAX, &limit) != 0)
        return -1;
    r->json = cJSON_CreateObject();
    model_lock();
    cJSON_AddItemToObject(r->json, "items", crashes_to_json(before, limit));
    model_unlock();
    return 200;
}

int api_crash_get(struct request *r)
{
    const char *text = NULL;
    char *end;
    unsigned long id = strtoul(r->name, &end, 10);

    model_lock();
    if (*end == '\0' && id <= UINT32_MAX)
        text = crashes_text((uint32_t)id);
    if (text)
        r->json = cJSON_CreateRaw(text);
    model_unlock();
    return r->json
               ? 200
               : problem_set(&r->problem, 404,
                             "There is no crash '%s' (any more): the latest 16 are kept.", r->name);
}
