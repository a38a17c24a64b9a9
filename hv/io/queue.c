/*
 * queue.c - the back-end of a PV virtqueue; everything here distrusts the guest.
 */
#include "io/queue.h"

#include <stdatomic.h>

#include "core/gmem.h"
#include "core/string.h"
#include "drivers/ring.h"

/* ---- set-up ---- */

static bool part_valid(uint64_t address, uint64_t bytes, uint64_t alignment)
{
    return address % alignment == 0 && (address & PAGE_MASK) + bytes <= PAGE_SIZE;
}

static uint32_t flags_known(uint32_t number)
{
    bool receives = number < SKEP_QUEUE_BLOCK_0 && number % 2 == 0;
    return receives ? SKEP_QUEUE_MERGE | SKEP_QUEUE_MERGE6 : 0;
}

static bool setup_valid(const struct guest *guest, const struct skep_queue_setup *setup)
{
    uint64_t size = setup->size;
    if (size < 2 || size > SKEP_QUEUE_SIZE_MAX || (size & (size - 1)) != 0) {
        return false;
    }
    if (setup->vcpu >= guest->vcpu_max || guest->vcpus[setup->vcpu] == NULL ||
        (setup->flags & ~flags_known(setup->queue)) != 0) {
        return false;
    }
    /* The rings end with an event word each. */
    return part_valid(setup->desc, size * sizeof(struct skep_vring_desc), 16) &&
           part_valid(setup->avail, sizeof(struct skep_vring_avail) + 2 * size + 2, 2) &&
           part_valid(setup->used, sizeof(struct skep_vring_used) + 8 * size + 2, 4);
}

/* All parts are pinned for writing, so that none is a page of the image that the guest's next write would replace. */
static int parts_pin(struct guest *guest, const uint64_t addresses[3], paddr_t pins[3])
{
    for (uint32_t i = 0; i < 3; i++) {
        int error = gmem_pin(guest, gva(addresses[i]), true, &pins[i]);
        if (error < 0) {
            while (i-- > 0) {
                gmem_unpin(pins[i]);
            }
            return error;
        }
    }
    return 0;
}

int queue_setup(struct queue *queue, struct guest *guest, const struct skep_queue_setup *setup)
{
    if (queue->vcpu != NULL) {
        return -SKEP_EBUSY;
    }
    if (!setup_valid(guest, setup)) {
        return -SKEP_EINVAL;
    }
    const uint64_t addresses[3] = {setup->desc, setup->avail, setup->used};
    int error = parts_pin(guest, addresses, queue->pins);
    if (error < 0) {
        return error;
    }
    queue->desc = arch_direct(queue->pins[0]);
    queue->avail = arch_direct(queue->pins[1]);
    queue->used = arch_direct(queue->pins[2]);
    queue->size = (uint16_t)setup->size;
    queue->next_avail = queue->next_used = queue->told = 0;
    queue->event = SKEP_EVENT_QUEUE_0 + setup->queue;
    queue->vcpu = guest->vcpus[setup->vcpu];
    return 0;
}

void queue_teardown(struct queue *queue)
{
    for (uint32_t i = 0; queue->vcpu != NULL && i < 3; i++) {
        gmem_unpin(queue->pins[i]);
    }
    queue->vcpu = NULL;
}

/* ---- decoding ---- */

static int fault(struct queue_chain *chain, enum queue_fault what, uint64_t address)
{
    chain->fault = what;
    chain->fault_address = address;
    return -SKEP_EINVAL;
}

/* Reads a descriptor's two words once each. They may belong to different writes of the guest; that is as good as any
 * other descriptor that it could have written. */
static struct skep_vring_desc desc_read(const struct queue *queue, uint32_t index)
{
    const uint64_t *words = (const uint64_t *)&queue->desc[index];
    uint64_t address = __atomic_load_n(&words[0], __ATOMIC_RELAXED);
    uint64_t rest = __atomic_load_n(&words[1], __ATOMIC_RELAXED);
    return (struct skep_vring_desc){address, (uint32_t)rest, (uint16_t)(rest >> 32),
                                    (uint16_t)(rest >> 48)};
}

