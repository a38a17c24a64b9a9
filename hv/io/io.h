/*
 * io.h - what the core calls of the I/O layer: the virtual switch and the PV queues.
 */
#ifndef IO_IO_H
#define IO_IO_H

#include "core/guest.h"
#include "io/disks.h"
#include "io/volume.h"

/* Finds the devices and starts their drivers. Boot CPU, once, after the other CPUs run. */
void io_init(void);

/* Attaches net device `index` of a guest that does not run yet to the switch. -SKEP_EEXIST when the MAC or the
 * address is another port's, -SKEP_EINVAL for a malformed one, -SKEP_ENOSPC when the switch is full. The port's
 * memory is charged to the guest. The control service's port has is_control of its guest, and no IPv6. */
int io_net_attach(struct guest *guest, uint32_t index, const struct skep_net *net,
                  const struct skep_net6 *net6);

/* What the guest's start-info says of a device that is attached: MAC, MTU and flags as the switch settled them. The
 * control service's device has the card's own MAC when none was given. */
void io_net_describe(struct guest *guest, uint32_t index, struct skep_net *net);

/* Attaches a volume as block device `index` of a guest that doesn't run yet, and says so in its start-info. -SKEP_EINVAL
 * (flags), -SKEP_ENOENT (volume), -SKEP_EBUSY (another guest may write to it), -SKEP_ENOSPC (too many users). The device's
 * memory is charged to the guest: -SKEP_ENOMEM. */
int io_block_attach(struct guest *guest, uint32_t index, const struct skep_block_spec *spec);

/* Attaches the machine's disks, each as a whole, to the control service. */
int io_disks_attach(struct guest *guest);

/* Takes a dead guest's ports off the switch and its queues down. 0 when no device holds any of its pages any more,
 * -SKEP_EAGAIN when some still do: call again later. No CPU is inside a hypercall of the guest. */
int io_guest_detach(struct guest *guest);

/* SKEP_HC_QUEUE_SETUP, with the structure copied in; its errors are queue_setup()'s (io/queue.h), -SKEP_ENODEV when
 * there is no such device. A queue is set up once. */
int io_queue_setup(struct vcpu *vcpu, const struct skep_queue_setup *setup);

/* SKEP_HC_QUEUE_KICK. A ring that breaks its rules ends the guest (SKEP_CRASH_RING). Bounded: what is left of a
 * long queue is done by io_work(). */
int io_queue_kick(struct vcpu *vcpu, uint32_t queue);

/* SKEP_HC_NET_GROUP: has one of the guest's devices get what is sent to a group, or no more. The MAC's first byte is the
 * lowest. -SKEP_ENODEV, or what switch_group_join() says. */
int io_net_group(struct guest *guest, uint32_t index, uint64_t mac, bool join);

/* Bounded work left over by kicks and interrupts. Called by the core between traps on any CPU; false = none left. A CPU
 * does one share in a trap (cpu->traps), however often it asks. */
bool io_work(void);

/* When io_work() or io_tick() has something to do next without being told; TIME_NEVER. */
static inline uint64_t io_deadline(void)
{
    uint64_t volume_ns = atomic_load_explicit(&volume_deadline_ns, memory_order_relaxed);
    uint64_t disks_ns = atomic_load_explicit(&disks_look_ns, memory_order_relaxed);
    return volume_ns < disks_ns ? volume_ns : disks_ns;
}

/* What is looked at from time to time. In the trap of any CPU's timer. */
static inline void io_tick(void)
{
    if (atomic_load_explicit(&disks_look_ns, memory_order_relaxed) != TIME_NEVER) {
        disks_look();
    }
}

/* A share of it, in the trap of a vCPU that is about to wait: frames for it may be among what waited while it ran, and
 * vCPUs that wake each other all the time don't put off the work for ever. */
void io_work_before_wait(void);

/* The control service's own address, for the default-deny rule. */
void io_control_address_set(uint32_t address, uint32_t netmask);

/* For status: the address the switch knows (big-endian) and the counters; the last ones when the port is gone. */
void io_net_status(struct guest *guest, uint32_t index, uint32_t *address,
                   struct skep_net_counters *counters);

#endif
