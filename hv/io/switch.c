/*
 * switch.c - tables of ports by MAC and IPv4 address, references to them, and the work lists.
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
static struct port *by_mac[BUCKETS], *by_address[BUCKETS];
static uint32_t port_count;
static struct work_link ready = {&ready, &ready}, stalled = {&stalled, &stalled};
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

static struct port **mac_bucket(const uint8_t mac[6])
{
    uint64_t value = 0;
    memcpy(&value, mac, 6);
    return &by_mac[bucket_of(value)];
}

static struct port **address_bucket(uint32_t address)
{
    return &by_address[bucket_of(address)];
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

/* ---- the work lists; switch_lock is held ---- */

static struct port *port_of_link(struct work_link *link)
{
    return (struct port *)((char *)link - offsetof(struct port, work));
}

/* ---- ports ---- */

static int port_enter(struct port *port, uint32_t address)
{
    if (mac_lookup(port->mac) != NULL || address_lookup(address) != NULL) {
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
    mac_remove(port);
    link_remove(&port->work);
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
