/*
 * pvnet.c - PV network devices as lwIP interfaces.
 *
 * A packet travels without being copied here. Received: the back-end writes a frame into a slot of
 * ours, the slot becomes a pbuf, and comes back by pbuf_free(). Sent: a pbuf chain's pieces become
 * descriptors, with the device's header in the room that lwIP leaves in front of a packet, and the
 * chain is held until the back-end has used it.
 *
 * A TCP segment of another guest may come over several slots, which become one chain of pbufs. Once that has happened, and if
 * there is memory for it, longer buffers are posted in the payload queue: then such a segment's headers come in a slot, and
 * what is behind them in one of those.
 *
 * Programs that don't read their sockets must not keep all slots. So when few are left to receive
 * into, a packet is copied into memory of its own size and its slot is used again at once: at least
 * SLOTS_RESERVED slots are always posted, and nobody needs to be woken to post more.
 *
 * Events: each look at the receive queue ends with asking for the next packet's event; until then
 * the back-end sends none. Transmit asks only when its queue is full. The core lock guards
 * everything but the slots' way back, which is a lock-free list.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/ethernet.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/ip6.h"
#include "lwip/prot/tcp.h"
#include "lwip/prot/udp.h"
#include "netif/ethernet.h"

#include "../lwip/network.h"
#include "skep/guest.h"
#include "skep/virtqueue.h"

#define SLOT_COUNT     128u /* posted for receiving, at most */
#define SLOTS_RESERVED 32u  /* posted at least */
#define SLOT_BYTES     2048u
#define SEND_COUNT     128u /* descriptors */
#define PARTS_MAX      8u   /* of one packet */
#define PAGES_MAX      16u  /* that its parts lie in */
#define RECEIVE_BUDGET 64u  /* packets in one go; then others get the core lock */
#define MTU_MAX        1500u
#define PAYLOAD_COUNT  4u                     /* buffers */
#define PAYLOAD_BYTES  (15u * SKEP_PAGE_SIZE) /* the longest segment, see SEGMENT_BYTES_MAX */
#define PAYLOAD_MEMORY (32u * PAYLOAD_COUNT * PAYLOAD_BYTES) /* of a guest that has so much */

/* A receive buffer. The frame's IP header is 4-byte aligned behind the 12 + 14 bytes before it. There
 * is room for more than a frame, which parts of longer segments use. */
struct slot {
    struct pbuf_custom pbuf; /* first: pbuf_free() gives its address back */
    struct pvnet *device;
    struct slot *next; /* in `returned` */
    uint8_t pad[66 - 48];
    uint8_t data[]; /* struct skep_net_header, frame */
};
_Static_assert(offsetof(struct slot, data) == 66, "alignment");
#define SLOT_DATA_BYTES (SLOT_BYTES - offsetof(struct slot, data))
_Static_assert(sizeof(struct skep_net_header) + SIZEOF_ETH_HDR + MTU_MAX <= SLOT_DATA_BYTES,
               "slot");

/* A payload buffer's pbuf; its data lies elsewhere, in whole pages. */
struct payload {
    struct pbuf_custom pbuf; /* first, likewise */
    struct pvnet *device;
    struct payload *next; /* in `payload_returned` */
    uint8_t *data;
};

struct pvnet {
    struct netif netif;
    uint32_t flags; /* SKEP_NET_… */
    unsigned number;
    uint8_t mac[6];
    struct skep_virtqueue receive, send;
    struct skep_virtqueue payload; /* if it has a size */
    bool payload_tried;
    struct payload payloads[PAYLOAD_COUNT];
    uint8_t payload_posted[PAYLOAD_COUNT]; /* chain -> payload number */
    _Atomic(struct payload *) payload_returned;
    uint8_t *slots;
    uint16_t posted_count;
    struct pbuf *sending[SEND_COUNT]; /* chain -> packet */
    bool send_full;                   /* a packet was refused since */
    _Atomic(struct slot *) returned;  /* slots that lwIP gave back, by any thread */
};

static struct pvnet *devices[SKEP_NETS_MAX];
bool pvnet_queued;

/*
 * Receiving
 */

static struct slot *slot_at(const struct pvnet *device, unsigned number)
{
    return (struct slot *)(device->slots + number * SLOT_BYTES);
}

