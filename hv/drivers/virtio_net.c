/*
 * virtio_net.c - the driver of virtio network cards (Virtio 1.2, section 5.1).
 *
 * A pair of a receive and a transmit queue for each CPU, if the card has as many, one interrupt for both on that CPU. What
 * comes in is spread over the pairs by the card: by the pair on which the other direction of a connection goes out, or by
 * hash (section 5.1.6.5.6). The control queue is for saying how many pairs there are, and not negotiated without that; of
 * its other uses none is, so that the card stays promiscuous, as guests with MAC addresses of their own need it. Neither
 * are large frames from the card, so that one fits into half a page. Interrupts stay off while there is work: they are
 * armed when a queue is found empty, and for sent packets only when somebody waits for one.
 *
 * A pair's nic.lock guards its transmit queue; the receive queue belongs to the CPU that polls. The doorbell is rung
 * outside of the lock.
 */
#include "drivers/virtio_net.h"

#include "core/cpu.h"
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
#define NET_F_CTRL_VQ    (1ull << 17)
#define NET_F_MQ         (1ull << 22)
#define NET_F_PAIRS      (NET_F_CTRL_VQ | NET_F_MQ)

#define CONFIG_MAC   0u
#define CONFIG_PAIRS 8u
#define CONFIG_MTU   10u

/* Of a pair; the control queue is behind those of all pairs that the card has. Its MSI-X entry has the pair's number. */
#define QUEUE_RECEIVE(pair)  ((uint16_t)(2 * (pair)))
#define QUEUE_TRANSMIT(pair) ((uint16_t)(2 * (pair) + 1))

#define CONTROL_SIZE      64u
#define CONTROL_CLASS_MQ  4u
#define CONTROL_PAIRS_SET 0u
#define CONTROL_OK        0u
#define DEVICE_PAIRS_MAX  0x7fffu /* so that the control queue has a number */

#define MTU_DEFAULT  1500u
#define BUFFER_BYTES 2048u
#define SLOT_BYTES   512u /* a copied header and the first bytes behind it */
#define HEADER_BYTES ((uint32_t)sizeof(struct skep_net_header))
#define SENT_BATCH   16u
#define MARK_MASK    ((uint32_t)INT32_MAX)
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

struct net_pair {
    struct spinlock lock;
    struct nic *nic;
    uint32_t index;
    uint32_t lent;  /* packets in the transmit queue whose owners wait for them */
    uint32_t added; /* to the transmit queue, ever */
    struct virtqueue receive, transmit;
    uint8_t *buffers[VIRTQUEUE_SIZE_MAX]; /* of the receive queue, by chain head */
    bool is_wanted;                       /* the buffer that was taken last, once more: */
    int head;
    uint32_t bytes;
    uint8_t *copies; /* SLOT_BYTES for each slot */
    struct slot slots[VIRTQUEUE_SIZE_MAX];
};
#define PAIR_ORDER 4u
_Static_assert(sizeof(struct net_pair) <= SKEP_PAGE_SIZE << PAIR_ORDER, "its frames hold it");

/* Virtio 1.2, section 5.1.6.5: what the card reads, and its answer. */
struct control_command {
    uint8_t class, command;
    uint16_t pair_count;
    uint8_t answer;
};

struct virtio_net {
    struct nic nic; /* first */
    struct virtio_device device;
    struct net_pair *pairs[NIC_PAIRS_MAX];
    struct virtqueue control;
    struct control_command command;
};
_Static_assert(sizeof(struct virtio_net) <= SKEP_PAGE_SIZE, "a frame holds it");

static struct net_pair *pair_of(struct nic *nic, uint32_t pair)
{
    return ((struct virtio_net *)nic)->pairs[pair];
}

/* ---- transmit ---- */

