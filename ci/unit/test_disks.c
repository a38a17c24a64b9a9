/*
 * test_disks.c - hv/io/disks.c on disks that the test plays.
 */
#include "test.h"

#include "fake_disk.h"
#include "io/disks.h"
#include "io/io.h"
#include "io/uplink.h"

#define DISK_BYTES (1u << 20)
#define LOOK_NS    2500000000ull /* two disks, each every 5 s */

static struct fake_disk small, large; /* 512-byte blocks without a cache; 4096 with all there is */
static struct baseline baseline;
static uint8_t *memory; /* 34 pages */
static paddr_t memory_at;

static uint32_t done_count;
static struct disk_request *done_last;
static struct disk_request *again; /* submitted by on_done() */

static void on_done(struct disk_request *request)
{
    done_count++;
    done_last = request;
    if (request->owner != NULL) {
        *(bool *)request->owner = true;
    }
    assert_int_equal(fake_cpu->arch.locks, 0);
    if (again != NULL) {
        struct disk_request *next = again;
        again = NULL;
        assert_int_equal(disks_submit(1, next), 0);
    }
}

static uint32_t room_count, changed_count, last_index;

static void on_room(uint32_t index)
{
    room_count++;
    last_index = index;
}

static void on_changed(uint32_t index)
{
    changed_count++;
    last_index = index;
}

static const struct disks_listener listener = {on_room, on_changed};

static int group_setup(void **state)
{
    (void)state;
    fake_boot(64ull << 20, 3);
    fake_disk_add(&small, DISK_BYTES, 512, 0, 1);
    fake_disk_add(&large, DISK_BYTES, 4096,
                  SKEP_DISK_FLUSH | SKEP_DISK_DISCARD | SKEP_DISK_WRITE_ZEROES, 2);
    pfn_t pfn = frame_alloc(6, SKEP_FRAME_DEVICE, OWNER_CORE);
    memory = frame_data(pfn);
    memory_at = pfn_to_paddr(pfn);
    disks_listen(&listener);
    baseline_take(&baseline);
    return pfn == PFN_NONE;
}

static int group_teardown(void **state)
{
    (void)state;
    fake_disk_free(&small);
    fake_disk_free(&large);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    fake_cpu_set(0);
    fake_disk_power_cut(&small);
    fake_disk_power_cut(&large);
    small.log_count = large.log_count = 0;
    done_count = room_count = changed_count = 0;
    done_last = again = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_disks_settle();
    baseline_check(&baseline);
    return 0;
}

static struct disk_piece pieces[DISK_PIECES_MAX + 1];

/* A request of whole pages of `memory`. */
static struct disk_request request_of(enum disk_op op, uint64_t sector, uint32_t sectors)
{
    struct disk_request request = {
        .op = op, .sector = sector, .sectors = sectors, .error = 1, .done = on_done};
    if (op == DISK_READ || op == DISK_WRITE) {
        uint32_t bytes = sectors * DISK_SECTOR;
        for (uint32_t at = 0; at < bytes; at += (uint32_t)PAGE_SIZE) {
            uint32_t part = bytes - at < PAGE_SIZE ? bytes - at : (uint32_t)PAGE_SIZE;
            assert_true(request.piece_count < DISK_PIECES_MAX);
            pieces[request.piece_count++] = (struct disk_piece){paddr(memory_at.value + at), part};
        }
        request.pieces = pieces;
    }
    return request;
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    memset(memory, 0x5a, 8192);
    struct disk_request write = request_of(DISK_WRITE, 24, 16);
    struct skep_disk_info before, after;
    assert_int_equal(disks_info(1, &before), 0);
    assert_int_equal(disks_submit(1, &write), 0);
    disks_kick(1);
    assert_int_equal(large.held_count, 1);
    assert_false(disks_wanted());
    fake_disk_let_all_go(&large);
    assert_true(disks_wanted());
    assert_int_equal(done_count, 0); /* the interrupt alone hands nothing back */
    fake_disks_settle();
    assert_ptr_equal(done_last, &write);
    assert_int_equal(write.error, 0);

    memset(memory, 0, 8192);
    struct disk_request read = request_of(DISK_READ, 24, 16);
    assert_int_equal(disks_submit(1, &read), 0);
    fake_disk_let_all_go(&large);
    fake_disks_settle();
    for (uint32_t i = 0; i < 8192; i++) {
        assert_int_equal(memory[i], 0x5a);
    }
    assert_int_equal(disks_info(1, &after), 0);
    assert_int_equal(after.reads - before.reads, 1);
    assert_int_equal(after.writes - before.writes, 1);
    assert_int_equal(after.read_bytes - before.read_bytes, 8192);
    assert_int_equal(after.written_bytes - before.written_bytes, 8192);
    assert_int_equal(after.errors, before.errors);
}

