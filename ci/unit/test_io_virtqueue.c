/*
 * test_io_virtqueue.c - the driver's end of a virtqueue against a device that follows the rules, and one that doesn't.
 */
#include "test_io_fixture.h"

#include "core/frame.h"
#include "drivers/ring.h"
#include "drivers/virtqueue.h"
#include "fake.h"

#define SIZE 8u

static struct virtqueue queue;
static uint16_t doorbell;

static int begin(void **state)
{
    (void)state;
    assert_int_equal(virtqueue_init(&queue, SIZE, true), 0);
    queue.doorbell = &doorbell;
    queue.index = 7;
    doorbell = 0;
    return 0;
}

static int add(uint32_t parts)
{
    static const struct virtqueue_part part[SIZE + 1] = {
        {{0x1000}, 10}, {{0x2000}, 20}, {{0x3000}, 30}};
    return virtqueue_add(&queue, part, parts, parts);
}

/* What a device does. */
static void give_back(uint32_t id, uint32_t bytes)
{
    uint16_t index = atomic_load(&queue.used->index);
    queue.used->ring[index & (SIZE - 1)] = (struct skep_vring_used_elem){id, bytes};
    atomic_store(&queue.used->index, (uint16_t)(index + 1));
}

static void chains_go_and_come_back(void **state)
{
    uint32_t bytes;
    (void)state;
    int first = add(3), second = add(2);
    assert_int_equal(queue.free_count, SIZE - 5);
    assert_int_equal(queue.desc[first].len, 10);
    uint16_t next = queue.desc[first].next;
    assert_int_equal(queue.desc[next].len, 20);
    assert_int_equal(queue.desc[next].flags, SKEP_VRING_DESC_NEXT);
    assert_int_equal(queue.desc[queue.desc[next].next].flags, 0);
    assert_int_equal(virtqueue_take(&queue, &bytes), -SKEP_EAGAIN);
    give_back((uint32_t)second, 1);
    give_back((uint32_t)first, 2);
    assert_int_equal(virtqueue_take(&queue, &bytes), second);
    assert_int_equal(virtqueue_take(&queue, &bytes), first);
    assert_int_equal(bytes, 2);
    virtqueue_release(&queue, (uint16_t)first);
    virtqueue_release(&queue, (uint16_t)second);
    assert_int_equal(queue.free_count, SIZE);
}

static void a_chain_goes_again_as_it_is(void **state)
{
    uint32_t bytes;
    (void)state;
    int first = add(3), second = add(2);
    give_back((uint32_t)first, 1);
    assert_int_equal(virtqueue_take(&queue, &bytes), first);
    virtqueue_repeat(&queue, (uint16_t)first);
    assert_int_equal(queue.free_count, SIZE - 5);
    assert_int_equal(atomic_load(&queue.avail->index), 3);
    assert_int_equal(queue.avail->ring[2], first);
    assert_int_equal(queue.desc[queue.desc[first].next].len, 20);
    assert_int_equal(virtqueue_take(&queue, &bytes), -SKEP_EAGAIN);
    give_back((uint32_t)second, 2);
    give_back((uint32_t)first, 3);
    assert_int_equal(virtqueue_take(&queue, &bytes), second);
    assert_int_equal(virtqueue_take(&queue, &bytes), first); /* which it holds again */
    assert_int_equal(bytes, 3);
    virtqueue_release(&queue, (uint16_t)first);
    virtqueue_release(&queue, (uint16_t)second);
    assert_int_equal(queue.free_count, SIZE);
}

static void the_device_writes_to_the_rest_of_a_chain(void **state)
{
    static const struct virtqueue_part parts[] = {{{0x1000}, 16}, {{0x2000}, 512}, {{0x3000}, 1}};
    (void)state;
    int head = virtqueue_add(&queue, parts, 3, 1);
    const struct skep_vring_desc *desc = &queue.desc[head];
    assert_int_equal(desc->flags, SKEP_VRING_DESC_NEXT);
    desc = &queue.desc[desc->next];
    assert_int_equal(desc->flags, SKEP_VRING_DESC_NEXT | SKEP_VRING_DESC_WRITE);
    desc = &queue.desc[desc->next];
    assert_int_equal(desc->flags, SKEP_VRING_DESC_WRITE);
    assert_int_equal(desc->addr, 0x3000);
}