static void slot_post(struct pvnet *device, unsigned number)
{
    skep_virtqueue_repeat(&device->receive, number);
    device->posted_count++;
}

/* From now on each slot is the chain of its number. */
static void slots_post_all(struct pvnet *device)
{
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        struct skep_vring_desc part = {
            .addr = (uintptr_t)slot_at(device, i)->data,
            .len = SLOT_DATA_BYTES,
            .flags = SKEP_VRING_DESC_WRITE,
        };
        int chain = skep_virtqueue_add(&device->receive, &part, 1);
        LWIP_ASSERT("chains of an empty queue have their order", chain == (int)i);
    }
    device->posted_count = SLOT_COUNT;
}

static unsigned slot_number(const struct pvnet *device, const struct slot *slot)
{
    return (unsigned)((const uint8_t *)slot - device->slots) / SLOT_BYTES;
}

/* The pbuf's custom free function: any thread, any lock. */
static void slot_return(struct pbuf *pbuf)
{
    struct slot *slot = (struct slot *)pbuf;
    _Atomic(struct slot *) *list = &slot->device->returned;
    slot->next = atomic_load_explicit(list, memory_order_relaxed);
    /* Release: pairs with the acquire in slots_repost(). */
    while (!atomic_compare_exchange_weak_explicit(list, &slot->next, slot, memory_order_release,
                                                  memory_order_relaxed)) {
    }
}

static void slots_repost(struct pvnet *device)
{
    struct slot *slot = atomic_exchange_explicit(&device->returned, NULL, memory_order_acquire);
    while (slot != NULL) {
        struct slot *next = slot->next;
        slot_post(device, slot_number(device, slot));
        slot = next;
    }
}

/*
 * Payload buffers
 */

static void payload_post(struct pvnet *device, struct payload *payload)
{
    struct skep_vring_desc part = {
        .addr = (uintptr_t)payload->data,
        .len = PAYLOAD_BYTES,
        .flags = SKEP_VRING_DESC_WRITE,
    };
    int chain = skep_virtqueue_add(&device->payload, &part, 1);
    LWIP_ASSERT("a descriptor for every payload buffer", chain >= 0);
    device->payload_posted[chain] = (uint8_t)(payload - device->payloads);
}

/* As slot_return(). */
static void payload_return(struct pbuf *pbuf)
{
    struct payload *payload = (struct payload *)pbuf;
    _Atomic(struct payload *) *list = &payload->device->payload_returned;
    payload->next = atomic_load_explicit(list, memory_order_relaxed);
    /* Release: pairs with the acquire in payloads_repost(). */
    while (!atomic_compare_exchange_weak_explicit(list, &payload->next, payload,
                                                  memory_order_release, memory_order_relaxed)) {
    }
}

static void payloads_repost(struct pvnet *device)
{
    struct payload *payload =
        atomic_exchange_explicit(&device->payload_returned, NULL, memory_order_acquire);
    while (payload != NULL) {
        struct payload *next = payload->next;
        payload_post(device, payload);
        payload = next;
    }
    skep_virtqueue_publish(&device->payload);
}

/* Once, when the first long segment has come: a guest that gets none needs no buffers for them. Ring 0 uses only pages that
 * were touched. */
static void payloads_begin(struct pvnet *device)
{
    device->payload_tried = true;
    if ((device->flags & SKEP_NET_RX_PAYLOAD) == 0 ||
        skep_start_info()->memory_bytes < PAYLOAD_MEMORY)
        return;
    int64_t pages = skep_mem_map(SKEP_PAGE_SIZE + PAYLOAD_COUNT * PAYLOAD_BYTES, SKEP_PROT_WRITE);
    uint8_t *at = (uint8_t *)pages;
    if (pages < 0 || skep_virtqueue_setup(&device->payload, SKEP_QUEUE_PAYLOAD_0 + device->number,
                                          PAYLOAD_COUNT, at, 0) < 0) {
        device->payload.size = 0;
        return;
    }
    at += SKEP_PAGE_SIZE;
    for (unsigned i = 0; i < PAYLOAD_COUNT; i++, at += PAYLOAD_BYTES) {
        for (unsigned page = 0; page < PAYLOAD_BYTES; page += SKEP_PAGE_SIZE)
            *(volatile uint8_t *)(at + page) = 0;
        device->payloads[i].device = device;
        device->payloads[i].data = at;
        payload_post(device, &device->payloads[i]);
    }
    skep_virtqueue_publish(&device->payload);
}

