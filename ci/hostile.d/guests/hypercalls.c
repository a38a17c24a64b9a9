/*
 * hypercalls.c - every hypercall with arguments that no program passes: wild pointers, values at the edges, random ones
 * by the million, and several vCPUs in the same call.
 *
 * guest: memory=8 vcpus=4
 */
#include "raw.h"

#include "skep/control.h"

#define READ_WRITE (SKEP_PROT_READ | SKEP_PROT_WRITE)

__attribute__((always_inline)) static inline int64_t call(uint64_t number, uint64_t a, uint64_t b,
                                                          uint64_t c)
{
    return skep_hypercall(number, a, b, c, 0, 0);
}

/* ---- pointers ---- */

static uint64_t protected_page(void)
{
    uint64_t page = (uint64_t)map_pages(1);
    CHECK(skep_hc_mem_protect(page, PAGE, SKEP_PROT_NONE) == 0);
    return page;
}

/* Addresses that lead nowhere, by the attack's argument. */
static uint64_t wild_pointer(uint64_t index)
{
    switch (index) {
    case 0:
        return 0;
    case 1:
        return PAGE;
    case 2:
        return SKEP_GUEST_VA_MIN - 8;
    case 3:
        return SKEP_GUEST_VA_MAX;
    case 4:
        return NONCANONICAL;
    case 5:
        return DIRECT_MAP + 0x100000;
    case 6:
        return UPPER_HALF + 0x100000;
    case 7:
        return ENTRY_AREAS;
    case 8:
        return ~0ull - 7;
    case 9:
        return ~0ull;
    case 10:
        return 1ull << 63;
    case 11:
        return (uint64_t)map_pages(1) + PAGE; /* just behind what is mapped */
    case 12:
        return info->stack_base - 64; /* the guard */
    case 13:
        return protected_page();
    default:
        return SKEP_GUEST_VA_MIN + 0x1234000;
    }
}

/* Says which it is: ci/hostile looks for it in the record. */
static uint64_t said_pointer(void)
{
    uint64_t address = wild_pointer(argument(0));
    print("address 0x%x\n", address);
    return address;
}

static void wild_console_write(void)
{
    call(SKEP_HC_CONSOLE_WRITE, said_pointer(), 8, 0);
}

/* There is no input, so nothing need be stored. */
static void wild_console_read(void)
{
    CHECK(call(SKEP_HC_CONSOLE_READ, said_pointer(), 8, 0) == 0);
}

static void wild_abort(void)
{
    call(SKEP_HC_ABORT, said_pointer(), 8, 0);
}

static void wild_resume(void)
{
    call(SKEP_HC_RESUME, said_pointer(), 0, 0);
}

static void wild_vcpu_start(void)
{
    call(SKEP_HC_VCPU_START, 1, said_pointer(), 0);
}

static void wild_queue_setup(void)
{
    call(SKEP_HC_QUEUE_SETUP, said_pointer(), 0, 0);
}

/* Structures whose first half is mapped and whose second isn't: what was copied by then is not used. */
static uint64_t torn(uint64_t bytes)
{
    uint8_t *page = map_pages(1);
    memset(page, 0xff, PAGE);
    print("address 0x%x\n", (uint64_t)page + PAGE - bytes);
    return (uint64_t)page + PAGE - bytes;
}

/* All but the last word, which is the base of GS. */
static void torn_resume(void)
{
    uint64_t at = torn(sizeof(struct skep_context) - 8);
    struct skep_context context = {.rip = (uint64_t)raw_start, .rflags = 2};
    memcpy((void *)at, &context, sizeof(context) - 8);
    call(SKEP_HC_RESUME, at, 0, 0);
}

static void torn_vcpu_start(void)
{
    call(SKEP_HC_VCPU_START, 1, torn(8), 0);
}

static void torn_queue_setup(void)
{
    call(SKEP_HC_QUEUE_SETUP, torn(16), 0, 0);
}

