/*
 * switch.c - tables of ports by MAC, IPv4 and IPv6 address, references to them, and the work lists.
 */
#include "io/switch.h"

#include "core/cpu.h"
#include "core/log.h"
#include "core/random.h"
#include "core/string.h"

#define BUCKETS      4096u
#define BUCKET_SHIFT 52u /* the top 12 bits of a 64-bit product */

/* Guards all of this file, and what switch.h says. */
static struct spinlock switch_lock = {.kind = LOCK_SWITCH};
static struct port *by_mac[BUCKETS], *by_address[BUCKETS], *by_address6[BUCKETS];
static struct member *by_group[BUCKETS]; /* by number: the latest is last */
static uint64_t member_number;           /* the latest one's */
static uint32_t port_count;
static struct work_link ready = {&ready, &ready}, stalled = {&stalled, &stalled};
static struct work_link told = {&told, &told}, untold = {&untold, &untold}; /* an advertisement */
static uint8_t advert[ADVERT_BYTES_MAX];
static uint32_t advert_bytes;
static uint64_t hash_key;
static struct port *control_port;
static _Atomic uint32_t control_address;

/* Guests' owners choose MACs and addresses: with an unknown key they can't choose collisions. */
void switch_init(void)
{
    hash_key = random_u64() | 1;
}

static uint32_t bucket_of(uint64_t value)
{
    return (uint32_t)(((value ^ value >> 29) * hash_key) >> BUCKET_SHIFT);
}

static uint32_t mac_bucket_of(const uint8_t mac[6])
{
    uint64_t value = 0;
    memcpy(&value, mac, 6);
    return bucket_of(value);
}

static struct port **mac_bucket(const uint8_t mac[6])
{
    return &by_mac[mac_bucket_of(mac)];
}

static struct port **address_bucket(uint32_t address)
{
    return &by_address[bucket_of(address)];
}

static struct port **address6_bucket(const uint8_t address[16])
{
    uint64_t network, host;
    memcpy(&network, address, 8);
    memcpy(&host, address + 8, 8);
    return &by_address6[bucket_of(network * hash_key ^ host)];
}

static const uint8_t no_address6[16];

static bool has_address6(const struct port *port)
{
    return memcmp(port->address6, no_address6, 16) != 0;
}

/* The MAC that an interface identifier is made of; false: it is of another kind. */
static bool mac_of_identifier(const uint8_t identifier[8], uint8_t mac[6])
{
    mac[0] = identifier[0] ^ 2;
    memcpy(mac + 1, identifier + 1, 2);
    memcpy(mac + 3, identifier + 5, 3);
    return identifier[3] == 0xff && identifier[4] == 0xfe;
}

/* Whether the port may have addresses made of its MAC in this network. */
static bool may_join(const struct port *port, const uint8_t network[8])
{
    static const uint8_t link_local[8] = {0xfe, 0x80};
    if (memcmp(network, link_local, 8) == 0) {
        return true;
    }
    bool is_local = network[0] == 0xfe && (network[1] & 0xc0) == 0x80;
    return (port->flags6 & SKEP_NET6_AUTO) && network[0] != 0 && network[0] != 0xff && !is_local;
}

bool switch_owns_address6(const struct port *port, const uint8_t address[16])
{
    uint8_t mac[6];
    if (!(port->flags6 & SKEP_NET6_ON)) {
        return false;
    }
    if (has_address6(port) && memcmp(address, port->address6, 16) == 0) {
        return true;
    }
    return mac_of_identifier(address + 8, mac) && memcmp(mac, port->mac, 6) == 0 &&
           may_join(port, address);
}

static uint32_t address_of(const struct port *port)
{
    return atomic_load_explicit(&port->address, memory_order_relaxed);
}

/* ---- tables; switch_lock is held ---- */

static struct port *mac_lookup(const uint8_t mac[6])
{
    struct port *port = *mac_bucket(mac);
    while (port != NULL && memcmp(port->mac, mac, 6) != 0) {
        port = port->mac_next;
    }
    return port;
}

static struct port *address_lookup(uint32_t address)
{
    struct port *port = address != 0 ? *address_bucket(address) : NULL;
    while (port != NULL && address_of(port) != address) {
        port = port->address_next;
    }
    return port;
}

