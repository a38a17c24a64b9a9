/*
 * network.h - what the files of the lwIP port share. lwipopts.h declares the functions that lwIP
 * itself calls.
 *
 * Lock order: the core lock is taken first, before any other lock here or in libc-shim.
 */
#ifndef SKEP_NETWORK_H
#define SKEP_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

#include "skep/abi.h"

struct netif;
struct network_mailbox;
struct ip_addr;

/* Makes the network's thread look at its devices and timers. Event handlers may call it. */
void network_wake(void);

/* For the handlers of the devices' events: the same, but by a thread that waits anyhow, if there is one. */
void network_event(void);

/* socket_send.c: waits for what a call of the program needs, as skep_wait(). That the call was interrupted is a timeout
 * to lwIP. */
int network_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns);

/* sys_arch.c: the threads that wait for a message of lwIP's mailbox go through network_wait() again. */
void network_mailbox_look(struct network_mailbox *mailbox);

/* The message that is fetched after `index` other ones. False: there are no more. It stays. */
bool network_mailbox_peek(struct network_mailbox *mailbox, unsigned index, void **message);

/* The core lock must be held: an ARP packet was sent, or a name is about to be looked up, so their timers have something
 * to do. */
void network_arp_used(void);
void network_dns_used(void);

/* The same: something of IPv6's neighbour discovery or of its groups was sent. */
void network_nd_used(void);

/* The core lock must be held: asks this name server, too. */
void network_dns_add(const struct ip_addr *server);

/* Waits until something is true of the addresses, until deadline_ns at most. As skep_net_wait_ready(). */
int network_wait_until(bool (*ready)(void), uint64_t deadline_ns);

/* socket_send.c: waits as skep_wait() in a call that goes on after handlers. -EINTR: the thread is to be cancelled. */
int network_wait_restarting(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns);

/* user_timeout.c, with the core lock: how long data of a connection may wait for its acknowledgement, 0 = as long as it is
 * repeated. A listener's is that of connections that begin from now on. TCP's timer ends those that have waited longer. */
struct tcp_pcb;
void network_user_timeout_set(struct tcp_pcb *pcb, uint32_t milliseconds);
void network_user_timeouts_tick(void);

/* The same file, with the core lock: whether keep-alive asks the connection's other side within so many milliseconds of
 * silence, or has asked; has lwIP's timer, which is about to run, ask before it ends anything. */
bool network_keepalive_is_near(const struct tcp_pcb *pcb, uint32_t milliseconds);
void network_keepalive_catch_up(void);

/*
 * network6.c: IPv6. The core lock must be held.
 */

/* Gives a device its addresses. What it had is forgotten. */
void network6_configure(unsigned device, const struct skep_net6 *config);

/* What it has now; its name server is left out. */
void network6_status(unsigned device, struct skep_net6 *out);

/* Whether an interface takes and sends IPv6, and whether it has more than its link-local address. */
bool network6_is_on(const struct netif *netif);
bool network6_has_address(const struct netif *netif);

/* Whether no device waits for a router's advertisement; whether one has more than its link-local address. */
bool network6_ready(void);
bool network6_is_used(void);

/* As struct timer in network.c has it: neighbour discovery, and reports of groups. */
uint32_t network6_interval(void);
void network6_tick(void);
uint32_t network6_group_interval(void);

/*
 * groups.c: groups of devices, and of interfaces at all. The core lock must be held.
 */

/* Has ring 0 hear of the device's groups. */
void network_groups_begin(struct netif *netif);

/* For a socket; each join is left once. -SKEP_ENOSPC: ring 0 has no room for it (switch_group_join()); -SKEP_ENOMEM;
 * -SKEP_EINVAL: a group or interface that lwIP doesn't have join. */
int network_group_join(struct netif *netif, const struct ip_addr *group);
void network_group_leave(struct netif *netif, const struct ip_addr *group);

/* As struct timer in network.c has it: reports of IPv4's groups. */
uint32_t network_group_interval(void);

/*
 * pvnet.c: the PV devices. The core lock must be held.
 */

/* Sets device number up with its queues and adds it to lwIP, without an address. -ENOMEM, or what
 * SKEP_HC_QUEUE_SETUP says. */
int pvnet_add(unsigned number, const struct skep_net *info);

/* Frees what was sent, and gives packets that came to lwIP. True: more may be waiting. */
bool pvnet_poll(void);

/* Shows the back-ends what was queued since the last time, if there is something. */
extern bool pvnet_queued;
void pvnet_flush(void);

/* Whether long segments that come to this interface have buffers of their own, of which half wait for data. */
bool pvnet_takes_long(const struct netif *netif);

/* Whether it cuts TCP segments over IPv6; those over IPv4 if its flags have NETWORK_FLAG_CUTS. */
bool pvnet_cuts6(const struct netif *netif);

/* The number of an interface's device. */
unsigned pvnet_number(const struct netif *netif);

/* lwIP's interface of a device, NULL if there is none. */
struct netif *pvnet_interface(unsigned number);

/* counters.c, with the core lock: in how many milliseconds there is something to tell, 0 = nothing has changed; tells it. */
uint32_t counters_interval(void);
void counters_tell(void);

/* lwIP's SNTP client calls them with the core lock. */
void sys_timeout(uint32_t ms, void (*handler)(void *argument), void *argument);
void sys_untimeout(void (*handler)(void *argument), void *argument);

#endif
