/*
 * test_io_queue.c - PV virtqueues: set-up, hostile rings, EVENT_IDX.
 */
#include "test_io_fixture.h"

#include <string.h>

#include "core/frame.h"
#include "core/gmem.h"
#include "drivers/ring.h"
#include "fake.h"
#include "io/port.h"
#include "io/queue.h"

#define BUFFERS (PEER_BUFFERS * 4096)

static struct peer a, b;
static struct queue_chain chain;

static int begin(void **state)
{
    fixture_begin(state);
    peer_create(&a, 0xa, ip(10, 0, 0, 20), 0);
    peer_create(&b, 0xb, ip(10, 0, 0, 21), 0);
    return 0;
}

static int end(void **state)
{
    peer_destroy(&a);
    peer_destroy(&b);
    return fixture_end(state);
}

static struct queue *tx(void)
{
    return &peer_port(&a)->tx;
}

static void offer_chain(uint16_t head)
{
    uint16_t index = atomic_load(&a.tx.avail->index);
    a.tx.avail->ring[index & (RING_SIZE - 1)] = head;
    atomic_store(&a.tx.avail->index, (uint16_t)(index + 1));
}

static void desc_set(uint16_t index, uint64_t address, uint32_t bytes, uint16_t flags,
                     uint16_t next)
{
    a.tx.desc[index] = (struct skep_vring_desc){address, bytes, flags, next};
}

static void assert_fault(enum queue_fault fault, uint64_t address)
{
    uint32_t before = tx()->next_avail;
    assert_int_equal(queue_peek(tx(), false, &chain), -SKEP_EINVAL);
    assert_int_equal(chain.fault, fault);
    assert_int_equal(chain.fault_address, address);
    assert_int_equal(tx()->next_avail, before);
}

/* ---- set-up ---- */

static int setup(struct skep_queue_setup values)
{
    struct queue queue = {0};
    int error = queue_setup(&queue, a.guest, &values);
    queue_teardown(&queue);
    return error;
}

static void setup_refuses_what_is_malformed(void **state)
{
    uint64_t at = a.base + BUFFERS;
    struct skep_queue_setup good = {.size = 256, .desc = at, .avail = at + 4096, .used = at + 8192};
    struct skep_queue_setup bad = good;
    (void)state;
    assert_int_equal(setup(good), 0);
    bad.size = 0;
    assert_int_equal(setup(bad), -SKEP_EINVAL);
    bad.size = 24;
    assert_int_equal(setup(bad), -SKEP_EINVAL);
    bad.size = 512;
    assert_int_equal(setup(bad), -SKEP_EINVAL);
    bad = good, bad.desc += 8;
    assert_int_equal(setup(bad), -SKEP_EINVAL);
    bad = good, bad.desc += 16; /* crosses its page */
    assert_int_equal(setup(bad), -SKEP_EINVAL);
    bad = good, bad.avail += 1;
    assert_int_equal(setup(bad), -SKEP_EINVAL);
    bad = good, bad.avail += 4096 - 516; /* the event word crosses */
    assert_int_equal(setup(bad), -SKEP_EINVAL);
    bad = good, bad.used += 2;
    assert_int_equal(setup(bad), -SKEP_EINVAL);
    bad = good, bad.vcpu = 1;
    assert_int_equal(setup(bad), -SKEP_EINVAL);
    bad = good, bad.vcpu = UINT32_MAX;
    assert_int_equal(setup(bad), -SKEP_EINVAL);
    bad = good, bad.used = 0;
    assert_int_equal(setup(bad), -SKEP_EFAULT);
    bad = good, bad.used = 0xffffffff80000000ull;
    assert_int_equal(setup(bad), -SKEP_EFAULT);
    bad = good, bad.used = a.guest->image_base; /* executable, not writable */
    assert_int_equal(setup(bad), -SKEP_EFAULT);
}

static void setup_is_done_once_and_pins(void **state)
{
    struct skep_queue_setup again = {
        .queue = 1, .size = 8, .desc = a.base, .avail = a.base, .used = a.base};
    (void)state;
    assert_int_equal(io_queue_setup(a.vcpu, &again), -SKEP_EBUSY);
    again.queue = 2;
    assert_int_equal(io_queue_setup(a.vcpu, &again), -SKEP_ENODEV);
    again.queue = UINT32_MAX;
    assert_int_equal(io_queue_setup(a.vcpu, &again), -SKEP_ENODEV);
    assert_int_equal(io_queue_kick(a.vcpu, 7), -SKEP_ENODEV);
    assert_int_equal(io_queue_kick(a.vcpu, UINT32_MAX), -SKEP_ENODEV);
    assert_int_equal(frame_pins(frame_of(a.tx.used)), 1);
    assert_int_equal(frame_pins(frame_of(a.tx.desc)), 1);
}

