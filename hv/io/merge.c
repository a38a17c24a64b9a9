/*
 * merge.c - delivers parts of long TCP segments over several receive buffers, or into payload buffers.
 */
#include "io/merge.h"

#include "core/gmem.h"
#include "core/string.h"

#define HEADER_BYTES ((uint32_t)sizeof(struct skep_net_header))

/* ---- pinning ---- */

static uint32_t pages_of(gva_t address, uint32_t bytes)
{
    return (uint32_t)(((address.value & PAGE_MASK) + bytes + PAGE_SIZE - 1) / PAGE_SIZE);
}

/* Pins [address, address + bytes). False: not all of it. */
static bool range_pin(struct merge_memory *memory, struct guest *guest, gva_t address,
                      uint32_t bytes, bool write)
{
    paddr_t pages[MERGE_PIECES_MAX];
    uint32_t room = MERGE_PIECES_MAX - memory->count, wanted = pages_of(address, bytes);
    uint32_t count = gmem_pin_present(guest, address, write, wanted < room ? wanted : room, pages);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t left = PAGE_SIZE - (uint32_t)(pages[i].value & PAGE_MASK);
        uint32_t part = left < bytes ? left : bytes;
        memory->pieces[memory->count++] = (struct nic_piece){pages[i], part};
        memory->bytes += part;
        bytes -= part;
    }
    return bytes == 0;
}

void merge_pin(struct merge_memory *memory, struct guest *guest, const struct queue_chain *chain,
               uint32_t offset, uint32_t bytes, bool write)
{
    bool all = true;
    for (uint32_t i = 0; i < chain->part_count && bytes > 0 && all; i++) {
        struct queue_part part = chain->parts[i];
        uint32_t skipped = offset < part.bytes ? offset : part.bytes;
        uint32_t length = part.bytes - skipped < bytes ? part.bytes - skipped : bytes;
        all = range_pin(memory, guest, gva(part.address.value + skipped), length, write);
        offset -= skipped;
        bytes -= length;
    }
}

static void unpin_from(struct merge_memory *memory, uint32_t count)
{
    while (memory->count > count) {
        struct nic_piece *piece = &memory->pieces[--memory->count];
        gmem_unpin(piece->address);
        memory->bytes -= piece->bytes;
    }
}

void merge_unpin(struct merge_memory *memory)
{
    unpin_from(memory, 0);
}

/* ---- receive buffers ---- */

/* The next chains of a queue, and the part of each that is filled. */
struct buffers {
    uint32_t count;
    uint16_t heads[MERGE_PIECES_MAX];
    uint32_t bytes[MERGE_PIECES_MAX];
    struct merge_memory memory;
};

/* Adds chains until there is room for so much, or one can't be had as a whole. */
static void gather(struct buffers *buffers, const struct queue *queue, struct guest *guest,
                   uint32_t wanted)
{
    struct merge_memory *memory = &buffers->memory;
    struct queue_chain chain;
    while (memory->bytes < wanted && memory->count < MERGE_PIECES_MAX &&
           buffers->count < MERGE_PIECES_MAX &&
           queue_peek_ahead(queue, buffers->count, true, &chain) == 1) {
        uint32_t pieces = memory->count, before = memory->bytes, left = wanted - before;
        uint32_t bytes = chain.bytes < left ? chain.bytes : left;
        merge_pin(memory, guest, &chain, 0, bytes, true);
        if (memory->bytes - before < bytes) {
            unpin_from(memory, pieces);
            break;
        }
        buffers->heads[buffers->count] = chain.head;
        buffers->bytes[buffers->count++] = bytes;
    }
}

/* Forgets what lies behind so much. */
static void shrink(struct buffers *buffers, uint32_t bytes)
{
    uint32_t count = 0;
    for (; bytes > 0 && count < buffers->count; count++) {
        uint32_t part = buffers->bytes[count];
        buffers->bytes[count] = part < bytes ? part : bytes;
        bytes -= buffers->bytes[count];
    }
    buffers->count = count;
}

/* ---- copying ---- */

struct cursor {
    const struct nic_piece *piece;
    uint32_t done; /* of the piece */
};

/* Both may be the same memory, if the sender is the receiver. */
static void put(struct cursor *to, const void *from, uint32_t bytes)
{
    const uint8_t *at = from;
    while (bytes > 0) {
        uint32_t room = to->piece->bytes - to->done, part = room < bytes ? room : bytes;
        memmove((uint8_t *)arch_direct(to->piece->address) + to->done, at, part);
        to->done += part;
        if (to->done == to->piece->bytes) {
            *to = (struct cursor){to->piece + 1, 0};
        }
        at += part;
        bytes -= part;
    }
}

