/*
 * test_virtio_net.c - the driver of virtio network cards, with one and several pairs of queues, against a PCI device that
 * the test plays.
 *
 * The device notes what it is told of a queue when the next one is selected, and looks whenever the driver gives back a
 * lock.
 */
#include "test.h"

#include <stdatomic.h>

#include "core/cpu.h"
#include "drivers/ring.h"
#include "drivers/virtio_net.h"
#include "drivers/virtio_pci.h"
#include "virtio_fixture.h"

#define CPUS   3u
#define SELECT (COMMON + 0x16)
#define SIZE   64u
#define QUEUES 16u

#define F_ALWAYS (1u << 0 | 1u << 5) /* VERSION_1 (in the upper half), MAC */
#define F_CTRL   (1u << 17)
#define F_MQ     (1u << 22)
#define F_ALL    (F_ALWAYS | F_CTRL | F_MQ)

/* ---- the device ---- */

static struct device_queue {
    uint64_t desc, avail, used;
    uint16_t vector;
    uint16_t seen; /* of the available ring */
} queues[QUEUES];
static uint16_t selected;

static enum { ANSWERS, REFUSES, SILENT, LIES } manner;
static uint32_t commands, pairs_told;

static void note_selected(void)
{
    if (selected < QUEUES) {
        queues[selected].desc = get(COMMON + 0x20, 8);
        queues[selected].avail = get(COMMON + 0x28, 8);
        queues[selected].used = get(COMMON + 0x30, 8);
        queues[selected].vector = (uint16_t)get(COMMON + 0x1a, 2);
    }
}

static void device_looks(void)
{
    uint16_t select = (uint16_t)get(SELECT, 2);
    if (select != selected) {
        note_selected();
        selected = select;
    }
}

static struct skep_vring_used *used_of(uint32_t queue)
{
    return arch_direct(paddr(queues[queue].used));
}

static void give_back(uint32_t queue, uint32_t id, uint32_t bytes)
{
    struct skep_vring_used *used = used_of(queue);
    uint16_t index = atomic_load(&used->index);
    used->ring[index & (SIZE - 1)] = (struct skep_vring_used_elem){id, bytes};
    atomic_store(&used->index, (uint16_t)(index + 1));
}

/* The next chain that it was given: its head, or -1. */
static int next_chain(uint32_t queue)
{
    struct device_queue *at = &queues[queue];
    struct skep_vring_avail *avail = arch_direct(paddr(at->avail));
    if (at->seen == atomic_load(&avail->index)) {
        return -1;
    }
    return avail->ring[at->seen++ & (SIZE - 1)];
}

static void *part_of(uint32_t queue, uint32_t index, uint32_t *bytes, bool *writable)
{
    const struct skep_vring_desc *desc = arch_direct(paddr(queues[queue].desc));
    *bytes = desc[index].len;
    *writable = desc[index].flags & SKEP_VRING_DESC_WRITE;
    return arch_direct(paddr(desc[index].addr));
}

/* While the driver waits: the control queue is behind all pairs that the device has. */
static void device_answers(void)
{
    uint32_t queue = 2 * (uint32_t)get(CONFIG + 8, 2), bytes;
    bool writable;
    note_selected();
    int head = manner == SILENT ? -1 : next_chain(queue);
    if (head < 0) {
        return;
    }
    const struct skep_vring_desc *desc = arch_direct(paddr(queues[queue].desc));
    const uint8_t *command = part_of(queue, (uint32_t)head, &bytes, &writable);
    assert_true(bytes == 4 && !writable);
    assert_true(command[0] == 4 && command[1] == 0);
    pairs_told = command[2] | (uint32_t)command[3] << 8;
    commands++;
    uint8_t *answer = part_of(queue, desc[head].next, &bytes, &writable);
    assert_true(bytes == 1 && writable);
    *answer = manner == REFUSES;
    give_back(queue, manner == LIES ? SIZE - 1 : (uint32_t)head, 1);
}

