/*
 * memory.c - memory that isn't the guest's any more, or not yet: what others left behind, what it gave back itself,
 * rights that it must not get, and more than it was promised.
 *
 * guest: memory=4 vcpus=2
 */
#include "raw.h"

#define READ_WRITE (SKEP_PROT_READ | SKEP_PROT_WRITE)
#define READ_EXEC  (SKEP_PROT_READ | SKEP_PROT_EXEC)
#define RESERVE    (READ_WRITE | SKEP_MAP_RESERVE)
#define STACK      (RESERVE | SKEP_MAP_STACK)
#define CANARY     0x5ec4e75ec4e75ec4ull

/* ---- what others left behind ---- */

/* The most pages that can be mapped and touched at once: ring 0 counts page tables, too. */
static uint64_t most_pages(void)
{
    uint64_t pages = 0;
    for (uint64_t step = 4096; step; step /= 2) {
        int64_t at = skep_hc_mem_map(0, (pages + step) * PAGE, READ_WRITE);
        if (at >= 0) {
            CHECK(skep_hc_mem_unmap((uint64_t)at, (pages + step) * PAGE) == 0);
            pages += step;
        }
    }
    return pages;
}

static uint64_t *map_most(uint64_t *words)
{
    uint64_t pages = most_pages();
    int64_t at = skep_hc_mem_map(0, pages * PAGE, READ_WRITE);
    CHECK(at > 0 && pages > 256);
    *words = pages * PAGE / 8;
    return (uint64_t *)at;
}

/* Fills all that there is and leaves it so: some exit, some crash. */
static void canary_fill(void)
{
    uint64_t words;
    uint64_t *memory = map_most(&words);
    for (uint64_t i = 0; i < words; i++)
        memory[i] = CANARY;
    for (uint64_t *at = (uint64_t *)info->stack_base; (uint64_t)at < (uint64_t)&words - 1024; at++)
        *at = CANARY;
    memset(vcpu_page(1), 0xc4, 64);
    if (argument(0) % 2)
        __asm__ volatile("ud2");
}

static void all_zero(const char *what, const void *from, uint64_t bytes)
{
    const uint64_t *words = from;
    for (uint64_t i = 0; i < bytes / 8; i++) {
        if (words[i])
            fail("FAILED: %x in %s at %x\n", words[i], word(what), (uint64_t)&words[i]);
    }
}

static uint8_t zeroes[64 * 1024] __attribute__((aligned(4096)));

/* Fresh memory of every kind is empty. */
static void canary_look(void)
{
    uint64_t words, local = 0;
    all_zero("bss", zeroes, sizeof(zeroes));
    all_zero("the stack", (void *)info->stack_base, (uint64_t)&local - 2048 - info->stack_base);
    all_zero("a vCPU's page", vcpu_page(1), 320);
    all_zero("a vCPU's page", (char *)vcpu_page(1) + 384, PAGE - 384);
    uint64_t end = ((uint64_t)info + info->bytes + 7) & ~7ull;
    all_zero("start-info", (void *)end, (PAGE - end % PAGE) % PAGE);
    uint64_t *memory = map_most(&words);
    all_zero("fresh memory", memory, words * 8);
}

/* ---- what was its own ---- */

/* Unmapped and mapped again in all sizes: zeroes, and never what was there. */
static void remapped(void)
{
    uint64_t seed = 7, base = (uint64_t)map_pages(64);
    CHECK(skep_hc_mem_unmap(base, 64 * PAGE) == 0);
    for (unsigned round = 0; round < 2000; round++) {
        uint64_t first = random_next(&seed) % 63, pages = 1 + random_next(&seed) % (63 - first);
        uint64_t at = base + first * PAGE;
        CHECK(skep_hc_mem_map(at, pages * PAGE, READ_WRITE) == (int64_t)at);
        for (uint64_t i = 0; i < pages; i++) {
            uint64_t *page = (uint64_t *)(at + i * PAGE);
            CHECK(page[0] == 0 && page[511] == 0 && page[random_next(&seed) % 512] == 0);
            page[0] = page[511] = page[random_next(&seed) % 512] = CANARY;
        }
        CHECK(skep_hc_mem_unmap(at, pages * PAGE) == 0);
    }
}