static void refuse(uint32_t index, struct disk_request request)
{
    assert_int_equal(disks_submit(index, &request), -SKEP_EINVAL);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    uint64_t end = DISK_BYTES / DISK_SECTOR;
    struct disk_request request = request_of(DISK_READ, 0, 8);
    assert_int_equal(disks_submit(2, &request), -SKEP_ENODEV);
    refuse(1, request_of(DISK_READ, 1, 8)); /* misaligned for blocks of 4096 */
    refuse(1, request_of(DISK_READ, 8, 7));
    refuse(0, request_of(DISK_READ, end, 1));
    refuse(0, request_of(DISK_READ, end - 1, 2));
    refuse(0, request_of(DISK_READ, UINT64_MAX, 1));
    refuse(0, request_of(DISK_READ, 0, 0));
    refuse(0, request_of(DISK_DISCARD, 0, 8)); /* which it can't */
    refuse(1, request_of(DISK_DISCARD, 0, 2056));
    refuse(1, request_of(DISK_WRITE_ZEROES, 0, 2056));
    request = request_of(DISK_READ, 0, 8);
    request.sectors = 16; /* more than its pieces */
    refuse(1, request);
    request.sectors = 0x800008; /* whose bytes in 32 bits are those of the pieces */
    refuse(1, request);
    request = request_of(DISK_READ, 0, 8);
    large.disk.piece_bytes_max = 4095;
    refuse(1, request);
    large.disk.piece_bytes_max = DISK_BYTES_MAX;
    request = request_of(DISK_READ, 0, 8);
    request.piece_count = DISK_PIECES_MAX + 1;
    refuse(1, request);
    request = request_of(DISK_FLUSH, 0, 0);
    request.piece_count = 1;
    refuse(1, request);
    request = request_of(DISK_READ, 0, 8);
    request.op = (enum disk_op)(DISK_WRITE_ZEROES + 1);
    refuse(1, request);
    assert_int_equal(small.held_count + large.held_count, 0);
}

/* A piece has whole pages that follow one another, each once. */
static void memory_that_lies_together_is_one_piece(void **state)
{
    struct disk disk = {.piece_bytes_max = 3 * SKEP_PAGE_SIZE};
    struct disk_piece some[8];
    (void)state;
    uint32_t count = disk_piece_add(&disk, some, 0, paddr(0x1e00), 512);
    count = disk_piece_add(&disk, some, count, paddr(0x2000), 4096);
    assert_int_equal(count, 1);
    assert_int_equal(some[0].bytes, 4608);
    count = disk_piece_add(&disk, some, count, paddr(0x3000), 100);
    assert_int_equal(count, 1);
    count = disk_piece_add(&disk, some, count, paddr(0x3064),
                           100); /* of a page that is there already */
    assert_int_equal(count, 2);
    count = disk_piece_add(&disk, some, count, paddr(0x5000), 4096);
    assert_int_equal(count, 3);
    count = disk_piece_add(&disk, some, count, paddr(0x6000), 4096);
    count = disk_piece_add(&disk, some, count, paddr(0x7000), 4096);
    assert_int_equal(count, 3);
    count = disk_piece_add(&disk, some, count, paddr(0x8000),
                           4096); /* more than the disk takes in one */
    assert_int_equal(count, 4);
}

/* Requests of many pages cost as much as several. */
static void a_poll_is_bounded_by_bytes(void **state)
{
    static struct disk_request requests[3];
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        requests[i] = request_of(DISK_WRITE, 0, 256);
        assert_int_equal(disks_submit(1, &requests[i]), 0);
    }
    fake_disk_let_all_go(&large);
    disks_poll();
    assert_int_equal(done_count, 2);
    disks_poll();
    assert_int_equal(done_count, 3);
}

static void a_read_only_disk_is_not_written(void **state)
{
    (void)state;
    large.disk.flags |= SKEP_DISK_READ_ONLY;
    refuse(1, request_of(DISK_WRITE, 0, 8));
    refuse(1, request_of(DISK_DISCARD, 0, 8));
    refuse(1, request_of(DISK_WRITE_ZEROES, 0, 8));
    struct disk_request read = request_of(DISK_READ, 0, 8);
    assert_int_equal(disks_submit(1, &read), 0);
    large.disk.flags &= ~SKEP_DISK_READ_ONLY;
    fake_disk_let_all_go(&large);
    fake_disks_settle();
}

