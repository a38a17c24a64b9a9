/*
 * listeners.c - which listener a connection that begins is for, and that it has room there.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lwip/priv/tcp_priv.h"

#include "network.h"
#include "skep/guest.h"

#define BYTES_A_PLACE (16u * 1024u) /* of which a connection may take 1.5 */
#define PLACES_MAX    1024u

/* Queues are made for so many: it stays, though the guest's memory may change. */
unsigned network_backlog_max(void)
{
    static unsigned places;
    if (places == 0) {
        const struct skep_start_info *info = skep_start_info();
        uint64_t bytes = atomic_load_explicit(&info->memory_bytes, memory_order_relaxed);
        uint64_t most = LWIP_MIN(bytes / BYTES_A_PLACE, PLACES_MAX);
        places = LWIP_MAX((unsigned)most, TCP_DEFAULT_LISTEN_BACKLOG);
    }
    return places;
}

static unsigned pending_at_all(void)
{
    unsigned count = 0;
    for (const struct tcp_pcb_listen *one = tcp_listen_pcbs.listen_pcbs; one != NULL;
         one = one->next)
        count += one->accepts_pending;
    return count;
}

/* Connections that aren't accepted yet have so many places, those that only began among them: at a listener, and of the
 * guest at all. Strangers who never go on would keep them until they time out, and nobody else would get in: the oldest of
 * those makes room. False: there is none. */
static bool make_room(const struct tcp_pcb_listen *listener)
{
    bool is_full = listener->accepts_pending >= listener->backlog;
    if (!is_full && pending_at_all() < network_backlog_max())
        return true;
    struct tcp_pcb *oldest = NULL; /* new ones come first */
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next)
        if (pcb->state == SYN_RCVD && pcb->listener != NULL &&
            (!is_full || pcb->listener == listener))
            oldest = pcb;
    if (oldest != NULL)
        tcp_abandon(oldest, 0);
    return oldest != NULL;
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
    return make_room(found) ? found : NULL;
}
