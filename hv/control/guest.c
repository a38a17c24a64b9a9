/* guest.c - the changes that clients make to guests, and their records. */
#include "guest.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "address.h"
#include "audit.h"
#include "files.h"
#include "host.h"
#include "image.h"
#include "points.h"
#include "quota.h"
#include "spec6.h"
#include "storage.h"
#include "store.h"

/*
 * Checks
 */

int guest_check_memory(const char *what, uint64_t wanted, uint64_t returned, struct problem *p)
{
    struct skep_host_info info;
    uint64_t free_bytes;

    if (core_host_info(&info) != 0)
        return problem_set(p, 500, "The core doesn't tell how much memory there is.");
    free_bytes = info.memory_promisable - info.memory_promised;
    if (info.memory_promised > info.memory_promisable)
        free_bytes = 0;
    free_bytes += returned;
    if (wanted <= free_bytes)
        return 0;
    return problem_set(p, 409,
                       "%s is %" PRIu64 ", but only %" PRIu64
                       " bytes can be promised now: ask for less, or delete a guest.",
                       what, wanted, free_bytes);
}

static int check_network(const struct spec_net *net, const char *name, struct problem *p)
{
    const struct guest *other;
    char text[ADDRESS_TEXT_MAX];

    address_format(text, net->address);
    if (net->address && net->address == host_net()->address)
        return problem_set(p, 409, "networks: the address %s is Skep's own.", text);
    if (net->address && (other = guest_with_address(net->address, name)) != NULL)
        return problem_set(p, 409, "networks: guest '%s' has the address %s.",
                           access_shown(other->name), text);
    if (spec_is_set6(net->ipv6.address) &&
        (other = guest_with_address6(net->ipv6.address, name)) != NULL) {
        char text6[SPEC_TEXT6_MAX];
        spec_format6(text6, net->ipv6.address);
        return problem_set(p, 409, "networks: guest '%s' has the address %s.",
                           access_shown(other->name), text6);
    }
    if ((other = guest_with_mac(net->mac, name)) != NULL)
        return problem_set(p, 409, "networks: guest '%s' has this mac.", access_shown(other->name));
    return 0;
}

static int check_affinity(const struct spec *spec, struct problem *p)
{
    uint32_t cpus = host_cpu_count();
    uint64_t there = cpus < 64 ? (1ull << cpus) - 1 : ~0ull;

    if (spec->cpu_affinity == 0 || (spec->cpu_affinity & there) != 0)
        return 0;
    return problem_set(p, 422,
                       "cpu_affinity names no CPU of this machine, which has 0 to %u: name one of "
                       "these, or none for any.",
                       cpus - 1);
}

/* What somebody else has given to the guest it may keep, just so. */
static bool may_name(const struct spec_volume *v, const struct spec *old)
{
    bool has = access_sees(v->name);

    for (uint32_t i = 0; !has && old && i < old->volume_count; i++)
        has = memcmp(&old->volume[i], v, sizeof(*v)) == 0;
    return has;
}

static const cJSON *expected_volumes;

void guest_expect_volumes(const cJSON *volumes)
{
    expected_volumes = volumes;
}

static int check_volumes(const struct spec *spec, const struct spec *old, struct problem *p)
{
    int result = 0;

    if (spec->volume_count == 0)
        return 0;
    storage_lock();
    for (uint32_t i = 0; result == 0 && i < spec->volume_count; i++) {
        struct disk *disk;
        const struct volume *v =
            may_name(&spec->volume[i], old) ? storage_find(spec->volume[i].name, &disk) : NULL;
        if (!v && cJSON_GetObjectItemCaseSensitive(expected_volumes, spec->volume[i].name))
            continue;
        if (!v)
            result = problem_set(p, 422, "volumes[%u]: there is no volume '%s'; create it first.",
                                 i, spec->volume[i].name);
        else if (v->record.kind == FORMAT_SNAPSHOT && !spec->volume[i].read_only)
            result = problem_set(p, 422,
                                 "volumes[%u]: '%s' is a snapshot: say \"read_only\": true, or "
                                 "clone it.",
                                 i, spec->volume[i].name);
    }
    storage_unlock();
    return result;
}

/* What the spec asks of the rest of the world. */
static int check_spec(const char *name, const struct spec *spec, const struct guest *old,
                      struct problem *p)
{
    if (!image_find(spec->image))
        return problem_set(p, 422, "image: there is no image '%s'; upload it first.", spec->image);
    if (check_affinity(spec, p) != 0 || check_volumes(spec, old ? old->spec : NULL, p) != 0 ||
        guest_check_order(name, spec, p) != 0 ||
        quota_check_guest(spec, old ? old->spec : NULL, p) != 0)
        return -1;
    for (uint32_t i = 0; i < spec->net_count; i++)
        if (check_network(&spec->net[i], name, p) != 0)
            return -1;
    if (old && old->spec->memory_bytes == spec->memory_bytes)
        return 0;
    return guest_check_memory("memory_bytes", spec->memory_bytes,
                              old && old->handle ? old->view.memory_promised : 0, p);
}