static void requests_are_done_in_the_disks_order(void **state)
{
    (void)state;
    struct disk_request requests[3];
    for (uint32_t i = 0; i < 3; i++) {
        requests[i] = request_of(DISK_WRITE, 8 * i, 8);
        assert_int_equal(disks_submit(1, &requests[i]), 0);
    }
    fake_disk_let_go(&large, 2, 0);
    fake_disks_settle();
    assert_ptr_equal(done_last, &requests[2]);
    fake_disk_let_go(&large, 0, 0);
    fake_disk_let_go(&large, 0, 0);
    fake_disks_settle();
    assert_ptr_equal(done_last, &requests[1]);
    assert_int_equal(done_count, 3);
}

static void a_poll_is_bounded(void **state)
{
    (void)state;
    struct disk_request requests[10];
    for (uint32_t i = 0; i < 10; i++) {
        requests[i] = request_of(DISK_WRITE, 8 * i, 8);
        assert_int_equal(disks_submit(1, &requests[i]), 0);
    }
    fake_disk_let_all_go(&large);
    assert_true(disks_poll());
    assert_int_equal(done_count, DISKS_POLL_BUDGET);
    assert_true(disks_wanted());
    assert_true(disks_poll());
    assert_int_equal(done_count, 2 * DISKS_POLL_BUDGET);
    assert_true(disks_poll());
    assert_int_equal(done_count, 10);
    assert_false(disks_wanted());
    assert_false(disks_poll());
}

/* One share in a trap, and queues in turn: the busy one does not keep the other waiting. */
static void queues_take_turns(void **state)
{
    (void)state;
    struct disk_request busy[12], other = request_of(DISK_WRITE, 800, 8);
    bool other_done = false;
    other.owner = &other_done;
    for (uint32_t i = 0; i < 12; i++) {
        busy[i] = request_of(DISK_WRITE, 8 * i, 8);
        assert_int_equal(disks_submit(1, &busy[i]), 0);
    }
    fake_cpu_set(1);
    assert_int_equal(disks_submit(1, &other), 0);
    fake_disk_let_all_go(&large);
    assert_int_equal(large.log[0].queue, 0);
    assert_int_equal(large.log[12].queue, 1);
    disks_poll();
    disks_poll();
    assert_true(other_done);
    assert_int_equal(done_count, DISKS_POLL_BUDGET + 1);
    fake_disks_settle();
    assert_int_equal(done_count, 13);
}

static void work_until_none(void)
{
    do {
        fake_cpu->traps++;
    } while (io_work());
}

static void the_core_polls_once_in_a_trap(void **state)
{
    (void)state;
    struct disk_request requests[6];
    for (uint32_t i = 0; i < 6; i++) {
        requests[i] = request_of(DISK_WRITE, 8 * i, 8);
        assert_int_equal(disks_submit(1, &requests[i]), 0);
    }
    fake_disk_let_all_go(&large);
    fake_cpu->traps++;
    assert_true(io_work());
    assert_int_equal(done_count, DISKS_POLL_BUDGET);
    assert_true(io_work());
    assert_int_equal(done_count, DISKS_POLL_BUDGET);
    fake_cpu->traps++;
    assert_false(io_work());
    assert_int_equal(done_count, 6);
}

static uint32_t card_polls;
static bool card_has_more;

static bool card_poll(struct nic *nic, uint32_t pair, uint32_t budget)
{
    (void)nic;
    (void)pair;
    (void)budget;
    card_polls++;
    return card_has_more;
}

static struct nic card = {.driver = &(const struct nic_driver){.poll = card_poll}, .pair_count = 1};

/* A disk and a card that always have more, on a CPU that comes to its work in each fourth trap only. */
static void no_rhythm_of_traps_keeps_one_waiting(void **state)
{
    static struct disk_request requests[DISKS_POLL_BUDGET];
    uplink_set(&card);
    card_has_more = true;
    for (uint32_t phase = 0; phase < 4; phase++) {
        setup(state);
        for (uint32_t i = 0; i < DISKS_POLL_BUDGET; i++) {
            requests[i] = request_of(DISK_WRITE, 8 * i, 8);
            assert_int_equal(disks_submit(1, &requests[i]), 0);
        }
        fake_disk_let_all_go(&large);
        uplink_client.interrupt(&card, 0);
        card_polls = 0;
        fake_cpu->traps = 100 + phase;
        for (uint32_t i = 0; i < 4; i++, fake_cpu->traps += 4) {
            io_work();
        }
        assert_true(card_polls > 0);
        assert_int_equal(done_count, DISKS_POLL_BUDGET);
    }
    card_has_more = false;
    work_until_none();
}

