/*
 * test_io_waits.c - left-over work and the card's interrupts don't hold up who was just woken, and don't wait for long.
 */
#include "test_io_fixture.h"

#include <string.h>

#include "core/event.h"
#include "core/trap.h"
#include "fake.h"
#include "io/port.h"
#include "io/uplink.h"

#define ADDRESS_A ip(10, 0, 0, 20)
#define ADDRESS_B ip(10, 0, 0, 21)
#define WORLD     ip(192, 0, 2, 7)
#define TX_PAGE   (PEER_BUFFERS + 6)
#define SPARE_NS  100000u /* sched.c's */
#define WAKE      5u      /* an event of the guests' own */

/* Frames of one piece for the card: each costs its piece and three more. */
#define PER_KICK (PORT_KICK_WORK / 4)

static uint8_t mac_a[6], mac_b[6];
static uint8_t frame[2048];
static struct peer a, b;

/* Nothing wakes it but a frame or the test. */
static void only_expects(const struct peer *peer)
{
    atomic_store(&peer->vcpu->page->mask, ~(1ull << WAKE | 1ull << SKEP_EVENT_QUEUE_0));
}

static int begin(void **state)
{
    mac_of(mac_a, 0xa);
    mac_of(mac_b, 0xb);
    fixture_begin(state);
    peer_create(&a, 0xa, ADDRESS_A, 0);
    peer_create(&b, 0xb, ADDRESS_B, 0);
    only_expects(&a);
    only_expects(&b);
    return 0;
}

static int end(void **state)
{
    peer_destroy(&a);
    peer_destroy(&b);
    return fixture_end(state);
}

static void until_it_runs(const struct peer *peer)
{
    for (int i = 0; i < 500 && fake_interrupts() != peer->vcpu; i++) {
        fake_clock_advance(10000000);
    }
    assert_ptr_equal(fake_cpu->current, peer->vcpu);
}

static void sleeps(struct peer *peer)
{
    atomic_store(&peer->vcpu->page->pending, 0);
    fake_hypercall(peer->vcpu, SKEP_HC_WAIT, TIME_NEVER, 0, 0);
    fake_resume();
}

/* And the control service, which never does, runs so long that who is woken goes before it. */
static void falls_asleep(struct peer *peer)
{
    until_it_runs(peer);
    sleeps(peer);
    assert_int_equal(peer->vcpu->state, VCPU_BLOCKED);
    for (int i = 0; i < 20; i++) {
        fake_clock_advance(10000000);
        fake_interrupts();
    }
}

/* It has a queue of which its kick has done a part, in a trap that is over. */
static void leaves_work(struct peer *peer, const uint8_t *mac, uint32_t address)
{
    uint32_t bytes = frame_udp(frame, other_mac, mac, address, WORLD, 1, 2, 10);
    memset(peer->page[TX_PAGE], 0, 12);
    memcpy(peer->page[TX_PAGE] + 12, frame, bytes);
    for (uint32_t i = 0; i < RING_SIZE; i++) {
        peer_offer(peer, &peer->tx, TX_PAGE * 4096, 12 + bytes, 0);
    }
    assert_int_equal(io_queue_kick(peer->vcpu, 1), 0);
    fake_resume();
    assert_int_equal(sent_count, PER_KICK);
}

static void work_waits_for_who_was_woken(void **state)
{
    (void)state;
    falls_asleep(&b);
    leaves_work(&a, mac_a, ADDRESS_A);
    event_raise(b.vcpu, WAKE);
    for (int i = 0; i < 5; i++) {
        assert_ptr_equal(fake_interrupts(), b.vcpu);
        assert_int_equal(sent_count, PER_KICK);
        fake_clock_advance(1000);
    }
    fake_clock_advance(SPARE_NS);
    assert_ptr_equal(fake_interrupts(), b.vcpu);
    assert_int_equal(sent_count, RING_SIZE);
}

/* A timer costs more than the work where it is emulated: it is set when work is left first, and neither a trap nor a kick
 * that leaves it puts it off. */