static int not_retained(struct problem *p)
{
    return problem_set(p, 503, "The change can't be retained now, so it wasn't made; try again.");
}

/* On the disk and in the record, or as it was before (NULL = not there). */
static int keep_and_retain(struct guest *g, const struct spec *before, uint64_t files_before,
                           struct problem *p)
{
    if (guest_keep(g->name, g->spec, g->files, p) != 0)
        return -1;
    commit_point(POINT_GUEST_KEPT);
    if (guest_retain(g))
        return 0;
    if (before)
        guest_keep(g->name, before, files_before, p);
    else
        guest_unkeep(g->name, p);
    return not_retained(p);
}

/*
 * Changes
 */

/* Of a guest that was not to be: out of the table, and its files out of ring 0. */
static int forget(struct guest *g)
{
    files_destroy(g->files);
    guest_forget(g);
    return -1;
}

static int take_files(const char *name, const struct files *files, uint64_t *image,
                      struct problem *p)
{
    if (files_create(name, files, image, p) != 0)
        return -1;
    if (*image)
        commit_point(POINT_GUEST_FILES);
    return 0;
}

static int create(const char *name, const struct spec *spec, const struct files *files,
                  struct problem *p)
{
    struct guest *g = guest_add(name, spec, 0, p);
    char why[160];
    int64_t result = 0;

    if (!g)
        return -1;
    if (take_files(name, files, &g->files, p) != 0)
        return forget(g);
    audit_expect(201);
    audit_after(guest_spec_to_json(g->spec, g->files, FILES_PUBLIC));
    if (keep_and_retain(g, NULL, 0, p) != 0)
        return forget(g);
    commit_point(POINT_GUEST_PERSISTED);
    if (spec->desired != SPEC_STOPPED && !guest_must_wait(g))
        result = guest_create_in_core(g);
    if (result < 0) {
        guest_unkeep(name, p);
        guest_explain(g, why, sizeof(why));
        problem_set(p, result == -SKEP_EINVAL ? 422 : 409, "The guest can't be created: %s.", why);
        store_erase(g->record);
        return forget(g);
    }
    guest_tell_created(g);
    guest_step(g);
    return 201;
}

static bool is_ending(const struct guest *g)
{
    return g->view.state >= SKEP_GUEST_STOPPING;
}

/* Wishes alone are followed in place, and what ring 0 changes in a guest that runs. All else makes a new guest, and
 * so does wishing it to run after it was stopped. */
static enum guest_change kind_of_change(const struct guest *g, const struct spec *spec,
                                        enum spec_difference difference)
{
    if (g->handle == 0)
        return GUEST_APPLIED;
    if (difference == SPEC_ANOTHER)
        return GUEST_REPLACING;
    if (g->spec->desired == SPEC_STOPPED && spec->desired != SPEC_STOPPED && is_ending(g))
        return GUEST_REPLACING;
    return GUEST_APPLIED;
}

/* Ring 0 may refuse a live change, so it is asked before the change is retained; if that fails, it is asked to take
 * the change back. A new guest is made with the new values anyway. */
static int apply_and_retain(struct guest *g, struct spec *new, uint64_t files,
                            enum guest_change change, bool live, struct problem *p)
{
    bool replacing = g->replacing;
    uint64_t old_files = g->files;
    uint32_t failures = g->failures;
    struct problem ignored;
    struct spec *old;

    if (live && guest_apply_live(g, g->spec, new, p) != 0)
        return -1;
    if (live)
        commit_point(POINT_GUEST_LIVE);
    g->replacing |= change == GUEST_REPLACING;
    g->failures = 0;
    old = guest_set_spec(g, new);
    g->files = files;
    audit_expect(200);
    audit_before(guest_spec_to_json(old, old_files, FILES_PUBLIC));
    audit_after(guest_spec_to_json(new, files, FILES_PUBLIC));
    if (keep_and_retain(g, old, old_files, p) == 0) {
        free(old);
        if (files != old_files)
            guest_drop_files(g, old_files);
        return 0;
    }
    guest_set_spec(g, old);
    g->files = old_files;
    guest_schedule(g, 1); /* it may wait for another guest, which the exchange has made forgotten */
    g->replacing = replacing;
    g->failures = failures;
    if (live)
        guest_apply_live(g, new, old, &ignored);
    return -1;
}

/* The files of a new spec: those that there are, or an image of others. */
static int files_for(const struct guest *g, const struct spec *spec, const struct files *files,
                     uint64_t *image, struct problem *p)
{
    *image = g->files;
    if (spec->file_count == g->spec->file_count &&
        memcmp(spec->files_digest, g->spec->files_digest, sizeof(spec->files_digest)) == 0)
        return 0;
    return take_files(g->name, files, image, p);
}