static void a_done_request_may_be_followed_at_once(void **state)
{
    (void)state;
    struct disk_request first = request_of(DISK_WRITE, 0, 8), second = request_of(DISK_FLUSH, 0, 0);
    fake_disk_room_set(&large, 1);
    assert_int_equal(disks_submit(1, &first), 0);
    again = &second;
    fake_disk_let_all_go(&large);
    fake_disks_settle();
    assert_int_equal(large.held_count, 1);
    fake_disk_let_all_go(&large);
    fake_disks_settle();
    assert_ptr_equal(done_last, &second);
    assert_int_equal(large.log[1].op, DISK_FLUSH);
}

static void a_full_disk_says_when_there_is_room(void **state)
{
    (void)state;
    struct disk_request first = request_of(DISK_WRITE, 0, 8), second = first;
    fake_disk_room_set(&large, 1);
    assert_int_equal(disks_submit(1, &first), 0);
    assert_int_equal(disks_submit(1, &second), -SKEP_EAGAIN);
    assert_int_equal(room_count, 0);
    fake_disk_let_all_go(&large);
    fake_disks_settle();
    assert_int_equal(room_count, 1);
    assert_int_equal(last_index, 1);
    assert_int_equal(disks_submit(1, &second), 0);
    fake_disk_let_all_go(&large);
    fake_disks_settle();
}

static void errors_come_back_and_are_counted(void **state)
{
    (void)state;
    struct skep_disk_info before, after;
    disks_info(1, &before);
    struct disk_request request = request_of(DISK_WRITE, 0, 8);
    assert_int_equal(disks_submit(1, &request), 0);
    fake_disk_let_go(&large, 0, -SKEP_EIO);
    fake_disks_settle();
    assert_int_equal(request.error, -SKEP_EIO);
    disks_info(1, &after);
    assert_int_equal(after.errors, before.errors + 1);
    assert_int_equal(after.writes, before.writes);
    assert_int_equal(after.written_bytes, before.written_bytes);
    assert_int_equal(after.state, SKEP_DISK_ONLINE);
}

static uint32_t silent_seconds(void)
{
    struct skep_disk_info info;
    assert_int_equal(disks_info(1, &info), 0);
    return info.silent_s;
}

/* When the next look is due, and it is made; the other disk's comes first. */
static void looks_pass(uint32_t disks)
{
    for (uint32_t i = 0; i < disks; i++) {
        assert_int_equal(io_deadline(), arch_clock_ns() + LOOK_NS);
        fake_clock_advance(LOOK_NS - 1);
        uint32_t looks = small.look_count + large.look_count;
        io_tick();
        assert_int_equal(small.look_count + large.look_count, looks);
        fake_clock_advance(1);
        io_tick();
        assert_int_equal(small.look_count + large.look_count, looks + 1);
    }
}

/* Only while one has a request, and once however late: a machine that was stopped gives its disks their time. */
static void disks_with_requests_are_looked_at(void **state)
{
    (void)state;
    for (; io_deadline() != TIME_NEVER; io_tick()) {
        fake_clock_advance(LOOK_NS);
    }
    struct disk_request request = request_of(DISK_READ, 0, 8);
    assert_int_equal(disks_submit(1, &request), 0);
    for (uint32_t i = 1; i <= 7; i++) {
        uint32_t looks = large.look_count;
        looks_pass(2);
        assert_int_equal(large.look_count, looks + 1);
        assert_int_equal(silent_seconds(), i < 6 ? 0 : 5 * i);
    }
    uint32_t looks = small.look_count + large.look_count;
    fake_clock_advance(LOOK_NS * 1000);
    io_tick();
    io_tick();
    assert_int_equal(small.look_count + large.look_count, looks + 1);
    fake_disk_let_all_go(&large);
    fake_disks_settle();
    for (uint32_t i = 0; i < 3 && io_deadline() != TIME_NEVER; i++) {
        looks_pass(1);
    }
    assert_int_equal(io_deadline(), TIME_NEVER);
    assert_int_equal(silent_seconds(), 0);
}

