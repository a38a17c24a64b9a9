/*
 * io.c - what the core calls of the I/O layer.
 */
#include "io/io.h"

#include "core/cpu.h"
#include "core/frame.h"
#include "core/log.h"
#include "core/sched.h"
#include "core/string.h"
#include "drivers/pci.h"
#include "drivers/virtio_blk.h"
#include "drivers/virtio_net.h"
#include "io/block.h"
#include "io/disks.h"
#include "io/filter.h"
#include "io/port.h"
#include "io/uplink.h"

#define MTU_MAX (FRAME_BYTES_MAX - FRAME_BYTES_MIN)
#define MTU_MIN 68u /* RFC 791 */

static void disk_found(const struct pci_device *pci)
{
    struct disk *disk =
        disks_count() < SKEP_DISKS_MAX ? virtio_blk_start(pci, &disks_client) : NULL;
    if (disk != NULL) {
        disks_add(disk);
    }
}

static void device_found(const struct pci_device *pci)
{
    disk_found(pci);
    if (uplink_nic() == NULL) {
        struct nic *nic = virtio_net_start(pci, &uplink_client);
        if (nic != NULL) {
            uplink_set(nic);
        }
    }
}

void io_init(void)
{
    switch_init();
    pci_scan(device_found);
    block_init();
    if (uplink_nic() == NULL) {
        log_line("net: no network card; guests reach each other only");
    }
}

/* ---- attaching ---- */

static const uint8_t no_mac[6];
static const uint8_t control_mac_default[6] = {2, 0, 0, 0, 0, 1};

/* The control service has the card's own MAC, which is the only one that some networks accept; no guest has it. */
static int mac_choose(struct port *port, const struct skep_net *net)
{
    const struct nic *nic = uplink_nic();
    bool given = memcmp(net->mac, no_mac, 6) != 0;
    if (given) {
        memcpy(port->mac, net->mac, 6);
    } else if (port->is_control) {
        memcpy(port->mac, nic != NULL ? nic->mac : control_mac_default, 6);
    } else {
        return -SKEP_EINVAL;
    }
    if (port->mac[0] & 1) {
        return -SKEP_EINVAL; /* a group's */
    }
    bool cards = nic != NULL && memcmp(port->mac, nic->mac, 6) == 0;
    return cards && !port->is_control ? -SKEP_EEXIST : 0;
}

static int mtu_choose(struct port *port, const struct skep_net *net)
{
    uint32_t limit = uplink_nic() != NULL ? uplink_nic()->mtu : MTU_MAX;
    if (net->mtu != 0 && net->mtu < MTU_MIN) {
        return -SKEP_EINVAL;
    }
    port->mtu = (uint16_t)(net->mtu != 0 && net->mtu < limit ? net->mtu : limit);
    return 0;
}

/* Between ports a checksum need not be completed at all: who receives hears that it is missing. And what one of them
 * can't receive whole is cut on the way. */
static uint32_t flags_choose(const struct skep_net *net)
{
    const struct nic *nic = uplink_nic();
    uint32_t asked = net->flags & (SKEP_NET_DHCP | SKEP_NET_CONTROL_OK);
    uint32_t tx_csum = nic == NULL || nic->tx_csum ? SKEP_NET_TX_CSUM : 0;
    uint32_t tx_tso4 = nic == NULL || nic->tx_tso4 ? SKEP_NET_TX_TSO4 : 0;
    uint32_t tx_tso6 = nic == NULL || nic->tx_tso6 ? SKEP_NET_TX_TSO6 : 0;
    return asked | SKEP_NET_RX_CSUM | SKEP_NET_RX_MERGE | SKEP_NET_RX_PAYLOAD | tx_csum | tx_tso4 |
           tx_tso6;
}

