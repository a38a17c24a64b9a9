/* guest.c - the table of guests, their records, and the changes that clients make. */
#include "guest.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "host.h"
#include "image.h"
#include "log.h"
#include "points.h"
#include "store.h"

#define STACK_BYTES_DEFAULT (256u << 10)
#define CONSOLE_BYTES       (64u << 10)
#define CONSOLE_BYTES_SMALL (16u << 10) /* it counts against the promise */
#define SMALL_MEMORY        (8ull << 20)
#define NET_MTU             1500

/* What a guest's retained record holds. */
struct guest_record {
    char name[SKEP_NAME_MAX];
    uint32_t deleting, replacing, failures, reserved;
    uint64_t log_base;
    struct spec spec;
};
_Static_assert(sizeof(struct guest_record) <= STORE_BYTES_MAX, "one record");

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct guest *guests;
static unsigned guest_count, guest_count_max;

void model_lock(void)
{
    pthread_mutex_lock(&lock);
}

void model_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

struct guest *guest_first(void)
{
    return guests;
}

struct guest *guest_find(const char *name)
{
    struct guest *g = guests;

    while (g && strcmp(g->name, name) != 0)
        g = g->next;
    return g;
}

const char *guest_using_image(const char *image)
{
    for (struct guest *g = guests; g; g = g->next)
        if (strcmp(g->spec.image, image) == 0)
            return g->name;
    return NULL;
}

static void insert(struct guest *guest)
{
    struct guest **at = &guests;

    while (*at && strcmp((*at)->name, guest->name) < 0)
        at = &(*at)->next;
    guest->next = *at;
    *at = guest;
    guest_count++;
}

void guest_forget(struct guest *guest)
{
    struct guest **at = &guests;

    while (*at != guest)
        at = &(*at)->next;
    *at = guest->next;
    guest_count--;
    free(guest->crash);
    free(guest);
}

bool guest_retain(const struct guest *g)
{
    struct guest_record r = {.deleting = g->deleting,
                             .replacing = g->replacing,
                             .failures = g->failures,
                             .log_base = g->log_base,
                             .spec = g->spec};

    memcpy(r.name, g->name, sizeof(r.name));
    return store_write(g->record, STORE_GUEST, &r, sizeof(r));
}

static bool record_is_free(unsigned record)
{
    for (struct guest *g = guests; g; g = g->next)
        if (g->record == record)
            return false;
    return true;
}

/* A guest in the table, without a record yet. NULL and the problem when there is no room. */
static struct guest *add_guest(const char *name, const struct spec *spec, struct problem *p)
{
    struct guest *g = guest_count < guest_count_max ? calloc(1, sizeof(*g)) : NULL;
    unsigned record = STORE_GUEST_FIRST;

    if (!g) {
        problem_set(p, 409, "There are %u guests, and no room for more: delete one first.",
                    guest_count);
        return NULL;
    }
    while (!record_is_free(record))
        record++;
    g->record = record;
    memcpy(g->name, name, strlen(name) + 1);
    g->spec = *spec;
    insert(g);
    return g;
}

/*
 * Changes by clients
 */

static int check_memory(const struct spec *spec, const struct guest *old, struct problem *p)
{
    struct skep_host_info info;
    uint64_t free_bytes;

    if (core_host_info(&info) != 0)
        return problem_set(p, 500, "The core doesn't tell how much memory there is.");
    free_bytes = info.memory_promisable - info.memory_promised;
    if (info.memory_promised > info.memory_promisable)
        free_bytes = 0;
    if (old && old->handle)
        free_bytes += old->status.memory_promised;
    if (spec->memory_bytes <= free_bytes)
        return 0;
    return problem_set(p, 409,
                       "memory_bytes is %" PRIu64 ", but only %" PRIu64
                       " bytes can be promised now: ask for less, or delete a guest.",
                       spec->memory_bytes, free_bytes);
}

static int check_address(uint32_t address, const char *name, struct problem *p)
{
    char text[ADDRESS_TEXT_MAX];

    address_format(text, address);
    if (address == host_net()->address)
        return problem_set(p, 409, "networks: the address %s is Skep's own.", text);
    for (struct guest *g = guests; g; g = g->next)
        for (uint32_t i = 0; i < g->spec.net_count; i++)
            if (g->spec.net[i].address == address && strcmp(g->name, name) != 0)
                return problem_set(p, 409, "networks: guest '%s' has the address %s.", g->name,
                                   text);
    return 0;
}

static int check_mac(const uint8_t mac[6], const char *name, struct problem *p)
{
    for (struct guest *g = guests; g; g = g->next)
        for (uint32_t i = 0; i < g->spec.net_count; i++)
            if (memcmp(g->spec.net[i].mac, mac, 6) == 0 && strcmp(g->name, name) != 0)
                return problem_set(p, 409, "networks: guest '%s' has this mac.", g->name);
    return 0;
}

