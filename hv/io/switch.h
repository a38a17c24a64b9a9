/*
 * switch.h - the virtual switch: which ports there are, who is meant by an address, and whose work is due.
 *
 * Theory of operation: a guest's kick makes port.c take frames from its transmit queue; filter.c says whether a
 * frame is permitted and who gets it: another port (one copy), or the network card (uplink.c), which is lent the
 * payload. Frames from the card are copied into the receive buffers of the one port that they concern. Each call does
 * a bounded amount; the rest waits in a round-robin list of ports for io_work().
 *
 * A packet to a group (multicast) reaches the ports whose guests have named its MAC, one in each look at the frame, which
 * stays where it is meanwhile: in the sender's queue, who pays for each copy, or with the card. Then it goes to the wire.
 *
 * Shortcomings: one card, IPv4, ARP and IPv6 only, no flooding (a broadcast from the wire reaches a port only if it is an ARP
 * request for its address or a DHCP answer to it, a multicast that asks for or tells of an IPv6 address who has that; a
 * guest's goes to the wire only, or to that one port), one lock for the tables. Routers' advertisements are the exception: the
 * latest is kept and handed to the ports that take addresses from them, one by one, as left-over work. One that comes
 * before all have got the last takes its place.
 *
 * Locks: port.lock, then nic.lock or guest.lock, and switch_lock (in switch.c) inside of all of them; it is held for
 * some tens of instructions and only log_lock is taken inside of it. Two port locks are never held together.
 */
#ifndef IO_SWITCH_H
#define IO_SWITCH_H

#include "core/guest.h"
#include "core/lock.h"
#include "io/queue.h"
#include "io/work.h"

#define PORTS_MAX 16384u

#define ADVERT_BYTES_MAX 512u /* of a router's advertisement; longer ones are dropped */

#define GROUPS_MAX  32u /* of a port */
#define MEMBERS_MAX 64u /* of a group, less those of groups in the same place of the table */

/* That a port gets what is sent to a group. Guarded by switch_lock. */
struct member {
    struct port *port; /* NULL = it is free */
    struct member *next;
    uint64_t number; /* who joined later has a larger one */
    uint8_t mac[6];
};

/* Which members of its group have got a frame: those up to `heard`, 0 = none. Of those after `until` none does: a guest that
 * leaves and joins all the time doesn't keep the frame there. */
struct members_walk {
    uint64_t heard, until;
};

#define DHCP_ASKED (1ull << 32) /* beside the xid: an answer to it is believed */

/* One net device of a guest; a frame of the guest's promise holds it. */
struct port {
    struct guest *guest;
    uint32_t index;
    uint8_t mac[6];
    uint16_t mtu;
    uint32_t flags;       /* SKEP_NET_… */
    uint32_t flags6;      /* SKEP_NET6_… */
    uint8_t address6[16]; /* all 0 = none */
    bool is_control;
    _Atomic uint32_t merges; /* its receive queue's flags: SKEP_QUEUE_MERGE, … */
    _Atomic uint64_t
        dhcp_asked; /* DHCP_ASKED and the xid of its latest request, 0 = it waits for no answer */

    /* Guarded by switch_lock. `address` may be read without it: a frame in flight while it changes is judged by
     * the old or the new one. */
    _Atomic uint32_t address; /* big-endian, 0 = none */
    bool present;             /* in the tables */
    uint32_t references;      /* the guest's, and one for each use outside of the lock */
    struct port *mac_next, *address_next, *address6_next;
    struct work_link work;
    struct work_link
        advert; /* with SKEP_NET6_AUTO: got the latest advertisement, or is to get it */
    struct member groups[GROUPS_MAX];

    struct spinlock lock;     /* guards the rest */
    bool closed;              /* the guest has ended: the queues are not touched */
    bool sending;             /* a CPU takes frames from tx; it sees what others kick for */
    bool waiting;             /* for its own packets in flight to come back */
    uint32_t in_flight;       /* packets whose payload the card has */
    uint32_t pair;            /* of the card's queues, on which its frames go out */
    uint32_t mark;            /* of the last packet on it */
    uint32_t kicked_on;       /* the CPU on which the guest kicked last */
    struct members_walk walk; /* of the next frame in tx */
    uint32_t cut; /* bytes of payload of the next frame in tx that were delivered as segments */
    struct queue rx, tx, payload;
    struct skep_net_counters counters;
};
_Static_assert(sizeof(struct port) <= SKEP_PAGE_SIZE, "a frame holds a port");

/* Chooses the key of the hash tables. Once, before the first port. */
void switch_init(void);

/* Enters a port, with the guest's reference, under its MAC and its address (if any) and into guest->ports.
 * -SKEP_EEXIST when one of them is taken, -SKEP_ENOSPC when there are PORTS_MAX. */
int switch_port_add(struct port *port);

/* Takes a port off the tables and the work list; harmless when it is off already. */
void switch_port_remove(struct port *port);

/* Takes a removed port from guest->ports when nobody else uses it; then the caller may free it. */
bool switch_port_forget(struct port *port);

/* Each gives a reference, or NULL. */
struct port *switch_find_mac(const uint8_t mac[6]);
struct port *switch_find_address(uint32_t address);
struct port *switch_find_address6(const uint8_t address[16]);
struct port *switch_find_guest(struct guest *guest, uint32_t index);
void switch_release(struct port *port);

/* Has a port get what is sent to a group, or no more. -SKEP_EINVAL: it is no MAC of a group of IPv4 (RFC 1112, section 6.4),
 * nor of IPv6 (RFC 2464, section 7) for a port that has that; -SKEP_EEXIST: it gets that already; -SKEP_ENOENT: it doesn't;
 * -SKEP_ENOSPC: it has GROUPS_MAX, or the group MEMBERS_MAX; -SKEP_EPERM: it is the control service's. */
int switch_group_join(struct port *port, const uint8_t mac[6]);
int switch_group_leave(struct port *port, const uint8_t mac[6]);

/* The next member of a group that is to get a frame from this MAC, which is not its own; with a reference, or NULL. */
struct port *switch_find_member(const uint8_t group[6], const uint8_t source[6],
                                struct members_walk *walk);

/* Whether an IPv6 address is the port's: the one of its spec, or made of its MAC (RFC 4291, appendix A) in fe80::/64, or
 * with SKEP_NET6_AUTO in any network of unicast addresses. */
bool switch_owns_address6(const struct port *port, const uint8_t address[16]);

/* Gives a port its address, 0 = none. -SKEP_EEXIST when it is another's, unless the port is the control service's:
 * then the other loses it. -SKEP_ENOENT when the port has been removed. */
int switch_address_set(struct port *port, uint32_t address);

/* The control service's address, 0 = none: its port's, and remembered while it has no port. */
void switch_control_address_set(uint32_t address);
uint32_t switch_control_address(void);

/* Keeps an advertisement, ADVERT_BYTES_MAX at most, and has it handed to all that want it. */
void switch_advert_set(const uint8_t *frame, uint32_t bytes);

/* The next port that is to get it, with a reference, and a copy of it; or NULL. */
struct port *switch_advert_next(uint8_t frame[ADVERT_BYTES_MAX], uint32_t *bytes);
bool switch_advert_any(void);

/* Work: ports with frames to send. A port is in at most one of both lists. */
void switch_work_add(struct port *port);   /* go on soon */
void switch_work_stall(struct port *port); /* go on when the card has room */
void switch_work_unstall(void);            /* the card has room */
struct port *switch_work_next(void);       /* with a reference, or NULL */
bool switch_work_any(void);
bool switch_others_wait(const struct port *port); /* some other port is in one of the lists */

#endif
