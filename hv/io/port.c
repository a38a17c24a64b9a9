/*
 * port.c - moves frames between a port's queues, other ports and the network card.
 *
 * A frame is sent in two steps, so that two port locks are never held together: it is taken and judged under the
 * sender's lock, and its copy in a per-CPU buffer delivered under the receiver's. Towards the card the first HEAD_BYTES
 * are copied, judged and sent from the copy; the pages of the rest are pinned and lent. A frame that isn't much longer
 * is copied whole, which costs less than to pin and to be told of its return.
 *
 * A TCP segment that is longer than a frame (segment.h) goes to the card as it is, which cuts it. To another port it
 * goes in one frame for each look at it, or, to one that takes such, in a part of many frames' length (merge.c):
 * everything is read and judged anew each time, and only how far it is is kept.
 */
#include "io/port.h"

#include "core/cpu.h"
#include "core/event.h"
#include "core/gmem.h"
#include "core/string.h"
#include "io/filter.h"
#include "io/merge.h"
#include "io/segment.h"
#include "io/uplink.h"

#define HEADER_BYTES ((uint32_t)sizeof(struct skep_net_header))

#define HEAD_BYTES 128u

#define FRAME_WORK 3u /* in PORT_KICK_WORK's measure, beside the pieces */

/* Bounds a guest's pins, and its share of the card's ring. */
#define PORT_IN_FLIGHT_MAX 64u

/* A frame lies behind its header, as in a guest's buffer. */
struct packet {
    struct skep_net_header header;
    uint8_t frame[FRAME_BYTES_MAX];
};

/* Each is used by its own CPU, within one call: ring 0 isn't interrupted. */
static struct packet copies[CPUS_MAX];
static struct merge_segment parts[CPUS_MAX];

enum step {
    STEP_NEXT,  /* go on with the next frame */
    STEP_LOCAL, /* deliver the copy first */
    STEP_MERGE, /* deliver a part of the segment first */
    STEP_LATER, /* go on by the work list */
    STEP_END,   /* nothing more now */
};

/* A frame on its way out. */
struct outgoing {
    struct packet *packet;
    struct segments segments; /* if the packet's header has a gso_type */
    uint32_t pair;            /* of the card's queues */
    uint32_t bytes;           /* of the frame */
    uint32_t head_bytes;      /* of it that are copied */
    struct port *to;          /* STEP_LOCAL, STEP_MERGE */
    uint16_t chain;           /* STEP_MERGE: its head */
    bool kick;                /* the card was given something */
    bool its_turn;            /* nobody else is to come first */
    bool begun;               /* some frame was looked at */
    bool alone;               /* and this one is the first */
    bool no_merge;            /* the receiver has no buffers for a part */
    uint32_t work;            /* left of the go */
};

/* The guest broke its ring, or named memory that it doesn't have: it ends here. Nothing more is taken from it. */
static enum step ring_broken(struct port *port, struct queue *queue,
                             const struct queue_chain *chain, int error)
{
    bool no_memory = error == -SKEP_ENOMEM;
    port->closed = true;
    guest_crash(queue->vcpu, no_memory ? SKEP_CRASH_OUT_OF_MEMORY : SKEP_CRASH_RING,
                chain->fault_address, chain->fault);
    return STEP_END;
}

static void tell(struct queue *queue)
{
    if (queue_event_due(queue)) {
        event_raise(queue->vcpu, queue->event);
    }
}

static uint32_t receive_part(struct port *port, struct merge_segment *part);

/* ---- sending; port.lock is held ---- */

static void count_sent(struct port *port, uint32_t bytes, uint32_t copied)
{
    port->counters.tx_packets++;
    port->counters.tx_bytes += bytes;
    port->counters.tx_copied += copied;
}

/* The next chain is no longer in the queue, but held. */
static void take(struct port *port)
{
    queue_take(&port->tx);
    port->cut = 0;
    port->walk.heard = 0;
}

static enum step drop(struct port *port, const struct queue_chain *chain)
{
    port->counters.tx_dropped++;
    take(port);
    queue_push(&port->tx, chain->head, 0);
    return STEP_NEXT;
}