/* What the spec asks of the rest of the world. */
static int check_spec(const char *name, const struct spec *spec, const struct guest *old,
                      struct problem *p)
{
    if (!image_find(spec->image))
        return problem_set(p, 422, "image: there is no image '%s'; upload it first.", spec->image);
    for (uint32_t i = 0; i < spec->net_count; i++) {
        if (spec->net[i].address && check_address(spec->net[i].address, name, p) != 0)
            return -1;
        if (check_mac(spec->net[i].mac, name, p) != 0)
            return -1;
    }
    if (old && old->spec.memory_bytes == spec->memory_bytes)
        return 0;
    return check_memory(spec, old, p);
}

static int not_retained(struct problem *p)
{
    return problem_set(p, 503, "The change can't be retained now, so it wasn't made; try again.");
}

static int create(const char *name, const struct spec *spec, struct problem *p)
{
    struct guest *g = add_guest(name, spec, p);
    int64_t result = 0;

    if (!g)
        return -1;
    if (!guest_retain(g)) {
        guest_forget(g);
        return not_retained(p);
    }
    commit_point(POINT_GUEST_PERSISTED);
    if (spec->desired != SPEC_STOPPED)
        result = guest_create_in_core(g);
    if (result < 0) {
        problem_set(p, result == -SKEP_EINVAL ? 422 : 409, "The guest can't be created: %s.",
                    g->error);
        store_erase(g->record);
        guest_forget(g);
        return -1;
    }
    guest_step(g);
    return 201;
}

/* Wishes alone are followed in place. All else makes a new guest, and so does wishing it to run
 * after it was stopped. */
static bool needs_new_guest(const struct guest *g, const struct spec *spec)
{
    bool ended = g->status.state == SKEP_GUEST_EXITED || g->status.state == SKEP_GUEST_CRASHED ||
                 g->status.state == SKEP_GUEST_STOPPING || g->status.state == SKEP_GUEST_DYING;

    if (g->handle == 0)
        return false;
    if (!spec_same_guest(&g->spec, spec))
        return true;
    return g->spec.desired == SPEC_STOPPED && spec->desired != SPEC_STOPPED && ended;
}

static int change(struct guest *g, const struct spec *spec, struct problem *p)
{
    struct guest before = *g;

    guest_refresh(g);
    if (g->deleting)
        return problem_set(p, 409, "Guest '%s' is being deleted; try again when it is gone.",
                           g->name);
    if (needs_new_guest(g, spec))
        g->replacing = true;
    g->spec = *spec;
    g->failures = 0;
    if (!guest_retain(g)) {
        g->spec = before.spec;
        g->replacing = before.replacing;
        g->failures = before.failures;
        return not_retained(p);
    }
    commit_point(POINT_GUEST_CHANGED);
    g->restart_at = 0;
    guest_step(g);
    commit_point(POINT_GUEST_APPLIED);
    return 200;
}

int guest_put(const char *name, const struct spec *spec, struct problem *p)
{
    struct guest *g = guest_find(name);

    if (g && !g->deleting && spec_equal(&g->spec, spec))
        return 200;
    if (check_spec(name, spec, g, p) != 0)
        return -1;
    return g ? change(g, spec, p) : create(name, spec, p);
}

int guest_delete(struct guest *g, struct problem *p)
{
    char name[SKEP_NAME_MAX];

    memcpy(name, g->name, sizeof(name));
    if (!g->deleting) {
        g->deleting = true;
        if (!guest_retain(g)) {
            g->deleting = false;
            return not_retained(p);
        }
        commit_point(POINT_GUEST_DELETE_PERSISTED);
    }
    guest_step(g);
    return guest_find(name) ? 202 : 204;
}

/*
 * Ring 0's guest
 */

static void fill_nets(struct skep_guest_spec *to, const struct spec *from)
{
    to->net_count = from->net_count;
    for (uint32_t i = 0; i < from->net_count; i++) {
        const struct spec_net *net = &from->net[i];
        to->net[i] = (struct skep_net){.mtu = NET_MTU,
                                       .flags = net->dhcp ? SKEP_NET_DHCP : 0,
                                       .address = net->address,
                                       .netmask = net->netmask,
                                       .gateway = net->gateway,
                                       .dns = net->dns};
        memcpy(to->net[i].mac, net->mac, 6);
    }
}

/* argv[0] is the image's name, as a program's is its file. */
static void fill_strings(struct skep_guest_spec *to, const struct spec *from,
                         char strings[SKEP_STRINGS_MAX])
{
    size_t name_bytes = strlen(from->image) + 1;

    memcpy(strings, from->image, name_bytes);
    memcpy(strings + name_bytes, from->strings, from->strings_bytes);
    to->argc = from->argc + 1;
    to->envc = from->envc;
    to->strings = (uintptr_t)strings;
    to->strings_bytes = (uint32_t)name_bytes + from->strings_bytes;
}

static void explain(struct guest *g, int64_t result)
{
    const char *why = result == -SKEP_ENOMEM   ? "there is not enough memory"
                      : result == -SKEP_ENOSPC ? "the core has no room for more guests"
                      : result == -SKEP_EEXIST || result == -SKEP_EBUSY
                          ? "an address of it is in use"
                          : NULL;

    if (why)
        snprintf(g->error, sizeof(g->error), "%s", why);
    else
        snprintf(g->error, sizeof(g->error), "the core refuses it (error %d)", (int)-result);
    log_line("guest '%s' is not created: %s", g->name, g->error);
}