static void the_timer_is_set_once_for_what_is_left(void **state)
{
    (void)state;
    falls_asleep(&b);
    event_raise(b.vcpu, WAKE);
    assert_ptr_equal(fake_interrupts(), b.vcpu);
    uplink_client.interrupt(&fake_nic, 0);
    assert_ptr_equal(fake_resume(), b.vcpu);
    uint64_t armed = fake_cpu->armed_ns;
    assert_true(armed > arch_clock_ns() && armed <= arch_clock_ns() + SPARE_NS);
    for (int i = 0; i < 3; i++) {
        fake_clock_advance(1000);
        assert_ptr_equal(fake_interrupts(), b.vcpu);
        peer_send(&b, frame, frame_udp(frame, other_mac, mac_b, ADDRESS_B, WORLD, 1, 2, 10));
        assert_int_equal(atomic_load(&fake_cpu->resched), 0);
        assert_int_equal(fake_cpu->armed_ns, armed);
    }
    assert_int_equal(poll_count, 0);
    fake_clock_advance(armed - arch_clock_ns());
    assert_ptr_equal(fake_interrupts(), b.vcpu);
    assert_int_equal(poll_count, 1);
}

/* Which is the timer's, or kicks that wake others elsewhere would keep a CPU from its work. */
static void a_kick_that_goes_on_spends_no_later_share(void **state)
{
    (void)state;
    until_it_runs(&a);
    card_has_more = true;
    uplink_client.interrupt(&fake_nic, 0);
    fake_resume();
    uint32_t polls = poll_count;
    fake_cpu->to_interrupt = 1u << 1;
    atomic_store(&fake_cpu->resched, RESCHED_SEND);
    peer_send(&a, frame, frame_udp(frame, other_mac, mac_a, ADDRESS_A, WORLD, 1, 2, 10));
    assert_true(sched_goes_on(fake_cpu));
    assert_int_equal(poll_count, polls);
    fake_clock_advance(SPARE_NS);
    assert_ptr_equal(fake_interrupts(), a.vcpu);
    assert_int_equal(poll_count, polls + 1);
    card_has_more = false;
}

/* It has done what it was woken for. What comes of the work may be for it. */
static void work_is_done_before_it_waits(void **state)
{
    (void)state;
    falls_asleep(&b);
    peer_post(&b, 0);
    leaves_work(&a, mac_a, ADDRESS_A);
    event_raise(b.vcpu, WAKE);
    assert_ptr_equal(fake_interrupts(), b.vcpu);
    atomic_store(&b.vcpu->page->pending, 0);
    peer_send(&a, frame, frame_udp(frame, mac_b, mac_a, ADDRESS_A, ADDRESS_B, 1, 2, 10));
    assert_int_equal(peer_used(&b.rx), 0);
    assert_int_equal(fake_hypercall(b.vcpu, SKEP_HC_WAIT, TIME_NEVER, 0, 0), 0);
    assert_int_equal(peer_used(&b.rx), 1);
    assert_true(peer_event(&b, 0));
}

/* If that was for it, it goes on at once, and somebody has to come back for what is left. */
static void what_is_left_before_it_waits_is_not_forgotten(void **state)
{
    (void)state;
    falls_asleep(&b);
    leaves_work(&a, mac_a, ADDRESS_A);
    event_raise(b.vcpu, WAKE);
    assert_ptr_equal(fake_interrupts(), b.vcpu);
    uplink_client.interrupt(&fake_nic, 0); /* which waits for b, too */
    atomic_store(&fake_cpu->resched, 0);
    io_work_before_wait();
    assert_int_equal(atomic_load(&fake_cpu->resched), 1);
    atomic_store(&fake_cpu->resched, 0);
    io_work_before_wait();
    assert_int_equal(atomic_load(&fake_cpu->resched), 0);
    assert_int_equal(poll_count, 1);
    assert_int_equal(sent_count, RING_SIZE);
}

/* It asked to wait: that time is over when the work is done is no reason to keep the CPU from who is due. */
static void a_short_wait_is_a_wait(void **state)
{
    (void)state;
    falls_asleep(&b);
    event_raise(b.vcpu, WAKE);
    assert_ptr_equal(fake_interrupts(), b.vcpu);
    atomic_store(&b.vcpu->page->pending, 0);
    uplink_client.interrupt(&fake_nic, 0);
    poll_ns = 5000;
    uint64_t soon = arch_clock_ns() + 3000;
    assert_int_equal(fake_hypercall(b.vcpu, SKEP_HC_WAIT, soon, 0, 0), INT64_MIN);
    assert_int_equal(poll_count, 1);
    assert_int_equal(b.vcpu->state, VCPU_BLOCKED);
}