/* `stays`: it is for others, too. */
static enum step send_local(struct port *port, struct queue_chain *chain, struct outgoing *out,
                            bool stays)
{
    uint32_t head = out->head_bytes;
    int error = queue_read(port->guest, chain, HEADER_BYTES + head, out->packet->frame + head,
                           out->bytes - head);
    if (error < 0) {
        switch_release(out->to);
        return ring_broken(port, &port->tx, chain, error);
    }
    if (stays) {
        port->counters.tx_copied += out->bytes;
    } else {
        take(port);
        queue_push(&port->tx, chain->head, 0);
        count_sent(port, out->bytes, out->bytes);
    }
    return STEP_LOCAL;
}

/* Makes the packet's copy the frame that is next of a segment's. The guest may have changed the segment since the one
 * before, even to a shorter one. */
static enum step send_cut(struct port *port, struct queue_chain *chain, struct outgoing *out)
{
    struct segments *segments = &out->segments;
    uint8_t *frame = out->packet->frame;
    uint32_t at = port->cut, bytes = segments_bytes(segments, at), head = segments->header_bytes;
    if (bytes == 0) {
        switch_release(out->to);
        return drop(port, chain);
    }
    int error = queue_read(port->guest, chain, HEADER_BYTES + head + at, frame + head, bytes);
    if (error < 0) {
        switch_release(out->to);
        return ring_broken(port, &port->tx, chain, error);
    }
    segments_cut(segments, at, bytes, &out->packet->header, frame);
    out->bytes = head + bytes;
    port->cut = at + bytes;
    if (port->cut == segments->payload_bytes) {
        take(port);
        queue_push(&port->tx, chain->head, 0);
    }
    count_sent(port, out->bytes, out->bytes);
    return STEP_LOCAL;
}

/* Pins what is left of a segment, to be delivered as far as the receiver has buffers. That is a go of its own. */
static enum step send_part(struct port *port, struct queue_chain *chain, struct outgoing *out)
{
    struct merge_segment *part = &parts[arch_cpu()->index];
    uint32_t at = port->cut, head = out->segments.header_bytes,
             payload = out->segments.payload_bytes;
    uint32_t left = at < payload ? payload - at : 0;
    if (out->no_merge || left <= out->segments.size) {
        return send_cut(port, chain, out);
    }
    if (!out->alone) {
        switch_release(out->to);
        return STEP_LATER;
    }
    part->segments = out->segments;
    part->header = out->packet->header;
    memcpy(part->head, out->packet->frame, head);
    part->at = at;
    part->payload.count = part->payload.bytes = 0;
    merge_pin(&part->payload, port->guest, chain, HEADER_BYTES + head + at, left, false);
    out->chain = chain->head;
    return STEP_MERGE;
}

static void count_frames(uint64_t *packets, uint64_t *bytes, const struct segments *segments,
                         uint32_t payload)
{
    uint32_t frames = (payload + segments->size - 1) / segments->size;
    *packets += frames;
    *bytes += payload + frames * segments->header_bytes;
}

/* So much of the payload was delivered. The guest may have ended meanwhile; else the chain is the next one still, for nobody
 * else takes any. If it was nothing, a frame is cut instead, in this go; what follows is for another one. */
static void sent_part(struct port *port, struct outgoing *out, uint32_t payload)
{
    out->no_merge = payload == 0;
    out->begun = payload > 0;
    out->work = 0;
    if (port->closed || payload == 0) {
        return;
    }
    port->cut += payload;
    if (port->cut == out->segments.payload_bytes) {
        take(port);
        queue_push(&port->tx, out->chain, 0);
    }
    uint64_t before = port->counters.tx_bytes;
    count_frames(&port->counters.tx_packets, &port->counters.tx_bytes, &out->segments, payload);
    port->counters.tx_copied += port->counters.tx_bytes - before;
}

static void pieces_unpin(const struct nic_packet *packet)
{
    for (uint32_t i = 0; i < packet->piece_count; i++) {
        gmem_unpin(packet->pieces[i].address);
    }
}

/* Whether the go may do so much more. A frame that costs more than a go has one for itself. */
static bool spend(struct outgoing *out, uint32_t work)
{
    bool may = !out->begun || work <= out->work;
    out->begun = true;
    out->work -= work < out->work ? work : out->work;
    return may;
}

