/*
 * virtqueue.c - the driver's side of a split virtqueue.
 */
#include "skep/virtqueue.h"

#include <stdatomic.h>
#include <stddef.h>

#include "skep/hypercall.h"

_Static_assert(SKEP_VIRTQUEUE_SIZE_MAX *(sizeof(struct skep_vring_desc) + sizeof(uint16_t) +
                                         sizeof(struct skep_vring_used_elem)) +
                       sizeof(struct skep_vring_avail) + sizeof(struct skep_vring_used) +
                       2 * sizeof(uint16_t) + 2 <=
                   SKEP_PAGE_SIZE,
               "a queue is one page");

/* The event words follow the rings. */
static _Atomic uint16_t *used_event(const struct skep_virtqueue *queue)
{
    return (_Atomic uint16_t *)&queue->avail->ring[queue->size];
}

static _Atomic uint16_t *avail_event(const struct skep_virtqueue *queue)
{
    return (_Atomic uint16_t *)&queue->used->ring[queue->size];
}

static void link_free(struct skep_virtqueue *queue)
{
    for (unsigned i = 0; i < queue->size; i++)
        queue->desc[i].next = (uint16_t)(i + 1);
    queue->free_head = 0;
    queue->free_count = queue->size;
}

int skep_virtqueue_setup(struct skep_virtqueue *queue, uint32_t number, unsigned size, void *page,
                         uint32_t flags)
{
    if (size < 2 || size > SKEP_VIRTQUEUE_SIZE_MAX || (size & (size - 1)) != 0)
        return -SKEP_EINVAL;

    uintptr_t desc = (uintptr_t)page;
    uintptr_t avail = desc + size * sizeof(struct skep_vring_desc);
    uintptr_t avail_end = avail + sizeof(struct skep_vring_avail) + (size + 1) * sizeof(uint16_t);
    uintptr_t used = (avail_end + 3) & ~(uintptr_t)3;
    *queue = (struct skep_virtqueue){
        .desc = (struct skep_vring_desc *)desc,
        .avail = (struct skep_vring_avail *)avail,
        .used = (struct skep_vring_used *)used,
        .number = number,
        .size = (uint16_t)size,
    };
    link_free(queue);
    /* One behind: the index comes there after 65,535 more. */
    atomic_store_explicit(used_event(queue), UINT16_MAX, memory_order_relaxed);

    struct skep_queue_setup setup = {.queue = number,
                                     .size = size,
                                     .desc = desc,
                                     .avail = avail,
                                     .used = used,
                                     .vcpu = 0,
                                     .flags = flags};
    return (int)skep_hc_queue_setup(&setup);
}

void skep_virtqueue_repeat(struct skep_virtqueue *queue, unsigned chain)
{
    queue->avail->ring[queue->added++ & (queue->size - 1)] = (uint16_t)chain;
}

int skep_virtqueue_add(struct skep_virtqueue *queue, const struct skep_vring_desc *parts,
                       unsigned count)
{
    if (count == 0 || count > queue->free_count)
        return -SKEP_ENOSPC;

    uint16_t head = queue->free_head, index = head, last = head;
    for (unsigned i = 0; i < count; i++) {
        struct skep_vring_desc *desc = &queue->desc[index];
        desc->addr = parts[i].addr;
        desc->len = parts[i].len;
        desc->flags = (parts[i].flags & SKEP_VRING_DESC_WRITE) | SKEP_VRING_DESC_NEXT;
        last = index;
        index = desc->next;
    }
    queue->desc[last].flags &= (uint16_t)~SKEP_VRING_DESC_NEXT;
    queue->free_head = index;
    queue->free_count = (uint16_t)(queue->free_count - count);
    skep_virtqueue_repeat(queue, head);
    return head;
}

bool skep_virtqueue_publish(struct skep_virtqueue *queue)
{
    uint16_t old = queue->published, new = queue->added;
    if (new == old)
        return false;
    queue->published = new;
    /* Release: the descriptors are there when the back-end, which acquires the index, sees it. */
    atomic_store_explicit(&queue->avail->index, new, memory_order_release);
    /* The index is written before avail_event is read; the back-end writes avail_event before it
     * reads the index a last time. So one of the two sees the other. */
    atomic_thread_fence(memory_order_seq_cst);
    uint16_t event = atomic_load_explicit(avail_event(queue), memory_order_relaxed);
    return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

void skep_virtqueue_kick(struct skep_virtqueue *queue)
{
    if (skep_virtqueue_publish(queue))
        skep_hc_queue_kick(queue->number);
}

bool skep_virtqueue_ready(const struct skep_virtqueue *queue)
{
    return atomic_load_explicit(&queue->used->index, memory_order_relaxed) != queue->taken;
}

static void free_chain(struct skep_virtqueue *queue, uint16_t head)
{
    uint16_t last = head, count = 1;
    for (; queue->desc[last].flags & SKEP_VRING_DESC_NEXT; count++)
        last = queue->desc[last].next;
    queue->desc[last].next = queue->free_head;
    queue->free_head = head;
    queue->free_count = (uint16_t)(queue->free_count + count);
}

int skep_virtqueue_take_held(struct skep_virtqueue *queue, uint32_t *bytes)
{
    /* Acquire: pairs with the back-end's release of the index after it wrote element and buffers. */
    if (atomic_load_explicit(&queue->used->index, memory_order_acquire) == queue->taken)
        return -1;
    struct skep_vring_used_elem element = queue->used->ring[queue->taken++ & (queue->size - 1)];
    *bytes = element.len;
    return (int)element.id;
}

int skep_virtqueue_take(struct skep_virtqueue *queue, uint32_t *bytes)
{
    int chain = skep_virtqueue_take_held(queue, bytes);
    if (chain >= 0)
        free_chain(queue, (uint16_t)chain);
    return chain;
}

bool skep_virtqueue_arm(struct skep_virtqueue *queue, uint16_t after)
{
    atomic_store_explicit(used_event(queue), (uint16_t)(queue->taken + after),
                          memory_order_relaxed);
    /* used_event is written before the index is read; the back-end writes the index before it reads
     * used_event. So one of the two sees the other. */
    atomic_thread_fence(memory_order_seq_cst);
    uint16_t index = atomic_load_explicit(&queue->used->index, memory_order_relaxed);
    return (uint16_t)(index - queue->taken) > after;
}
