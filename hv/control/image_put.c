/* image_put.c - an upload that has come in full: from the file to the image and its place on the disk. */
#include <string.h>

#include "access.h"
#include "audit.h"
#include "guest.h"
#include "hex.h"
#include "image.h"
#include "persist.h"
#include "points.h"
#include "skep_tls.h"

static int ask(const struct image_guard *guard, const char *name)
{
    return guard ? guard->check(guard->context, image_find(name)) : 0;
}

/* Whether the name may get this file: 200 if it has it, 0 if it may, -1 and the problem. */
static int check_namesake(const char *name, const uint8_t digest[32], cJSON **json,
                          struct problem *p)
{
    const struct image *old = image_find(name);

    if (!old)
        return 0;
    if (image_same(old, digest) && (old->kept || !persist_is_open())) {
        *json = image_to_json(old);
        audit_idle();
        return 200;
    }
    if (old->users && !image_same(old, digest))
        return problem_set(p, 409,
                           "Guest '%s' uses another image of this name: choose a new name, or "
                           "delete the guest first.",
                           access_shown(old->users->name));
    return 0;
}

/* 200 or 201, or -1 and the problem, and then the image is still the caller's. One that is there of the same file, but
 * was not on the disk, stays. */
static int publish(struct image *image, const struct image_guard *guard, cJSON **json,
                   struct problem *p)
{
    struct image *old = image_find(image->name);
    bool same = old && image_same(old, image->digest);

    /* Again: it may have been deleted meanwhile. */
    if (ask(guard, image->name) != 0)
        return -1;
    if (old)
        memcpy(image->labels, old->labels, sizeof(image->labels));
    audit_expect(same ? 200 : 201);
    audit_after(image_to_json(same ? old : image));
    if ((same ? image_keep(old, p) : image_publish(image, p)) != 0)
        return -1;
    *json = image_to_json(same ? old : image);
    if (same)
        image_discard(image);
    return same ? 200 : 201;
}

/* The image is made first: what can't be one isn't kept. */
static int build_and_publish(const char *name, const uint8_t *data, size_t bytes,
                             const struct image_guard *guard, cJSON **json, struct problem *p)
{
    struct image *image = image_build(name, data, bytes, p);
    int result;

    if (!image)
        return -1;
    result = image_keep_file(name, image->digest, data, bytes, p);
    if (result == 0) {
        commit_point(POINT_IMAGE_FILE_KEPT);
        model_lock();
        result = publish(image, guard, json, p);
        model_unlock();
    }
    if (result < 0)
        image_discard(image);
    return result;
}

/* As check_namesake(), of what the guard lets be changed. */
static int check(const char *name, const uint8_t *data, size_t bytes,
                 const struct image_guard *guard, cJSON **json, struct problem *p)
{
    uint8_t digest[32];
    char text[2 * sizeof(digest) + 1];
    int result;

    tls_sha256(data, bytes, digest);
    hex_format(text, digest, sizeof(digest));
    audit_detail("sha256:%s", text);
    model_lock();
    result = ask(guard, name);
    if (result == 0)
        result = check_namesake(name, digest, json, p);
    model_unlock();
    return result;
}

int image_put(const char *name, const uint8_t *data, size_t bytes, const struct image_guard *guard,
              cJSON **json, struct problem *p)
{
    int result = check(name, data, bytes, guard, json, p);
    return result != 0 ? result : build_and_publish(name, data, bytes, guard, json, p);
}

int image_foresee(const char *name, const uint8_t *data, size_t bytes,
                  const struct image_guard *guard, cJSON **json, struct problem *p)
{
    int result = check(name, data, bytes, guard, json, p);
    const struct image *there;
    struct image *image;

    if (result < 0)
        return -1;
    if (result == 0) {
        image = image_build(name, data, bytes, p);
        if (!image)
            return -1;
        image->uploaded_wall_ns = 0; /* it isn't yet */
        model_lock();
        there = image_find(name);
        if (there)
            memcpy(image->labels, there->labels, sizeof(image->labels));
        model_unlock();
        *json = image_to_json(image);
        image_discard(image);
    }
    cJSON_AddStringToObject(*json, "change", result == 0 ? "created" : "none");
    return 200;
}