/* Leaves the frame in its queue until the card has room. */
static enum step stall(struct port *port, struct nic *nic, uint32_t pair)
{
    switch_work_stall(port);
    /* Room that came after the refusal and before the port was on the list would wake nobody. Both sides pass
     * through nic.lock: the card's looks at the list after it made room, this one at the room after it is listed. */
    if (nic->driver->room(nic, pair)) {
        switch_work_unstall();
    }
    return STEP_END;
}

/* The card has taken it. A frame that was copied whole is the guest's again at once. */
static enum step lent(struct port *port, const struct queue_chain *chain,
                      const struct nic_packet *packet, struct outgoing *out)
{
    out->kick = true;
    take(port);
    if (packet->owner != NULL) {
        port->in_flight++;
    } else {
        queue_push(&port->tx, chain->head, 0);
    }
    if (packet->header.gso_type != SKEP_NET_GSO_NONE) {
        port->counters.tx_packets += out->segments.count - 1;
        port->counters.tx_bytes += (out->segments.count - 1) * out->segments.header_bytes;
    }
    count_sent(port, out->bytes, out->head_bytes);
    return STEP_NEXT;
}

static enum step send_uplink(struct port *port, struct queue_chain *chain, struct outgoing *out)
{
    struct nic *nic = uplink_nic();
    struct nic_packet packet; /* its pieces need no zeroes */
    packet.header = out->packet->header;
    packet.head = out->packet->frame;
    packet.head_bytes = out->head_bytes;
    packet.piece_count = 0;
    packet.owner = NULL;
    packet.cookie = 0;
    packet.header.num_buffers = 0; /* Virtio 1.2, section 5.1.6.2.1: the driver sets it to 0 */
    if (nic == NULL) {
        return drop(port, chain);
    }
    /* Or who kicks often would take each place that the card gets free before those whose turn it is. */
    if (!out->its_turn && switch_others_wait(port)) {
        return STEP_LATER;
    }
    if (out->bytes > out->head_bytes) {
        if (port->in_flight == PORT_IN_FLIGHT_MAX) {
            port->waiting = true;
            return STEP_END;
        }
        packet.owner = port;
        packet.cookie = chain->head;
        spend(out, out->bytes / PAGE_SIZE); /* whole pages cost what further pieces do */
        int error = queue_pin(port->guest, chain, HEADER_BYTES + out->head_bytes, packet.pieces,
                              &packet.piece_count);
        if (error == -SKEP_EFAULT || error == -SKEP_ENOMEM) {
            return ring_broken(port, &port->tx, chain, error);
        }
        if (error < 0) {
            return drop(port, chain); /* too many pieces, or pins of one page */
        }
    }
    int mark = nic->driver->transmit(nic, out->pair, &packet);
    if (mark < 0) {
        pieces_unpin(&packet);
        return stall(port, nic, out->pair);
    }
    port->mark = (uint32_t)mark;
    return lent(port, chain, &packet, out);
}

/* Copies header and head; what was read is never read again. */
static int copy_head(struct port *port, struct queue_chain *chain, struct outgoing *out)
{
    out->bytes = chain->bytes - HEADER_BYTES;
    out->head_bytes = out->bytes <= NIC_COPY_MAX ? out->bytes : HEAD_BYTES;
    return queue_read(port->guest, chain, 0, out->packet, HEADER_BYTES + out->head_bytes);
}

static bool header_permitted(const struct port *port, struct outgoing *out)
{
    struct packet *packet = out->packet;
    bool offered =
        !(packet->header.flags & SKEP_NET_HDR_NEEDS_CSUM) || (port->flags & SKEP_NET_TX_CSUM);
    if (packet->header.gso_type != SKEP_NET_GSO_NONE) {
        bool is_6 = packet->header.gso_type == SKEP_NET_GSO_TCP6;
        return offered && (port->flags & (is_6 ? SKEP_NET_TX_TSO6 : SKEP_NET_TX_TSO4)) &&
               segments_decode(&out->segments, &packet->header, packet->frame, out->head_bytes,
                               out->bytes, port->mtu);
    }
    return offered && out->bytes <= FRAME_BYTES_MIN + port->mtu &&
           filter_header(&packet->header, packet->frame, out->head_bytes, out->bytes);
}

