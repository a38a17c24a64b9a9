/*
 * virtio_net.c - the driver of virtio network cards (Virtio 1.2, section 5.1).
 *
 * One receive and one transmit queue, one interrupt for both. The control queue is not negotiated: the card then
 * stays promiscuous, as guests with MAC addresses of their own need it. Neither are large frames from the card, so
 * that one fits into half a page. Interrupts stay off while there is work: they are armed when a queue is found empty,
 * and for sent packets only when somebody waits for one.
 *
 * nic.lock guards the transmit queue; the receive queue belongs to whoever polls.
 */
#include "drivers/virtio_net.h"

#include "core/frame.h"
#include "core/log.h"
#include "core/string.h"
#include "drivers/virtio_pci.h"

#define DEVICE_NET_TRANSITIONAL 0x1000u
#define DEVICE_NET              0x1041u

#define NET_F_CSUM       (1ull << 0)
#define NET_F_GUEST_CSUM (1ull << 1)
#define NET_F_MTU        (1ull << 3)
#define NET_F_MAC        (1ull << 5)
#define NET_F_HOST_TSO4  (1ull << 11)
#define NET_F_HOST_TSO6  (1ull << 12)

#define CONFIG_MAC 0u
#define CONFIG_MTU 10u

#define QUEUE_RECEIVE  0u
#define QUEUE_TRANSMIT 1u
#define VECTOR         0u

#define MTU_DEFAULT  1500u
#define BUFFER_BYTES 2048u
#define SLOT_BYTES   512u /* a copied header and the first bytes behind it */
#define HEADER_BYTES ((uint32_t)sizeof(struct skep_net_header))
#define SENT_BATCH   16u
_Static_assert(SLOT_BYTES >= sizeof(struct skep_net_header) + NIC_COPY_MAX,
               "a slot holds header and head");
#define COPIES_ORDER 5u
_Static_assert(VIRTQUEUE_SIZE_MAX *SLOT_BYTES <= SKEP_PAGE_SIZE << COPIES_ORDER, "slots fit");

/* What is remembered of a packet that the card holds; a slot has the number of its chain's head. */
struct slot {
    void *owner;
    uint32_t cookie;
    uint32_t piece_count;
    paddr_t pieces[NIC_PIECES_MAX];
};

struct virtio_net {
    struct nic nic; /* first */
    struct virtio_device device;
    struct virtqueue receive, transmit;
    uint8_t *buffers[VIRTQUEUE_SIZE_MAX]; /* of the receive queue, by chain head */
    uint8_t *copies;                      /* SLOT_BYTES for each slot */
    struct slot slots[VIRTQUEUE_SIZE_MAX];
    uint32_t lent; /* packets in the transmit queue whose owners wait for them */
};
#define VIRTIO_NET_ORDER 4u
_Static_assert(sizeof(struct virtio_net) <= SKEP_PAGE_SIZE << VIRTIO_NET_ORDER,
               "its frames hold it");

static struct virtio_net *net_of(struct nic *nic)
{
    return (struct virtio_net *)nic;
}

/* ---- transmit ---- */

/* Copies header and head to where the card will read them. */
static struct virtqueue_part slot_fill(struct virtio_net *net, uint16_t slot,
                                       const struct nic_packet *packet)
{
    uint8_t *copy = net->copies + slot * SLOT_BYTES;
    memcpy(copy, &packet->header, HEADER_BYTES);
    memcpy(copy + HEADER_BYTES, packet->head, packet->head_bytes);
    return (struct virtqueue_part){arch_direct_paddr(copy), HEADER_BYTES + packet->head_bytes};
}

static void slot_remember(struct slot *slot, const struct nic_packet *packet)
{
    slot->owner = packet->owner;
    slot->cookie = packet->cookie;
    slot->piece_count = packet->piece_count;
    for (uint32_t i = 0; i < packet->piece_count; i++) {
        slot->pieces[i] = packet->pieces[i].address;
    }
}

static int transmit_locked(struct virtio_net *net, const struct nic_packet *packet)
{
    struct virtqueue_part parts[1 + NIC_PIECES_MAX];
    struct virtqueue *queue = &net->transmit;
    if (queue->free_count < 1 + packet->piece_count) {
        return -SKEP_EAGAIN;
    }
    uint16_t head = queue->free_head; /* that virtqueue_add() will use */
    parts[0] = slot_fill(net, head, packet);
    for (uint32_t i = 0; i < packet->piece_count; i++) {
        parts[1 + i] = (struct virtqueue_part){packet->pieces[i].address, packet->pieces[i].bytes};
    }
    slot_remember(&net->slots[head], packet);
    int added = virtqueue_add(queue, parts, 1 + packet->piece_count, 1 + packet->piece_count);
    net->lent += added >= 0 && packet->owner != NULL;
    return added < 0 ? added : 0;
}

