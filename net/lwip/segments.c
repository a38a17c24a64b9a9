/*
 * segments.c - TCP segments longer than the MSS, which the interface cuts.
 *
 * A long write becomes segments of many times the MSS, and all that is done for each segment is done
 * less often: it is queued, sent, acknowledged and freed as one. What the peer sees are ordinary
 * segments of its MSS. Windows count bytes, and so does the congestion window, which grows and
 * shrinks by the MSS as before. Three things need care, and the patch of lwIP calls in here for them:
 *
 * - A segment that the windows don't let go as a whole is cut where they end. Cutting copies what
 *   stays, so it is put off while acknowledgements are on their way that will make more room, and a
 *   segment is made no longer than the windows are.
 * - The peer may acknowledge a part of a segment. That part is not sent again.
 * - A fast retransmit repeats one piece, not the segment.
 *
 * A segment that the device still has is never changed.
 *
 * What comes in long segments comes from a neighbour on the same machine. Such a connection's window becomes longer, so that
 * two of the longest fit, for as long as the interface has buffers for them: a burst of frames from elsewhere would be more
 * than its receive queue holds. As each of them is acknowledged at once, the peer hears then of the room that those before
 * have left, and needs to be told by itself only of much (TCP_WND_UPDATE_THRESHOLD).
 */
#include <stdbool.h>
#include <stdint.h>

#include "lwip/ip.h"
#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"

#include "network.h"
#include "skep/abi.h"

/* With headers and wherever it lies, no more than the 16 pages that ring 0 lends the card of a packet. */
#define SEGMENT_BYTES_MAX (15u * SKEP_PAGE_SIZE - 128u)

/* So much of it as is full segments. */
static uint32_t full(const struct tcp_pcb *pcb, uint32_t bytes)
{
    return bytes - bytes % LWIP_MAX(pcb->mss, 1u);
}

static bool cuts(const struct tcp_pcb *pcb)
{
    const struct netif *netif = pcb->netif_idx != NETIF_NO_INDEX
                                    ? netif_get_by_index(pcb->netif_idx)
                                    : ip_route(&pcb->local_ip, &pcb->remote_ip);
    if (IP_IS_V6(&pcb->remote_ip))
        return pvnet_cuts6(netif);
    return netif != NULL && (netif->flags & NETWORK_FLAG_CUTS) != 0;
}

int network_cuts6(const struct netif *netif)
{
    return pvnet_cuts6(netif);
}

uint16_t network_segment_max(const struct tcp_pcb *pcb, uint16_t usual)
{
    uint32_t most = LWIP_MIN(LWIP_MIN(pcb->cwnd, pcb->snd_wnd_max / 2), SEGMENT_BYTES_MAX);
    if (most < 2u * pcb->mss || pcb->mss < SKEP_NET_GSO_SIZE_MIN || !cuts(pcb))
        return usual;
    return (uint16_t)full(pcb, most);
}

/* What may be written of so much: there are queue entries for it even if segments are as short as they may become,
 * with two entries each; and what doesn't go now as a whole ends with a full segment, as long as one may be if there is
 * room for that, or waits for the room for one: for half of a long one, if those that are on their way will make room. */
uint16_t network_write_max(const struct tcp_pcb *pcb, uint16_t available, uint16_t wanted)
{
    uint32_t used = LWIP_MIN(pcb->snd_queuelen, TCP_SND_QUEUELEN), half = pcb->snd_wnd_max / 2;
    uint32_t bytes = half == 0 ? pcb->mss : LWIP_MIN(pcb->mss, half);
    uint32_t most = LWIP_MIN(available, (TCP_SND_QUEUELEN - used) / 2 * bytes);
    /* More is wanted than a length can say, perhaps. */
    bool all = wanted <= most && wanted < UINT16_MAX;
    if (all || (most < pcb->mss && pcb->snd_queuelen == 0))
        return (uint16_t)most;
    uint32_t longest = network_segment_max(pcb, pcb->mss);
    if (longest > 0 && most >= longest)
        return (uint16_t)(most - most % longest);
    return (uint16_t)(most < longest / 2 && pcb->snd_queuelen > 0 ? 0 : full(pcb, most));
}

static bool cut(struct tcp_pcb *pcb, uint32_t bytes)
{
    return tcp_split_unsent_seg(pcb, (u16_t)bytes) == ERR_OK;
}

/* Takes what the peer has of the first unsent segment off it. */
static void drop_acknowledged(struct tcp_pcb *pcb)
{
    struct tcp_seg *seg = pcb->unsent;
    uint32_t bytes = pcb->lastack - lwip_ntohl(seg->tcphdr->seqno);
    if (bytes == 0 || bytes >= seg->len || !cut(pcb, bytes))
        return;
    pcb->unsent = seg->next;
    pcb->snd_queuelen = (u16_t)(pcb->snd_queuelen - pbuf_clen(seg->p));
    tcp_seg_free(seg);
}

void network_segment_fit(struct tcp_pcb *pcb, uint32_t window)
{
    if (pcb->unsent->p->ref != 1)
        return;
    drop_acknowledged(pcb);
    const struct tcp_seg *seg = pcb->unsent;
    uint32_t before = lwip_ntohl(seg->tcphdr->seqno) - pcb->lastack;
    uint32_t room = window > before ? window - before : 0;
    bool soon = pcb->unacked != NULL && room < seg->len / 2u && room < window / 2;
    if (room >= pcb->mss && room < seg->len && !soon)
        cut(pcb, full(pcb, room));
}

void network_segment_lost(struct tcp_pcb *pcb)
{
    drop_acknowledged(pcb);
    struct tcp_seg *seg = pcb->unsent;
    if (seg->len <= pcb->mss || !cut(pcb, pcb->mss))
        return;
    struct tcp_seg *rest = seg->next;
    seg->next = rest->next;
    rest->next = pcb->unacked;
    pcb->unacked = rest;
}

void network_segment_came(struct tcp_pcb *pcb)
{
    const uint32_t wanted = TF_WND_SCALE, looked_at = TF_WND_SCALE | TF_LONG;
    if ((pcb->flags & looked_at) != wanted || !pvnet_takes_long(ip_current_input_netif()))
        return;
    tcp_set_flags(pcb, TF_LONG);
    pcb->rcv_wnd += TCP_WND_LONG - TCP_WND;
    tcp_update_rcv_ann_wnd(pcb);
}