static void device_plug(uint32_t features, uint32_t pairs)
{
    static const uint8_t mac[6] = {0x52, 0x54, 0, 1, 2, 3};
    device_new(0x1041, 16, SIZE, features);
    memset(queues, 0, sizeof(queues));
    memcpy(bar + CONFIG, mac, sizeof(mac));
    put(CONFIG + 8, pairs, 2);
    put(NOTIFY, 0xffff, 2);
    manner = ANSWERS;
    commands = pairs_told = 0;
    selected = UINT16_MAX;
}

/* Which queue's doorbell was rung last; UINT16_MAX = none since the last call. */
static uint16_t rung(void)
{
    uint16_t queue = (uint16_t)get(NOTIFY, 2);
    put(NOTIFY, 0xffff, 2);
    return queue;
}

/* ---- the client ---- */

static uint32_t interrupts[NIC_PAIRS_MAX], received_count, received_bytes, sent_count, rooms;
static uint32_t
    wanted_again; /* so many times, one less than that again, the client wants a frame */
static uint32_t sent_cookie;

static void on_interrupt(struct nic *nic, uint32_t pair)
{
    assert_true(pair < nic->pair_count);
    interrupts[pair]++;
}

static bool on_received(struct nic *nic, struct skep_net_header *header, uint32_t bytes)
{
    assert_non_null(nic);
    assert_non_null(header);
    assert_int_equal(fake_cpu->arch.locks, 0);
    received_count++;
    received_bytes = bytes;
    wanted_again -= wanted_again > 0;
    return wanted_again > 0;
}

static void on_sent(void *owner, uint32_t cookie, const paddr_t *pieces, uint32_t count)
{
    (void)pieces;
    assert_ptr_equal(owner, &sent_count);
    assert_int_equal(count, 1);
    assert_int_equal(fake_cpu->arch.locks, 0);
    sent_cookie = cookie;
    sent_count++;
}

static void on_room(struct nic *nic)
{
    assert_non_null(nic);
    rooms++;
}

static const struct nic_client client = {on_interrupt, on_received, on_sent, on_room};

static struct nic *start(void)
{
    static const struct pci_device pci = {0x10, 0x1af4, 0x1041};
    fake_waiting = device_answers;
    fake_between = device_looks;
    struct nic *nic = virtio_net_start(&pci, &client);
    fake_waiting = NULL;
    fake_between = NULL;
    note_selected();
    memset(interrupts, 0, sizeof(interrupts));
    received_count = sent_count = rooms = wanted_again = 0;
    rung();
    return nic;
}

static struct nic *plugged(uint32_t features, uint32_t pairs, uint32_t expected)
{
    device_plug(features, pairs);
    struct nic *nic = start();
    assert_non_null(nic);
    assert_int_equal(nic->pair_count, expected);
    assert_int_equal(get(STATUS, 1) & 0x8c, 0xc); /* DRIVER_OK, FEATURES_OK, not FAILED */
    return nic;
}

static int group_setup(void **state)
{
    (void)state;
    memset(config_space, 0xff, sizeof(config_space));
    fake_boot(64ull << 20, CPUS);
    return 0;
}

/* ---- start ---- */

static void a_pair_for_each_cpu(void **state)
{
    (void)state;
    plugged(F_ALL, 5, CPUS);
    assert_int_equal(pairs_told, CPUS);
    assert_int_equal(commands, 1);
    assert_int_equal(msi_count, CPUS);
    for (uint32_t pair = 0; pair < CPUS; pair++) {
        assert_int_equal(msi[pair].cpu, pair);
        assert_int_equal(queues[2 * pair].vector, pair);
        assert_int_equal(queues[2 * pair + 1].vector, pair);
        assert_int_equal(
            atomic_load(
                &((struct skep_vring_avail *)arch_direct(paddr(queues[2 * pair].avail)))->index),
            SIZE); /* buffers */
    }
    for (uint32_t queue = 2 * CPUS; queue < QUEUES; queue++) {
        assert_true((queues[queue].desc != 0) == (queue == 10)); /* control */
    }
    assert_int_equal(queues[10].vector, VIRTIO_NO_VECTOR);
}

static void no_more_than_the_card_has(void **state)
{
    (void)state;
    plugged(F_ALL, 2, 2);
    assert_int_equal(pairs_told, 2);
}