static int net_transmit(struct nic *nic, const struct nic_packet *packet)
{
    CHECK(packet->head_bytes <= NIC_COPY_MAX && packet->piece_count <= NIC_PIECES_MAX);
    spin_lock(&nic->lock);
    int error = transmit_locked(net_of(nic), packet);
    spin_unlock(&nic->lock);
    return error;
}

/* Asks for an interrupt when most of what the card holds is sent, if anyone waits for that: packets that were copied
 * whole come back with the next poll, whatever its reason. True: most of it is sent by now. Holds nic.lock. */
static bool transmit_arm(struct virtio_net *net)
{
    struct virtqueue *queue = &net->transmit;
    bool wanted = net->lent > 0 || queue->free_count < queue->size / 2;
    return wanted && virtqueue_arm(queue, true);
}

static void net_kick(struct nic *nic)
{
    spin_lock(&nic->lock);
    virtqueue_kick(&net_of(nic)->transmit);
    bool done = transmit_arm(net_of(nic));
    spin_unlock(&nic->lock);
    if (done) {
        nic->client->interrupt(nic);
    }
}

static bool net_room(struct nic *nic)
{
    spin_lock(&nic->lock);
    const struct virtqueue *queue = &net_of(nic)->transmit;
    bool room = queue->free_count > NIC_PIECES_MAX && !queue->broken;
    spin_unlock(&nic->lock);
    return room;
}

/* Takes chains that the card is done with; their slots stay in use. */
static uint32_t sent_take(struct virtio_net *net, uint16_t heads[SENT_BATCH], bool *more)
{
    uint32_t count = 0, bytes;
    spin_lock(&net->nic.lock);
    for (int head; count < SENT_BATCH && (head = virtqueue_take(&net->transmit, &bytes)) >= 0;
         count++) {
        heads[count] = (uint16_t)head;
        net->lent -= net->slots[head].owner != NULL;
    }
    *more = count == SENT_BATCH || transmit_arm(net);
    spin_unlock(&net->nic.lock);
    return count;
}

/* Returns whether there is more. The slots are freed only after their owners were told: nobody else may use them
 * while their contents are being read. */
static bool poll_sent(struct virtio_net *net)
{
    uint16_t heads[SENT_BATCH];
    bool more;
    uint32_t count = sent_take(net, heads, &more);
    if (count == 0) {
        return more;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct slot *slot = &net->slots[heads[i]];
        if (slot->owner != NULL) {
            net->nic.client->sent(slot->owner, slot->cookie, slot->pieces, slot->piece_count);
        }
    }
    spin_lock(&net->nic.lock);
    for (uint32_t i = 0; i < count; i++) {
        virtqueue_release(&net->transmit, heads[i]);
    }
    spin_unlock(&net->nic.lock);
    net->nic.client->room(&net->nic);
    return more;
}

/* ---- receive ---- */

static void buffer_post(struct virtio_net *net, uint8_t *buffer)
{
    struct virtqueue_part part = {arch_direct_paddr(buffer), BUFFER_BYTES};
    int head = virtqueue_add(&net->receive, &part, 1, 0);
    if (head >= 0) {
        net->buffers[head] = buffer;
    }
}

static void buffer_deliver(struct virtio_net *net, uint8_t *buffer, uint32_t bytes)
{
    if (bytes > HEADER_BYTES && bytes <= BUFFER_BYTES) {
        net->nic.client->received(&net->nic, (struct skep_net_header *)buffer,
                                  bytes - HEADER_BYTES);
    }
}

static bool poll_received(struct virtio_net *net, uint32_t budget)
{
    struct virtqueue *queue = &net->receive;
    uint32_t count = 0, bytes;
    for (int head; count < budget && (head = virtqueue_take(queue, &bytes)) >= 0; count++) {
        buffer_deliver(net, net->buffers[head], bytes);
        virtqueue_repeat(queue, (uint16_t)head);
    }
    if (count > 0) {
        virtqueue_kick(queue);
    }
    return count == budget || virtqueue_arm(queue, false);
}

static bool net_poll(struct nic *nic, uint32_t budget)
{
    struct virtio_net *net = net_of(nic);
    bool more_sent = poll_sent(net);
    return poll_received(net, budget) || more_sent;
}

static void net_interrupt(void *argument)
{
    struct nic *nic = argument;
    nic->client->interrupt(nic);
}

/* ---- start ---- */

static const struct nic_driver driver = {
    .transmit = net_transmit,
    .kick = net_kick,
    .poll = net_poll,
    .room = net_room,
};