static struct port *address6_lookup(const uint8_t address[16])
{
    struct port *port = *address6_bucket(address);
    while (port != NULL && memcmp(port->address6, address, 16) != 0) {
        port = port->address6_next;
    }
    return port;
}

static void address6_insert(struct port *port)
{
    if (has_address6(port)) {
        struct port **bucket = address6_bucket(port->address6);
        port->address6_next = *bucket;
        *bucket = port;
    }
}

static void address6_remove(struct port *port)
{
    if (has_address6(port)) {
        struct port **at = address6_bucket(port->address6);
        while (*at != port) {
            at = &(*at)->address6_next;
        }
        *at = port->address6_next;
    }
}

static void mac_insert(struct port *port)
{
    struct port **bucket = mac_bucket(port->mac);
    port->mac_next = *bucket;
    *bucket = port;
}

static void mac_remove(struct port *port)
{
    struct port **at = mac_bucket(port->mac);
    while (*at != port) {
        at = &(*at)->mac_next;
    }
    *at = port->mac_next;
}

static void address_insert(struct port *port, uint32_t address)
{
    atomic_store_explicit(&port->address, address, memory_order_relaxed);
    if (address != 0) {
        struct port **bucket = address_bucket(address);
        port->address_next = *bucket;
        *bucket = port;
    }
}

static void address_remove(struct port *port)
{
    uint32_t address = address_of(port);
    if (address != 0) {
        struct port **at = address_bucket(address);
        while (*at != port) {
            at = &(*at)->address_next;
        }
        *at = port->address_next;
        atomic_store_explicit(&port->address, 0, memory_order_relaxed);
    }
}

static bool is_member(const struct member *member, const struct port *port, const uint8_t mac[6])
{
    return member->port == port && memcmp(member->mac, mac, 6) == 0;
}

static int member_enter(struct port *port, const uint8_t mac[6])
{
    struct member **at = &by_group[mac_bucket_of(mac)], *unused = port->groups;
    uint32_t count = 0;
    for (; *at != NULL; at = &(*at)->next, count++) {
        if (is_member(*at, port, mac)) {
            return -SKEP_EEXIST;
        }
    }
    while (unused < port->groups + GROUPS_MAX && unused->port != NULL) {
        unused++;
    }
    if (count >= MEMBERS_MAX || unused == port->groups + GROUPS_MAX) {
        return -SKEP_ENOSPC;
    }
    *unused = (struct member){.port = port, .number = ++member_number};
    memcpy(unused->mac, mac, 6);
    *at = unused;
    return 0;
}

static int member_leave(const struct port *port, const uint8_t mac[6])
{
    struct member **at = &by_group[mac_bucket_of(mac)];
    while (*at != NULL && !is_member(*at, port, mac)) {
        at = &(*at)->next;
    }
    struct member *member = *at;
    if (member == NULL) {
        return -SKEP_ENOENT;
    }
    *at = member->next;
    member->port = NULL;
    return 0;
}

static void members_leave(struct port *port)
{
    for (uint32_t i = 0; i < GROUPS_MAX; i++) {
        if (port->groups[i].port != NULL) {
            member_leave(port, port->groups[i].mac);
        }
    }
}

/* ---- the work lists; switch_lock is held ---- */

static struct port *port_of_link(struct work_link *link)
{
    return (struct port *)((char *)link - offsetof(struct port, work));
}

/* ---- ports ---- */

static int port_enter(struct port *port, uint32_t address)
{
    if (mac_lookup(port->mac) != NULL || address_lookup(address) != NULL ||
        address6_lookup(port->address6) != NULL) {
        return -SKEP_EEXIST;
    }
    if (!port->is_control && address != 0 && address == switch_control_address()) {
        return -SKEP_EEXIST;
    }
    if (port_count == PORTS_MAX) {
        return -SKEP_ENOSPC;
    }
    port_count++;
    mac_insert(port);
    address_insert(port, address);
    address6_insert(port);
    if (port->flags6 & SKEP_NET6_AUTO) {
        link_append(&told, &port->advert);
    }
    port->present = true;
    port->references = 1;
    port->guest->ports[port->index] = port;
    if (port->is_control) {
        control_port = port;
    }
    return 0;
}