static struct pbuf *packet_of_payload(struct pvnet *device, unsigned chain, uint32_t bytes)
{
    struct payload *payload = &device->payloads[device->payload_posted[chain]];
    payload->pbuf.custom_free_function = payload_return;
    return pbuf_alloced_custom(PBUF_RAW, (uint16_t)bytes, PBUF_REF, &payload->pbuf, payload->data,
                               PAYLOAD_BYTES);
}

static const struct pvnet *device_of(const struct netif *netif)
{
    for (unsigned i = 0; i < SKEP_NETS_MAX; i++)
        if (devices[i] != NULL && &devices[i]->netif == netif)
            return devices[i];
    return NULL;
}

/* Enough of them wait for data that a connection more may have a long window. */
bool pvnet_takes_long(const struct netif *netif)
{
    const struct pvnet *device = device_of(netif);
    return device != NULL && device->payload.size != 0 &&
           device->payload.free_count <= PAYLOAD_COUNT / 2;
}

bool pvnet_cuts6(const struct netif *netif)
{
    const uint32_t needed = SKEP_NET_TX_TSO6 | SKEP_NET_TX_CSUM;
    const struct pvnet *device = device_of(netif);
    return device != NULL && (device->flags & needed) == needed;
}

/*
 * Packets
 */

static struct pbuf *packet_copy(const struct pbuf *original)
{
    struct pbuf *packet = pbuf_alloc(PBUF_RAW, original->tot_len, PBUF_RAM);
    if (packet != NULL)
        pbuf_copy_partial(original, packet->payload, original->tot_len, 0);
    return packet;
}

/* What the slot holds from `at` on. */
static struct pbuf *packet_of_slot(struct pvnet *device, struct slot *slot, size_t at,
                                   uint32_t bytes)
{
    slot->device = device;
    slot->pbuf.custom_free_function = slot_return;
    /* PBUF_POOL: the structure lies before its data, so that headers can be added in place. */
    return pbuf_alloced_custom(PBUF_RAW, (uint16_t)(bytes - at), PBUF_POOL, &slot->pbuf,
                               slot->data + at, (uint16_t)(SLOT_DATA_BYTES - at));
}

/* Checksums of this packet were verified by the back-end, or never left this machine. */
static bool checksums_good(const struct pvnet *device, const struct slot *slot)
{
    const struct skep_net_header *header = (const struct skep_net_header *)slot->data;
    return (device->flags & SKEP_NET_RX_CSUM) != 0 &&
           (header->flags & (SKEP_NET_HDR_DATA_VALID | SKEP_NET_HDR_NEEDS_CSUM)) != 0;
}

#define CHECK_DATA (NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP)

/* The next slot that the back-end has filled, with its bytes; NULL = none. */
static struct slot *slot_take(struct pvnet *device, uint32_t *bytes)
{
    int number = skep_virtqueue_take_held(&device->receive, bytes);
    if (number < 0)
        return NULL;
    device->posted_count--;
    return slot_at(device, (unsigned)number);
}

/* The next piece of a packet: a slot or a payload buffer. */
static struct pbuf *piece_take(struct pvnet *device, bool is_payload)
{
    uint32_t bytes;
    if (is_payload) {
        int chain = device->payload.size != 0 ? skep_virtqueue_take(&device->payload, &bytes) : -1;
        return chain >= 0 ? packet_of_payload(device, (unsigned)chain, bytes) : NULL;
    }
    struct slot *slot = slot_take(device, &bytes);
    return slot != NULL ? packet_of_slot(device, slot, 0, bytes) : NULL;
}

/* Appends the other pieces of a packet, at most 64 KiB in all; the back-end has shown them together. */
static void packet_extend(struct pvnet *device, struct pbuf *packet, unsigned count,
                          bool is_payload)
{
    struct pbuf *last = packet;
    uint32_t total = packet->len;
    while (count-- > 0 && (last->next = piece_take(device, is_payload)) != NULL) {
        last = last->next;
        total += last->len;
    }
    for (; packet != NULL; packet = packet->next) {
        packet->tot_len = (uint16_t)total;
        total -= packet->len;
    }
}