static int part_add(struct queue_chain *chain, const struct skep_vring_desc *desc, bool write)
{
    uint16_t kind = desc->flags & (uint16_t)~SKEP_VRING_DESC_NEXT;
    if (kind != (write ? SKEP_VRING_DESC_WRITE : 0)) {
        return fault(chain, QUEUE_FAULT_FLAGS, desc->flags);
    }
    if (desc->len > QUEUE_BYTES_MAX - chain->bytes) {
        return fault(chain, QUEUE_FAULT_LENGTH, desc->len);
    }
    if (!gmem_range_valid(gva(desc->addr), desc->len)) {
        return fault(chain, QUEUE_FAULT_ADDRESS, desc->addr);
    }
    chain->parts[chain->part_count++] = (struct queue_part){gva(desc->addr), desc->len};
    chain->bytes += desc->len;
    return 0;
}

static int chain_decode(const struct queue *queue, bool write, struct queue_chain *chain)
{
    uint32_t index = chain->head;
    for (uint32_t step = 0; step < QUEUE_CHAIN_MAX; step++) {
        if (index >= queue->size) {
            return fault(chain, step == 0 ? QUEUE_FAULT_HEAD : QUEUE_FAULT_NEXT, index);
        }
        struct skep_vring_desc desc = desc_read(queue, index);
        int error = part_add(chain, &desc, write);
        if (error < 0 || !(desc.flags & SKEP_VRING_DESC_NEXT)) {
            return error < 0 ? error : 1;
        }
        index = desc.next;
    }
    return fault(chain, QUEUE_FAULT_CHAIN, chain->head);
}

int queue_peek_ahead(const struct queue *queue, uint32_t ahead, bool write,
                     struct queue_chain *chain)
{
    chain->part_count = 0;
    chain->bytes = 0;
    chain->fault = QUEUE_FAULT_NONE;
    /* Acquire pairs with the guest's release of the index: entry and chain are visible. */
    uint16_t index = atomic_load_explicit(&queue->avail->index, memory_order_acquire);
    uint16_t count = (uint16_t)(index - queue->next_avail);
    if (count > queue->size) {
        return fault(chain, QUEUE_FAULT_INDEX, index);
    }
    if (ahead >= count) {
        return 0;
    }
    const uint16_t *entry = &queue->avail->ring[(queue->next_avail + ahead) & (queue->size - 1u)];
    chain->head = __atomic_load_n(entry, __ATOMIC_RELAXED);
    return chain_decode(queue, write, chain);
}

int queue_peek(const struct queue *queue, bool write, struct queue_chain *chain)
{
    return queue_peek_ahead(queue, 0, write, chain);
}

/* ---- block requests ---- */

static int request_fault(struct queue_request *request, enum queue_fault what, uint64_t address)
{
    request->fault = what;
    request->fault_address = address;
    return -SKEP_EINVAL;
}

/* Readable parts come before writable ones. The lengths of the first and the last are looked at when all are known. */
static int request_add(struct queue_request *request, const struct skep_vring_desc *desc)
{
    uint16_t kind = desc->flags & (uint16_t)~SKEP_VRING_DESC_NEXT;
    bool after_writable = request->readable < request->part_count;
    if ((kind & ~SKEP_VRING_DESC_WRITE) != 0 || (kind == 0 && after_writable)) {
        return request_fault(request, QUEUE_FAULT_FLAGS, desc->flags);
    }
    if (desc->len > SKEP_BLOCK_BYTES_MAX) {
        return request_fault(request, QUEUE_FAULT_LENGTH, desc->len);
    }
    if (!gmem_range_valid(gva(desc->addr), desc->len)) {
        return request_fault(request, QUEUE_FAULT_ADDRESS, desc->addr);
    }
    request->parts[request->part_count++] = (struct queue_part){gva(desc->addr), desc->len};
    request->readable += kind == 0;
    request->bytes += desc->len;
    return 0;
}