/* Far apart, so that page tables come and go with the pages, while ring 0 looks the same addresses up for a call: it must
 * not remember tables that are gone. */
static uint64_t far_page(uint64_t *seed)
{
    uint64_t r = random_next(seed);
    return (2ull << 30) + r % 4 * (1ull << 30) + (r >> 8) % 4 * (2ull << 20) + (r >> 16) % 4 * PAGE;
}

static void churn(void)
{
    uint64_t seed = 3;
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t at = far_page(&seed), other = far_page(&seed);
        if (skep_hc_mem_map(at, PAGE, READ_WRITE) != (int64_t)at)
            continue;
        volatile uint64_t *words = (volatile uint64_t *)at;
        CHECK(words[i % 512] == 0);
        words[i % 512] = 0x2020202020202020ull;
        CHECK(skep_hc_console_write((void *)&words[i % 512], 1) == 1);
        if (i % 3)
            CHECK(skep_hc_mem_unmap(at, PAGE) == 0);
        skep_hc_mem_unmap(other, PAGE);
    }
}

/* The same with one vCPU calling on what the other unmaps: it ends by its own pointer. */
static _Noreturn __attribute__((noinline)) void walker(uint64_t unused)
{
    uint64_t seed = 5;
    for (;;) {
        uint64_t at = far_page(&seed);
        if (skep_hc_mem_map(at, PAGE, READ_WRITE) == (int64_t)at)
            skep_hc_console_write((void *)at, 1);
        skep_hc_mem_unmap(far_page(&seed), PAGE);
    }
}

static void walked_while_unmapped(void)
{
    CHECK(vcpu_run(1, walker, 0) == 0);
    walker(0);
}

/* Rights taken away and given back leave the contents; they are the same frames. */
static void protected_again(void)
{
    uint64_t *page = (uint64_t *)map_pages(1);
    page[9] = CANARY;
    for (unsigned round = 0; round < 200; round++) {
        CHECK(skep_hc_mem_protect((uint64_t)page, PAGE, SKEP_PROT_NONE) == 0);
        CHECK(skep_hc_mem_protect((uint64_t)page, PAGE, SKEP_PROT_READ) == 0);
        CHECK(*(volatile uint64_t *)&page[9] == CANARY);
        CHECK(skep_hc_mem_protect((uint64_t)page, PAGE, READ_WRITE) == 0);
    }
}

/* ---- write or execute ---- */

static const uint64_t page_of_constants[512] __attribute__((aligned(4096))) = {CANARY};

__attribute__((noinline, aligned(4096), section(".text.rewritten"))) static void rewritten(void)
{
    __asm__ volatile(".fill 4096, 1, 0x90");
}

static uint8_t data_page[4096] __attribute__((aligned(4096))) = {0xc3};

static void refused(const void *address, uint32_t prot)
{
    uint64_t page = (uint64_t)address & ~(PAGE - 1);
    int64_t result = skep_hc_mem_protect(page, PAGE, prot);
    if (result != -SKEP_EPERM && result != -SKEP_EINVAL)
        fail("FAILED: rights %u of %x: %d\n", prot, page, (uint64_t)result);
}

static void execute_refused(void)
{
    uint64_t local = 0;
    uint8_t *page = map_pages(1);
    for (uint32_t prot = SKEP_PROT_EXEC; prot <= 7; prot++) {
        CHECK(skep_hc_mem_map(0, PAGE, prot) == -SKEP_EINVAL);
        refused(page, prot);
        refused(&local, prot);
        refused(data_page, prot);
        refused(zeroes, prot);
        refused(vcpu_page(0), prot);
        refused(info, prot);
        refused((void *)(info->stack_base - 8), prot);
    }
    refused((const void *)rewritten, SKEP_PROT_WRITE | SKEP_PROT_EXEC);
    refused((const void *)rewritten, 7);
}