static void torn_abort(void)
{
    call(SKEP_HC_ABORT, torn(4), 1ull << 40, 0);
}

/* The part before the hole was taken; the address is where the rest would have been. */
static void torn_console_write(void)
{
    uint8_t *page = map_pages(1);
    memset(page, ' ', PAGE);
    print("address 0x%x\n", (uint64_t)page + PAGE - 10);
    call(SKEP_HC_CONSOLE_WRITE, (uint64_t)page + PAGE - 10, ~0ull, 0);
}

static void start_context(uint64_t rip, uint64_t fs, uint64_t gs, int64_t expected)
{
    struct skep_context context = {.rip = rip, .fs_base = fs, .gs_base = gs, .rflags = ~0ull};
    CHECK(skep_hc_vcpu_start(1, &context) == expected);
}

/* A refused start leaves the vCPU off and startable. */
static void forged_vcpu_start(void)
{
    start_context(UPPER_HALF, 0, 0, -SKEP_EINVAL);
    start_context(NONCANONICAL, 0, 0, -SKEP_EINVAL);
    start_context(SKEP_GUEST_VA_MAX, 0, 0, -SKEP_EINVAL);
    start_context((uint64_t)raw_start, DIRECT_MAP, 0, -SKEP_EINVAL);
    start_context((uint64_t)raw_start, 0, ~0ull, -SKEP_EINVAL);
    struct skep_context context = {.rip = (uint64_t)raw_start};
    CHECK(skep_hc_vcpu_start(0, &context) == -SKEP_EBUSY);
    CHECK(skep_hc_vcpu_start(info->vcpu_max, &context) == -SKEP_EINVAL);
    CHECK(skep_hc_vcpu_start(31, &context) == -SKEP_EINVAL);
    CHECK(skep_hc_vcpu_start(32, &context) == -SKEP_EINVAL);
    CHECK(skep_hc_vcpu_start(~0u, &context) == -SKEP_EINVAL);
    CHECK(call(SKEP_HC_VCPU_START, 1ull << 32, (uint64_t)&context, 0) == -SKEP_EINVAL);
}

static _Noreturn void stops(uint64_t unused)
{
    skep_hc_vcpu_stop();
}

static void rest(void)
{
    skep_hc_wait((uint64_t)skep_hc_clock_read() + 1000000);
}

/* Once a vCPU's start was refused for its context, a good one is taken; and again after it stopped. */
static void restarted_vcpu(void)
{
    start_context(UPPER_HALF, 0, 0, -SKEP_EINVAL);
    for (unsigned i = 0; i < 50; i++) {
        while (vcpu_run(1, stops, 0) == -SKEP_EBUSY)
            rest();
    }
}

/* ---- scalars at the edges ---- */

static const uint64_t edges[] = {
    0,
    1,
    2,
    7,
    8,
    63,
    64,
    PAGE - 1,
    PAGE,
    PAGE + 1,
    0xffff,
    0x10000,
    0x7fffffff,
    0x80000000,
    0xffffffff,
    0x100000000,
    SKEP_GUEST_VA_MIN,
    SKEP_GUEST_VA_MAX - PAGE,
    SKEP_GUEST_VA_MAX,
    NONCANONICAL - 1,
    NONCANONICAL,
    DIRECT_MAP,
    UPPER_HALF,
    1ull << 63,
    ~0ull - PAGE + 1,
    ~0ull,
};

#define EDGES (sizeof(edges) / sizeof(*edges))

/* A result is an error that the call is documented to have, or success where that makes sense. */
static void judge(uint64_t number, uint64_t a, uint64_t b, uint64_t c, bool may_succeed)
{
    int64_t result = call(number, a, b, c);
    bool error = result == -SKEP_EINVAL || result == -SKEP_ENOMEM || result == -SKEP_EFAULT ||
                 result == -SKEP_EPERM || result == -SKEP_EEXIST || result == -SKEP_ENOSPC ||
                 result == -SKEP_ENODEV || result == -SKEP_EBUSY;
    if (!error && !(result >= 0 && may_succeed))
        fail("FAILED: call %u (%x, %x, %x) gave %d\n", number, a, b, c, (uint64_t)result);
}