/* And whoever runs because it's his turn has it done in his time. */
static void work_waits_for_nobody_else(void **state)
{
    (void)state;
    until_it_runs(&b);
    leaves_work(&a, mac_a, ADDRESS_A);
    assert_non_null(fake_interrupts());
    assert_int_equal(sent_count, RING_SIZE);
}

/* Who comes back after another had his turn was not just woken. */
static void who_made_room_is_not_spared(void **state)
{
    (void)state;
    falls_asleep(&b);
    event_raise(b.vcpu, WAKE);
    assert_ptr_equal(fake_interrupts(), b.vcpu);
    assert_true(sched_spares(fake_cpu));
    for (int i = 0; i < 500 && fake_interrupts() == b.vcpu; i++) {
        fake_clock_advance(1000000);
    }
    assert_ptr_not_equal(fake_cpu->current, b.vcpu);
    until_it_runs(&b);
    assert_int_equal(fake_cpu->current->run_since_ns, arch_clock_ns());
    assert_false(sched_spares(fake_cpu));
}

/* The woken one's own kick has its share at once, though that may go to those who came first. */
static void a_kick_has_its_share(void **state)
{
    (void)state;
    falls_asleep(&b);
    leaves_work(&a, mac_a, ADDRESS_A);
    event_raise(b.vcpu, WAKE);
    assert_ptr_equal(fake_interrupts(), b.vcpu);
    peer_send(&b, frame, frame_udp(frame, other_mac, mac_b, ADDRESS_B, WORLD, 1, 2, 10));
    assert_int_equal(sent_count, PER_KICK);
    assert_ptr_equal(fake_resume(), b.vcpu);
    assert_int_equal(sent_count, RING_SIZE);
}

/* ---- the card's interrupts ---- */

static void an_interrupt_holds_up_nobody_who_was_woken(void **state)
{
    (void)state;
    falls_asleep(&b);
    event_raise(b.vcpu, WAKE);
    assert_ptr_equal(fake_interrupts(), b.vcpu);
    uplink_client.interrupt(&fake_nic, 0);
    assert_ptr_equal(fake_resume(), b.vcpu);
    assert_int_equal(poll_count, 0);
    fake_clock_advance(SPARE_NS);
    assert_ptr_equal(fake_interrupts(), b.vcpu);
    assert_int_equal(poll_count, 1);
}

/* But its own call comes to the rest before it goes on. */
static void an_interrupt_within_a_call_is_not_forgotten(void **state)
{
    (void)state;
    falls_asleep(&b);
    event_raise(b.vcpu, WAKE);
    assert_ptr_equal(fake_interrupts(), b.vcpu);
    atomic_store(&fake_cpu->resched, 0);
    uplink_client.interrupt(&fake_nic, 0);
    assert_int_equal(atomic_load(&fake_cpu->resched), 1);
    assert_true(uplink_wanted());
}

/* A kick may find the card done, and poll it; then a poll isn't all. */
static void what_a_kick_finds_is_not_forgotten(void **state)
{
    (void)state;
    until_it_runs(&a);
    uint32_t bytes = frame_udp(frame, other_mac, mac_a, ADDRESS_A, WORLD, 1, 2, 10);
    memset(a.page[TX_PAGE], 0, 12);
    memcpy(a.page[TX_PAGE] + 12, frame, bytes);
    peer_offer(&a, &a.tx, TX_PAGE * 4096, 12 + bytes, 0);
    card_is_done = card_has_more = true;
    atomic_store(&fake_cpu->resched, 0);
    assert_int_equal(io_queue_kick(a.vcpu, 1), 0);
    card_is_done = card_has_more = false;
    assert_int_equal(poll_count, 1);
    assert_true(uplink_wanted());
    assert_int_equal(atomic_load(&fake_cpu->resched), 1);
    fake_resume(); /* the kick's share was this trap's */
    fake_clock_advance(SPARE_NS);
    fake_interrupts();
    assert_false(uplink_wanted());
}