/* Not by way of having had no rights, or being read-only, in between. */
static void execute_later_refused(void)
{
    uint8_t *page = map_pages(3);
    uint64_t at = (uint64_t)page;
    *page = 0xc3;
    CHECK(skep_hc_mem_protect(at, 3 * PAGE, SKEP_PROT_READ) == 0);
    refused(page, READ_EXEC);
    CHECK(skep_hc_mem_protect(at, 3 * PAGE, SKEP_PROT_NONE) == 0);
    refused(page, SKEP_PROT_EXEC);
    CHECK(skep_hc_mem_protect(at + PAGE, PAGE, SKEP_PROT_READ) == 0);
    refused(page + PAGE, READ_EXEC);
    refused(page + 2 * PAGE, READ_EXEC);
    int64_t none = skep_hc_mem_map(0, PAGE, SKEP_PROT_NONE);
    CHECK(none > 0);
    refused((void *)none, READ_EXEC);
}

/* Text that became writable never runs again, not even the parts around it that were split off. */
static void rewrite_text(void)
{
    uint64_t at = (uint64_t)rewritten;
    CHECK(skep_hc_mem_protect(at, PAGE, READ_WRITE) == 0);
    *(volatile uint8_t *)at = 0xc3;
    refused((void *)at, READ_EXEC);
    CHECK(skep_hc_mem_protect(at, PAGE, SKEP_PROT_READ) == 0);
    refused((void *)at, READ_EXEC);
    __asm__ volatile("call *%0" : : "r"(at) : "memory");
}

/* The image's own page is what other guests see: only a copy is written. */
static void rewrite_constants(void)
{
    volatile uint64_t *constant = (volatile uint64_t *)page_of_constants;
    CHECK(*constant == CANARY);
    CHECK(skep_hc_mem_protect((uint64_t)constant, PAGE, READ_WRITE) == 0);
    for (unsigned i = 0; i < 512; i++)
        constant[i] = 0;
    CHECK(constant[0] == 0);
}

static void own_pages_refused(void)
{
    static const uint32_t rights[] = {SKEP_PROT_NONE, SKEP_PROT_READ, READ_WRITE};
    for (unsigned i = 0; i < 3; i++) {
        refused(info, rights[i]);
        refused(vcpu_page(0), rights[i]);
        refused((void *)(info->stack_base - 8), rights[i]);
    }
    CHECK(skep_hc_mem_unmap((uint64_t)info, PAGE) == -SKEP_EPERM);
    CHECK(skep_hc_mem_unmap((uint64_t)vcpu_page(1), PAGE) == -SKEP_EPERM);
    CHECK(skep_hc_mem_unmap(info->stack_base - PAGE, PAGE) == -SKEP_EPERM);
    CHECK(skep_hc_mem_unmap(info->stack_base - PAGE, 2 * PAGE) == -SKEP_EPERM);
    CHECK(skep_hc_mem_map((uint64_t)info, PAGE, READ_WRITE) == -SKEP_EEXIST);
    CHECK(skep_hc_mem_map((uint64_t)vcpu_page(1), PAGE, READ_WRITE) == -SKEP_EEXIST);
    CHECK(skep_hc_mem_map(info->stack_base - PAGE, PAGE, READ_WRITE) == -SKEP_EEXIST);
}

/* ---- more than was promised ---- */