/* Nothing of the guest's own lies at an edge, which is right where gaps may be, but for addresses that no guest has. */
static bool gap_at(uint64_t start, uint64_t bytes)
{
    return start >= SKEP_GUEST_VA_MIN && start < SKEP_GUEST_VA_MAX &&
           bytes <= SKEP_GUEST_VA_MAX - start;
}

/* Spans that can't be: an edge for the start, an edge for the length. */
static void edges_memory(void)
{
    for (size_t i = 0; i < EDGES; i++) {
        for (size_t j = 0; j < EDGES; j++) {
            uint64_t flags = edges[j] % PAGE;
            judge(SKEP_HC_MEM_UNMAP, edges[i], edges[j], 0,
                  flags & SKEP_UNMAP_GAPS && gap_at(edges[i], edges[j] - flags));
            judge(SKEP_HC_MEM_PROTECT, edges[i], edges[j], READ_WRITE, false);
            judge(SKEP_HC_MEM_PROTECT, edges[i], PAGE, edges[j], false);
            int64_t at = call(SKEP_HC_MEM_MAP, edges[i], edges[j], READ_WRITE);
            if (at >= 0) {
                CHECK(at % (int64_t)PAGE == 0 && edges[j] && edges[j] % PAGE == 0 &&
                      (!edges[i] || at == (int64_t)edges[i]));
                CHECK((uint64_t)at >= SKEP_GUEST_VA_MIN);
                CHECK((uint64_t)at + edges[j] <= SKEP_GUEST_VA_MAX);
                CHECK(skep_hc_mem_unmap((uint64_t)at, edges[j]) == 0);
            }
        }
    }
}

static void edges_protection(void)
{
    uint64_t page = (uint64_t)map_pages(1);
    for (size_t i = 0; i < EDGES; i++) {
        bool good = edges[i] <= READ_WRITE;
        int64_t at = call(SKEP_HC_MEM_MAP, 0, PAGE, edges[i]);
        CHECK(good ? at > 0 : at == -SKEP_EINVAL);
        CHECK(good == (call(SKEP_HC_MEM_PROTECT, page, PAGE, edges[i]) == 0));
        if (at > 0)
            CHECK(skep_hc_mem_unmap((uint64_t)at, PAGE) == 0);
    }
}

static void edges_events(void)
{
    for (size_t i = 0; i < EDGES; i++) {
        for (size_t j = 0; j < EDGES; j++) {
            int64_t result = call(SKEP_HC_EVENT_SEND, edges[i], edges[j], 0);
            CHECK(result == (edges[i] < 4 && edges[j] < 64 ? 0 : -SKEP_EINVAL));
        }
    }
}

static void edges_queues(void)
{
    for (size_t i = 0; i < EDGES; i++) {
        CHECK(call(SKEP_HC_QUEUE_KICK, edges[i], 0, 0) ==
              (edges[i] < SKEP_QUEUE_COUNT ? -SKEP_ENODEV : -SKEP_EINVAL));
        struct skep_queue_setup setup = {.queue = (uint32_t)edges[i], .size = 16};
        CHECK(skep_hc_queue_setup(&setup) == -SKEP_ENODEV);
    }
}

static void edges_bases(void)
{
    for (size_t i = 0; i < EDGES; i++) {
        for (size_t j = 0; j < EDGES; j++) {
            bool good = edges[i] < 2 && edges[j] < SKEP_GUEST_VA_MAX;
            CHECK(call(SKEP_HC_BASE_SET, edges[i], edges[j], 0) == (good ? 0 : -SKEP_EINVAL));
        }
    }
}