/* ---- decoding ---- */

static void chains_are_decoded_in_order(void **state)
{
    (void)state;
    assert_int_equal(queue_peek(tx(), false, &chain), 0);
    desc_set(5, a.base + BUFFERS, 12, SKEP_VRING_DESC_NEXT, 2);
    desc_set(2, a.base + BUFFERS + 100, 0, SKEP_VRING_DESC_NEXT, 7);
    desc_set(7, a.base + BUFFERS + 4000, 200, 0, 2);
    offer_chain(5);
    assert_int_equal(queue_peek(tx(), false, &chain), 1);
    assert_int_equal(chain.head, 5);
    assert_int_equal(chain.part_count, 3);
    assert_int_equal(chain.bytes, 212);
    assert_int_equal(chain.parts[2].address.value, a.base + BUFFERS + 4000);
    queue_take(tx());
    assert_int_equal(queue_peek(tx(), false, &chain), 0);
}

static void index_ahead_of_the_ring(void **state)
{
    (void)state;
    atomic_store(&a.tx.avail->index, RING_SIZE + 1);
    assert_fault(QUEUE_FAULT_INDEX, RING_SIZE + 1);
    atomic_store(&a.tx.avail->index, UINT16_MAX); /* behind */
    assert_fault(QUEUE_FAULT_INDEX, UINT16_MAX);
}

static void head_and_next_out_of_range(void **state)
{
    (void)state;
    offer_chain(RING_SIZE);
    assert_fault(QUEUE_FAULT_HEAD, RING_SIZE);
    a.tx.avail->ring[0] = 1;
    desc_set(1, a.base, 12, SKEP_VRING_DESC_NEXT, UINT16_MAX);
    assert_fault(QUEUE_FAULT_NEXT, UINT16_MAX);
}

static void loops_end(void **state)
{
    (void)state;
    desc_set(3, a.base, 12, SKEP_VRING_DESC_NEXT, 3);
    offer_chain(3);
    assert_fault(QUEUE_FAULT_CHAIN, 3);
    desc_set(3, a.base, 12, SKEP_VRING_DESC_NEXT, 4);
    desc_set(4, a.base, 12, SKEP_VRING_DESC_NEXT, 3);
    assert_fault(QUEUE_FAULT_CHAIN, 3);
}

static void flags_lengths_and_addresses(void **state)
{
    (void)state;
    offer_chain(0);
    desc_set(0, a.base, 12, SKEP_VRING_DESC_WRITE, 0);
    assert_fault(QUEUE_FAULT_FLAGS, SKEP_VRING_DESC_WRITE);
    desc_set(0, a.base, 12, 4, 0); /* indirect */
    assert_fault(QUEUE_FAULT_FLAGS, 4);
    desc_set(0, a.base, UINT32_MAX, 0, 0);
    assert_fault(QUEUE_FAULT_LENGTH, UINT32_MAX);
    desc_set(0, a.base, QUEUE_BYTES_MAX, SKEP_VRING_DESC_NEXT, 1);
    desc_set(1, a.base, 1, 0, 0);
    assert_fault(QUEUE_FAULT_LENGTH, 1);
    desc_set(0, 0xffff800000000000ull, 12, 0, 0);
    assert_fault(QUEUE_FAULT_ADDRESS, 0xffff800000000000ull);
    desc_set(0, SKEP_GUEST_VA_MAX - 4, 12, 0, 0);
    assert_fault(QUEUE_FAULT_ADDRESS, SKEP_GUEST_VA_MAX - 4);
    desc_set(0, UINT64_MAX, 12, 0, 0);
    assert_fault(QUEUE_FAULT_ADDRESS, UINT64_MAX);
}

static void changes_after_the_look_change_nothing(void **state)
{
    uint8_t bytes[24];
    (void)state;
    memset(a.page[PEER_BUFFERS], 0x11, 64);
    desc_set(0, a.base + BUFFERS, 12, SKEP_VRING_DESC_NEXT, 1);
    desc_set(1, a.base + BUFFERS + 12, 12, 0, 0);
    offer_chain(0);
    assert_int_equal(queue_peek(tx(), false, &chain), 1);
    desc_set(0, UINT64_MAX, UINT32_MAX, UINT16_MAX, UINT16_MAX);
    desc_set(1, UINT64_MAX, UINT32_MAX, UINT16_MAX, UINT16_MAX);
    a.tx.avail->ring[0] = UINT16_MAX;
    assert_int_equal(queue_read(a.guest, &chain, 0, bytes, 24), 0);
    assert_int_equal(bytes[23], 0x11);
    queue_push(tx(), chain.head, 0);
    assert_int_equal(a.tx.used->ring[0].id, 0);
}