static void packet_received(struct pvnet *device, struct slot *slot, uint32_t bytes)
{
    const struct skep_net_header *header = (const struct skep_net_header *)slot->data;
    if (bytes < sizeof(*header) + SIZEOF_ETH_HDR || bytes > SLOT_DATA_BYTES) {
        slot_post(device, slot_number(device, slot));
        return;
    }
    /* lwIP has the choice per interface; nobody else looks at it while we hold the core lock. */
    if (checksums_good(device, slot))
        device->netif.chksum_flags &= (u16_t)~CHECK_DATA;
    else
        device->netif.chksum_flags |= CHECK_DATA;

    struct pbuf *packet = packet_of_slot(device, slot, sizeof(*header), bytes);
    if ((header->flags & SKEP_NET_HDR_PAYLOAD) != 0)
        packet_extend(device, packet, header->num_buffers, true);
    else if (header->num_buffers > 1)
        packet_extend(device, packet, header->num_buffers - 1u, false);
    if (header->gso_type != SKEP_NET_GSO_NONE && !device->payload_tried)
        payloads_begin(device);
    if (device->posted_count < SLOTS_RESERVED) {
        struct pbuf *copy = packet_copy(packet);
        pbuf_free(packet);
        slots_repost(device);
        packet = copy;
    }
    if (packet != NULL && device->netif.input(packet, &device->netif) != ERR_OK)
        pbuf_free(packet);
}

/* Also before a packet goes: what tells a peer of room must not come before the buffers for it. */
static void buffers_repost(struct pvnet *device)
{
    if (atomic_load_explicit(&device->returned, memory_order_relaxed) != NULL)
        slots_repost(device);
    if (atomic_load_explicit(&device->payload_returned, memory_order_relaxed) != NULL)
        payloads_repost(device);
    skep_virtqueue_kick(&device->receive);
}

/* True: the budget ran out before the queue did. */
static bool receive_poll(struct pvnet *device)
{
    unsigned budget = RECEIVE_BUDGET;
    do {
        uint32_t bytes;
        struct slot *slot;
        while (budget > 0 && (slot = slot_take(device, &bytes)) != NULL) {
            packet_received(device, slot, bytes);
            budget--;
        }
        buffers_repost(device);
    } while (budget > 0 && skep_virtqueue_arm(&device->receive, 0));
    return budget == 0;
}

/*
 * Sending
 */

static void sent_release(struct pvnet *device)
{
    uint32_t bytes;
    int chain;
    while ((chain = skep_virtqueue_take(&device->send, &bytes)) >= 0) {
        pbuf_free(device->sending[chain]);
        device->sending[chain] = NULL;
    }
}

/* After a full queue: once half of it is free, lets TCP go on with what it couldn't send. */
static void send_resume(struct pvnet *device)
{
    if (!device->send_full)
        return;
    uint16_t busy = (uint16_t)(device->send.size - device->send.free_count);
    if (busy > SEND_COUNT / 2 && !skep_virtqueue_arm(&device->send, 0))
        return;
    device->send_full = false;
    tcp_txnow();
}

/* Where the checksum of a TCP or UDP packet lies in its transport header, 0 = something else. */
static uint16_t checksum_offset(uint8_t protocol)
{
    switch (protocol) {
    case IP_PROTO_TCP:
        return offsetof(struct tcp_hdr, chksum);
    case IP_PROTO_UDP:
        return offsetof(struct udp_hdr, chksum);
    default:
        return 0;
    }
}

/* The sum of 16-bit words, in memory's byte order, of two that came to less than 2^32. */
static uint16_t fold(uint32_t sum)
{
    sum = (sum >> 16) + (sum & 0xffff);
    return (uint16_t)((sum >> 16) + sum);
}

/* The pseudo-header's sum, which the field holds until the back-end completes it. */
static uint16_t pseudo_sum(const struct ip_hdr *ip)
{
    uint16_t bytes = (uint16_t)(lwip_ntohs(IPH_LEN(ip)) - IPH_HL_BYTES(ip));
    return fold((ip->src.addr >> 16) + (ip->src.addr & 0xffff) + (ip->dest.addr >> 16) +
                (ip->dest.addr & 0xffff) + PP_HTONS(IPH_PROTO(ip)) + lwip_htons(bytes));
}