static void other_interrupts_are_handled_at_once(void **state)
{
    (void)state;
    until_it_runs(&a);
    assert_false(sched_spares(fake_cpu));
    uplink_client.interrupt(&fake_nic, 0);
    assert_int_equal(poll_count, 1);
    assert_false(uplink_wanted());
}

/* ---- a card with a pair of queues for each CPU ---- */

static void sends(void)
{
    peer_send(&a, frame, frame_udp(frame, other_mac, mac_a, ADDRESS_A, WORLD, 1, 2, 10));
}

static void a_guest_sends_on_its_cpus_pair(void **state)
{
    (void)state;
    fake_nic.pair_count = 2;
    sends();
    assert_int_equal(sent[0].pair, 0);
    fake_cpu_set(1);
    sends();
    assert_int_equal(sent[1].pair, 1);
    fake_cpu_set(0);
}

/* Its frames would overtake each other otherwise. */
static void but_not_before_the_other_pair_is_done(void **state)
{
    (void)state;
    fake_nic.pair_count = 2;
    sends();
    card_holds = true;
    fake_cpu_set(1);
    sends();
    card_holds = false;
    sends();
    assert_int_equal(sent[1].pair, 0);
    assert_int_equal(sent[2].pair, 1);
    fake_cpu_set(0);
}

static void left_over_work_goes_where_its_guest_kicked(void **state)
{
    (void)state;
    fake_nic.pair_count = 2;
    fake_cpu_set(1);
    leaves_work(&a, mac_a, ADDRESS_A);
    fake_cpu_set(0);
    while (work_in_a_trap()) {
    }
    assert_int_equal(sent_count, RING_SIZE);
    for (uint32_t i = 0; i < sent_count; i++) {
        assert_int_equal(sent[i].pair, 1);
    }
}

static void cpus_without_a_pair_share(void **state)
{
    (void)state;
    fake_cpu_set(1);
    sends();
    assert_int_equal(sent[0].pair, 0);
    fake_cpu_set(0);
}

static void a_pair_is_polled_by_its_cpu(void **state)
{
    (void)state;
    fake_nic.pair_count = 2;
    struct cpu *other = cpu_at(1);
    other->arch.ipis = 0;
    uplink_client.interrupt(&fake_nic, 1);
    assert_int_equal(poll_count, 0);
    assert_false(uplink_wanted());
    assert_int_equal(other->arch.ipis, 1);
    fake_cpu_set(1);
    assert_true(uplink_wanted());
    fake_interrupts();
    assert_int_equal(poll_count, 1);
    assert_false(uplink_wanted());
    uplink_client.interrupt(&fake_nic, 1);
    assert_int_equal(poll_count, 2);
    fake_cpu_set(0);
    assert_false(uplink_wanted());
}

/* What came while the card was being started. */
static void a_new_card_is_looked_at(void **state)
{
    (void)state;
    fake_nic.pair_count = 2;
    uplink_set(&fake_nic);
    fake_cpu_set(1);
    fake_resume();
    assert_int_equal(poll_count, 1);
    fake_cpu_set(0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(work_waits_for_who_was_woken),
        TEST(the_timer_is_set_once_for_what_is_left),
        TEST(a_kick_that_goes_on_spends_no_later_share),
        TEST(work_is_done_before_it_waits),
        TEST(what_is_left_before_it_waits_is_not_forgotten),
        TEST(a_short_wait_is_a_wait),
        TEST(work_waits_for_nobody_else),
        TEST(who_made_room_is_not_spared),
        TEST(a_kick_has_its_share),
        TEST(what_a_kick_finds_is_not_forgotten),
        TEST(an_interrupt_holds_up_nobody_who_was_woken),
        TEST(an_interrupt_within_a_call_is_not_forgotten),
        TEST(other_interrupts_are_handled_at_once),
        TEST(a_guest_sends_on_its_cpus_pair),
        TEST(but_not_before_the_other_pair_is_done),
        TEST(left_over_work_goes_where_its_guest_kicked),
        TEST(cpus_without_a_pair_share),
        TEST(a_pair_is_polled_by_its_cpu),
        TEST(a_new_card_is_looked_at),
    };
    return cmocka_run_group_tests(tests, fixture_boot, NULL);
}