static void fill(const struct buffers *buffers, const struct merge_segment *segment,
                 uint32_t payload)
{
    struct cursor to = {buffers->memory.pieces, 0};
    put(&to, &segment->header, HEADER_BYTES);
    put(&to, segment->head, segment->segments.header_bytes);
    for (const struct nic_piece *from = segment->payload.pieces; payload > 0; from++) {
        uint32_t part = from->bytes < payload ? from->bytes : payload;
        put(&to, arch_direct(from->address), part);
        payload -= part;
    }
}

/* How much payload goes: all that is pinned, if that is the segment's end and there is room for it, or whole frames. */
static uint32_t payload_that_fits(const struct merge_segment *segment, uint32_t room)
{
    const struct segments *segments = &segment->segments;
    uint32_t headers = HEADER_BYTES + segments->header_bytes;
    uint32_t most = room > headers ? room - headers : 0;
    most = most < segment->payload.bytes ? most : segment->payload.bytes;
    bool all = segment->at + most == segments->payload_bytes;
    uint32_t bytes = all ? most : most - most % segments->size;
    return bytes > segments->size ? bytes : 0;
}

static void give_back(struct queue *queue, const struct buffers *buffers)
{
    for (uint32_t i = 0; i < buffers->count; i++) {
        queue_fill(queue, i, buffers->heads[i], buffers->bytes[i]);
        queue_take(queue);
    }
    queue_publish(queue, buffers->count);
}

/* Makes the headers those of so much payload, and copies all. */
static void deliver(const struct buffers *buffers, struct merge_segment *segment, uint32_t payload,
                    uint32_t flags)
{
    segments_cut(&segment->segments, segment->at, payload, &segment->header, segment->head);
    segment->header.flags |= (uint8_t)flags;
    segment->header.num_buffers = (uint16_t)buffers->count;
    fill(buffers, segment, payload);
}

/* Headers in the receive queue's next chain, payload in the payload queue's. */
static uint32_t receive_apart(struct queue *queue, struct queue *payload_queue, struct guest *guest,
                              struct merge_segment *segment)
{
    struct buffers buffers;
    uint32_t headers = HEADER_BYTES + segment->segments.header_bytes, payload = 0;
    buffers.count = buffers.memory.count = buffers.memory.bytes = 0;
    gather(&buffers, queue, guest, headers);
    uint16_t head = buffers.count > 0 ? buffers.heads[0] : 0;
    if (buffers.count == 1 && buffers.memory.bytes == headers) {
        buffers.count = 0;
        gather(&buffers, payload_queue, guest, headers + segment->payload.bytes);
        payload = payload_that_fits(segment, buffers.memory.bytes);
    }
    if (payload > 0) {
        shrink(&buffers, payload);
        deliver(&buffers, segment, payload, SKEP_NET_HDR_PAYLOAD);
        give_back(payload_queue, &buffers);
        queue_take(queue);
        queue_push(queue, head, headers);
    }
    merge_unpin(&buffers.memory);
    return payload;
}

/* All in the receive queue's next chains. */
static uint32_t receive_together(struct queue *queue, struct guest *guest,
                                 struct merge_segment *segment)
{
    struct buffers buffers;
    uint32_t headers = HEADER_BYTES + segment->segments.header_bytes;
    buffers.count = buffers.memory.count = buffers.memory.bytes = 0; /* the rest needs no zeroes */
    gather(&buffers, queue, guest, headers + segment->payload.bytes);
    uint32_t payload = payload_that_fits(segment, buffers.memory.bytes);
    if (payload > 0) {
        shrink(&buffers, headers + payload);
        deliver(&buffers, segment, payload, 0);
        give_back(queue, &buffers);
    }
    merge_unpin(&buffers.memory);
    return payload;
}

/* Not one after the other: that could take twice as long. */
uint32_t merge_receive(struct queue *queue, struct queue *payload_queue, struct guest *guest,
                       struct merge_segment *segment)
{
    struct queue_chain chain;
    bool apart = payload_queue->vcpu != NULL && segment->payload.bytes >= MERGE_APART_MIN &&
                 queue_peek(payload_queue, true, &chain) == 1;
    return apart ? receive_apart(queue, payload_queue, guest, segment)
                 : receive_together(queue, guest, segment);
}