/* RFC 8200, section 8.1. */
static uint16_t pseudo_sum6(const struct ip6_hdr *ip)
{
    uint32_t sum = PP_HTONS(IP6H_NEXTH(ip)) + lwip_htons(IP6H_PLEN(ip));
    for (size_t i = 0; i < 4; i++)
        sum += (ip->src.addr[i] >> 16) + (ip->src.addr[i] & 0xffff) + (ip->dest.addr[i] >> 16) +
               (ip->dest.addr[i] & 0xffff);
    return fold(sum);
}

/* Asks the back-end to complete a TCP or UDP checksum (Virtual I/O Device 1.2, section 5.1.6.2). */
static void checksum_ask_at(uint8_t *frame, uint16_t start, uint16_t offset, uint16_t sum,
                            struct skep_net_header *header)
{
    memcpy(frame + start + offset, &sum, sizeof(sum));
    header->flags = SKEP_NET_HDR_NEEDS_CSUM;
    header->csum_start = start;
    header->csum_offset = offset;
}

/* All headers are in the first piece of the frame, with bytes in it. A fragment's stays unsummed, which UDP allows. */
static void checksum_ask4(uint8_t *frame, uint16_t bytes, struct skep_net_header *header)
{
    const struct ip_hdr *ip = (const struct ip_hdr *)(frame + SIZEOF_ETH_HDR);
    if (bytes < SIZEOF_ETH_HDR + IP_HLEN || (IPH_OFFSET(ip) & PP_HTONS(IP_OFFMASK | IP_MF)) != 0)
        return;
    uint16_t start = (uint16_t)(SIZEOF_ETH_HDR + IPH_HL_BYTES(ip));
    uint16_t offset = checksum_offset(IPH_PROTO(ip));
    if (offset != 0 && bytes >= start + offset + sizeof(uint16_t))
        checksum_ask_at(frame, start, offset, pseudo_sum(ip), header);
}

static void checksum_ask6(uint8_t *frame, uint16_t bytes, struct skep_net_header *header)
{
    const struct ip6_hdr *ip = (const struct ip6_hdr *)(frame + SIZEOF_ETH_HDR);
    uint16_t start = SIZEOF_ETH_HDR + IP6_HLEN;
    uint16_t offset = bytes < start ? 0 : checksum_offset(IP6H_NEXTH(ip));
    if (offset != 0 && bytes >= start + offset + sizeof(uint16_t))
        checksum_ask_at(frame, start, offset, pseudo_sum6(ip), header);
}

/* Asks the back-end to cut a TCP segment into pieces whose length lwIP has left in the checksum's place
 * (the patch's tcp_output_segment()). Before its checksum is asked for. */
static void cut_ask(const uint8_t *frame, struct skep_net_header *header)
{
    bool is_6 = ((const struct eth_hdr *)frame)->type == PP_HTONS(ETHTYPE_IPV6);
    const uint8_t *ip = frame + SIZEOF_ETH_HDR;
    const struct tcp_hdr *tcp =
        (const void *)(ip + (is_6 ? IP6_HLEN : IPH_HL_BYTES((const struct ip_hdr *)ip)));
    if (tcp->chksum == 0)
        return; /* it has become shorter */
    header->gso_type = is_6 ? SKEP_NET_GSO_TCP6 : SKEP_NET_GSO_TCP4;
    header->gso_size = tcp->chksum;
    header->hdr_len = (uint16_t)((const uint8_t *)tcp - frame + TCPH_HDRLEN_BYTES(tcp));
}

static unsigned pages_of(const struct pbuf *piece)
{
    uintptr_t first = (uintptr_t)piece->payload, last = first + piece->len;
    return (unsigned)((last - 1) / SKEP_PAGE_SIZE - first / SKEP_PAGE_SIZE) + 1;
}

/* A packet whose pieces may be sent as they are: ours until then, few, with room in front. */
static bool sendable(const struct pbuf *packet)
{
    unsigned count = 0, pages = 0;
    for (const struct pbuf *piece = packet; piece != NULL; piece = piece->next) {
        pages += piece->len > SKEP_PAGE_SIZE ? pages_of(piece) : 2;
        if (PBUF_NEEDS_COPY(piece) || ++count > PARTS_MAX || pages > PAGES_MAX)
            return false;
    }
    return true;
}