static enum step send_port(struct port *port, struct queue_chain *chain, struct outgoing *out)
{
    if (out->packet->header.gso_type == SKEP_NET_GSO_NONE) {
        return send_local(port, chain, out, false);
    }
    bool is_6 = out->packet->header.gso_type == SKEP_NET_GSO_TCP6;
    uint32_t merges = atomic_load_explicit(&out->to->merges, memory_order_relaxed);
    return merges & (is_6 ? SKEP_QUEUE_MERGE6 : SKEP_QUEUE_MERGE) ? send_part(port, chain, out)
                                                                  : send_cut(port, chain, out);
}

static enum step send_one(struct port *port, struct outgoing *out)
{
    struct queue_chain chain;
    int found = queue_peek(&port->tx, false, &chain);
    if (found == 0) {
        return queue_arm(&port->tx) ? STEP_NEXT : STEP_END;
    }
    if (found < 0) {
        return ring_broken(port, &port->tx, &chain, found);
    }
    out->alone = !out->begun;
    if (!spend(out, FRAME_WORK + chain.part_count)) {
        return STEP_LATER;
    }
    if (chain.bytes < HEADER_BYTES + FRAME_BYTES_MIN) {
        return drop(port, &chain);
    }
    int error = copy_head(port, &chain, out);
    if (error < 0) {
        return ring_broken(port, &port->tx, &chain, error);
    }
    if (!header_permitted(port, out)) {
        return drop(port, &chain);
    }
    switch (filter_outgoing(port, out->packet->frame, out->head_bytes, &out->to)) {
    case VERDICT_UPLINK:
        return send_uplink(port, &chain, out);
    case VERDICT_PORT:
        return send_port(port, &chain, out);
    case VERDICT_MEMBER:
        if (out->packet->header.gso_type == SKEP_NET_GSO_NONE) {
            return send_local(port, &chain, out, true);
        }
        switch_release(out->to); /* there is no TCP to a group */
        return drop(port, &chain);
    default:
        return drop(port, &chain);
    }
}

/* Until a frame must be delivered, nothing is left, or the go is used up. */
static enum step send_some(struct port *port, struct outgoing *out)
{
    enum step step = STEP_NEXT;
    while (step == STEP_NEXT && !port->closed) {
        step = send_one(port, out);
    }
    if (step == STEP_LATER) {
        switch_work_add(port);
    }
    return step;
}

/* A guest that has moved to another CPU sends on that one's pair as soon as its frames can't overtake each other. What
 * comes for its connections follows: the card goes by what it has seen of them. */
static void pair_follow(struct port *port, bool its_turn)
{
    struct nic *nic = uplink_nic();
    if (nic == NULL || nic->pair_count == 1) {
        return;
    }
    port->kicked_on = its_turn ? port->kicked_on : arch_cpu()->index;
    uint32_t pair = nic_pair_of(nic, port->kicked_on);
    if (pair != port->pair && nic->driver->passed(nic, port->pair, port->mark)) {
        port->pair = pair;
    }
}

static bool send_begin(struct port *port)
{
    bool may = !port->closed && !port->sending && port->tx.vcpu != NULL;
    port->sending |= may;
    return may;
}

static void send_end(struct port *port)
{
    port->sending = false;
    if (!port->closed) {
        tell(&port->tx);
    }
}

/* Holds no lock. How much payload of a part. */
static uint32_t deliver(struct outgoing *out, enum step step)
{
    if (step == STEP_MERGE) {
        return receive_part(out->to, &parts[arch_cpu()->index]);
    }
    spend(out, port_receive(out->to, &out->packet->header, out->bytes));
    return 0;
}

bool port_send(struct port *port, uint32_t work, bool its_turn)
{
    struct outgoing out = {
        .packet = &copies[arch_cpu()->index], .work = work, .its_turn = its_turn};
    enum step step = STEP_END;
    spin_lock(&port->lock);
    /* Who comes while another CPU sends need not wait: that CPU looks at the queue again under this lock. */
    if (send_begin(port)) {
        pair_follow(port, its_turn);
        out.pair = port->pair;
        while ((step = send_some(port, &out)) == STEP_LOCAL || step == STEP_MERGE) {
            spin_unlock(&port->lock);
            uint32_t payload = deliver(&out, step);
            switch_release(out.to);
            spin_lock(&port->lock);
            if (step == STEP_MERGE) {
                sent_part(port, &out, payload);
            }
        }
        send_end(port);
    }
    spin_unlock(&port->lock);
    if (out.kick) {
        uplink_nic()->driver->kick(uplink_nic(), out.pair);
    }
    return step == STEP_LATER;
}