static void an_indirect_chain_takes_one_entry(void **state)
{
    static const struct virtqueue_part parts[] = {{{0x1000}, 16}, {{0x2000}, 512}, {{0x3000}, 1}};
    uint32_t bytes;
    (void)state;
    pfn_t pfn = frame_alloc(0, SKEP_FRAME_DEVICE, OWNER_CORE);
    struct skep_vring_desc *table = frame_data(pfn);
    int heads[SIZE];
    for (uint32_t i = 0; i < SIZE; i++) {
        heads[i] = virtqueue_add_indirect(&queue, table + 3 * i, parts, 3, 2);
        assert_true(heads[i] >= 0);
    }
    assert_int_equal(virtqueue_add_indirect(&queue, table, parts, 3, 2), -SKEP_EAGAIN);
    const struct skep_vring_desc *desc = &queue.desc[heads[1]];
    assert_int_equal(desc->flags, 4); /* VIRTQ_DESC_F_INDIRECT */
    assert_int_equal(desc->len, 48);
    assert_int_equal(desc->addr, pfn_to_paddr(pfn).value + 48);
    assert_int_equal(table[3].flags, SKEP_VRING_DESC_NEXT);
    assert_int_equal(table[3].next, 1);
    assert_int_equal(table[4].flags, SKEP_VRING_DESC_NEXT);
    assert_int_equal(table[4].next, 2);
    assert_int_equal(table[5].flags, SKEP_VRING_DESC_WRITE);
    give_back((uint32_t)heads[1], 513);
    assert_int_equal(virtqueue_take(&queue, &bytes), heads[1]);
    virtqueue_release(&queue, (uint16_t)heads[1]);
    assert_int_equal(queue.free_count, 1);
    assert_int_equal(add(1), heads[1]);
    frame_free(pfn, 0);
}

static void a_full_queue_refuses(void **state)
{
    uint32_t bytes;
    (void)state;
    for (uint32_t round = 0; round < 1000; round++) {
        int a = add(5), b = add(3);
        assert_true(a >= 0 && b >= 0);
        assert_int_equal(add(1), -SKEP_EAGAIN);
        give_back((uint32_t)(round & 1 ? a : b), 0);
        give_back((uint32_t)(round & 1 ? b : a), 0);
        virtqueue_release(&queue, (uint16_t)virtqueue_take(&queue, &bytes));
        virtqueue_release(&queue, (uint16_t)virtqueue_take(&queue, &bytes));
    }
    assert_int_equal(queue.free_count, SIZE);
}

static void what_the_device_does_not_hold_breaks_the_queue(void **state)
{
    uint32_t bytes;
    (void)state;
    add(2);
    give_back(SIZE, 0);
    assert_int_equal(virtqueue_take(&queue, &bytes), -SKEP_EAGAIN);
    assert_true(queue.broken);
    assert_int_equal(add(1), -SKEP_EAGAIN);
    begin(state);
    add(2);
    give_back(1, 0); /* not a head */
    assert_int_equal(virtqueue_take(&queue, &bytes), -SKEP_EAGAIN);
    assert_true(queue.broken);
    begin(state);
    int head = add(1);
    give_back((uint32_t)head, 0);
    assert_int_equal(virtqueue_take(&queue, &bytes), head);
    give_back((uint32_t)head, 0); /* twice, before it is released */
    assert_int_equal(virtqueue_take(&queue, &bytes), -SKEP_EAGAIN);
    assert_true(queue.broken);
    begin(state);
    head = add(1);
    give_back((uint32_t)head, 0);
    assert_int_equal(virtqueue_take(&queue, &bytes), head);
    virtqueue_release(&queue, (uint16_t)head);
    give_back((uint32_t)head, 0); /* twice */
    assert_int_equal(virtqueue_take(&queue, &bytes), -SKEP_EAGAIN);
    assert_true(queue.broken);
    assert_false(virtqueue_arm(&queue, false));
}

