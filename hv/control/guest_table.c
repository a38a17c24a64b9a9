/* guest_table.c - the table of guests and its indexes: by name, ring 0's handle, address, MAC, next moment, image. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "image.h"
#include "spec6.h"
#include "store.h"

#define container_of(node, type, member) \
    ((type *)(void *)((char *)(node) - __builtin_offsetof(type, member)))

/* The key of the indexes by a number that several guests may have. */
struct key {
    uint64_t number;
    const void *owner;
};

static int compare_key(const struct key *a, uint64_t number, const void *owner)
{
    if (a->number != number)
        return a->number < number ? -1 : 1;
    if (a->owner != owner)
        return (uintptr_t)a->owner < (uintptr_t)owner ? -1 : 1;
    return 0;
}

static int compare_name(const void *key, const struct tree_node *node)
{
    return strcmp(key, container_of(node, struct guest, by_name)->name);
}

static int compare_handle(const void *key, const struct tree_node *node)
{
    return compare_key(key, container_of(node, struct guest, by_handle)->handle, NULL);
}

static int compare_due(const void *key, const struct tree_node *node)
{
    const struct guest *g = container_of(node, struct guest, by_due);
    return compare_key(key, g->due_ns, g);
}

static const struct spec_net *net_of(const struct guest_address *a)
{
    return &a->guest->spec->net[a - a->guest->addresses];
}

static int compare_address(const void *key, const struct tree_node *node)
{
    const struct guest_address *a = container_of(node, struct guest_address, by_address);
    return compare_key(key, net_of(a)->address, a);
}

struct key6 {
    const uint8_t *address;
    const void *owner;
};

static int compare_address6(const void *key, const struct tree_node *node)
{
    const struct guest_address *a = container_of(node, struct guest_address, by_address6);
    const struct key6 *wanted = key;
    int difference = memcmp(wanted->address, net_of(a)->ipv6.address, 16);

    if (difference != 0 || wanted->owner == a)
        return difference;
    return (uintptr_t)wanted->owner < (uintptr_t)a ? -1 : 1;
}

static uint64_t mac_number(const uint8_t mac[6])
{
    uint64_t number = 0;

    memcpy(&number, mac, 6);
    return number;
}

static int compare_mac(const void *key, const struct tree_node *node)
{
    const struct guest_address *a = container_of(node, struct guest_address, by_mac);
    return compare_key(key, mac_number(net_of(a)->mac), a);
}

/* Who waits for a name. */
struct wait_key {
    const char *name;
    const struct guest *owner;
};