/* The packet itself or a copy, with one more reference and with the device's header in front. */
static struct pbuf *packet_prepare(struct pbuf *packet)
{
    if (sendable(packet) && pbuf_add_header(packet, sizeof(struct skep_net_header)) == 0) {
        pbuf_ref(packet);
        return packet;
    }
    struct pbuf *copy = pbuf_clone(PBUF_RAW_TX, PBUF_RAM, packet);
    if (copy != NULL)
        pbuf_add_header(copy, sizeof(struct skep_net_header));
    return copy;
}

static unsigned parts_of(const struct pbuf *packet, struct skep_vring_desc *parts)
{
    unsigned count = 0;
    for (; packet != NULL; packet = packet->next)
        if (packet->len > 0)
            parts[count++] =
                (struct skep_vring_desc){.addr = (uintptr_t)packet->payload, .len = packet->len};
    return count;
}

/* The device's header lies in front of the frame already. flags: the packet's. */
static void header_fill(const struct pvnet *device, struct pbuf *packet, uint8_t flags)
{
    struct skep_net_header header = {0};
    uint8_t *frame = (uint8_t *)packet->payload + sizeof(header);
    if ((flags & NETWORK_PBUF_CUT) != 0)
        cut_ask(frame, &header);
    uint16_t bytes = (uint16_t)(packet->len - sizeof(header));
    uint16_t type = ((const struct eth_hdr *)frame)->type;
    if ((device->flags & SKEP_NET_TX_CSUM) == 0)
        type = 0;
    if (type == PP_HTONS(ETHTYPE_IP))
        checksum_ask4(frame, bytes, &header);
    else if (type == PP_HTONS(ETHTYPE_IPV6))
        checksum_ask6(frame, bytes, &header);
    memcpy(packet->payload, &header, sizeof(header));
}

/* The protocols' timers that it gives work. */
static void timers_note(const struct pbuf *packet)
{
    const struct eth_hdr *ethernet = packet->payload;
    if (ethernet->type == PP_HTONS(ETHTYPE_ARP))
        network_arp_used();
    const struct ip6_hdr *ip = (const struct ip6_hdr *)(ethernet + 1);
    if (ethernet->type == PP_HTONS(ETHTYPE_IPV6) && packet->len >= SIZEOF_ETH_HDR + IP6_HLEN &&
        (IP6H_NEXTH(ip) == IP6_NEXTH_ICMP6 || IP6H_NEXTH(ip) == IP6_NEXTH_HOPBYHOP))
        network_nd_used();
    network_tcp_used();
}

/* lwIP's linkoutput: queues an Ethernet frame; pvnet_flush() shows it to the back-end. */
static err_t packet_send(struct netif *netif, struct pbuf *original)
{
    struct pvnet *device = netif->state;
    timers_note(original);
    sent_release(device);
    buffers_repost(device);
    struct pbuf *packet = packet_prepare(original);
    if (packet == NULL)
        return ERR_MEM;
    header_fill(device, packet, original->flags); /* a copy has none */

    struct skep_vring_desc parts[PARTS_MAX];
    int chain = skep_virtqueue_add(&device->send, parts, parts_of(packet, parts));
    pbuf_remove_header(packet, sizeof(struct skep_net_header)); /* lwIP may send it again */
    if (chain < 0) {
        pbuf_free(packet);
        device->send_full = true;
        skep_virtqueue_kick(&device->send);
        if (skep_virtqueue_arm(&device->send, SEND_COUNT / 4))
            network_wake();
        return ERR_MEM;
    }
    device->sending[chain] = packet;
    pvnet_queued = true;
    return ERR_OK;
}

/*
 * Devices
 */

static void on_event(unsigned event, void *argument)
{
    (void)event, (void)argument;
    network_event();
}

