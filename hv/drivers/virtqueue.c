/*
 * virtqueue.c - the driver's end of a split virtqueue.
 */
#include "drivers/virtqueue.h"

#include <stdatomic.h>

#include "arch/arch.h"
#include "core/frame.h"
#include "core/log.h"
#include "drivers/mmio.h"
#include "drivers/ring.h"

/* One frame has the descriptors, a second one both rings. */
#define USED_OFFSET 1024u
_Static_assert(VIRTQUEUE_SIZE_MAX * sizeof(struct skep_vring_desc) <= SKEP_PAGE_SIZE, "one page");
_Static_assert(4 + 2 * VIRTQUEUE_SIZE_MAX + 2 <= USED_OFFSET,
               "the available ring ends before the used ring");
_Static_assert(USED_OFFSET + 4 + 8 * VIRTQUEUE_SIZE_MAX + 2 <= SKEP_PAGE_SIZE, "one page");

#define USED_NO_NOTIFY 1u
#define DESC_INDIRECT  4u
#define CHAIN_TAKEN \
    0x8000u /* in parts[]: the device has returned the chain, and may not do so twice */

int virtqueue_init(struct virtqueue *queue, uint16_t size, bool event_idx)
{
    pfn_t pfn = frame_alloc(1, SKEP_FRAME_DEVICE, OWNER_CORE);
    if (pfn == PFN_NONE) {
        return -SKEP_ENOMEM;
    }
    uint8_t *memory = frame_data(pfn);
    *queue = (struct virtqueue){
        .size = size,
        .event_idx = event_idx,
        .free_count = size,
        .desc = (struct skep_vring_desc *)memory,
        .avail = (struct skep_vring_avail *)(memory + PAGE_SIZE),
        .used = (struct skep_vring_used *)(memory + PAGE_SIZE + USED_OFFSET),
    };
    for (uint16_t i = 0; i < size; i++) {
        queue->next[i] = (uint16_t)(i + 1);
    }
    return 0;
}

static struct skep_vring_desc descriptor(const struct virtqueue_part *parts, uint32_t i,
                                         uint32_t count, uint32_t readable, uint16_t next)
{
    uint16_t flags =
        (i >= readable ? SKEP_VRING_DESC_WRITE : 0) | (i + 1 < count ? SKEP_VRING_DESC_NEXT : 0);
    return (struct skep_vring_desc){parts[i].address.value, parts[i].bytes, flags, next};
}

static void publish(struct virtqueue *queue, uint16_t head, uint32_t count)
{
    queue->free_count -= (uint16_t)count;
    queue->parts[head] = (uint16_t)count;
    queue->avail->ring[queue->next_avail & (queue->size - 1)] = head;
    queue->next_avail++;
    /* Release pairs with the device's read of the index (section 2.7.13.3): it sees the chain and the entry. */
    atomic_store_explicit(&queue->avail->index, queue->next_avail, memory_order_release);
}

int virtqueue_add(struct virtqueue *queue, const struct virtqueue_part *parts, uint32_t count,
                  uint32_t readable)
{
    if (count > queue->free_count || queue->broken) {
        return -SKEP_EAGAIN;
    }
    uint16_t head = queue->free_head, at = head;
    for (uint32_t i = 0; i < count; i++) {
        queue->desc[at] = descriptor(parts, i, count, readable, queue->next[at]);
        at = queue->next[at];
    }
    queue->free_head = at;
    publish(queue, head, count);
    return head;
}

int virtqueue_add_indirect(struct virtqueue *queue, struct skep_vring_desc *table,
                           const struct virtqueue_part *parts, uint32_t count, uint32_t readable)
{
    if (queue->free_count == 0 || queue->broken) {
        return -SKEP_EAGAIN;
    }
    for (uint32_t i = 0; i < count; i++) {
        table[i] = descriptor(parts, i, count, readable, (uint16_t)(i + 1));
    }
    uint16_t head = queue->free_head;
    queue->desc[head] = (struct skep_vring_desc){
        arch_direct_paddr(table).value, count * (uint32_t)sizeof(*table), DESC_INDIRECT, 0};
    queue->free_head = queue->next[head];
    publish(queue, head, 1);
    return head;
}