/* ---- copying and pinning ---- */

static void copies_cross_parts_and_pages(void **state)
{
    uint8_t bytes[300], back[300];
    (void)state;
    for (uint32_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    chain = (struct queue_chain){.part_count = 3, .bytes = 300};
    chain.parts[0] = (struct queue_part){gva(a.base + BUFFERS + 4000), 200};
    chain.parts[1] = (struct queue_part){gva(a.base + BUFFERS), 0};
    chain.parts[2] = (struct queue_part){gva(a.base + BUFFERS + 8000), 100};
    assert_int_equal(queue_write(a.guest, &chain, bytes, 300), 0);
    assert_int_equal(queue_read(a.guest, &chain, 0, back, 300), 0);
    assert_memory_equal(back, bytes, 300);
    assert_int_equal(queue_read(a.guest, &chain, 150, back, 100), 0);
    assert_memory_equal(back, bytes + 150, 100);

    struct nic_piece pieces[NIC_PIECES_MAX];
    uint32_t count;
    assert_int_equal(queue_pin(a.guest, &chain, 50, pieces, &count), 0);
    assert_int_equal(count, 3); /* 46 + 104, and 100 */
    assert_int_equal(pieces[0].bytes, 46);
    assert_memory_equal(arch_direct(pieces[0].address), bytes + 50, 46);
    assert_int_equal(pieces[1].bytes, 104);
    assert_int_equal(pieces[2].bytes, 100);
    for (uint32_t i = 0; i < count; i++) {
        gmem_unpin(pieces[i].address);
    }
}

static void a_failed_pin_leaves_none(void **state)
{
    struct nic_piece pieces[NIC_PIECES_MAX];
    uint32_t count;
    (void)state;
    chain = (struct queue_chain){.part_count = 2};
    chain.parts[0] = (struct queue_part){gva(a.base + BUFFERS), 100};
    chain.parts[1] = (struct queue_part){gva(a.guest->start_info[0] + 0x100000), 100};
    assert_int_equal(queue_pin(a.guest, &chain, 0, pieces, &count), -SKEP_EFAULT);
    assert_int_equal(chain.fault, QUEUE_FAULT_ACCESS);
    assert_int_equal(frame_pins(frame_of(a.page[PEER_BUFFERS])), 0);
    chain.parts[1] = (struct queue_part){gva(a.base), QUEUE_BYTES_MAX};
    assert_int_equal(queue_pin(a.guest, &chain, 0, pieces, &count), -SKEP_E2BIG);
    assert_int_equal(frame_pins(frame_of(a.page[PEER_BUFFERS])), 0);
}

/* ---- EVENT_IDX ---- */

static void event_is_due_when_the_index_is_passed(void **state)
{
    (void)state;
    assert_true(ring_event_due(0, 1, 0));
    assert_false(ring_event_due(1, 1, 0));
    assert_true(ring_event_due(3, 5, 2));
    assert_false(ring_event_due(5, 5, 2));
    assert_false(ring_event_due(1, 5, 2));
    assert_true(ring_event_due(65535, 0, 65535)); /* round the corner */
    assert_true(ring_event_due(65534, 3, 65530));
    assert_false(ring_event_due(65529, 3, 65530));
    assert_false(ring_event_due(7, 7, 7)); /* nothing new */
}

static void events_follow_the_guests_wish(void **state)
{
    uint16_t *wish = ring_used_event(a.tx.avail, RING_SIZE);
    (void)state;
    *wish = 0;
    queue_push(tx(), 0, 0);
    assert_true(queue_event_due(tx()));
    assert_false(queue_event_due(tx()));
    queue_push(tx(), 1, 0);
    assert_false(queue_event_due(tx())); /* it has not asked again */
    *wish = 3;
    queue_push(tx(), 2, 0);
    assert_false(queue_event_due(tx()));
    queue_push(tx(), 3, 0);
    assert_true(queue_event_due(tx()));
    assert_int_equal(atomic_load(&a.tx.used->index), 4);
}

static void arming_tells_of_chains_that_came_meanwhile(void **state)
{
    uint16_t *told = ring_avail_event(a.tx.used, RING_SIZE);
    (void)state;
    assert_false(queue_arm(tx()));
    assert_int_equal(*told, 0);
    desc_set(0, a.base, 12, 0, 0);
    offer_chain(0);
    assert_true(queue_arm(tx()));
    queue_take(tx());
    assert_false(queue_arm(tx()));
    assert_int_equal(*told, 1);
}

/* ---- who breaks a ring ends, alone ---- */

static void assert_crashed(enum skep_crash_reason reason, uint64_t address, uint64_t error)
{
    struct skep_guest_status status;
    guest_status(a.guest, &status);
    assert_true(status.state == SKEP_GUEST_CRASHED || status.state == SKEP_GUEST_DYING);
    assert_int_equal(status.crash.reason, reason);
    assert_int_equal(status.crash.address, address);
    assert_int_equal(status.crash.error, error);
    assert_int_equal(b.guest->state, SKEP_GUEST_RUNNING);
}

static void a_broken_transmit_ring_ends_its_guest(void **state)
{
    (void)state;
    atomic_store(&a.tx.avail->index, 1000);
    io_queue_kick(a.vcpu, 1);
    assert_crashed(SKEP_CRASH_RING, 1000, QUEUE_FAULT_INDEX);
    io_queue_kick(a.vcpu, 1); /* and is not looked at again */
}

static void a_broken_receive_ring_ends_its_guest_not_the_sender(void **state)
{
    uint8_t frame[64], mac_a[6], mac_b[6];
    (void)state;
    mac_of(mac_a, 0xa);
    mac_of(mac_b, 0xb);
    uint32_t bytes = frame_udp(frame, mac_a, mac_b, ip(10, 0, 0, 21), ip(10, 0, 0, 20), 1, 2, 10);
    uint64_t nowhere = SKEP_GUEST_VA_MIN;
    peer_offer(&a, &a.rx, nowhere - a.base, 2048, SKEP_VRING_DESC_WRITE);
    peer_send(&b, frame, bytes);
    assert_crashed(SKEP_CRASH_RING, nowhere, QUEUE_FAULT_ACCESS);
    assert_int_equal(peer_used(&b.tx), 1);
}

static void unmapped_payload_ends_its_guest(void **state)
{
    uint8_t frame[512], mac_a[6];
    uint64_t nowhere = SKEP_GUEST_VA_MIN;
    (void)state;
    mac_of(mac_a, 0xa);
    frame_udp(frame, other_mac, mac_a, ip(10, 0, 0, 20), ip(192, 0, 2, 1), 1, 2, 200);
    memset(a.page[PEER_BUFFERS], 0, 12);
    memcpy(a.page[PEER_BUFFERS] + 12, frame, 128);
    desc_set(0, a.base + BUFFERS, 12 + 128, SKEP_VRING_DESC_NEXT, 1);
    desc_set(1, nowhere, 100, 0, 0);
    offer_chain(0);
    io_queue_kick(a.vcpu, 1);
    assert_crashed(SKEP_CRASH_RING, nowhere, QUEUE_FAULT_ACCESS);
    assert_int_equal(sent_count, 0);
}

static void random_rings_harm_nobody_else(void **state)
{
    uint64_t random;
    (void)state;
    for (uint32_t round = 0; round < 300; round++) {
        for (uint32_t i = 0; i < RING_SIZE; i++) {
            arch_random(&random);
            a.tx.desc[i] = (struct skep_vring_desc){
                a.base + (random & 0xffff),
                (uint32_t)(random >> 16 & 0x3ff),
                (uint16_t)(random >> 32 & 1),
                (uint16_t)(random >> 40 & (RING_SIZE - 1)),
            };
            a.tx.avail->ring[i] = (uint16_t)(random >> 50 & (RING_SIZE - 1));
        }
        atomic_fetch_add(&a.tx.avail->index, (uint16_t)(random >> 60 & 3));
        io_queue_kick(a.vcpu, 1);
        if (a.guest->state != SKEP_GUEST_RUNNING) {
            peer_destroy(&a);
            peer_create(&a, 0xa, ip(10, 0, 0, 20), 0);
        }
    }
    assert_int_equal(b.guest->state, SKEP_GUEST_RUNNING);
    assert_int_equal(peer_counters(&b).rx_packets, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(setup_refuses_what_is_malformed),
        TEST(setup_is_done_once_and_pins),
        TEST(chains_are_decoded_in_order),
        TEST(index_ahead_of_the_ring),
        TEST(head_and_next_out_of_range),
        TEST(loops_end),
        TEST(flags_lengths_and_addresses),
        TEST(changes_after_the_look_change_nothing),
        TEST(copies_cross_parts_and_pages),
        TEST(a_failed_pin_leaves_none),
        TEST(event_is_due_when_the_index_is_passed),
        TEST(events_follow_the_guests_wish),
        TEST(arming_tells_of_chains_that_came_meanwhile),
        TEST(a_broken_transmit_ring_ends_its_guest),
        TEST(a_broken_receive_ring_ends_its_guest_not_the_sender),
        TEST(unmapped_payload_ends_its_guest),
        TEST(random_rings_harm_nobody_else),
    };
    return cmocka_run_group_tests(tests, fixture_boot, NULL);
}