static void edges_groups(void)
{
    for (size_t i = 0; i < EDGES; i++) {
        for (size_t j = 0; j < EDGES; j++) {
            bool good = edges[i] < SKEP_NETS_MAX && edges[j] >> 48 == 0;
            CHECK(call(SKEP_HC_NET_GROUP, edges[i], edges[j], 1) ==
                  (good ? -SKEP_ENODEV : -SKEP_EINVAL));
        }
        CHECK(call(SKEP_HC_NET_GROUP, 0, 1, edges[i]) ==
              (edges[i] <= 1 ? -SKEP_ENODEV : -SKEP_EINVAL));
    }
}

/* Deadlines that have passed or never come; the timer's event is masked away. */
static void edges_time(void)
{
    for (size_t i = 0; i < EDGES; i++) {
        CHECK(call(SKEP_HC_TIMER_SET, edges[i], 0, 0) == 0);
        atomic_store(&vcpu_page(0)->mask, ~0ull);
        if (edges[i] <= 0xffffffff) /* four seconds: longer than the machine is up it may not be */
            CHECK(call(SKEP_HC_WAIT, edges[i] & 0xfffff, 0, 0) == -SKEP_ETIMEDOUT);
    }
    CHECK(call(SKEP_HC_TIMER_SET, ~0ull, 0, 0) == 0);
}

static void unknown_calls(void)
{
    for (uint64_t number = SKEP_HC_GUEST_COUNT; number < SKEP_HC_CONTROL_FIRST; number++)
        CHECK(call(number, 0, 0, 0) == -SKEP_ENOSYS);
    for (uint64_t number = SKEP_CTL_END; number < 0x10000; number++)
        CHECK(call(number, 0, 0, 0) == -SKEP_ENOSYS);
    for (size_t i = 0; i < EDGES; i++) {
        if (edges[i] >= 0x10000)
            CHECK(call(edges[i], 0, 0, 0) == -SKEP_ENOSYS);
    }
}

/* Whatever the arguments. */
static void control_calls(void)
{
    for (uint64_t number = SKEP_HC_CONTROL_FIRST; number < SKEP_CTL_END; number++) {
        for (size_t i = 0; i < EDGES; i++) {
            CHECK(call(number, edges[i], edges[i], edges[i]) == -SKEP_EPERM);
            CHECK(call(number, 1ull << 32 | 1, edges[i], (uint64_t)&edges) == -SKEP_EPERM);
        }
    }
}

/* The number of a call that ring 0 restarts has its progress in the upper bits: made-up progress gains nothing. */
static void made_up_progress(void)
{
    uint64_t page = (uint64_t)map_pages(4);
    for (uint64_t number = 0; number < SKEP_CTL_END; number++) {
        for (uint64_t done = 1; done < 1ull << 47; done <<= 1) {
            bool spans = number == SKEP_HC_MEM_PROTECT || number == SKEP_HC_MEM_UNMAP;
            int64_t result =
                call(done << 16 | number, page - (done << 12), (done << 12) + PAGE - 1, 1);
            CHECK(result == (spans ? -SKEP_EINVAL : -SKEP_ENOSYS));
        }
    }
    /* The same as a call for the rest; and a start below null that wraps to something good is no better. */
    CHECK(call(1ull << 16 | SKEP_HC_MEM_UNMAP, page, 2 * PAGE, 0) == 0);
    CHECK(call(1ull << 16 | SKEP_HC_MEM_UNMAP, info->vcpu_pages - PAGE, 2 * PAGE, 0) ==
          -SKEP_EPERM);
    CHECK(call(1ull << 16 | SKEP_HC_MEM_UNMAP, (uint64_t)info - PAGE, 2 * PAGE, 0) == -SKEP_EPERM);
    CHECK(call(1ull << 16 | SKEP_HC_MEM_PROTECT, page - PAGE, 2 * PAGE,
               SKEP_PROT_READ | SKEP_PROT_EXEC) == -SKEP_EPERM);
    CHECK(call(~0ull << 16 | SKEP_HC_MEM_UNMAP, page, PAGE, 0) == -SKEP_ENOSYS);
}