static bool kick_wanted(const struct virtqueue *queue)
{
    if (!queue->event_idx) {
        return !(__atomic_load_n(&queue->used->flags, __ATOMIC_RELAXED) & USED_NO_NOTIFY);
    }
    uint16_t event = __atomic_load_n(ring_avail_event(queue->used, queue->size), __ATOMIC_RELAXED);
    return ring_event_due(event, queue->next_avail, queue->told);
}

bool virtqueue_kick_due(struct virtqueue *queue)
{
    if (queue->told == queue->next_avail) {
        return false;
    }
    bool wanted = kick_wanted(queue);
    if (!wanted) {
        /* The index is visible before the last look at what the device wants. Pairs with the device's fence, between its
         * write of avail_event (or flags) and its last look at the index. */
        arch_device_fence();
        wanted = kick_wanted(queue);
    }
    queue->told = queue->next_avail;
    return wanted;
}

void virtqueue_ring(const struct virtqueue *queue)
{
    mmio_write16(queue->doorbell, queue->index);
}

void virtqueue_kick(struct virtqueue *queue)
{
    if (virtqueue_kick_due(queue)) {
        virtqueue_ring(queue);
    }
}

uint16_t virtqueue_held(const struct virtqueue *queue)
{
    uint16_t done = atomic_load_explicit(&queue->used->index, memory_order_relaxed);
    return (uint16_t)(queue->next_avail - done);
}

static bool used_any(const struct virtqueue *queue)
{
    /* Acquire pairs with the device's release of the index: entries and buffers are visible. */
    return atomic_load_explicit(&queue->used->index, memory_order_acquire) != queue->next_used;
}

/* Reads each word once: the device may write the entry again while it is checked. */
static struct skep_vring_used_elem used_read(const struct skep_vring_used_elem *entry)
{
    return (struct skep_vring_used_elem){__atomic_load_n(&entry->id, __ATOMIC_RELAXED),
                                         __atomic_load_n(&entry->len, __ATOMIC_RELAXED)};
}

int virtqueue_take(struct virtqueue *queue, uint32_t *bytes)
{
    if (queue->broken || !used_any(queue)) {
        return -SKEP_EAGAIN;
    }
    struct skep_vring_used_elem used =
        used_read(&queue->used->ring[queue->next_used & (queue->size - 1)]);
    if (used.id >= queue->size || queue->parts[used.id] == 0 ||
        (queue->parts[used.id] & CHAIN_TAKEN)) {
        log_line("virtio: queue %u: the device returned entry %u, which it doesn't hold",
                 queue->index, used.id);
        queue->broken = true;
        return -SKEP_EAGAIN;
    }
    queue->next_used++;
    queue->parts[used.id] |= CHAIN_TAKEN;
    *bytes = used.len;
    return (int)used.id;
}

void virtqueue_release(struct virtqueue *queue, uint16_t head)
{
    uint16_t last = head;
    uint16_t count = queue->parts[head] & (uint16_t)~CHAIN_TAKEN;
    for (uint32_t i = 1; i < count; i++) {
        last = queue->next[last];
    }
    queue->next[last] = queue->free_head;
    queue->free_head = head;
    queue->free_count += count;
    queue->parts[head] = 0;
}

void virtqueue_repeat(struct virtqueue *queue, uint16_t head)
{
    uint16_t count = queue->parts[head] & (uint16_t)~CHAIN_TAKEN;
    queue->free_count += count;
    publish(queue, head, count);
}

static bool is_due(const struct virtqueue *queue, uint16_t event)
{
    uint16_t done = atomic_load_explicit(&queue->used->index, memory_order_relaxed);
    return ring_event_due(event, done, queue->next_used);
}

bool virtqueue_arm(struct virtqueue *queue, bool lazy)
{
    uint16_t held = queue->next_avail - queue->next_used;
    uint16_t event = queue->next_used + (lazy ? (uint16_t)(held * 3 / 4) : 0);
    if (queue->broken) {
        return false;
    }
    __atomic_store_n(ring_used_event(queue->avail, queue->size), event, __ATOMIC_RELAXED);
    if (is_due(queue, event)) {
        return true;
    }
    /* The wish is visible before the last look. Pairs with the device's fence, between its write of the used index and its
     * read of used_event. */
    arch_device_fence();
    return is_due(queue, event);
}