void port_send_later(struct port *port)
{
    spin_lock(&port->lock);
    if (!port->closed && port->tx.vcpu != NULL) {
        port->kicked_on = arch_cpu()->index;
        switch_work_add(port);
    }
    spin_unlock(&port->lock);
}

void port_sent(void *owner, uint32_t head, const paddr_t *pieces, uint32_t count)
{
    struct port *port = owner;
    for (uint32_t i = 0; i < count; i++) {
        gmem_unpin(pieces[i]);
    }
    spin_lock(&port->lock);
    port->in_flight--;
    if (!port->closed) {
        queue_push(&port->tx, (uint16_t)head, 0);
        tell(&port->tx);
        if (port->waiting) {
            port->waiting = false;
            switch_work_add(port);
        }
    } else if (port->in_flight == 0) {
        reap_wake(port->guest); /* if the reaper was there, it found these packets missing */
    }
    spin_unlock(&port->lock);
}

/* ---- receiving ---- */

/* Under port.lock. How many pieces the frame was copied to, 0 = it is dropped. */
static uint32_t receive(struct port *port, const struct skep_net_header *header, uint32_t bytes)
{
    struct queue_chain chain;
    if (port->closed || port->rx.vcpu == NULL) {
        return 0;
    }
    int found = queue_peek(&port->rx, true, &chain);
    if (found < 0) {
        ring_broken(port, &port->rx, &chain, found);
        return 0;
    }
    if (found == 0 || chain.bytes < bytes) {
        return 0;
    }
    int error = queue_write(port->guest, &chain, header, bytes);
    if (error < 0) {
        ring_broken(port, &port->rx, &chain, error);
        return 0;
    }
    queue_take(&port->rx);
    queue_push(&port->rx, chain.head, bytes);
    tell(&port->rx);
    return chain.part_count;
}

uint32_t port_receive(struct port *port, const struct skep_net_header *header, uint32_t frame_bytes)
{
    spin_lock(&port->lock);
    uint32_t pieces = receive(port, header, HEADER_BYTES + frame_bytes);
    if (pieces > 0) {
        port->counters.rx_packets++;
        port->counters.rx_bytes += frame_bytes;
    } else {
        port->counters.rx_dropped++;
    }
    spin_unlock(&port->lock);
    return pieces;
}

/* Delivers what the port has buffers for, and lets go of the memory: how much payload that was. Holds no lock. */
static uint32_t receive_part(struct port *port, struct merge_segment *part)
{
    uint32_t payload = 0;
    spin_lock(&port->lock);
    if (!port->closed && port->rx.vcpu != NULL) {
        payload = merge_receive(&port->rx, &port->payload, port->guest, part);
        count_frames(&port->counters.rx_packets, &port->counters.rx_bytes, &part->segments,
                     payload);
        tell(&port->rx);
    }
    spin_unlock(&port->lock);
    merge_unpin(&part->payload);
    return payload;
}

bool port_receive_advert(void)
{
    struct packet *packet = &copies[arch_cpu()->index];
    uint32_t bytes;
    struct port *port = switch_advert_next(packet->frame, &bytes);
    if (port == NULL) {
        return false;
    }
    packet->header = (struct skep_net_header){.num_buffers = 1};
    port_receive(port, &packet->header, bytes);
    switch_release(port);
    return true;
}

void port_receive_dropped(struct port *port)
{
    spin_lock(&port->lock);
    port->counters.rx_dropped++;
    spin_unlock(&port->lock);
}

/* ---- closing ---- */

bool port_close(struct port *port)
{
    spin_lock(&port->lock);
    port->closed = true;
    queue_teardown(&port->rx);
    queue_teardown(&port->tx);
    queue_teardown(&port->payload);
    bool returned = port->in_flight == 0;
    spin_unlock(&port->lock);
    switch_port_remove(port);
    return returned;
}