/* All that was granted is there; not a page more. */
static void whole_promise(void)
{
    uint64_t words;
    uint64_t *memory = map_most(&words);
    for (uint64_t i = 0; i < words; i += 512)
        memory[i] = i;
    CHECK(skep_hc_mem_map(0, PAGE, READ_WRITE) == -SKEP_ENOMEM);
    int64_t none = skep_hc_mem_map(0, 64 * PAGE, SKEP_PROT_NONE);
    CHECK(none < 0 || skep_hc_mem_protect((uint64_t)none, 64 * PAGE, READ_WRITE) == -SKEP_ENOMEM);
    for (uint64_t i = 0; i < words; i += 512)
        CHECK(memory[i] == i);
}

/* All that was granted, a part of it taken away and granted again by turns: touched from its beginning on, so that several
 * pages come with one touch, it is all there, zeroed, and what stays is as it was. */
static void promise_churn(void)
{
    uint64_t words, seed = 11;
    uint64_t *memory = map_most(&words);
    uint64_t base = (uint64_t)memory, pages = words / 512, before = 0;
    for (uint64_t i = 0; i < pages; i++)
        memory[i * 512] = CANARY + i;
    for (unsigned round = 0; round < 200; round++) {
        uint64_t first = random_next(&seed) % (pages - 1);
        uint64_t count = 1 + random_next(&seed) % (pages - 1 - first) % 200;
        CHECK(skep_hc_mem_unmap(base + first * PAGE, count * PAGE) == 0);
        CHECK(skep_hc_mem_map(base + first * PAGE, count * PAGE, READ_WRITE) > 0);
        for (uint64_t i = first; i < first + count; i++) {
            CHECK(memory[i * 512] == 0 && memory[i * 512 + 511] == 0);
            memory[i * 512] = memory[i * 512 + 511] = CANARY + i;
        }
        CHECK(memory[before * 512] == CANARY + before);
        before = first;
    }
    CHECK(skep_hc_mem_map(0, PAGE, READ_WRITE) == -SKEP_ENOMEM);
    for (uint64_t i = 0; i < pages; i++)
        CHECK(memory[i * 512] == CANARY + i);
}

/* A page here and there wants a page table each: they go with the pages. */
static void tables_everywhere(void)
{
    for (uint64_t i = 1; i < 10000; i++) {
        uint64_t at = i << 30;
        if (skep_hc_mem_map(at, PAGE, READ_WRITE) != (int64_t)at)
            continue;
        *(volatile uint64_t *)at = i;
        CHECK(skep_hc_mem_unmap(at, PAGE) == 0);
    }
}

static void ranges_everywhere(void)
{
    uint64_t base = info->heap_base, count = 0;
    while (skep_hc_mem_map(base + 2 * count * PAGE, PAGE, count % 2 ? 1 : 3) > 0)
        count++;
    CHECK(count > 50 && count < 300);
    CHECK(skep_hc_mem_map(base + 2 * count * PAGE, PAGE, 3) == -SKEP_ENOSPC);
    CHECK(skep_hc_mem_protect(base, PAGE, SKEP_PROT_READ) == 0);
    while (count--)
        CHECK(skep_hc_mem_unmap(base + 2 * count * PAGE, PAGE) == 0);
    CHECK(skep_hc_mem_map(base, 64 * PAGE, 3) == (int64_t)base);
    for (unsigned i = 1; i < 64; i += 2)
        *(volatile uint64_t *)(base + i * PAGE) = i;
}

/* ---- reserved memory ---- */

static void reserve_refused(void)
{
    static const uint64_t bad[] = {
        READ_WRITE | SKEP_MAP_STACK,   STACK & ~(uint64_t)SKEP_PROT_WRITE,
        STACK & ~(uint64_t)READ_WRITE, READ_EXEC | SKEP_MAP_RESERVE,
        STACK | SKEP_PROT_EXEC,        STACK | 0x400,
        RESERVE | 1ull << 32};
    for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        CHECK(skep_hc_mem_map(0, PAGE, bad[i]) == -SKEP_EINVAL);
    uint64_t at = (uint64_t)skep_hc_mem_map(0, 4 * PAGE, RESERVE);
    CHECK(skep_hc_mem_protect(at, PAGE, RESERVE) == -SKEP_EINVAL);
    refused((void *)at, READ_EXEC);
    CHECK(skep_hc_mem_map(info->stack_base - PAGE, PAGE, STACK) == -SKEP_EEXIST);
    CHECK(skep_hc_mem_map(SKEP_GUEST_VA_MAX, PAGE, STACK) == -SKEP_EINVAL);
}