/* A readable header, a writable status byte, and no more than may be between them. */
static int request_check(struct queue_request *request)
{
    uint32_t frame = (uint32_t)sizeof(struct skep_block_header) + 1, count = request->part_count;
    if (count < 2 || request->readable == 0 || request->readable == count ||
        request->parts[0].bytes != frame - 1 || request->parts[count - 1].bytes != 1) {
        return request_fault(request, QUEUE_FAULT_REQUEST, request->head);
    }
    request->bytes -= frame;
    if (request->readable > 1 && request->readable + 1u < count) {
        return request_fault(request, QUEUE_FAULT_REQUEST, request->head);
    }
    return request->bytes > SKEP_BLOCK_BYTES_MAX
               ? request_fault(request, QUEUE_FAULT_LENGTH, request->bytes)
               : 1;
}

static int request_decode(const struct queue *queue, struct queue_request *request)
{
    uint32_t index = request->head;
    for (uint32_t step = 0; step < SKEP_BLOCK_PARTS_MAX; step++) {
        if (index >= queue->size) {
            return request_fault(request, step == 0 ? QUEUE_FAULT_HEAD : QUEUE_FAULT_NEXT, index);
        }
        struct skep_vring_desc desc = desc_read(queue, index);
        int error = request_add(request, &desc);
        if (error < 0) {
            return error;
        }
        if (!(desc.flags & SKEP_VRING_DESC_NEXT)) {
            return request_check(request);
        }
        index = desc.next;
    }
    return request_fault(request, QUEUE_FAULT_CHAIN, request->head);
}

int queue_peek_request(const struct queue *queue, struct queue_request *request)
{
    request->part_count = request->readable = 0;
    request->bytes = 0;
    request->fault = QUEUE_FAULT_NONE;
    /* Acquire pairs with the guest's release of the index: entry and chain are visible. */
    uint16_t index = atomic_load_explicit(&queue->avail->index, memory_order_acquire);
    if (index == queue->next_avail) {
        return 0;
    }
    if ((uint16_t)(index - queue->next_avail) > queue->size) {
        return request_fault(request, QUEUE_FAULT_INDEX, index);
    }
    const uint16_t *entry = &queue->avail->ring[queue->next_avail & (queue->size - 1)];
    request->head = __atomic_load_n(entry, __ATOMIC_RELAXED);
    return request_decode(queue, request);
}

void queue_take(struct queue *queue)
{
    queue->next_avail++;
}

/* ---- giving back ---- */

void queue_fill(struct queue *queue, uint32_t index, uint16_t head, uint32_t bytes)
{
    struct skep_vring_used_elem *entry =
        &queue->used->ring[(queue->next_used + index) & (queue->size - 1u)];
    entry->id = head;
    entry->len = bytes;
}

void queue_publish(struct queue *queue, uint32_t count)
{
    queue->next_used = (uint16_t)(queue->next_used + count);
    /* Release pairs with the guest's acquire of the index: it sees the entries and the buffers. */
    atomic_store_explicit(&queue->used->index, queue->next_used, memory_order_release);
}

void queue_push(struct queue *queue, uint16_t head, uint32_t bytes)
{
    queue_fill(queue, 0, head, bytes);
    queue_publish(queue, 1);
}

bool queue_event_due(struct queue *queue)
{
    uint16_t before = queue->told;
    if (before == queue->next_used) {
        return false;
    }
    /* Full fence: used->index is visible before used_event is read. Pairs with the guest's, between its write of
     * used_event and its last look at used->index: one of the two sees the other's write. */
    atomic_thread_fence(memory_order_seq_cst);
    uint16_t event = __atomic_load_n(ring_used_event(queue->avail, queue->size), __ATOMIC_RELAXED);
    queue->told = queue->next_used;
    return ring_event_due(event, queue->next_used, before);
}

