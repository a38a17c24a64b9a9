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

/* Makes the network's thread look at its devices and timers. Event handlers may call it. */
void network_wake(void);

/* socket.c: waits for a packet or a connection, as skep_wait(). That the call was interrupted is a timeout to lwIP. */
int network_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns);

/* The core lock must be held: an ARP packet was sent, TCP may have sent something, or a name is about
 * to be looked up, so their timers have something to do. */
void network_arp_used(void);
void network_tcp_used(void);
void network_dns_used(void);

/* Whether a device has an address. */
bool network_ready(void);

/*
 * pvnet.c: the PV devices. The core lock must be held.
 */

/* Sets device number up with its queues and adds it to lwIP, without an address. -ENOMEM, or what
 * SKEP_HC_QUEUE_SETUP says. */
int pvnet_add(unsigned number, const struct skep_net *info);

/* Frees what was sent, and gives packets that came to lwIP. True: more may be waiting. */
bool pvnet_poll(void);

/* Shows the back-ends what was queued since the last time. */
void pvnet_flush(void);

/* lwIP's interface of a device, NULL if there is none. */
struct netif *pvnet_interface(unsigned number);

/* counters.c, with the core lock: in how many milliseconds there is something to tell, 0 = nothing has changed; tells it. */
uint32_t counters_interval(void);
void counters_tell(void);

/* lwIP's SNTP client calls them with the core lock. */
void sys_timeout(uint32_t ms, void (*handler)(void *argument), void *argument);
void sys_untimeout(void (*handler)(void *argument), void *argument);

#endif
