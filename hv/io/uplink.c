/*
 * uplink.c - the network card behind the switch: when it is polled, and where its frames go.
 *
 * A CPU polls the pair of queues that interrupts it and no other's, so that frames stay in order and CPUs don't wait for
 * each other. `wanted` is set by interrupts and by a poll that left work.
 */
#include "io/uplink.h"

#include "core/cpu.h"
#include "core/sched.h"
#include "io/filter.h"
#include "io/filter6.h"
#include "io/port.h"

#define POLL_BUDGET 4u /* frames, some 1,500 instructions each */

static struct nic *uplink;

static struct {
    _Alignas(64) _Atomic uint32_t wanted;
    struct members_walk walk; /* of the frame that it hands on; used on its CPU */
} pairs[CPUS_MAX];            /* of CPUs without a pair nothing is wanted */

/* Has another CPU poll its pair. */
static void poll_there(uint32_t pair)
{
    atomic_store(&pairs[pair].wanted, 1);
    arch_ipi_send(pair);
}

/* The other CPUs start later: what the card tells them before is lost, so they look when they first come by. */
void uplink_set(struct nic *nic)
{
    uplink = nic;
    for (uint32_t i = 1; i < nic->pair_count; i++) {
        atomic_store(&pairs[i].wanted, 1);
    }
}

struct nic *uplink_nic(void)
{
    return uplink;
}

bool uplink_wanted(void)
{
    return atomic_load_explicit(&pairs[arch_cpu()->index].wanted, memory_order_relaxed);
}

bool uplink_poll(void)
{
    uint32_t pair = arch_cpu()->index;
    if (!uplink_wanted()) {
        return false;
    }
    /* Sequentially consistent, paired with poll_there() on another CPU: either the poll sees what that one has seen of the
     * card, or `wanted` is 1 afterwards. */
    atomic_store(&pairs[pair].wanted, 0);
    if (uplink->driver->poll(uplink, pair, POLL_BUDGET)) {
        atomic_store(&pairs[pair].wanted, 1);
    }
    return true;
}

/* Polls at once, which spares a CPU another choice; but who was just woken isn't held up by what the card has done for
 * others. */
static void uplink_interrupt(struct nic *nic, uint32_t pair)
{
    struct cpu *cpu = arch_cpu();
    if (nic != uplink) { /* one that failed to start */
        return;
    }
    if (pair != cpu->index) {
        poll_there(pair);
        return;
    }
    atomic_store(&pairs[pair].wanted, 1);
    if (sched_spares(cpu)) {
        atomic_store(&cpu->resched, 1);
    } else {
        uplink_poll();
    }
}

static void uplink_room(struct nic *nic)
{
    (void)nic;
    switch_work_unstall();
}

/* The card may have checked the sum, or may know that the sender, on this machine, left it out. */
static bool header_incoming(struct skep_net_header *header, const uint8_t *frame, uint32_t bytes)
{
    bool valid = header->flags & SKEP_NET_HDR_DATA_VALID;
    if (!filter_header(header, frame, bytes, bytes)) {
        return false;
    }
    header->flags |= valid ? SKEP_NET_HDR_DATA_VALID : 0;
    return true;
}

/* To one port in each call. */
static bool uplink_received(struct nic *nic, struct skep_net_header *header, uint32_t bytes)
{
    const uint8_t *frame = (const uint8_t *)(header + 1);
    struct members_walk *walk = &pairs[arch_cpu()->index].walk;
    (void)nic;
    if (bytes >= FRAME_BYTES_MIN && bytes <= ADVERT_BYTES_MAX && filter6_is_advert(frame, bytes)) {
        switch_advert_set(frame, bytes);
        return false;
    }
    struct port *port = filter_incoming(frame, bytes, walk);
    if (port == NULL) { /* on a promiscuous card most of this is for others */
        walk->heard = 0;
        return false;
    }
    if (header_incoming(header, frame, bytes)) {
        port_receive(port, header, bytes);
    } else {
        port_receive_dropped(port);
    }
    switch_release(port);
    return walk->heard != 0;
}

const struct nic_client uplink_client = {
    .interrupt = uplink_interrupt,
    .received = uplink_received,
    .sent = port_sent,
    .room = uplink_room,
};