int64_t guest_create_in_core(struct guest *g)
{
    struct skep_guest_spec spec = {
        .memory_bytes = g->spec.memory_bytes,
        .stack_bytes = STACK_BYTES_DEFAULT,
        .vcpu_count = g->spec.vcpus,
        .vcpu_max = g->spec.vcpus,
        .weight = g->spec.weight,
        .console_bytes = g->spec.memory_bytes < SMALL_MEMORY ? CONSOLE_BYTES_SMALL : CONSOLE_BYTES};
    const struct image *image = image_find(g->spec.image);
    char strings[SKEP_STRINGS_MAX];
    int64_t result = -SKEP_ENOENT;

    if (image) {
        spec.image = image->handle;
        if (image->stack_bytes)
            spec.stack_bytes = (image->stack_bytes + SKEP_PAGE_SIZE - 1) & ~(SKEP_PAGE_SIZE - 1ull);
        memcpy(spec.name, g->name, sizeof(spec.name));
        fill_nets(&spec, &g->spec);
        fill_strings(&spec, &g->spec, strings);
        result = core_guest_create(&spec);
    }
    if (result < 0) {
        explain(g, result);
        return result;
    }
    g->handle = (uint64_t)result;
    g->error[0] = '\0';
    guest_refresh(g);
    commit_point(POINT_GUEST_CREATED);
    return 0;
}

/* Whoever sees the state sees the record, so both change here. */
static void keep_crash(struct guest *g)
{
    if (g->status.state != SKEP_GUEST_CRASHED || g->crash_handle == g->handle)
        return;
    free(g->crash);
    g->crash = crash_text(&g->status);
    g->crash_handle = g->handle;
}

void guest_refresh(struct guest *g)
{
    if (g->handle && core_guest_status(g->handle, &g->status) != 0)
        g->handle = 0;
    if (!g->handle)
        memset(&g->status, 0, sizeof(g->status));
    keep_crash(g);
}

/*
 * Adoption
 */

static void load_record(unsigned record)
{
    struct guest_record r;
    struct problem p;
    struct guest *g;

    if (!store_read(record, STORE_GUEST, &r, sizeof(r)))
        return;
    r.name[SKEP_NAME_MAX - 1] = '\0';
    if (!name_valid(r.name) || guest_find(r.name) || !(g = add_guest(r.name, &r.spec, &p)))
        return;
    g->record = record;
    g->deleting = r.deleting;
    g->replacing = r.replacing;
    g->failures = r.failures;
    g->log_base = r.log_base;
}

/* A spec for a guest of which only ring 0 knows. Its arguments and addresses are lost; they are
 * needed no more unless it is started anew. */
static void guess_spec(struct spec *spec, const struct skep_guest_status *status)
{
    memset(spec, 0, sizeof(*spec));
    snprintf(spec->image, sizeof(spec->image), "%s", image_name(status->image));
    spec->memory_bytes = status->memory_promised;
    spec->vcpus = status->vcpu_count;
    spec->weight = SPEC_WEIGHT_DEFAULT;
    spec->desired = status->state == SKEP_GUEST_RUNNING  ? SPEC_RUNNING
                    : status->state == SKEP_GUEST_PAUSED ? SPEC_PAUSED
                                                         : SPEC_STOPPED;
    for (uint32_t i = 0; i < status->net_count && i < SKEP_NETS_MAX; i++)
        spec->net[i].address = status->net_address[i];
}

static void adopt(uint64_t handle)
{
    struct skep_guest_status status;
    struct guest *g;
    struct spec spec;
    struct problem p;

    if (core_guest_status(handle, &status) != 0)
        return;
    status.name[SKEP_NAME_MAX - 1] = '\0';
    g = guest_find(status.name);
    if (!g) {
        guess_spec(&spec, &status);
        g = name_valid(status.name) ? add_guest(status.name, &spec, &p) : NULL;
        if (!g || !guest_retain(g))
            return;
        log_line("guest '%s' is adopted from ring 0; its full spec is not known", g->name);
    }
    g->handle = handle;
    g->status = status;
}

void guest_adopt_all(bool safe_mode, unsigned record_count)
{
    int64_t handle = 0;
    struct guest *next;

    guest_count_max = record_count > STORE_GUEST_FIRST ? record_count - STORE_GUEST_FIRST : 0;
    for (unsigned i = STORE_GUEST_FIRST; i < record_count; i++) {
        if (safe_mode)
            core_retain_write(i, NULL);
        else
            load_record(i);
    }
    while ((handle = core_guest_next((uint64_t)handle)) > 0)
        adopt((uint64_t)handle);
    for (struct guest *g = guests; g; g = next) {
        next = g->next;
        guest_step(g);
    }
    log_line("%u guests known after the start%s", guest_count, safe_mode ? ", in safe mode" : "");
}