bool queue_arm(struct queue *queue)
{
    __atomic_store_n(ring_avail_event(queue->used, queue->size), queue->next_avail,
                     __ATOMIC_RELAXED);
    /* Full fence: avail_event is visible before the last look at avail->index. Pairs with the guest's, between its
     * write of avail->index and its read of avail_event. */
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load_explicit(&queue->avail->index, memory_order_relaxed) != queue->next_avail;
}

/* ---- a chain's memory ---- */

static int access_failed(struct queue_chain *chain, gva_t address, int error)
{
    chain->fault = QUEUE_FAULT_ACCESS;
    chain->fault_address = address.value;
    return error;
}

int queue_read(struct guest *guest, struct queue_chain *chain, uint32_t offset, void *to,
               uint32_t bytes)
{
    uint8_t *at = to;
    for (uint32_t i = 0; i < chain->part_count && bytes > 0; i++) {
        struct queue_part part = chain->parts[i];
        uint32_t skipped = offset < part.bytes ? offset : part.bytes;
        uint32_t length = part.bytes - skipped < bytes ? part.bytes - skipped : bytes;
        gva_t from = gva(part.address.value + skipped);
        int error = length > 0 ? gmem_copy_in(guest, at, from, length) : 0;
        if (error < 0) {
            return access_failed(chain, from, error);
        }
        offset -= skipped;
        at += length;
        bytes -= length;
    }
    return 0;
}

int queue_write(struct guest *guest, struct queue_chain *chain, const void *from, uint32_t bytes)
{
    const uint8_t *at = from;
    for (uint32_t i = 0; i < chain->part_count && bytes > 0; i++) {
        struct queue_part part = chain->parts[i];
        uint32_t length = part.bytes < bytes ? part.bytes : bytes;
        int error = length > 0 ? gmem_copy_out(guest, part.address, at, length) : 0;
        if (error < 0) {
            return access_failed(chain, part.address, error);
        }
        at += length;
        bytes -= length;
    }
    return 0;
}

/* Pins as many pages of [at, end) as go at once: how many, or an error. */
static int pages_pin(struct guest *guest, uint64_t at, uint64_t end, uint32_t room,
                     paddr_t pages[NIC_PIECES_MAX])
{
    uint64_t wanted = (page_align_down(end - 1) - page_align_down(at)) / PAGE_SIZE + 1;
    if (room == 0) {
        return -SKEP_E2BIG;
    }
    return gmem_pin_pages(guest, gva(at), false, wanted < room ? (uint32_t)wanted : room, pages);
}

static int range_pin(struct guest *guest, struct queue_chain *chain, struct queue_part range,
                     struct nic_piece *pieces, uint32_t *count)
{
    uint64_t at = range.address.value, end = at + range.bytes;
    while (at < end) {
        paddr_t pages[NIC_PIECES_MAX];
        int pinned = pages_pin(guest, at, end, NIC_PIECES_MAX - *count, pages);
        if (pinned < 0) {
            return access_failed(chain, gva(at), pinned);
        }
        for (int i = 0; i < pinned; i++) {
            uint64_t page_end = page_align_down(at) + PAGE_SIZE;
            uint64_t next = page_end < end ? page_end : end;
            pieces[(*count)++] = (struct nic_piece){pages[i], (uint32_t)(next - at)};
            at = next;
        }
    }
    return 0;
}

int queue_pin(struct guest *guest, struct queue_chain *chain, uint32_t offset,
              struct nic_piece *pieces, uint32_t *count)
{
    *count = 0;
    for (uint32_t i = 0; i < chain->part_count; i++) {
        struct queue_part part = chain->parts[i];
        uint32_t skipped = offset < part.bytes ? offset : part.bytes;
        part = (struct queue_part){gva(part.address.value + skipped), part.bytes - skipped};
        offset -= skipped;
        int error = range_pin(guest, chain, part, pieces, count);
        if (error < 0) {
            while (*count > 0) {
                gmem_unpin(pieces[--*count].address);
            }
            return error;
        }
    }
    return 0;
}
