/*
 * uplink.c - the network card behind the switch: when it is polled, and where its frames go.
 *
 * One CPU polls at a time, so that frames stay in order. `wanted` is set by interrupts and by a poll that left work.
 */
#include "io/uplink.h"

#include "core/cpu.h"
#include "core/sched.h"
#include "io/filter.h"
#include "io/filter6.h"
#include "io/port.h"

#define POLL_BUDGET 4u /* frames, some 1,500 instructions each */

static struct nic *uplink;

static _Atomic uint32_t wanted, polling;

void uplink_set(struct nic *nic)
{
    uplink = nic;
}

struct nic *uplink_nic(void)
{
    return uplink;
}

bool uplink_wanted(void)
{
    return atomic_load_explicit(&wanted, memory_order_relaxed);
}

bool uplink_poll(void)
{
    if (!uplink_wanted() || atomic_exchange(&polling, 1)) {
        return false;
    }
    atomic_store(&wanted, 0);
    if (uplink->driver->poll(uplink, POLL_BUDGET)) {
        atomic_store(&wanted, 1);
    }
    /* Sequentially consistent, paired with uplink_interrupt() on another CPU: either that one finds `polling` 0, or
     * io_work() on this one finds `wanted` 1. */
    atomic_store(&polling, 0);
    atomic_thread_fence(memory_order_seq_cst);
    return true;
}

/* Polls at once, which spares a CPU another choice; but who was just woken isn't held up by what the card has done for
 * others. */
static void uplink_interrupt(struct nic *nic)
{
    struct cpu *cpu = arch_cpu();
    if (nic != uplink) { /* one that failed to start */
        return;
    }
    atomic_store(&wanted, 1);
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

static void uplink_received(struct nic *nic, struct skep_net_header *header, uint32_t bytes)
{
    const uint8_t *frame = (const uint8_t *)(header + 1);
    (void)nic;
    if (bytes >= FRAME_BYTES_MIN && bytes <= ADVERT_BYTES_MAX && filter6_is_advert(frame, bytes)) {
        switch_advert_set(frame, bytes);
        return;
    }
    struct port *port = filter_incoming(frame, bytes);
    if (port == NULL) {
        return; /* on a promiscuous card most of this is for others */
    }
    if (header_incoming(header, frame, bytes)) {
        port_receive(port, header, bytes);
    } else {
        port_receive_dropped(port);
    }
    switch_release(port);
}

const struct nic_client uplink_client = {
    .interrupt = uplink_interrupt,
    .received = uplink_received,
    .sent = port_sent,
    .room = uplink_room,
};