/* Copies header and head to where the card will read them. */
static struct virtqueue_part slot_fill(struct net_pair *pair, uint16_t slot,
                                       const struct nic_packet *packet)
{
    uint8_t *copy = pair->copies + slot * SLOT_BYTES;
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

static int transmit_locked(struct net_pair *pair, const struct nic_packet *packet)
{
    struct virtqueue_part parts[1 + NIC_PIECES_MAX];
    struct virtqueue *queue = &pair->transmit;
    if (queue->free_count < 1 + packet->piece_count) {
        return -SKEP_EAGAIN;
    }
    uint16_t head = queue->free_head; /* that virtqueue_add() will use */
    parts[0] = slot_fill(pair, head, packet);
    for (uint32_t i = 0; i < packet->piece_count; i++) {
        parts[1 + i] = (struct virtqueue_part){packet->pieces[i].address, packet->pieces[i].bytes};
    }
    slot_remember(&pair->slots[head], packet);
    int added = virtqueue_add(queue, parts, 1 + packet->piece_count, 1 + packet->piece_count);
    pair->lent += added >= 0 && packet->owner != NULL;
    pair->added += added >= 0;
    return added < 0 ? added : (int)(pair->added & MARK_MASK);
}

static int net_transmit(struct nic *nic, uint32_t index, const struct nic_packet *packet)
{
    struct net_pair *pair = pair_of(nic, index);
    CHECK(packet->head_bytes <= NIC_COPY_MAX && packet->piece_count <= NIC_PIECES_MAX);
    spin_lock(&pair->lock);
    int mark = transmit_locked(pair, packet);
    spin_unlock(&pair->lock);
    return mark;
}

static bool net_passed(struct nic *nic, uint32_t index, uint32_t mark)
{
    struct net_pair *pair = pair_of(nic, index);
    spin_lock(&pair->lock);
    uint32_t sent = pair->added - virtqueue_held(&pair->transmit);
    spin_unlock(&pair->lock);
    return ((sent - mark) & MARK_MASK) <= MARK_MASK / 2;
}

/* Asks for an interrupt when most of what the card holds is sent, if anyone waits for that: packets that were copied
 * whole come back with the next poll, whatever its reason. True: most of it is sent by now. Holds the pair's lock. */
static bool transmit_arm(struct net_pair *pair)
{
    struct virtqueue *queue = &pair->transmit;
    bool wanted = pair->lent > 0 || queue->free_count < queue->size / 2;
    return wanted && virtqueue_arm(queue, true);
}

static void net_kick(struct nic *nic, uint32_t index)
{
    struct net_pair *pair = pair_of(nic, index);
    spin_lock(&pair->lock);
    bool due = virtqueue_kick_due(&pair->transmit);
    bool done = transmit_arm(pair);
    spin_unlock(&pair->lock);
    if (due) {
        virtqueue_ring(&pair->transmit);
    }
    if (done) {
        nic->client->interrupt(nic, index);
    }
}

static bool net_room(struct nic *nic, uint32_t index)
{
    struct net_pair *pair = pair_of(nic, index);
    spin_lock(&pair->lock);
    const struct virtqueue *queue = &pair->transmit;
    bool room = queue->free_count > NIC_PIECES_MAX && !queue->broken;
    spin_unlock(&pair->lock);
    return room;
}

/* Takes chains that the card is done with; their slots stay in use. */
static uint32_t sent_take(struct net_pair *pair, uint16_t heads[SENT_BATCH], bool *more)
{
    uint32_t count = 0, bytes;
    spin_lock(&pair->lock);
    for (int head; count < SENT_BATCH && (head = virtqueue_take(&pair->transmit, &bytes)) >= 0;
         count++) {
        heads[count] = (uint16_t)head;
        pair->lent -= pair->slots[head].owner != NULL;
    }
    *more = count == SENT_BATCH || transmit_arm(pair);
    spin_unlock(&pair->lock);
    return count;
}

/* Returns whether there is more. The slots are freed only after their owners were told: nobody else may use them
 * while their contents are being read. */
static bool poll_sent(struct net_pair *pair)
{
    uint16_t heads[SENT_BATCH];
    bool more;
    uint32_t count = sent_take(pair, heads, &more);
    if (count == 0) {
        return more;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct slot *slot = &pair->slots[heads[i]];
        if (slot->owner != NULL) {
            pair->nic->client->sent(slot->owner, slot->cookie, slot->pieces, slot->piece_count);
        }
    }
    spin_lock(&pair->lock);
    for (uint32_t i = 0; i < count; i++) {
        virtqueue_release(&pair->transmit, heads[i]);
    }
    spin_unlock(&pair->lock);
    pair->nic->client->room(pair->nic);
    return more;
}

/* ---- receive ---- */

static void buffer_post(struct net_pair *pair, uint8_t *buffer)
{
    struct virtqueue_part part = {arch_direct_paddr(buffer), BUFFER_BYTES};
    int head = virtqueue_add(&pair->receive, &part, 1, 0);
    if (head >= 0) {
        pair->buffers[head] = buffer;
    }
}

/* True: it is wanted again. */
static bool buffer_deliver(struct net_pair *pair, uint8_t *buffer, uint32_t bytes)
{
    return bytes > HEADER_BYTES && bytes <= BUFFER_BYTES &&
           pair->nic->client->received(pair->nic, (struct skep_net_header *)buffer,
                                       bytes - HEADER_BYTES);
}

static bool poll_received(struct net_pair *pair, uint32_t budget)
{
    struct virtqueue *queue = &pair->receive;
    uint32_t count = 0;
    for (; count < budget; count++) {
        if (!pair->is_wanted) {
            pair->head = virtqueue_take(queue, &pair->bytes);
        }
        if (pair->head < 0) {
            break;
        }
        pair->is_wanted = buffer_deliver(pair, pair->buffers[pair->head], pair->bytes);
        if (!pair->is_wanted) {
            virtqueue_repeat(queue, (uint16_t)pair->head);
        }
    }
    if (count > 0) {
        virtqueue_kick(queue);
    }
    return count == budget || virtqueue_arm(queue, false);
}

static bool net_poll(struct nic *nic, uint32_t index, uint32_t budget)
{
    struct net_pair *pair = pair_of(nic, index);
    bool more_sent = poll_sent(pair);
    return poll_received(pair, budget) || more_sent;
}

/* One of a pair that was given up when the card was started may still come. */
static void net_interrupt(void *argument)
{
    struct net_pair *pair = argument;
    if (pair->index < pair->nic->pair_count) {
        pair->nic->client->interrupt(pair->nic, pair->index);
    }
}

/* ---- start ---- */

static const struct nic_driver driver = {
    .transmit = net_transmit,
    .kick = net_kick,
    .poll = net_poll,
    .room = net_room,
    .passed = net_passed,
};

static int buffers_post(struct net_pair *pair)
{
    for (uint32_t i = 0; i < pair->receive.size; i += PAGE_SIZE / BUFFER_BYTES) {
        pfn_t pfn = frame_alloc(0, SKEP_FRAME_DEVICE, OWNER_CORE);
        if (pfn == PFN_NONE) {
            return i > 0 ? 0 : -SKEP_ENOMEM;
        }
        uint8_t *page = frame_data(pfn);
        buffer_post(pair, page);
        buffer_post(pair, page + BUFFER_BYTES);
    }
    return 0;
}

static struct net_pair *pair_alloc(struct virtio_net *net, uint32_t index)
{
    pfn_t pfn = frame_alloc(PAIR_ORDER, SKEP_FRAME_DEVICE, OWNER_CORE);
    pfn_t copies = frame_alloc(COPIES_ORDER, SKEP_FRAME_DEVICE, OWNER_CORE);
    if (pfn == PFN_NONE || copies == PFN_NONE) {
        return NULL; /* a machine this small does not get far anyway */
    }
    struct net_pair *pair = frame_data(pfn);
    pair->lock.kind = LOCK_NIC;
    pair->nic = &net->nic;
    pair->index = index;
    pair->copies = frame_data(copies);
    return pair;
}

static int pair_start(struct virtio_net *net, uint32_t index)
{
    struct virtio_device *device = &net->device;
    struct net_pair *pair = pair_alloc(net, index);
    uint16_t vector = (uint16_t)index;
    if (pair == NULL) {
        return -SKEP_ENOMEM;
    }
    int error = pci_msix_enable(&device->pci, index, index, net_interrupt, pair);
    if (error == 0) {
        error = virtio_queue_start(device, &pair->receive, QUEUE_RECEIVE(index), VIRTQUEUE_SIZE_MAX,
                                   vector);
    }
    if (error == 0) {
        error = virtio_queue_start(device, &pair->transmit, QUEUE_TRANSMIT(index),
                                   VIRTQUEUE_SIZE_MAX, vector);
    }
    net->pairs[index] = pair;
    return error == 0 ? buffers_post(pair) : error;
}

/* How many pairs the card has: 1 if it doesn't say, or says what may not be (section 5.1.4.1). */
static uint32_t pairs_offered(struct virtio_net *net)
{
    uint8_t pairs[2];
    if ((net->device.features & NET_F_PAIRS) != NET_F_PAIRS) {
        return 1;
    }
    virtio_config_read(&net->device, CONFIG_PAIRS, pairs, sizeof(pairs));
    uint32_t count = pairs[0] | (uint32_t)pairs[1] << 8;
    return count >= 1 && count <= DEVICE_PAIRS_MAX ? count : 1;
}

/* The order is section 3.1.1's: features, then queues, then DRIVER_OK, then the first kick. If one of the further pairs
 * can't be had, for want of memory, queues or interrupts, there are those before it. */
/* Further pairs, which take most of a MiB each, are had from what is plenty. */
static bool memory_suffices(void)
{
    uint64_t counts[SKEP_FRAME_TYPES];
    frame_counts(counts);
    return counts[SKEP_FRAME_FREE] > frame_total() / 2;
}

static int queues_start(struct virtio_net *net, uint32_t pairs_max)
{
    uint32_t offered = pairs_offered(net);
    uint32_t wanted = offered < pairs_max ? offered : pairs_max;
    int error = pair_start(net, 0);
    net->nic.pair_count = 1;
    while (error == 0 && net->nic.pair_count < wanted && memory_suffices() &&
           pair_start(net, net->nic.pair_count) == 0) {
        net->nic.pair_count++;
    }
    if (error == 0 && net->nic.pair_count > 1) {
        error = virtio_queue_start(&net->device, &net->control, QUEUE_RECEIVE(offered),
                                   CONTROL_SIZE, VIRTIO_NO_VECTOR);
    }
    return error;
}

/* The card uses the first pair only until it is told of the others (section 5.1.6.5.6). */
static int pairs_set(struct virtio_net *net)
{
    struct control_command *command = &net->command;
    *command = (struct control_command){CONTROL_CLASS_MQ, CONTROL_PAIRS_SET,
                                        (uint16_t)net->nic.pair_count, (uint8_t)~CONTROL_OK};
    uint32_t question = offsetof(struct control_command, answer);
    struct virtqueue_part parts[] = {{arch_direct_paddr(command), question},
                                     {arch_direct_paddr(&command->answer), 1}};
    int head = virtqueue_add(&net->control, parts, ARRAY_COUNT(parts), 1);
    int error = virtio_answer(&net->device, &net->control, head);
    if (error < 0) {
        return error;
    }
    return __atomic_load_n(&command->answer, __ATOMIC_RELAXED) == CONTROL_OK ? 0 : -SKEP_EIO;
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

static int net_open(struct virtio_net *net, const struct pci_device *pci, uint32_t pairs_max)
{
    uint64_t wanted =
        NET_F_MAC | NET_F_MTU | NET_F_CSUM | NET_F_GUEST_CSUM | NET_F_HOST_TSO4 | NET_F_HOST_TSO6;
    int error = virtio_open(&net->device, pci);
    if (error == 0) {
        bool several = pairs_max > 1 && (~virtio_offered(&net->device) & NET_F_PAIRS) == 0;
        error = virtio_negotiate(&net->device, wanted | (several ? NET_F_PAIRS : 0));
    }
    if (error == 0 && !(net->device.features & NET_F_MAC)) {
        error = -SKEP_ENODEV;
    }
    if (error == 0) {
        config_take(net);
        error = queues_start(net, pairs_max);
    }
    return error;
}

static int net_start(struct virtio_net *net, const struct pci_device *pci, uint32_t pairs_max)
{
    int error = net_open(net, pci, pairs_max);
    if (error == 0) {
        virtio_start(&net->device, VIRTIO_NO_VECTOR);
        error = net->nic.pair_count > 1 ? pairs_set(net) : 0;
    }
    if (error < 0) {
        virtio_fail(&net->device);
        return error;
    }
    for (uint32_t i = 0; i < net->nic.pair_count; i++) {
        virtqueue_kick(&net->pairs[i]->receive);
    }
    return 0;
}

struct nic *virtio_net_start(const struct pci_device *pci, const struct nic_client *client)
{
    bool is_net = pci->device == DEVICE_NET || pci->device == DEVICE_NET_TRANSITIONAL;
    if (pci->vendor != VIRTIO_VENDOR || !is_net) {
        return NULL;
    }
    pfn_t pfn = frame_alloc(0, SKEP_FRAME_DEVICE, OWNER_CORE);
    if (pfn == PFN_NONE) {
        return NULL;
    }
    struct virtio_net *net = frame_data(pfn);
    net->nic.driver = &driver;
    net->nic.client = client;
    uint32_t cpus = cpu_count();
    int error = net_start(net, pci, cpus < NIC_PAIRS_MAX ? cpus : NIC_PAIRS_MAX);
    if (error < 0 && net->nic.pair_count > 1) {
        log_line("virtio-net: %04x: takes no more than one pair of queues (%d)", pci->address,
                 error);
        error = net_start(net, pci, 1);
    }
    if (error < 0) {
        log_line("virtio-net: %04x: can't be used (%d)", pci->address, error);
        return NULL;
    }
    const uint8_t *mac = net->nic.mac;
    log_line(
        "virtio-net: %04x: %02x:%02x:%02x:%02x:%02x:%02x, MTU %u, checksums %s, segments %s, pairs "
        "of queues: %u",
        pci->address, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], net->nic.mtu,
        net->nic.tx_csum ? "yes" : "no", net->nic.tx_tso4 ? "yes" : "no", net->nic.pair_count);
    return &net->nic;
}