/* Looks at the guest, and what kind of change that would be. */
static int choose_kind(struct guest *g, const struct spec *spec, enum spec_difference difference,
                       enum guest_change *kind, struct problem *p)
{
    guest_refresh(g);
    if (g->deleting)
        return problem_set(p, 409, "Guest '%s' is being deleted; try again when it is gone.",
                           g->name);
    *kind = kind_of_change(g, spec, difference);
    return 0;
}

/* Whether ring 0 changes the guest while it runs. */
static bool is_live_change(const struct guest *g, enum guest_change kind,
                           enum spec_difference difference)
{
    return difference == SPEC_LIVE && kind == GUEST_APPLIED && g->handle &&
           g->view.state < SKEP_GUEST_EXITED;
}

static int change(struct guest *g, const struct spec *spec, const struct files *files,
                  enum spec_difference difference, enum guest_change *kind, struct problem *p)
{
    struct spec *new;
    uint64_t image;

    if (choose_kind(g, spec, difference, kind, p) != 0)
        return -1;
    if (files_for(g, spec, files, &image, p) != 0)
        return -1;
    new = spec_keep(spec);
    if (!new)
        problem_set(p, 503, "There is no memory for the request now; try again.");
    if (!new ||
        apply_and_retain(g, new, image, *kind, is_live_change(g, *kind, difference), p) != 0) {
        free(new);
        if (image != g->files)
            files_destroy(image);
        return -1;
    }
    commit_point(POINT_GUEST_CHANGED);
    guest_tell_changed(g, *kind);
    g->restart_at = 0;
    guest_step(g);
    commit_point(POINT_GUEST_APPLIED);
    return 200;
}

/* 200 if nothing is to be done, 0 if it may be, or -1 and the problem. */
static int check_put(const char *name, const struct spec *spec, const struct guest *g,
                     enum spec_difference difference, struct problem *p)
{
    if (g && !g->deleting && difference == SPEC_SAME)
        return 200;
    return check_spec(name, spec, g, p);
}

int guest_foresee(const char *name, const struct spec *spec, enum guest_change *kind,
                  struct problem *p)
{
    struct guest *g = guest_find(name);
    enum spec_difference difference = g ? spec_compare(g->spec, spec) : SPEC_ANOTHER;
    int result = check_put(name, spec, g, difference, p);

    *kind = result ? GUEST_UNCHANGED : GUEST_CREATED;
    if (result == 0)
        result = g ? choose_kind(g, spec, difference, kind, p) : guest_check_room(p);
    if (result == 0 && g && is_live_change(g, *kind, difference))
        result = guest_check_live(g, spec, p);
    return result < 0 ? -1 : 200;
}

int guest_put(const char *name, const struct spec *spec, const struct files *files,
              enum guest_change *kind, struct problem *p)
{
    struct guest *g = guest_find(name);
    enum spec_difference difference = g ? spec_compare(g->spec, spec) : SPEC_ANOTHER;
    int result;

    *kind = GUEST_UNCHANGED;
    audit_detail("image %.30s, %" PRIu64 " bytes", spec->image, spec->memory_bytes);
    result = check_put(name, spec, g, difference, p);
    if (result > 0)
        audit_idle();
    if (result != 0)
        return result;
    if (g)
        return change(g, spec, files, difference, kind, p);
    *kind = GUEST_CREATED;
    return create(name, spec, files, p);
}

int guest_delete(struct guest *g, struct problem *p)
{
    char name[SKEP_NAME_MAX];

    memcpy(name, g->name, sizeof(name));
    if (!g->deleting) {
        audit_expect(202);
        audit_before(guest_spec_to_json(g->spec, g->files, FILES_PUBLIC));
        if (guest_unkeep(name, p) != 0)
            return -1;
        commit_point(POINT_GUEST_UNKEPT);
        g->deleting = true;
        if (!guest_retain(g)) {
            g->deleting = false;
            guest_keep(name, g->spec, g->files, p);
            return not_retained(p);
        }
        commit_point(POINT_GUEST_DELETE_PERSISTED);
    }
    guest_step(g);
    return guest_find(name) ? 202 : 204;
}

int guest_restore(const char *name, const struct spec *spec, const struct files *files,
                  struct problem *p)
{
    struct guest *g;

    if (guest_find(name))
        return problem_set(p, 422, "The backup has guest '%s' twice.", name);
    g = guest_add(name, spec, 0, p);
    if (!g)
        return -1;
    if (take_files(name, files, &g->files, p) != 0 || keep_and_retain(g, NULL, 0, p) != 0)
        return forget(g);
    guest_tell_created(g);
    guest_schedule(g, 1);
    return 0;
}

void guest_restore_none(void)
{
    struct problem ignored;
    struct guest *g;

    while ((g = guest_first()) != NULL) {
        guest_unkeep(g->name, &ignored);
        store_erase(g->record);
        guest_tell_deleted(g);
        forget(g);
    }
}