/* All addresses there are, which cost nothing but what page tables they could need. */
static void reserve_everything(void)
{
    uint64_t before = most_pages();
    for (uint64_t bytes = 1ull << 46; bytes > 1ull << 30; bytes /= 2) {
        int64_t result = skep_hc_mem_map(SKEP_GUEST_VA_MIN, bytes, RESERVE);
        CHECK(result == -SKEP_ENOMEM || result == -SKEP_EEXIST);
        CHECK(skep_hc_mem_map(0, bytes, RESERVE) == -SKEP_ENOMEM);
    }
    uint64_t at = (uint64_t)skep_hc_mem_map(0, 128 << 20, RESERVE);
    CHECK(at < SKEP_GUEST_VA_MAX);
    for (uint64_t i = 0; i < 128; i += 2)
        *(volatile uint64_t *)(at + (i << 20)) = i;
    for (uint64_t i = 0; i < 128; i += 2)
        CHECK(*(volatile uint64_t *)(at + (i << 20)) == i);
    CHECK(skep_hc_mem_unmap(at, 128 << 20) == 0);
    CHECK(most_pages() == before);
}

/* Promised, reserved and stacks in one span, touched here and there and taken away at random: nothing is left over. */
static void reserve_churn(void)
{
    uint64_t seed = argument(0) * 77 + 1, before = most_pages();
    uint64_t base = info->heap_base + (8ull << 20);
    for (unsigned i = 0; i < 3000; i++) {
        static const uint64_t ways[] = {READ_WRITE, RESERVE, STACK,
                                        RESERVE & ~(uint64_t)READ_WRITE};
        uint64_t r = random_next(&seed);
        uint64_t at = base + r % 64 * PAGE, bytes = (1 + (r >> 8) % 16) * PAGE;
        if (r >> 16 & 1) {
            CHECK(skep_hc_mem_unmap(at, bytes) <= 0);
        } else if (skep_hc_mem_map(at, bytes, ways[r >> 20 & 3]) == (int64_t)at) {
            CHECK(skep_hc_mem_protect(at, bytes, READ_WRITE) == 0);
            *(volatile uint64_t *)(at + (r >> 32) % (bytes / PAGE) * PAGE) = i;
        }
    }
    for (uint64_t i = 0; i < 80; i++)
        skep_hc_mem_unmap(base + i * PAGE, PAGE);
    CHECK(most_pages() == before);
}

/* The last page and one more, by its own touch or by a pointer. What was promised is there until then. */
static void reserve_beyond(void)
{
    uint64_t words, at = (uint64_t)skep_hc_mem_map(0, 1 << 20, RESERVE);
    uint64_t *memory = map_most(&words);
    for (uint64_t i = 0; i < words; i += 512)
        memory[i] = i;
    for (uint64_t i = 0; i < 256; i++) {
        print("address 0x%x\n", at + i * PAGE);
        if (argument(0))
            skep_hc_console_read((void *)(at + i * PAGE), 1);
        *(volatile uint64_t *)(at + i * PAGE) = i;
        for (uint64_t j = 0; j < words; j += 512 * 16)
            CHECK(memory[j] == j);
    }
}

static _Noreturn void reserve_toucher(uint64_t at)
{
    for (uint64_t i = 0;; i++)
        *(volatile uint64_t *)(at + i % 64 * PAGE) = i;
}