int switch_port_add(struct port *port)
{
    spin_lock(&switch_lock);
    int error = port_enter(port, address_of(port));
    spin_unlock(&switch_lock);
    return error;
}

static void port_leave(struct port *port)
{
    address_remove(port);
    address6_remove(port);
    mac_remove(port);
    members_leave(port);
    link_remove(&port->work);
    link_remove(&port->advert);
    port->present = false;
    port_count--;
    if (port == control_port) {
        control_port = NULL;
    }
}

void switch_port_remove(struct port *port)
{
    spin_lock(&switch_lock);
    if (port->present) {
        port_leave(port);
    }
    spin_unlock(&switch_lock);
}

bool switch_port_forget(struct port *port)
{
    spin_lock(&switch_lock);
    bool last = port->references == 1;
    if (last) {
        port->guest->ports[port->index] = NULL;
    }
    spin_unlock(&switch_lock);
    return last;
}

static struct port *reference(struct port *port)
{
    if (port != NULL) {
        port->references++;
    }
    return port;
}

struct port *switch_find_mac(const uint8_t mac[6])
{
    spin_lock(&switch_lock);
    struct port *port = reference(mac_lookup(mac));
    spin_unlock(&switch_lock);
    return port;
}

struct port *switch_find_address(uint32_t address)
{
    spin_lock(&switch_lock);
    struct port *port = reference(address_lookup(address));
    spin_unlock(&switch_lock);
    return port;
}

/* Of an address made of a MAC, by that. */
static struct port *address6_find(const uint8_t address[16])
{
    uint8_t mac[6];
    struct port *port = address6_lookup(address);
    if (port == NULL && mac_of_identifier(address + 8, mac)) {
        port = mac_lookup(mac);
    }
    return port != NULL && switch_owns_address6(port, address) ? port : NULL;
}

struct port *switch_find_address6(const uint8_t address[16])
{
    spin_lock(&switch_lock);
    struct port *port = reference(address6_find(address));
    spin_unlock(&switch_lock);
    return port;
}

struct port *switch_find_guest(struct guest *guest, uint32_t index)
{
    spin_lock(&switch_lock);
    struct port *port = reference(guest->ports[index]);
    spin_unlock(&switch_lock);
    return port;
}

void switch_release(struct port *port)
{
    spin_lock(&switch_lock);
    if (--port->references == 1 && !port->present) {
        reap_wake(port->guest); /* it has ended, and the reaper found the port in use */
    }
    spin_unlock(&switch_lock);
}

/* ---- groups ---- */

static bool may_join_group(const struct port *port, const uint8_t mac[6])
{
    static const uint8_t ipv4[3] = {1, 0, 0x5e};
    bool is_6 = mac[0] == 0x33 && mac[1] == 0x33;
    return is_6 ? (port->flags6 & SKEP_NET6_ON) != 0
                : memcmp(mac, ipv4, sizeof(ipv4)) == 0 && mac[3] < 0x80;
}

int switch_group_join(struct port *port, const uint8_t mac[6])
{
    if (port->is_control) {
        return -SKEP_EPERM;
    }
    if (!may_join_group(port, mac)) {
        return -SKEP_EINVAL;
    }
    spin_lock(&switch_lock);
    int error = port->present ? member_enter(port, mac) : -SKEP_ENODEV;
    spin_unlock(&switch_lock);
    return error;
}

int switch_group_leave(struct port *port, const uint8_t mac[6])
{
    spin_lock(&switch_lock);
    int error = member_leave(port, mac);
    spin_unlock(&switch_lock);
    return error;
}

struct port *switch_find_member(const uint8_t group[6], const uint8_t source[6],
                                struct members_walk *walk)
{
    spin_lock(&switch_lock);
    walk->until = walk->heard == 0 ? member_number : walk->until;
    struct member *member = by_group[mac_bucket_of(group)];
    while (member != NULL &&
           (member->number <= walk->heard || member->number > walk->until ||
            memcmp(member->mac, group, 6) != 0 || memcmp(member->port->mac, source, 6) == 0)) {
        member = member->next;
    }
    walk->heard = member != NULL ? member->number : walk->heard;
    struct port *port = member != NULL ? reference(member->port) : NULL;
    spin_unlock(&switch_lock);
    return port;
}