static int compare_wait(const void *key, const struct tree_node *node)
{
    const struct guest *g = container_of(node, struct guest, by_wait);
    const struct wait_key *wanted = key;
    int difference = strcmp(wanted->name, g->waits_for);

    if (difference != 0 || wanted->owner == g)
        return difference;
    return (uintptr_t)wanted->owner < (uintptr_t)g ? -1 : 1;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tree names = {.compare = compare_name}, handles = {.compare = compare_handle},
                   dues = {.compare = compare_due}, addresses = {.compare = compare_address},
                   addresses6 = {.compare = compare_address6}, macs = {.compare = compare_mac},
                   waits = {.compare = compare_wait};
static struct guest *without_image; /* whose image there isn't */
static unsigned count, device_count, volume_count;

void model_lock(void)
{
    pthread_mutex_lock(&lock);
}

void model_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

unsigned guest_count(void)
{
    return count;
}

unsigned guest_device_count(void)
{
    return device_count;
}

unsigned guest_volume_count(void)
{
    return volume_count;
}

/*
 * Records: a bit for each, set while it is taken.
 */

static uint64_t *taken;
static unsigned records, record_hint; /* the hint: none below it is free */

void guest_table_init(unsigned record_count)
{
    free(taken);
    records = record_count;
    record_hint = STORE_GUEST_FIRST;
    taken = calloc(records / 64 + 1, sizeof(*taken));
    if (!taken)
        records = 0;
}

/* 0 if there is none. */
static unsigned free_record(void)
{
    while (record_hint < records && taken[record_hint / 64] >> record_hint % 64 & 1)
        record_hint++;
    return record_hint < records ? record_hint : 0;
}

static void take_record(unsigned record)
{
    taken[record / 64] |= 1ull << record % 64;
}

static void give_record(unsigned record)
{
    taken[record / 64] &= ~(1ull << record % 64);
    if (record < record_hint)
        record_hint = record;
}

/*
 * The indexes
 */

static struct guest *guest_of(const struct tree_node *node)
{
    return node ? container_of(node, struct guest, by_name) : NULL;
}

struct guest *guest_find(const char *name)
{
    return guest_of(tree_find(&names, name));
}

struct guest *guest_first(void)
{
    return guest_of(tree_first(&names));
}

struct guest *guest_after(const char *name)
{
    return guest_of(tree_after(&names, name, false));
}

/* Names with one prefix follow each other. */
struct guest *guest_after_with(const char *name, const char *prefix)
{
    bool before = strcmp(name, prefix) < 0;
    struct guest *g = guest_of(tree_after(&names, before ? prefix : name, before));

    return g && strncmp(g->name, prefix, strlen(prefix)) == 0 ? g : NULL;
}

struct guest *guest_by_handle(uint64_t handle)
{
    const struct key key = {handle, NULL};
    struct tree_node *node = tree_find(&handles, &key);

    return node ? container_of(node, struct guest, by_handle) : NULL;
}

void guest_set_handle(struct guest *g, uint64_t handle)
{
    const struct key old = {g->handle, NULL}, new = {handle, NULL};

    if (g->handle)
        tree_remove(&handles, &g->by_handle, &old);
    g->handle = handle;
    if (handle)
        tree_insert(&handles, &g->by_handle, &new);
}

struct guest *guest_first_due(void)
{
    struct tree_node *node = tree_first(&dues);
    return node ? container_of(node, struct guest, by_due) : NULL;
}

void guest_set_due(struct guest *g, uint64_t due_ns)
{
    const struct key old = {g->due_ns, g}, new = {due_ns, g};

    if (g->due_ns == due_ns)
        return;
    if (g->due_ns)
        tree_remove(&dues, &g->by_due, &old);
    g->due_ns = due_ns;
    if (due_ns)
        tree_insert(&dues, &g->by_due, &new);
}

void guest_set_wait(struct guest *g, const char *name)
{
    const struct wait_key old = {g->waits_for, g}, new = {name, g};

    if (g->waits_for)
        tree_remove(&waits, &g->by_wait, &old);
    g->waits_for = name;
    if (name)
        tree_insert(&waits, &g->by_wait, &new);
}

struct guest *guest_first_waiting(const char *name)
{
    const struct wait_key key = {name, NULL};
    struct tree_node *node = tree_after(&waits, &key, false);
    struct guest *g = node ? container_of(node, struct guest, by_wait) : NULL;

    return g && strcmp(g->waits_for, name) == 0 ? g : NULL;
}

/* The first owner of the number that isn't a device of `but`. A guest has few devices. */
static struct guest_address *find_owner(const struct tree *tree, uint64_t number, size_t offset,
                                        const char *but)
{
    struct key key = {number, NULL};
    struct tree_node *node;

    while ((node = tree_after(tree, &key, false)) != NULL) {
        struct guest_address *a = (struct guest_address *)(void *)((char *)node - offset);
        uint64_t its = tree == &macs ? mac_number(net_of(a)->mac) : net_of(a)->address;
        if (its != number)
            break;
        if (strcmp(a->guest->name, but) != 0)
            return a;
        key.owner = a;
    }
    return NULL;
}

struct guest *guest_with_address(uint32_t address, const char *but)
{
    const struct guest_address *a =
        find_owner(&addresses, address, __builtin_offsetof(struct guest_address, by_address), but);
    return a ? a->guest : NULL;
}

struct guest *guest_with_address6(const uint8_t address[16], const char *but)
{
    struct key6 key = {address, NULL};
    struct tree_node *node;

    while ((node = tree_after(&addresses6, &key, false)) != NULL) {
        struct guest_address *a = container_of(node, struct guest_address, by_address6);
        if (memcmp(net_of(a)->ipv6.address, address, 16) != 0)
            break;
        if (strcmp(a->guest->name, but) != 0)
            return a->guest;
        key.owner = a;
    }
    return NULL;
}

struct guest *guest_with_mac(const uint8_t mac[6], const char *but)
{
    const struct guest_address *a =
        find_owner(&macs, mac_number(mac), __builtin_offsetof(struct guest_address, by_mac), but);
    return a ? a->guest : NULL;
}

static void link_addresses(struct guest *g)
{
    device_count += g->spec->net_count;
    volume_count += g->spec->volume_count;
    for (uint32_t i = 0; i < g->spec->net_count; i++) {
        struct guest_address *a = &g->addresses[i];
        const struct key address = {g->spec->net[i].address, a};
        const struct key mac = {mac_number(g->spec->net[i].mac), a};

        a->guest = g;
        if (address.number)
            tree_insert(&addresses, &a->by_address, &address);
        if (spec_is_set6(g->spec->net[i].ipv6.address))
            tree_insert(&addresses6, &a->by_address6,
                        &(struct key6){g->spec->net[i].ipv6.address, a});
        tree_insert(&macs, &a->by_mac, &mac);
    }
}

static void unlink_addresses(struct guest *g)
{
    device_count -= g->spec->net_count;
    volume_count -= g->spec->volume_count;
    for (uint32_t i = 0; i < g->spec->net_count; i++) {
        struct guest_address *a = &g->addresses[i];
        const struct key address = {g->spec->net[i].address, a};
        const struct key mac = {mac_number(g->spec->net[i].mac), a};

        if (address.number)
            tree_remove(&addresses, &a->by_address, &address);
        if (spec_is_set6(g->spec->net[i].ipv6.address))
            tree_remove(&addresses6, &a->by_address6,
                        &(struct key6){g->spec->net[i].ipv6.address, a});
        tree_remove(&macs, &a->by_mac, &mac);
    }
}

static void link_user(struct guest *g, struct guest **users)
{
    g->image_next = *users;
    g->image_link = users;
    if (*users)
        (*users)->image_link = &g->image_next;
    *users = g;
}

static void unlink_user(struct guest *g)
{
    *g->image_link = g->image_next;
    if (g->image_next)
        g->image_next->image_link = g->image_link;
}

static void link_image(struct guest *g)
{
    struct image *image = image_find(g->spec->image);
    link_user(g, image ? &image->users : &without_image);
}

void guest_image_published(struct image *image)
{
    struct guest *next;

    for (struct guest *g = without_image; g; g = next) {
        next = g->image_next;
        if (strcmp(g->spec->image, image->name) != 0)
            continue;
        unlink_user(g);
        link_user(g, &image->users);
    }
}

/*
 * Members
 */

struct spec *guest_set_spec(struct guest *g, struct spec *spec)
{
    struct spec *former = g->spec;

    guest_set_wait(g, NULL);
    if (former) {
        unlink_addresses(g);
        unlink_user(g);
    }
    g->spec = spec;
    link_addresses(g);
    link_image(g);
    return former;
}

int guest_check_room(struct problem *p)
{
    if (free_record() != 0)
        return 0;
    return problem_set(p, 409, "There are %u guests, and no room for more: delete one first.",
                       count);
}

struct guest *guest_add(const char *name, const struct spec *spec, unsigned record,
                        struct problem *p)
{
    struct spec *kept;
    struct guest *g;

    if (record == 0 && guest_check_room(p) != 0)
        return NULL;
    record = record ? record : free_record();
    g = calloc(1, sizeof(*g));
    kept = g ? spec_keep(spec) : NULL;
    if (!kept) {
        free(g);
        problem_set(p, 503, "There is no memory for another guest now: delete one first.");
        return NULL;
    }
    take_record(record);
    g->record = record;
    memcpy(g->name, name, strlen(name) + 1);
    tree_insert(&names, &g->by_name, g->name);
    guest_set_spec(g, kept);
    count++;
    return g;
}

void guest_forget(struct guest *g)
{
    guest_set_due(g, 0);
    guest_set_handle(g, 0);
    guest_set_wait(g, NULL);
    unlink_addresses(g);
    unlink_user(g);
    tree_remove(&names, &g->by_name, g->name);
    give_record(g->record);
    count--;
    free(g->spec);
    free(g);
}