/* One vCPU touches without pause what the other takes away and reserves again. */
static void reserve_beside_touches(void)
{
    uint64_t at = (uint64_t)skep_hc_mem_map(0, 128 * PAGE, RESERVE), seed = 5;
    CHECK(vcpu_run(1, reserve_toucher, at) == 0);
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t part = at + (64 + random_next(&seed) % 60) * PAGE;
        *(volatile uint64_t *)part = i;
        CHECK(skep_hc_mem_protect(at, 128 * PAGE, READ_WRITE) == 0);
        CHECK(skep_hc_mem_unmap(part, 4 * PAGE) == 0);
        CHECK(skep_hc_mem_map(part, 4 * PAGE, i % 2 ? RESERVE : STACK) == (int64_t)part);
    }
}

/* ---- vCPUs that hold on to what another unmaps ---- */

static volatile uint64_t *_Atomic target;

static _Noreturn void stale_writer(uint64_t unused)
{
    volatile uint64_t *at = atomic_load(&target);
    for (;;)
        ++*at; /* faults when it may not be written: then the guest ends, as it should */
}

static void pass(uint64_t ns)
{
    uint64_t end = (uint64_t)skep_hc_clock_read() + ns;
    while ((uint64_t)skep_hc_clock_read() < end) {
    }
}

/* A page that one vCPU writes without pause is made read-only by the other. The order to forget its translation is under
 * way when the call returns; what comes after that is at most what an emulator does before it looks for interrupts. */
static void stale_translation(void)
{
    volatile uint64_t *page = (volatile uint64_t *)map_pages(1);
    atomic_store(&target, page);
    CHECK(vcpu_run(1, stale_writer, 0) == 0);
    while (*page < 1000) {
    }
    CHECK(skep_hc_mem_protect((uint64_t)page, PAGE, SKEP_PROT_READ) == 0);
    pass(100000);
    uint64_t then = *page;
    for (unsigned i = 0; i < 20; i++) {
        pass(100000);
        CHECK(*page - then < 64);
    }
    for (;;)
        skep_hc_yield();
}

/* ---- neighbours of a touched page ---- */

#define WALK       64u /* pages */
#define YIELDS_MAX 500000u
enum { WALK_NOT_YET, WALK_ON, WALK_OVER, WALK_LEFT };
static _Atomic int walk;

/* Changes what lies behind the pages that the other walks through, and so where the range ends to which a touch brings
 * pages. It touches none. */
static _Noreturn void changer(uint64_t base)
{
    static const uint64_t ways[] = {READ_WRITE, SKEP_PROT_READ, SKEP_PROT_NONE, RESERVE};
    uint64_t seed = base;
    while (atomic_load(&walk) == WALK_NOT_YET)
        skep_hc_yield();
    while (atomic_load(&walk) == WALK_ON) {
        uint64_t r = random_next(&seed);
        uint64_t at = base + (WALK + r % 8) * PAGE, bytes = (1 + (r >> 8) % 8) * PAGE;
        if (r >> 16 & 1)
            skep_hc_mem_unmap(at, bytes);
        else if (r >> 17 & 1)
            skep_hc_mem_protect(at, bytes, ways[r >> 20 & 1]);
        else
            skep_hc_mem_map(at, bytes, ways[r >> 20 & 3]);
    }
    atomic_store(&walk, WALK_LEFT);
    skep_hc_vcpu_stop();
    __builtin_unreachable();
}

/* One after the other, each empty at first and then its own. */
static void walk_through(uint64_t base)
{
    for (uint64_t at = base; at < base + WALK * PAGE; at += PAGE) {
        CHECK(*(volatile uint64_t *)at == 0);
        *(volatile uint64_t *)at = at;
    }
    for (uint64_t at = base; at < base + WALK * PAGE; at += PAGE)
        CHECK(*(volatile uint64_t *)at == at);
}

