/* api_image.c - handlers for images. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api.h"
#include "elf_image.h"
#include "guest.h"
#include "image.h"
#include "skep_tls.h"

#define SECOND         1000000000ull
#define UPLOAD_STEP_NS (15 * SECOND)  /* without a byte */
#define UPLOAD_NS      (180 * SECOND) /* in all */
#define TURN_NS        (10 * SECOND)  /* to wait for another upload */
#define CHUNK          65536u

static int no_image(struct request *r)
{
    return problem_set(&r->problem, 404, "There is no image '%s'.", r->name);
}

int api_image_list(struct request *r)
{
    char after[SKEP_NAME_MAX] = "";
    uint64_t left = UINT64_MAX;
    cJSON *items;

    if (api_query_page(r, after, &left) != 0 || api_check_labels(r) != 0)
        return -1;
    items = api_new_list(r);
    model_lock();
    for (const struct image *i = image_first(); i && left; i = i->next) {
        if (strcmp(i->name, after) <= 0 ||
            !labels_are_wanted(r->http->query, i->labels, sizeof(i->labels)))
            continue;
        cJSON_AddItemToArray(items, image_to_json(i));
        left--;
    }
    model_unlock();
    return 200;
}

int api_image_get(struct request *r)
{
    const struct image *image;

    model_lock();
    image = image_find(r->name);
    if (image) {
        r->json = image_to_json(image);
        api_tag_json(r->etag, r->json);
    }
    model_unlock();
    return r->json ? 200 : no_image(r);
}

/* An image_guard's. */
static int check_match(void *context, const struct image *there)
{
    struct request *r = context;
    cJSON *json;
    char etag[ETAG_MAX];

    if (!api_has_match(r))
        return 0;
    json = there ? image_to_json(there) : NULL;
    if (json)
        api_tag_json(etag, json);
    cJSON_Delete(json);
    return api_check_match(r, there ? etag : NULL);
}

/* Of an image only its labels can be changed. */
static int read_patch(struct image *changed, const cJSON *body, struct problem *p)
{
    const cJSON *item;

    if (!cJSON_IsObject(body))
        return problem_set(p, 422, "The body must be a JSON object, a merge patch.");
    cJSON_ArrayForEach(item, body)
    {
        if (strcmp(item->string, "labels") != 0)
            return problem_set(p, 422, "'%.40s' is no known field; there is labels.", item->string);
        if (labels_patch(item, changed->labels, p) != 0)
            return -1;
    }
    return 0;
}

/* Holds the model's lock. */
static int patch(struct request *r, const cJSON *body)
{
    struct image *image = image_find(r->name), changed;
    bool same;

    if (!image)
        return no_image(r);
    changed = *image;
    if (read_patch(&changed, body, &r->problem) != 0 || check_match(r, image) != 0)
        return -1;
    same = memcmp(image->labels, changed.labels, sizeof(changed.labels)) == 0;
    if (!r->dry_run && image_set_labels(image, changed.labels, &r->problem) != 0)
        return -1;
    r->json = image_to_json(&changed);
    if (!r->dry_run)
        api_tag_json(r->etag, r->json);
    cJSON_AddStringToObject(r->json, "change", same ? "none" : "applied");
    return 200;
}

int api_image_patch(struct request *r)
{
    return api_change_model(r, patch);
}

int api_image_delete(struct request *r)
{
    struct image *image;
    int result;

    model_lock();
    image = image_find(r->name);
    result = image ? check_match(r, image) : no_image(r);
    if (result == 0)
        result = image_remove(image, &r->problem);
    model_unlock();
    return result == 0 ? 204 : -1;
}

/*
 * Uploads: one at a time, since a file is held in memory until it is checked. Backups and restores hold files, too.
 */
static pthread_mutex_t upload_lock = PTHREAD_MUTEX_INITIALIZER;

int api_take_turn(struct request *r)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    uint64_t deadline = tls_clock_ns() + TURN_NS;

    while (pthread_mutex_trylock(&upload_lock) != 0) {
        if (tls_clock_ns() > deadline) {
            strcpy(r->problem.fields, "Retry-After: 5\r\n");
            return problem_set(&r->problem, 503, "Another upload is going on; try again soon.");
        }
        nanosleep(&pause, NULL);
    }
    return 0;
}

void api_end_turn(void)
{
    pthread_mutex_unlock(&upload_lock);
}

static int too_large(struct request *r)
{
    return problem_set(&r->problem, 413, "The image has more than %u bytes.", ELF_FILE_MAX);
}

static int check_length(struct request *r)
{
    if (!r->http->has_length && !r->http->chunked)
        return problem_set(&r->problem, 411, "The body must be the image, with Content-Length.");
    return r->http->content_length > ELF_FILE_MAX ? too_large(r) : 0;
}

static int no_memory(struct request *r)
{
    return problem_set(&r->problem, 503, "There is no memory for the upload now; try again.");
}

/* Room for at least another byte: known lengths are had at once, others grow. */
static int grow(struct request *r, uint8_t **data, size_t bytes, size_t *room)
{
    size_t wanted = r->http->has_length ? (size_t)r->http->content_length + 1 : *room + 16 * CHUNK;
    uint8_t *more;

    if (bytes < *room)
        return 0;
    if (bytes > ELF_FILE_MAX)
        return too_large(r);
    more = realloc(*data, wanted);
    if (!more)
        return no_memory(r);
    *data = more;
    *room = wanted;
    return 0;
}

/* The whole body, in *data, which the caller frees; 0, or -1 and the problem. */
static int read_file(struct request *r, uint8_t **data, size_t *bytes)
{
    uint64_t end = tls_clock_ns() + UPLOAD_NS;
    size_t room = 0;
    int n;

    *bytes = 0;
    for (;;) {
        uint64_t step = tls_clock_ns() + UPLOAD_STEP_NS;
        if (grow(r, data, *bytes, &room) != 0)
            return -1;
        n = http_read_body(r->http, *data + *bytes, room - *bytes, step < end ? step : end);
        if (n == 0)
            return *bytes > ELF_FILE_MAX ? too_large(r) : 0;
        if (n < 0) {
            r->http->keep_alive = false;
            return problem_set(&r->problem, n == HTTP_E_TIMEOUT ? 408 : 400,
                               "The image didn't come in full.");
        }
        *bytes += (size_t)n;
    }
}

int api_image_put(struct request *r)
{
    const struct image_guard guard = {check_match, r};
    uint8_t *data = NULL;
    size_t bytes;
    int result;

    if (check_length(r) != 0 || api_take_turn(r) != 0)
        return -1;
    result = read_file(r, &data, &bytes);
    if (result == 0 && !api_still_allowed(r))
        result = -1;
    if (result == 0)
        result = (r->dry_run ? image_foresee : image_put)(r->name, data, bytes, &guard, &r->json,
                                                          &r->problem);
    if (r->json && !r->dry_run)
        api_tag_json(r->etag, r->json);
    free(data);
    api_end_turn();
    return result;
}