static int port_fill6(struct port *port, const struct skep_net6 *net6)
{
    if (port->is_control || !(net6->flags & SKEP_NET6_ON)) {
        return 0;
    }
    if (net6->flags & ~(SKEP_NET6_ON | SKEP_NET6_AUTO) || net6->address[0] == 0xff) {
        return -SKEP_EINVAL; /* a group's */
    }
    port->flags6 = net6->flags;
    memcpy(port->address6, net6->address, sizeof(port->address6));
    return 0;
}

static int port_fill(struct port *port, struct guest *guest, uint32_t index,
                     const struct skep_net *net, const struct skep_net6 *net6)
{
    const uint8_t *address = (const uint8_t *)&net->address;
    port->guest = guest;
    port->lock.kind = LOCK_PORT;
    port->index = index;
    port->is_control = guest->is_control;
    port->flags = flags_choose(net);
    port->address = net->address;
    if (address[0] >= 224 || net->address == UINT32_MAX) {
        return -SKEP_EINVAL; /* a group's or everyone's */
    }
    int error = mac_choose(port, net);
    error = error < 0 ? error : mtu_choose(port, net);
    return error < 0 ? error : port_fill6(port, net6);
}

static struct port *port_alloc(struct guest *guest)
{
    spin_lock(&guest->lock);
    pfn_t pfn = guest_frame_alloc(guest, SKEP_FRAME_OBJECT);
    guest->fixed_frames += pfn != PFN_NONE;
    spin_unlock(&guest->lock);
    return pfn != PFN_NONE ? frame_data(pfn) : NULL;
}

static void port_free(struct guest *guest, struct port *port)
{
    spin_lock(&guest->lock);
    guest->ended_net[port->index] = port->counters;
    guest_frame_free(guest, frame_of(port));
    guest->fixed_frames--;
    spin_unlock(&guest->lock);
}

int io_net_attach(struct guest *guest, uint32_t index, const struct skep_net *net,
                  const struct skep_net6 *net6)
{
    if (index >= SKEP_NETS_MAX || guest->ports[index] != NULL) {
        return -SKEP_EINVAL;
    }
    struct port *port = port_alloc(guest);
    if (port == NULL) {
        return -SKEP_ENOMEM;
    }
    int error = port_fill(port, guest, index, net, net6);
    if (error == 0) {
        error = switch_port_add(port);
    }
    if (error < 0) {
        port_free(guest, port);
    }
    return error;
}

void io_net_describe(struct guest *guest, uint32_t index, struct skep_net *net)
{
    const struct port *port = guest->ports[index];
    if (port != NULL) {
        memcpy(net->mac, port->mac, 6);
        net->mtu = port->mtu;
        net->flags = port->flags & ~SKEP_NET_CONTROL_OK;
    }
}

int io_block_attach(struct guest *guest, uint32_t index, const struct skep_block_spec *spec)
{
    struct volume *volume = volume_find(spec->volume);
    if ((spec->flags & ~SKEP_BLOCK_READ_ONLY) != 0 || spec->reserved != 0) {
        return -SKEP_EINVAL;
    }
    return volume != NULL ? block_attach(guest, index, volume, spec->flags) : -SKEP_ENOENT;
}

int io_disks_attach(struct guest *guest)
{
    int error = 0;
    volume_shares_undo(); /* of a control service before this one */
    for (uint32_t i = 0; i < disks_count() && error == 0; i++) {
        error = block_attach(guest, i, block_raw(i), 0);
    }
    return error;
}

int io_guest_detach(struct guest *guest)
{
    int result = 0;
    for (uint32_t i = 0; i < SKEP_BLOCKS_MAX; i++) {
        if (guest->blocks[i] != NULL && !block_close(guest->blocks[i])) {
            result = -SKEP_EAGAIN;
        }
    }
    for (uint32_t i = 0; i < SKEP_NETS_MAX; i++) {
        struct port *port = guest->ports[i];
        if (port == NULL) {
            continue;
        }
        if (port_close(port) && switch_port_forget(port)) {
            port_free(guest, port);
        } else {
            result = -SKEP_EAGAIN;
        }
    }
    return result;
}