static void a_failed_disk_hands_back_all_and_takes_nothing(void **state)
{
    (void)state;
    struct disk_request requests[6];
    for (uint32_t i = 0; i < 6; i++) {
        requests[i] = request_of(DISK_WRITE, 8 * i, 8);
        assert_int_equal(disks_submit(1, &requests[i]), 0);
    }
    fake_disk_fail(&large);
    assert_int_equal(changed_count, 1);
    assert_int_equal(last_index, 1);
    fake_disks_settle();
    assert_int_equal(done_count, 6);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(requests[i].error, -SKEP_EIO);
    }
    struct skep_disk_info info;
    disks_info(1, &info);
    assert_int_equal(info.state, SKEP_DISK_FAILED);
    assert_int_equal(disks_submit(1, &requests[0]), -SKEP_EIO);
    disks_info(0, &info);
    assert_int_equal(info.state, SKEP_DISK_ONLINE);
}

static void a_disk_without_a_cache_flushes_too(void **state)
{
    (void)state;
    struct disk_request flushes[6];
    for (uint32_t i = 0; i < 6; i++) {
        flushes[i] = request_of(DISK_FLUSH, 0, 0);
        assert_int_equal(disks_submit(0, &flushes[i]), 0);
    }
    assert_int_equal(done_count, 0); /* not from within disks_submit() */
    assert_int_equal(small.held_count, 0);
    assert_true(disks_wanted());
    disks_poll();
    assert_int_equal(done_count, DISKS_POLL_BUDGET);
    fake_disks_settle();
    assert_int_equal(done_count, 6);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(flushes[i].error, 0);
    }
}

static void a_size_that_changes_counts_at_once(void **state)
{
    (void)state;
    fake_disk_resize(&small, DISK_BYTES / 2);
    assert_int_equal(changed_count, 1);
    refuse(0, request_of(DISK_READ, DISK_BYTES / 2 / DISK_SECTOR, 1));
    fake_disk_resize(&small, DISK_BYTES);
    struct disk_request read = request_of(DISK_READ, DISK_BYTES / 2 / DISK_SECTOR, 1);
    assert_int_equal(disks_submit(0, &read), 0);
    fake_disk_let_all_go(&small);
    fake_disks_settle();
}

static void disks_are_described(void **state)
{
    (void)state;
    struct skep_disk_info info;
    assert_int_equal(disks_count(), 2);
    assert_int_equal(disks_info(2, &info), -SKEP_ENOENT);
    assert_null(disks_get(2));
    assert_int_equal(disks_info(1, &info), 0);
    assert_int_equal(info.bytes, DISK_BYTES);
    assert_int_equal(info.block_bytes, 4096);
    assert_int_equal(info.flags, SKEP_DISK_FLUSH | SKEP_DISK_DISCARD | SKEP_DISK_WRITE_ZEROES);
    assert_string_equal(info.serial, "fake");
}

/* Last: the table is full afterwards. */
static void the_table_is_bounded(void **state)
{
    (void)state;
    static struct fake_disk more[SKEP_DISKS_MAX];
    uint32_t count = 0;
    for (; disks_count() < SKEP_DISKS_MAX; count++) {
        fake_disk_add(&more[count], 4096, 512, 0, 1);
    }
    assert_int_equal(disks_add(&small.disk), -SKEP_ENOSPC);
    assert_int_equal(small.disk.index, 0);
    while (count > 0) {
        fake_disk_free(&more[--count]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_read),
        TEST(what_does_not_fit_is_refused),
        TEST(memory_that_lies_together_is_one_piece),
        TEST(a_poll_is_bounded_by_bytes),
        TEST(a_read_only_disk_is_not_written),
        TEST(requests_are_done_in_the_disks_order),
        TEST(a_poll_is_bounded),
        TEST(queues_take_turns),
        TEST(the_core_polls_once_in_a_trap),
        TEST(no_rhythm_of_traps_keeps_one_waiting),
        TEST(a_done_request_may_be_followed_at_once),
        TEST(a_full_disk_says_when_there_is_room),
        TEST(errors_come_back_and_are_counted),
        TEST(disks_with_requests_are_looked_at),
        TEST(a_failed_disk_hands_back_all_and_takes_nothing),
        TEST(a_disk_without_a_cache_flushes_too),
        TEST(a_size_that_changes_counts_at_once),
        TEST(disks_are_described),
        TEST(the_table_is_bounded),
    };
    return cmocka_run_group_tests_name("disks", tests, group_setup, group_teardown);
}
