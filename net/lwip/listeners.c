/*
 * listeners.c - which listener a connection that begins is for, and that it has room there.
 */
#include <stdbool.h>
#include <stdint.h>

#include "lwip/priv/tcp_priv.h"

#include "skep/guest.h"

/* Connections that aren't accepted yet have so many places, those that only began among them. Strangers who never go on
 * would keep them until they time out, and nobody else would get in: the oldest of those makes room. */
static void make_room(const struct tcp_pcb_listen *listener)
{
    if (listener->accepts_pending < listener->backlog)
        return;
    struct tcp_pcb *oldest = NULL; /* new ones come first */
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next)
        if (pcb->state == SYN_RCVD && pcb->listener == listener)
            oldest = pcb;
    if (oldest != NULL)
        tcp_abandon(oldest, 0);
}

static bool shares(const struct tcp_pcb_listen *one, const struct tcp_pcb_listen *other)
{
    return ip_get_option(other, SOF_REUSEPORT) && other->local_port == one->local_port &&
           other->netif_idx == one->netif_idx && ip_addr_eq(&other->local_ip, &one->local_ip);
}

/* Those that share their port (SO_REUSEPORT) get their shares by chance: the order of the list changes with each search. */
static struct tcp_pcb_listen *one_of(struct tcp_pcb_listen *found)
{
    uint32_t count = 0, number;
    struct tcp_pcb_listen *listener;
    for (listener = tcp_listen_pcbs.listen_pcbs; listener != NULL; listener = listener->next)
        count += shares(found, listener);
    if (count < 2)
        return found;
    skep_random(&number, sizeof(number));
    number %= count;
    for (listener = tcp_listen_pcbs.listen_pcbs; listener != NULL; listener = listener->next)
        if (shares(found, listener) && number-- == 0)
            return listener;
    return found;
}

struct tcp_pcb_listen *network_tcp_listener(struct tcp_pcb_listen *found, uint8_t flags)
{
    if ((flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN)
        return found;
    if (ip_get_option(found, SOF_REUSEPORT))
        found = one_of(found);
    make_room(found);
    return found;
}