/* ---- queues ---- */

static struct port *port_of(struct guest *guest, uint32_t queue)
{
    if (queue >= SKEP_QUEUE_PAYLOAD_0) {
        queue -= SKEP_QUEUE_PAYLOAD_0;
        return queue < SKEP_NETS_MAX ? guest->ports[queue] : NULL;
    }
    return queue < SKEP_QUEUE_BLOCK_0 ? guest->ports[queue / 2] : NULL;
}

static struct queue *queue_of(struct port *port, uint32_t queue)
{
    if (queue >= SKEP_QUEUE_PAYLOAD_0) {
        return &port->payload;
    }
    return queue & 1 ? &port->tx : &port->rx;
}

static struct block *block_of(struct guest *guest, uint32_t queue)
{
    uint32_t index = queue - SKEP_QUEUE_BLOCK_0;
    return index < SKEP_BLOCKS_MAX ? guest->blocks[index] : NULL;
}

static int block_setup(struct vcpu *vcpu, const struct skep_queue_setup *setup)
{
    struct block *block = block_of(vcpu->guest, setup->queue);
    if (block == NULL) {
        return -SKEP_ENODEV;
    }
    return block_queue_setup(block, setup);
}

int io_queue_setup(struct vcpu *vcpu, const struct skep_queue_setup *setup)
{
    struct port *port = port_of(vcpu->guest, setup->queue);
    if (port == NULL) {
        return block_setup(vcpu, setup);
    }
    struct queue *queue = queue_of(port, setup->queue);
    spin_lock(&port->lock);
    int error = port->closed ? -SKEP_ENODEV : queue_setup(queue, vcpu->guest, setup);
    if (error == 0 && queue == &port->rx) {
        atomic_store_explicit(&port->merges, setup->flags, memory_order_relaxed);
    }
    spin_unlock(&port->lock);
    return error;
}

int io_net_group(struct guest *guest, uint32_t index, uint64_t mac, bool join)
{
    struct port *port = guest->ports[index];
    uint8_t bytes[6];
    if (port == NULL) {
        return -SKEP_ENODEV;
    }
    memcpy(bytes, &mac, sizeof(bytes));
    return join ? switch_group_join(port, bytes) : switch_group_leave(port, bytes);
}

static bool storage_work_any(void)
{
    return disks_wanted() || volume_work_any();
}

static bool work_any(void)
{
    return uplink_wanted() || switch_work_any() || switch_advert_any() || storage_work_any();
}

/* Numbers (cpu->traps) of traps, as core_resume() counts them: in which each CPU worked last, and in which a vCPU kicked
 * last and left its share to io_work(). */
static uint64_t worked_in[CPUS_MAX], kicked_in[CPUS_MAX];

/* Work is left in a trap that has had its share. The caller may not trap again for long, so core_resume() sets a timer;
 * once, for what is left by then. If that doesn't follow, the next trap has a share of its own. */
static void share_spent(struct cpu *cpu)
{
    if (cpu->work_ns == TIME_NEVER) {
        atomic_store(&cpu->resched, 1);
    }
    if (atomic_load(&cpu->resched) & 1) {
        worked_in[cpu->index] = cpu->traps + 1;
    }
}

/* One go in a trap, of this port or of one that has waited: then the others don't wait for ever for the pauses of who
 * kicks all the time. */
static void kick(struct port *port)
{
    struct cpu *cpu = arch_cpu();
    if (switch_work_any()) {
        port_send_later(port);
        kicked_in[cpu->index] = cpu->traps + 1;
        atomic_store(&cpu->resched, 1);
    } else if (port_send(port, PORT_KICK_WORK, false) || work_any()) {
        share_spent(cpu);
    }
}