/* ---- addresses ---- */

static int address_change(struct port *port, uint32_t address)
{
    struct port *other = address_lookup(address);
    if (!port->present) {
        return -SKEP_ENOENT;
    }
    if (other == port || address == address_of(port)) {
        return 0;
    }
    if (!port->is_control &&
        (other != NULL || (address != 0 && address == switch_control_address()))) {
        return -SKEP_EEXIST;
    }
    if (other != NULL) {
        log_line("switch: the control service takes the address of guest %s", other->guest->name);
        address_remove(other);
    }
    address_remove(port);
    address_insert(port, address);
    if (port->is_control) {
        atomic_store_explicit(&control_address, address, memory_order_relaxed);
    }
    return 0;
}

int switch_address_set(struct port *port, uint32_t address)
{
    spin_lock(&switch_lock);
    int error = address_change(port, address);
    spin_unlock(&switch_lock);
    return error;
}

void switch_control_address_set(uint32_t address)
{
    spin_lock(&switch_lock);
    if (control_port != NULL) {
        address_change(control_port, address);
    }
    atomic_store_explicit(&control_address, address, memory_order_relaxed);
    spin_unlock(&switch_lock);
}

uint32_t switch_control_address(void)
{
    return atomic_load_explicit(&control_address, memory_order_relaxed);
}

/* ---- routers' advertisements ---- */

void switch_advert_set(const uint8_t *frame, uint32_t bytes)
{
    spin_lock(&switch_lock);
    memcpy(advert, frame, bytes);
    advert_bytes = bytes;
    link_splice(&untold, &told);
    spin_unlock(&switch_lock);
}

/* Without the lock, as switch_work_any(): the CPU that has set one sees it. */
bool switch_advert_any(void)
{
    return __atomic_load_n(&untold.next, __ATOMIC_RELAXED) != &untold;
}

struct port *switch_advert_next(uint8_t frame[ADVERT_BYTES_MAX], uint32_t *bytes)
{
    struct port *port = NULL;
    spin_lock(&switch_lock);
    if (!link_none(&untold)) {
        port = reference((struct port *)((char *)untold.next - offsetof(struct port, advert)));
        link_remove(&port->advert);
        link_append(&told, &port->advert);
        memcpy(frame, advert, advert_bytes);
        *bytes = advert_bytes;
    }
    spin_unlock(&switch_lock);
    return port;
}

/* ---- work ---- */

static void work_enter(struct port *port, struct work_link *list)
{
    spin_lock(&switch_lock);
    if (port->work.next == NULL && !port->closed) {
        link_append(list, &port->work);
    }
    spin_unlock(&switch_lock);
}

void switch_work_add(struct port *port)
{
    work_enter(port, &ready);
}

void switch_work_stall(struct port *port)
{
    work_enter(port, &stalled);
}

void switch_work_unstall(void)
{
    spin_lock(&switch_lock);
    link_splice(&ready, &stalled);
    spin_unlock(&switch_lock);
}

/* Without the lock: a hint. Work added meanwhile is seen by the CPU that added it. */
bool switch_work_any(void)
{
    return __atomic_load_n(&ready.next, __ATOMIC_RELAXED) != &ready;
}

/* Whether the list has another entry than `own`. A hint, as above. */
static bool has_other(const struct work_link *list, const struct work_link *own)
{
    const struct work_link *first = __atomic_load_n(&list->next, __ATOMIC_RELAXED);
    const struct work_link *last = __atomic_load_n(&list->previous, __ATOMIC_RELAXED);
    return first != list && (first != own || last != own);
}

bool switch_others_wait(const struct port *port)
{
    return has_other(&ready, &port->work) || has_other(&stalled, &port->work);
}

struct port *switch_work_next(void)
{
    struct port *port = NULL;
    if (!switch_work_any()) {
        return NULL;
    }
    spin_lock(&switch_lock);
    if (ready.next != &ready) {
        port = reference(port_of_link(ready.next));
        link_remove(&port->work);
    }
    spin_unlock(&switch_lock);
    return port;
}