/* ---- random calls ---- */

#define ARENA_PAGES 64u

static uint64_t arena; /* addresses that storms map and unmap; nothing else is there */

static uint64_t random_address(uint64_t *seed)
{
    uint64_t r = random_next(seed);
    switch (r & 15) {
    case 0:
        return r;
    case 1:
        return edges[(r >> 8) % EDGES];
    case 2:
        return info->vcpu_pages + (r >> 8) % 8 * PAGE;
    case 3:
        return (uint64_t)info;
    case 4:
        return arena + (r >> 8) % (ARENA_PAGES * PAGE);
    default:
        return arena + (r >> 8) % ARENA_PAGES * PAGE;
    }
}

/* Some pages, or a length that can't be. Long spans that could be mapped would be hard to find again. */
static uint64_t random_bytes(uint64_t *seed)
{
    uint64_t r = random_next(seed);
    uint64_t bytes = r & 8 ? edges[(r >> 8) % EDGES] : r >> (r >> 58);
    return r & 7 || (bytes > 256 * PAGE && bytes < NONCANONICAL) ? (r >> 8) % 8 * PAGE : bytes;
}

static void random_setup(uint64_t *seed)
{
    struct skep_queue_setup setup;
    uint64_t *words = (uint64_t *)&setup;
    for (size_t i = 0; i < sizeof(setup) / 8; i++)
        words[i] = random_next(seed) & 1 ? random_address(seed) : random_next(seed) % 300;
    int64_t result = skep_hc_queue_setup(&setup);
    CHECK(result == -SKEP_ENODEV);
}

static void random_memory(uint64_t *seed, uint64_t kind)
{
    uint64_t address = random_address(seed), bytes = random_bytes(seed);
    uint64_t prot = random_next(seed) % 16 ? random_next(seed) % 8 : random_next(seed);
    if (kind == 0) /* without an address ring 0 chooses one, and nobody would find it again */
        judge(SKEP_HC_MEM_MAP, address ? address : 1, bytes, prot, true);
    else
        judge(kind == 1 ? SKEP_HC_MEM_PROTECT : SKEP_HC_MEM_UNMAP, address, bytes, prot, true);
}

static void random_call(uint64_t *seed)
{
    uint64_t r = random_next(seed), kind = r % 16, a = r >> 32;
    switch (kind) {
    case 0:
    case 1:
    case 2:
        random_memory(seed, kind);
        break;
    case 3:
        CHECK(call(SKEP_HC_EVENT_SEND, a % 8, r >> 8 & 0x7f, 0) ==
              (a % 8 < 4 && (r >> 8 & 0x7f) < 64 ? 0 : -SKEP_EINVAL));
        break;
    case 4:
        CHECK(skep_hc_timer_set(r & 256 ? random_next(seed) : r >> 40) == 0);
        break;
    case 5:
        random_setup(seed);
        break;
    case 6:
        judge(SKEP_HC_QUEUE_KICK, a % 16, 0, 0, false);
        break;
    case 7:
        CHECK(call(SKEP_HC_WAIT, a % 1000, 0, 0) <= 0);
        break;
    case 8:
        CHECK(skep_hc_console_read((void *)arena, random_bytes(seed)) == 0);
        break;
    case 9:
        CHECK(call(SKEP_HC_GUEST_COUNT + a % 40, a, a, a) == -SKEP_ENOSYS);
        break;
    case 10:
        CHECK(call(SKEP_HC_CONTROL_FIRST + a % (SKEP_CTL_END - SKEP_HC_CONTROL_FIRST),
                   random_address(seed), random_address(seed), a) == -SKEP_EPERM);
        break;
    case 11:
        call(SKEP_HC_BASE_SET, a % 3, random_address(seed), 0);
        break;
    case 12:
        CHECK(skep_hc_yield() == 0);
        break;
    default:
        CHECK(skep_hc_clock_read() > 0);
        break;
    }
}