/* The same for a block device. */
static int kick_block(struct guest *guest, uint32_t queue)
{
    struct cpu *cpu = arch_cpu();
    struct block *block = block_of(guest, queue);
    if (block == NULL) {
        return -SKEP_ENODEV;
    }
    bool others = volume_work_any();
    if (!block_kick(block)) {
        return 0;
    }
    if (others) {
        volume_work_add(block->volume);
        kicked_in[cpu->index] = cpu->traps + 1;
        atomic_store(&cpu->resched, 1);
    } else if (block_go(block->volume) || work_any()) {
        share_spent(cpu);
    }
    return 0;
}

/* New receive buffers are found when a frame comes. */
int io_queue_kick(struct vcpu *vcpu, uint32_t queue)
{
    struct port *port = port_of(vcpu->guest, queue);
    if (port == NULL) {
        return kick_block(vcpu->guest, queue);
    }
    if (queue_of(port, queue) == &port->tx) {
        kick(port);
    }
    return 0;
}

/* ---- the rest ---- */

static bool port_work(bool advert_first)
{
    if (advert_first && switch_advert_any() && port_receive_advert()) {
        return true;
    }
    struct port *port = switch_work_next();
    if (port != NULL) {
        port_send(port, PORT_TURN_WORK, true);
        switch_release(port);
    }
    return port != NULL || (switch_advert_any() && port_receive_advert());
}

static bool net_work_one(bool card_first, bool advert_first)
{
    return card_first ? uplink_poll() || port_work(advert_first)
                      : port_work(advert_first) || uplink_poll();
}

static bool storage_work_one(bool disk_first)
{
    return disk_first ? disks_poll() || block_work() : block_work() || disks_poll();
}

/* How often each CPU has worked. Not its traps: those of a guest that does the same over and over fall into step with
 * the turns, and then the same ones come first each time. */
static uint32_t turns[CPUS_MAX];

/* Each comes first in turn, so that no busy device and no busy guest keeps the others waiting. */
static bool work_one(const struct cpu *cpu)
{
    uint32_t turn = turns[cpu->index]++;
    bool device_first = turn & 1, advert_first = turn & 4;
    if (!storage_work_any()) {
        return net_work_one(device_first, advert_first);
    }
    return turn & 2 ? net_work_one(device_first, advert_first) || storage_work_one(device_first)
                    : storage_work_one(device_first) || net_work_one(device_first, advert_first);
}

/* Whether the work waits for who was just woken: or else a guest that sends all the time, and the card's interrupts for
 * what it sent, would keep its neighbours from answering. Not when it kicked, for that is work of its own. */
static bool waits(const struct cpu *cpu)
{
    return kicked_in[cpu->index] != cpu->traps && sched_spares(cpu);
}

/* Most traps find nothing to be done, and are to cost little. */
bool io_work(void)
{
    const struct cpu *cpu = arch_cpu();
    if (!work_any()) {
        return false;
    }
    if (worked_in[cpu->index] != cpu->traps && !waits(cpu)) {
        worked_in[cpu->index] = work_one(cpu) ? cpu->traps : 0;
    }
    return work_any();
}

/* The caller may go on at once, if that was for it: what is left needs core_resume(), then. */
void io_work_before_wait(void)
{
    struct cpu *cpu = arch_cpu();
    if (work_any()) {
        worked_in[cpu->index] = work_one(cpu) ? cpu->traps + 1 : 0;
        if (work_any()) {
            atomic_store(&cpu->resched, 1);
        }
    }
}

void io_control_address_set(uint32_t address, uint32_t netmask)
{
    (void)netmask;
    switch_control_address_set(address);
}

void io_net_status(struct guest *guest, uint32_t index, uint32_t *address,
                   struct skep_net_counters *counters)
{
    struct port *port = switch_find_guest(guest, index);
    *address = 0;
    *counters = guest->ended_net[index];
    if (port != NULL) {
        *address = atomic_load_explicit(&port->address, memory_order_relaxed);
        spin_lock(&port->lock);
        *counters = port->counters;
        spin_unlock(&port->lock);
        switch_release(port);
    }
}