/* With little more memory than that takes. Every page that came is given back. */
static void walked_beside_changes(void)
{
    uint64_t base = info->heap_base + (1ull << 30);
    CHECK(vcpu_run(1, changer, base) == 0);
    uint64_t before = most_pages(), spared = (before - 2 * WALK - 32) * PAGE;
    int64_t rest = skep_hc_mem_map(0, spared, READ_WRITE);
    CHECK(rest > 0);
    atomic_store(&walk, WALK_ON);
    for (unsigned round = 0; round < 300; round++) {
        CHECK(skep_hc_mem_map(base, WALK * PAGE, READ_WRITE) == (int64_t)base);
        walk_through(base);
        CHECK(skep_hc_mem_unmap(base, WALK * PAGE) == 0);
    }
    atomic_store(&walk, WALK_OVER);
    for (unsigned i = 0; atomic_load(&walk) != WALK_LEFT; i++) {
        CHECK(i < YIELDS_MAX);
        skep_hc_yield();
    }
    for (uint64_t i = WALK; i < WALK + 16; i++)
        skep_hc_mem_unmap(base + i * PAGE, PAGE);
    CHECK(skep_hc_mem_unmap((uint64_t)rest, spared) == 0);
    CHECK(most_pages() == before);
}

static const uint64_t shared_pages[32][512] __attribute__((aligned(4096))) = {{CANARY}};

/* The image's pages, which come with those around, and of which it gives back now these, now those. Several guests at once: a
 * share that is counted wrong stays when the image goes. */
static void shared_beside_changes(void)
{
    uint64_t seed = argument(0) + 1, gone = 0, hidden = 0;
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t r = random_next(&seed), page = r % 32, bit = 1ull << page;
        if (r >> 8 & 1 && !((gone | hidden) & bit))
            CHECK(*(volatile const uint64_t *)shared_pages[page] == (page ? 0 : CANARY));
        if (r >> 9 & 1 && !(gone & bit)) {
            uint64_t prot = r >> 10 & 1 ? SKEP_PROT_READ : SKEP_PROT_NONE;
            CHECK(skep_hc_mem_protect((uint64_t)shared_pages[page], PAGE, prot) == 0);
            hidden = prot ? hidden & ~bit : hidden | bit;
        }
        if (i > 1000 && (r >> 11) % 64 == 0 && !(gone & bit)) {
            CHECK(skep_hc_mem_unmap((uint64_t)shared_pages[page], PAGE) == 0);
            gone |= bit;
        }
    }
    CHECK(gone != 0);
}

const struct attack attacks[] = {
    {"canary-fill", canary_fill, "8x exit | invalid-opcode"},
    {"canary-look", canary_look, "8x exit"},
    {"remapped", remapped, "exit"},
    {"churn", churn, "exit"},
    {"walked-while-unmapped", walked_while_unmapped, "4x bad-hypercall error=0 at=walker"},
    {"protected-again", protected_again, "exit"},
    {"execute-refused", execute_refused, "exit"},
    {"execute-later-refused", execute_later_refused, "exit"},
    {"rewrite-text", rewrite_text, "page-fault error=0x11"},
    {"rewrite-constants", rewrite_constants, "8x exit"},
    {"own-pages-refused", own_pages_refused, "exit"},
    {"whole-promise", whole_promise, "exit"},
    {"promise-churn", promise_churn, "4x exit"},
    {"tables-everywhere", tables_everywhere, "exit"},
    {"ranges-everywhere", ranges_everywhere, "exit"},
    {"reserve-refused", reserve_refused, "exit"},
    {"reserve-everything", reserve_everything, "exit"},
    {"reserve-churn", reserve_churn, "4x exit"},
    {"reserve-beyond", reserve_beyond, "2x out-of-memory address=said"},
    {"reserve-beside-touches", reserve_beside_touches, "exit"},
    {"walked-beside-changes", walked_beside_changes, "2x exit"},
    {"shared-beside-changes", shared_beside_changes, "8x exit"},
    {"stale-translation", stale_translation, "page-fault error=0x3 at=stale_writer"},
};
ATTACK_COUNT;