/* At the end of the heap's area, where ring 0 places nothing by itself. */
static void arena_choose(void)
{
    arena = info->heap_base + info->heap_bytes - (ARENA_PAGES + 16) * PAGE;
}

/* The most that can be mapped at once: what random calls have left behind would make it less. */
static uint64_t room(void)
{
    uint64_t pages = 0;
    for (uint64_t step = 1ull << 20; step; step /= 2) {
        int64_t at = skep_hc_mem_map(0, (pages + step) * PAGE, READ_WRITE);
        if (at >= 0) {
            CHECK(skep_hc_mem_unmap((uint64_t)at, (pages + step) * PAGE) == 0);
            pages += step;
        }
    }
    return pages;
}

/* Random calls map at the arena, at the edges and where further vCPUs' pages would be, at most 256 pages from each start. */
static void unmap_from(uint64_t start, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++)
        skep_hc_mem_unmap((start & ~(PAGE - 1)) + i * PAGE, PAGE);
}

#define VCPU_PLACES 32 /* for their pages, taken or not: docs/abi.md */

static void all_unmap(void)
{
    unmap_from(arena, ARENA_PAGES + 256);
    unmap_from(info->vcpu_pages + info->vcpu_max * PAGE, VCPU_PLACES - info->vcpu_max);
    for (size_t i = 0; i < EDGES; i++)
        unmap_from(edges[i], 256);
}

static uint64_t seed_of_argument(void)
{
    uint64_t seed = argument(0) * 0x9e3779b97f4a7c15ull + argument(1) + 1;
    print("seed %u, %u calls\n", argument(0), argument(1));
    return seed ? seed : 1;
}

static void storm(void)
{
    atomic_store(&vcpu_page(0)->mask, ~0ull);
    arena_choose();
    uint64_t before = room(), seed = seed_of_argument();
    for (uint64_t i = 0; i < argument(1); i++)
        random_call(&seed);
    all_unmap();
    uint64_t left = room();
    if (left != before)
        fail("FAILED: %u pages of room before, %u after\n", before, left);
}

/* ---- several vCPUs ---- */

static _Atomic uint64_t working;

static _Noreturn void racer(uint64_t seed)
{
    for (uint64_t i = 0; i < argument(1); i++)
        random_call(&seed);
    atomic_fetch_sub(&working, 1);
    skep_hc_vcpu_stop();
}

/* All four in the same calls on the same addresses; nobody touches the memory itself. */
static void race(void)
{
    arena_choose();
    uint64_t before = room(), seed = seed_of_argument();
    atomic_store(&working, 3);
    for (uint32_t i = 0; i < 4; i++)
        atomic_store(&vcpu_page(i)->mask, ~0ull);
    for (uint32_t i = 1; i < 4; i++)
        CHECK(vcpu_run(i, racer, seed + i) == 0);
    for (uint64_t i = 0; i < argument(1); i++)
        random_call(&seed);
    while (atomic_load(&working))
        rest();
    all_unmap();
    uint64_t stacks = 3 * 4; /* and what their page tables may come to */
    uint64_t left = room();
    if (left + stacks + 12 < before)
        fail("FAILED: %u pages of room before, %u after\n", before, left);
}

/* One vCPU writes where another unmaps: a fault is right, another's memory isn't. */
static _Noreturn void toucher(uint64_t seed)
{
    for (;;) {
        uint64_t address = arena + random_next(&seed) % ARENA_PAGES * PAGE;
        skep_hc_mem_map(address, PAGE, READ_WRITE);
        volatile uint64_t *word = (volatile uint64_t *)address;
        uint64_t found = word[5];
        if (found != 0 && found != address)
            fail("FAILED: %x at %x\n", found, address);
        word[5] = address;
        skep_hc_mem_unmap(address, PAGE);
    }
}