static int buffers_post(struct virtio_net *net)
{
    for (uint32_t i = 0; i < net->receive.size; i += PAGE_SIZE / BUFFER_BYTES) {
        pfn_t pfn = frame_alloc(0, SKEP_FRAME_DEVICE, OWNER_CORE);
        if (pfn == PFN_NONE) {
            return i > 0 ? 0 : -SKEP_ENOMEM;
        }
        uint8_t *page = frame_data(pfn);
        buffer_post(net, page);
        buffer_post(net, page + BUFFER_BYTES);
    }
    return 0;
}

/* The order is section 3.1.1's: features, then queues, then DRIVER_OK, then the first kick. */
static int queues_start(struct virtio_net *net)
{
    struct virtio_device *device = &net->device;
    int error = pci_msix_enable(&device->pci, VECTOR, 0, net_interrupt, &net->nic);
    if (error == 0) {
        error =
            virtio_queue_start(device, &net->receive, QUEUE_RECEIVE, VIRTQUEUE_SIZE_MAX, VECTOR);
    }
    if (error == 0) {
        error =
            virtio_queue_start(device, &net->transmit, QUEUE_TRANSMIT, VIRTQUEUE_SIZE_MAX, VECTOR);
    }
    return error == 0 ? buffers_post(net) : error;
}

static void config_take(struct virtio_net *net)
{
    uint64_t features = net->device.features;
    uint8_t mtu[2] = {0};
    virtio_config_read(&net->device, CONFIG_MAC, net->nic.mac, sizeof(net->nic.mac));
    if (features & NET_F_MTU) {
        virtio_config_read(&net->device, CONFIG_MTU, mtu, sizeof(mtu));
    }
    uint16_t limit = (uint16_t)(mtu[0] | mtu[1] << 8);
    net->nic.mtu = limit >= 68 && limit < MTU_DEFAULT ? limit : MTU_DEFAULT;
    net->nic.tx_csum = features & NET_F_CSUM;
    net->nic.tx_tso4 = net->nic.tx_csum && (features & NET_F_HOST_TSO4);
    net->nic.tx_tso6 = net->nic.tx_csum && (features & NET_F_HOST_TSO6);
    net->nic.rx_csum = features & NET_F_GUEST_CSUM;
}

static int net_start(struct virtio_net *net, const struct pci_device *pci)
{
    int error = virtio_open(&net->device, pci);
    if (error == 0) {
        error =
            virtio_negotiate(&net->device, NET_F_MAC | NET_F_MTU | NET_F_CSUM | NET_F_GUEST_CSUM |
                                               NET_F_HOST_TSO4 | NET_F_HOST_TSO6);
    }
    if (error == 0 && !(net->device.features & NET_F_MAC)) {
        error = -SKEP_ENODEV;
    }
    if (error == 0) {
        config_take(net);
        error = queues_start(net);
    }
    if (error < 0) {
        virtio_fail(&net->device);
        return error;
    }
    virtio_start(&net->device, VIRTIO_NO_VECTOR);
    virtqueue_kick(&net->receive);
    return 0;
}

static struct virtio_net *net_alloc(void)
{
    pfn_t pfn = frame_alloc(VIRTIO_NET_ORDER, SKEP_FRAME_DEVICE, OWNER_CORE);
    pfn_t copies = frame_alloc(COPIES_ORDER, SKEP_FRAME_DEVICE, OWNER_CORE);
    if (pfn == PFN_NONE || copies == PFN_NONE) {
        return NULL; /* a machine this small does not get far anyway */
    }
    struct virtio_net *net = frame_data(pfn);
    net->copies = frame_data(copies);
    return net;
}

struct nic *virtio_net_start(const struct pci_device *pci, const struct nic_client *client)
{
    bool is_net = pci->device == DEVICE_NET || pci->device == DEVICE_NET_TRANSITIONAL;
    if (pci->vendor != VIRTIO_VENDOR || !is_net) {
        return NULL;
    }
    struct virtio_net *net = net_alloc();
    if (net == NULL) {
        return NULL;
    }
    net->nic.lock.kind = LOCK_NIC;
    net->nic.driver = &driver;
    net->nic.client = client;
    int error = net_start(net, pci);
    if (error < 0) {
        log_line("virtio-net: %04x: can't be used (%d)", pci->address, error);
        return NULL;
    }
    const uint8_t *mac = net->nic.mac;
    log_line("virtio-net: %04x: %02x:%02x:%02x:%02x:%02x:%02x, MTU %u, checksums %s, segments %s",
             pci->address, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], net->nic.mtu,
             net->nic.tx_csum ? "yes" : "no", net->nic.tx_tso4 ? "yes" : "no");
    return &net->nic;
}