static void one_pair_needs_no_control_queue(void **state)
{
    (void)state;
    static const struct {
        uint32_t features, pairs;
    } cards[] = {{F_ALWAYS, 4}, {F_ALWAYS | F_CTRL, 4},  {F_ALWAYS | F_MQ, 4},
                 {F_ALL, 1},    {F_ALL, 0 /* not so */}, {F_ALL, 0x8000 /* nor this */}};
    for (uint32_t i = 0; i < ARRAY_COUNT(cards); i++) {
        plugged(cards[i].features, cards[i].pairs, 1);
        assert_int_equal(commands, 0);
        assert_true((get(COMMON + 0x0c, 4) & F_CTRL) == 0 || cards[i].features == F_ALL);
        for (uint32_t queue = 2; queue < QUEUES; queue++) {
            assert_int_equal(queues[queue].desc, 0);
        }
    }
}

static void there_are_as_many_as_interrupts(void **state)
{
    (void)state;
    device_plug(F_ALL, 4);
    msi_limit = 2;
    struct nic *nic = start();
    assert_int_equal(nic->pair_count, 2);
    assert_int_equal(pairs_told, 2);
    device_plug(F_ALL, 4);
    config_space[0x42] = 0; /* its own table has one entry */
    nic = start();
    assert_int_equal(nic->pair_count, 1);
    assert_int_equal(commands, 0);
    device_plug(F_ALL, 4);
    msi_limit = 0;
    assert_null(start());
    assert_int_equal(get(STATUS, 1), 128);
}

static void a_card_that_does_not_agree_has_one_pair(void **state)
{
    (void)state;
    for (manner = REFUSES; manner <= LIES;) {
        uint32_t tried = manner;
        device_plug(F_ALL, 4);
        manner = tried;
        struct nic *nic = start();
        assert_non_null(nic);
        assert_int_equal(nic->pair_count, 1);
        assert_int_equal(get(STATUS, 1) & 0x8c, 0xc);
        assert_int_equal(commands, manner == SILENT ? 0 : 1);
        /* What the first attempt left behind does no harm. */
        msi[1].handler(msi[1].argument);
        manner++;
    }
}

/* ---- frames ---- */

static uint8_t head[60];

static int transmit(struct nic *nic, uint32_t pair, uint32_t cookie)
{
    struct nic_packet packet = {.head = head, .head_bytes = sizeof(head)};
    if (cookie != 0) {
        packet.owner = &sent_count;
        packet.cookie = cookie;
        packet.piece_count = 1;
        packet.pieces[0] = (struct nic_piece){paddr(PAGE_SIZE), 100};
    }
    return nic->driver->transmit(nic, pair, &packet);
}

static void each_pair_sends_for_itself(void **state)
{
    (void)state;
    struct nic *nic = plugged(F_ALL, 4, CPUS);
    int mark = transmit(nic, 1, 7);
    assert_true(mark >= 0);
    nic->driver->kick(nic, 1);
    assert_int_equal(rung(), 3);
    nic->driver->kick(nic, 1);
    assert_int_equal(rung(), UINT16_MAX); /* it has been told */
    assert_false(nic->driver->passed(nic, 1, (uint32_t)mark));
    int first = next_chain(3);
    assert_true(first >= 0 && next_chain(1) < 0 && next_chain(5) < 0);
    give_back(3, (uint32_t)first, 0);
    assert_true(nic->driver->passed(nic, 1, (uint32_t)mark));
    assert_false(nic->driver->poll(nic, 0, 4));
    assert_false(nic->driver->poll(nic, 2, 4));
    assert_int_equal(sent_count, 0);
    assert_false(nic->driver->poll(nic, 1, 4));
    assert_int_equal(sent_count, 1);
    assert_int_equal(sent_cookie, 7);
    assert_int_equal(rooms, 1);
}

static void a_full_pair_leaves_the_others_room(void **state)
{
    (void)state;
    struct nic *nic = plugged(F_ALL, 4, CPUS);
    for (uint32_t i = 0; i < SIZE; i++) {
        assert_true(transmit(nic, 0, 0) >= 0);
    }
    assert_int_equal(transmit(nic, 0, 0), -SKEP_EAGAIN);
    assert_false(nic->driver->room(nic, 0));
    assert_true(nic->driver->room(nic, 2));
    assert_true(transmit(nic, 2, 0) >= 0);
}

