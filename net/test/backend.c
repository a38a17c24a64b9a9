/*
 * backend.c - the device's side of virtqueues, played by a test.
 */
#include "backend.h"

#include <stdatomic.h>
#include <string.h>

#include "skep/hypercall.h"

struct backend_queue backend_queues[SKEP_QUEUE_COUNT];
int64_t backend_setup_result;
void (*backend_on_event)(unsigned queue);

int64_t skep_hc_queue_setup(const struct skep_queue_setup *setup)
{
    if (backend_setup_result == 0)
        backend_queues[setup->queue] = (struct backend_queue){.setup = *setup};
    return backend_setup_result;
}

int64_t skep_hc_queue_kick(uint32_t queue)
{
    backend_queues[queue].kicks++;
    return 0;
}

uint64_t backend_groups[BACKEND_GROUPS_MAX];
bool backend_groups_full;
uint64_t backend_group_full;

static uint64_t *group_of(uint64_t mac)
{
    for (unsigned i = 0; i < BACKEND_GROUPS_MAX; i++)
        if (backend_groups[i] == mac)
            return &backend_groups[i];
    return NULL;
}

bool backend_has_group(uint64_t mac)
{
    return group_of(mac) != NULL;
}

int64_t skep_hc_net_group(uint32_t device, uint64_t mac, bool join)
{
    uint64_t *at = group_of(join ? 0 : mac);
    if (device != 0)
        return -SKEP_ENODEV;
    if (join && backend_has_group(mac))
        return -SKEP_EEXIST;
    if (at == NULL || (join && (backend_groups_full || mac == backend_group_full)))
        return join ? -SKEP_ENOSPC : -SKEP_ENOENT;
    *at = join ? mac : 0;
    return 0;
}

void backend_reset(void)
{
    memset(backend_groups, 0, sizeof(backend_groups));
    backend_groups_full = false;
    backend_group_full = 0;
    memset(backend_queues, 0, sizeof(backend_queues));
    backend_setup_result = 0;
}

static struct skep_vring_avail *avail_of(const struct backend_queue *queue)
{
    return (struct skep_vring_avail *)(uintptr_t)queue->setup.avail;
}

static struct skep_vring_used *used_of(const struct backend_queue *queue)
{
    return (struct skep_vring_used *)(uintptr_t)queue->setup.used;
}

static struct skep_vring_desc *desc_of(const struct backend_queue *queue)
{
    return (struct skep_vring_desc *)(uintptr_t)queue->setup.desc;
}

int backend_next(unsigned number)
{
    struct backend_queue *queue = &backend_queues[number];
    struct skep_vring_avail *avail = avail_of(queue);
    _Atomic uint16_t *avail_event = (_Atomic uint16_t *)&used_of(queue)->ring[queue->setup.size];
    if (atomic_load(&avail->index) == queue->seen) {
        atomic_store(avail_event, queue->seen);
        if (atomic_load(&avail->index) == queue->seen)
            return -1;
    }
    return avail->ring[queue->seen++ & (queue->setup.size - 1)];
}

size_t backend_gather(unsigned number, int head, void *out, size_t limit)
{
    struct skep_vring_desc *desc = desc_of(&backend_queues[number]);
    size_t done = 0;
    for (unsigned index = (unsigned)head;; index = desc[index].next) {
        size_t bytes = desc[index].len < limit - done ? desc[index].len : limit - done;
        memcpy((uint8_t *)out + done, (void *)(uintptr_t)desc[index].addr, bytes);
        done += bytes;
        if ((desc[index].flags & SKEP_VRING_DESC_NEXT) == 0)
            return done;
    }
}

size_t backend_scatter(unsigned number, int head, const void *data, size_t bytes)
{
    struct skep_vring_desc *desc = desc_of(&backend_queues[number]);
    size_t done = 0;
    for (unsigned index = (unsigned)head;; index = desc[index].next) {
        size_t part = desc[index].len < bytes - done ? desc[index].len : bytes - done;
        memcpy((void *)(uintptr_t)desc[index].addr, (const uint8_t *)data + done, part);
        done += part;
        if ((desc[index].flags & SKEP_VRING_DESC_NEXT) == 0)
            return done;
    }
}

size_t backend_buffer_bytes(unsigned number)
{
    return desc_of(&backend_queues[number])->len;
}

void backend_use_all(unsigned number, const struct skep_vring_used_elem *chains, unsigned count)
{
    struct backend_queue *queue = &backend_queues[number];
    struct skep_vring_used *used = used_of(queue);
    uint16_t old = atomic_load(&used->index), new = (uint16_t)(old + count);
    for (unsigned i = 0; i < count; i++)
        used->ring[(old + i) & (queue->setup.size - 1)] = chains[i];
    atomic_store(&used->index, new);
    uint16_t event = atomic_load((_Atomic uint16_t *)&avail_of(queue)->ring[queue->setup.size]);
    if ((uint16_t)(new - event - 1) < (uint16_t)(new - old)) {
        queue->events++;
        if (backend_on_event != NULL)
            backend_on_event(number);
    }
}

void backend_use(unsigned number, int head, uint32_t bytes)
{
    struct skep_vring_used_elem chain = {.id = (uint32_t)head, .len = bytes};
    backend_use_all(number, &chain, 1);
}