static void race_touch(void)
{
    arena_choose();
    uint64_t seed = seed_of_argument();
    for (uint32_t i = 1; i < 4; i++)
        CHECK(vcpu_run(i, toucher, seed + i) == 0);
    toucher(seed);
}

/* Start, stop and exit of each other's vCPUs, all at once. */
static _Noreturn void starter(uint64_t seed)
{
    for (;;) {
        uint32_t index = (uint32_t)(random_next(&seed) % 4);
        struct skep_context context = {.rip = (uint64_t)stops};
        skep_hc_vcpu_start(index, &context);
        skep_hc_event_send(index, 1);
    }
}

static void race_start(void)
{
    uint64_t seed = seed_of_argument();
    CHECK(vcpu_run(1, starter, seed) == 0);
    for (unsigned i = 0; i < 2000; i++) {
        struct skep_context context = {.rip = (uint64_t)stops};
        skep_hc_vcpu_start(2 + i % 2, &context);
    }
}

static _Noreturn void ender(uint64_t unused)
{
    skep_hc_exit(0);
}

/* Four ends at the same time; one of them counts. */
static void race_exit(void)
{
    print("survived: race-exit\n");
    for (uint32_t i = 1; i < 4; i++)
        CHECK(vcpu_run(i, ender, 0) == 0);
}

static _Noreturn __attribute__((noinline)) void crasher(uint64_t unused)
{
    __asm__ volatile("ud2");
    __builtin_unreachable();
}

static void race_crash(void)
{
    for (uint32_t i = 1; i < 4; i++)
        vcpu_run(i, crasher, 0);
    crasher(0);
}

const struct attack attacks[] = {
    {"wild-console-write", wild_console_write, "15x bad-hypercall error=0 address=said"},
    {"wild-console-read", wild_console_read, "15x bad-hypercall error=1 address=said | exit"},
    {"wild-abort", wild_abort, "15x bad-hypercall error=3 address=said"},
    {"wild-resume", wild_resume, "15x bad-hypercall error=8 address=said"},
    {"wild-vcpu-start", wild_vcpu_start, "15x bad-hypercall error=12 address=said"},
    {"wild-queue-setup", wild_queue_setup, "15x bad-hypercall error=15 address=said"},
    {"torn-resume", torn_resume, "bad-hypercall error=8 address=said"},
    {"torn-vcpu-start", torn_vcpu_start, "bad-hypercall error=12 address=said"},
    {"torn-queue-setup", torn_queue_setup, "bad-hypercall error=15 address=said"},
    {"torn-abort", torn_abort, "bad-hypercall error=3 address=said"},
    {"torn-console-write", torn_console_write, "bad-hypercall error=0 address=said"},
    {"forged-vcpu-start", forged_vcpu_start, "exit"},
    {"restarted-vcpu", restarted_vcpu, "exit"},
    {"edges-memory", edges_memory, "exit"},
    {"edges-protection", edges_protection, "exit"},
    {"edges-events", edges_events, "exit"},
    {"edges-queues", edges_queues, "exit"},
    {"edges-bases", edges_bases, "exit"},
    {"edges-groups", edges_groups, "exit"},
    {"edges-time", edges_time, "exit"},
    {"unknown-calls", unknown_calls, "exit"},
    {"control-calls", control_calls, "exit"},
    {"made-up-progress", made_up_progress, "exit"},
    {"storm", storm, "4x random=500000 exit"},
    {"race", race, "2x random=200000 exit"},
    {"race-touch", race_touch, "8x random=0 page-fault lost"},
    {"race-start", race_start, "4x random=0 exit"},
    {"race-exit", race_exit, "4x exit"},
    {"race-crash", race_crash, "4x invalid-opcode at=crasher"},
};
ATTACK_COUNT;