static void the_doorbell_rings_when_the_device_wants(void **state)
{
    (void)state;
    virtqueue_kick(&queue);
    assert_int_equal(doorbell, 0); /* nothing new */
    add(1);
    virtqueue_kick(&queue);
    assert_int_equal(doorbell, 7);
    doorbell = 0;
    add(1);
    virtqueue_kick(&queue);
    assert_int_equal(doorbell, 0); /* it still works on the first */
    *ring_avail_event(queue.used, SIZE) = 2;
    add(1);
    add(1);
    virtqueue_kick(&queue);
    assert_int_equal(doorbell, 7);
    doorbell = 0;
    queue.event_idx = false;
    queue.used->flags = 1;
    add(1);
    virtqueue_kick(&queue);
    assert_int_equal(doorbell, 0);
    queue.used->flags = 0;
    add(1);
    virtqueue_kick(&queue);
    assert_int_equal(doorbell, 7);
}

static void interrupts_are_armed_behind_the_last_look(void **state)
{
    uint16_t *wish = ring_used_event(queue.avail, SIZE);
    (void)state;
    int heads[4];
    for (uint32_t i = 0; i < 4; i++) {
        heads[i] = add(1);
    }
    assert_false(virtqueue_arm(&queue, false));
    assert_int_equal(*wish, 0);
    assert_false(virtqueue_arm(&queue, true));
    assert_int_equal(*wish, 3); /* when the last of the four is done */
    give_back((uint32_t)heads[0], 0);
    assert_true(virtqueue_arm(&queue, false));
    assert_false(virtqueue_arm(&queue, true));
    for (uint32_t i = 1; i < 4; i++) {
        give_back((uint32_t)heads[i], 0);
    }
    assert_true(virtqueue_arm(&queue, true));
}

/* ---- a device that acts at the worst moment: between what it is told and the last look at it ---- */

static int device_done;

static void device_gives_back(void)
{
    assert_int_equal(*ring_used_event(queue.avail, SIZE), 0); /* it has been told already */
    give_back((uint32_t)device_done, 0);
}

static void what_comes_while_it_is_armed_is_seen(void **state)
{
    (void)state;
    *ring_used_event(queue.avail, SIZE) = 77;
    device_done = add(1);
    fake_device_runs = device_gives_back;
    assert_true(virtqueue_arm(&queue, false));
    fake_device_runs = NULL;
}

static void device_falls_asleep(void)
{
    assert_int_equal(atomic_load(&queue.avail->index), 2);
    *ring_avail_event(queue.used, SIZE) = 1;
}

static void a_device_that_falls_asleep_hears_the_doorbell(void **state)
{
    (void)state;
    add(1);
    virtqueue_kick(&queue);
    doorbell = 0;
    add(1);
    fake_device_runs = device_falls_asleep;
    virtqueue_kick(&queue);
    fake_device_runs = NULL;
    assert_int_equal(doorbell, 7);
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(chains_go_and_come_back),
        TEST(a_chain_goes_again_as_it_is),
        TEST(the_device_writes_to_the_rest_of_a_chain),
        TEST(an_indirect_chain_takes_one_entry),
        TEST(a_full_queue_refuses),
        TEST(what_the_device_does_not_hold_breaks_the_queue),
        TEST(the_doorbell_rings_when_the_device_wants),
        TEST(interrupts_are_armed_behind_the_last_look),
        TEST(what_comes_while_it_is_armed_is_seen),
        TEST(a_device_that_falls_asleep_hears_the_doorbell),
    };
    return cmocka_run_group_tests(tests, fixture_boot, NULL);
}