/* Nothing was sent yet, or all of it: also when the count of packets begins anew. */
static void marks_go_round(void **state)
{
    (void)state;
    struct nic *nic = plugged(F_ALL, 4, CPUS);
    assert_true(nic->driver->passed(nic, 1, 0));
    assert_true(nic->driver->passed(nic, 1, INT32_MAX)); /* the one before 0 */
    assert_false(nic->driver->passed(nic, 1, 1));
}

static void what_comes_is_the_pairs_own(void **state)
{
    (void)state;
    struct nic *nic = plugged(F_ALL, 4, CPUS);
    int buffer = next_chain(4);
    assert_true(buffer >= 0);
    give_back(4, (uint32_t)buffer, sizeof(struct skep_net_header) + 60);
    msi[2].handler(msi[2].argument);
    assert_int_equal(interrupts[2], 1);
    assert_int_equal(interrupts[0] + interrupts[1], 0);
    assert_false(nic->driver->poll(nic, 0, 4));
    assert_false(nic->driver->poll(nic, 1, 4));
    assert_int_equal(received_count, 0);
    assert_false(nic->driver->poll(nic, 2, 4));
    assert_int_equal(received_count, 1);
    assert_int_equal(received_bytes, 60);
    give_back(2, 99, 100); /* no such buffer: that pair takes no more, and the others go on */
    assert_false(nic->driver->poll(nic, 1, 4));
    buffer = next_chain(4);
    give_back(4, (uint32_t)buffer, sizeof(struct skep_net_header) + 60);
    assert_false(nic->driver->poll(nic, 2, 4));
    assert_int_equal(received_count, 2);
}

/* Each time counts, others wait behind it, and the device gets its buffer back only then. */
static void what_is_wanted_again_stays(void **state)
{
    (void)state;
    struct nic *nic = plugged(F_ALL, 1, 1);
    int buffers[2] = {next_chain(0), next_chain(0)};
    give_back(0, (uint32_t)buffers[0], sizeof(struct skep_net_header) + 60);
    give_back(0, (uint32_t)buffers[1], sizeof(struct skep_net_header) + 70);
    while (next_chain(0) >= 0) {
    }
    wanted_again = 6;
    assert_true(nic->driver->poll(nic, 0, 4));
    assert_int_equal(received_count, 4);
    assert_int_equal(received_bytes, 60);
    assert_int_equal(next_chain(0), -1);
    assert_true(nic->driver->poll(nic, 0, 2));
    assert_int_equal(received_count, 6);
    assert_int_equal(received_bytes, 60);
    assert_int_equal(next_chain(0), buffers[0]);
    assert_false(nic->driver->poll(nic, 0, 4));
    assert_int_equal(received_count, 7);
    assert_int_equal(received_bytes, 70);
    assert_int_equal(next_chain(0), buffers[1]);
}

static bool looked;

static void before_the_doorbell(void)
{
    assert_int_equal(rung(), UINT16_MAX);
    looked = true;
}

/* It may take an emulated card's time, which is no time to hold a lock for. */
static void no_lock_is_held_at_the_doorbell(void **state)
{
    (void)state;
    struct nic *nic = plugged(F_ALL, 4, CPUS);
    assert_true(transmit(nic, 0, 0) >= 0);
    fake_between = before_the_doorbell;
    nic->driver->kick(nic, 0);
    fake_between = NULL;
    assert_true(looked);
    assert_int_equal(rung(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_for_each_cpu),
        cmocka_unit_test(no_more_than_the_card_has),
        cmocka_unit_test(one_pair_needs_no_control_queue),
        cmocka_unit_test(there_are_as_many_as_interrupts),
        cmocka_unit_test(a_card_that_does_not_agree_has_one_pair),
        cmocka_unit_test(each_pair_sends_for_itself),
        cmocka_unit_test(a_full_pair_leaves_the_others_room),
        cmocka_unit_test(marks_go_round),
        cmocka_unit_test(what_comes_is_the_pairs_own),
        cmocka_unit_test(what_is_wanted_again_stays),
        cmocka_unit_test(no_lock_is_held_at_the_doorbell),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