static err_t interface_init(struct netif *netif)
{
    struct pvnet *device = netif->state;
    netif->name[0] = 'e';
    netif->name[1] = 'n';
    netif->hwaddr_len = ETH_HWADDR_LEN;
    memcpy(netif->hwaddr, device->mac, ETH_HWADDR_LEN);
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET |
                   NETIF_FLAG_LINK_UP | NETIF_FLAG_MLD6 | NETIF_FLAG_IGMP;
    netif->output = etharp_output;
    netif->output_ip6 = ethip6_output;
    netif->linkoutput = packet_send;
    u16_t checksums = NETIF_CHECKSUM_ENABLE_ALL;
    if ((device->flags & SKEP_NET_TX_CSUM) != 0)
        checksums &= (u16_t) ~(NETIF_CHECKSUM_GEN_TCP | NETIF_CHECKSUM_GEN_UDP);
    if ((device->flags & SKEP_NET_TX_TSO4) != 0 && (device->flags & SKEP_NET_TX_CSUM) != 0)
        netif->flags |= NETWORK_FLAG_CUTS;
    NETIF_SET_CHECKSUM_CTRL(netif, checksums);
    return ERR_OK;
}

static int queues_setup(struct pvnet *device, unsigned number, uint8_t *pages)
{
    uint32_t flags = (device->flags & SKEP_NET_RX_MERGE) != 0 ? SKEP_QUEUE_MERGE : 0;
    flags |= (device->flags & SKEP_NET_RX_PAYLOAD) != 0 ? SKEP_QUEUE_MERGE6 : 0;
    int error = skep_virtqueue_setup(&device->receive, 2 * number, SLOT_COUNT, pages, flags);
    if (error >= 0)
        error = skep_virtqueue_setup(&device->send, 2 * number + 1, SEND_COUNT,
                                     pages + SKEP_PAGE_SIZE, 0);
    if (error < 0)
        return error;
    device->slots = pages + 2 * SKEP_PAGE_SIZE;
    slots_post_all(device);
    skep_virtqueue_kick(&device->receive);
    skep_virtqueue_arm(&device->receive, 0);
    skep_event_handler(SKEP_EVENT_QUEUE_0 + 2 * number, on_event, NULL);
    skep_event_handler(SKEP_EVENT_QUEUE_0 + 2 * number + 1, on_event, NULL);
    return 0;
}

int pvnet_add(unsigned number, const struct skep_net *info)
{
    struct pvnet *device = calloc(1, sizeof(*device));
    /* Two queues and the slots; only pages that are used cost memory. */
    int64_t pages = skep_mem_map(2 * SKEP_PAGE_SIZE + SLOT_COUNT * SLOT_BYTES, SKEP_PROT_WRITE);
    if (device == NULL || pages < 0) {
        if (pages >= 0)
            skep_mem_unmap((void *)pages, 2 * SKEP_PAGE_SIZE + SLOT_COUNT * SLOT_BYTES);
        free(device);
        return -SKEP_ENOMEM;
    }
    device->flags = info->flags;
    device->number = number;
    memcpy(device->mac, info->mac, sizeof(device->mac));
    int error = queues_setup(device, number, (uint8_t *)pages);
    if (error < 0)
        return error; /* ring 0 may know one of the queues: its memory must stay */

    netif_add_noaddr(&device->netif, device, interface_init, ethernet_input);
    device->netif.mtu = info->mtu == 0 || info->mtu > MTU_MAX ? MTU_MAX : info->mtu;
    device->netif.mtu6 = device->netif.mtu;
    network_groups_begin(&device->netif);
    netif_set_up(&device->netif);
    devices[number] = device;
    return 0;
}

bool pvnet_poll(void)
{
    bool more = false;
    for (unsigned i = 0; i < SKEP_NETS_MAX; i++) {
        if (devices[i] == NULL)
            continue;
        sent_release(devices[i]);
        send_resume(devices[i]);
        more |= receive_poll(devices[i]);
    }
    return more;
}

void pvnet_flush(void)
{
    pvnet_queued = false;
    for (unsigned i = 0; i < SKEP_NETS_MAX; i++)
        if (devices[i] != NULL)
            skep_virtqueue_kick(&devices[i]->send);
}

unsigned pvnet_number(const struct netif *netif)
{
    return ((const struct pvnet *)netif->state)->number;
}

struct netif *pvnet_interface(unsigned number)
{
    return number < SKEP_NETS_MAX && devices[number] != NULL ? &devices[number]->netif : NULL;
}
