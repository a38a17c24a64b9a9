/*
 * floods.c - guests that make as much work as they can, for ever, while `latency` measures what a neighbour feels:
 * how long after its deadline it runs, by its own clock. ci/hostile --floods compares that with a quiet machine's.
 *
 * guest: memory=4 vcpus=2 network
 */
#include "net.h"

#define READ_WRITE (SKEP_PROT_READ | SKEP_PROT_WRITE)

static struct ring tx, rx;
static struct packet packet;

/* Also what keeps a quiet machine from halting, with the least weight. */
static void spin(void)
{
    for (;;)
        __asm__ volatile("");
}

static void calls(void)
{
    for (;;)
        skep_hypercall0(SKEP_HC_CONTROL_FIRST - 1);
}

static void yield_for_ever(uint64_t unused)
{
    for (;;)
        skep_hc_yield();
}

/* From one vCPU to the other: alone it would be left behind by the neighbour that spins. */
static void yields(void)
{
    CHECK(vcpu_run(1, yield_for_ever, 0) == 0);
    yield_for_ever(0);
}

static void console(void)
{
    uint8_t *text = map_pages(1);
    memset(text, 'x', PAGE);
    for (;;)
        skep_hc_console_write(text, PAGE);
}

static void events(void)
{
    for (uint32_t event = 0;; event++) {
        skep_hc_event_send(0, event % 64);
        atomic_store(&vcpu_page(0)->pending, 0);
    }
}

/* Each comes at once, and the next is set. */
static void timers(void)
{
    for (;;)
        skep_hc_timer_set((uint64_t)skep_hc_clock_read() + 2000);
}

static void wait_shortly(void)
{
    skep_hc_wait((uint64_t)skep_hc_clock_read() + 3000);
}

static void short_waits(void)
{
    for (;;)
        wait_shortly();
}

static void faults(void)
{
    uint64_t pages = 512, base = info->heap_base + info->heap_bytes - pages * PAGE;
    for (;;) {
        CHECK(skep_hc_mem_map(base, pages * PAGE, READ_WRITE) > 0);
        for (uint64_t i = 0; i < pages; i++)
            *(volatile uint64_t *)(base + i * PAGE) = i;
        CHECK(skep_hc_mem_unmap(base, pages * PAGE) == 0);
    }
}

/* Each is told, and made again. */
static void fault_again(void)
{
    skep_hc_resume(&vcpu_page(0)->context);
}

static void fault_storm(void)
{
    static uint64_t stack[512];
    vcpu_page(0)->upcall_stack = (uint64_t)(stack + 511);
    vcpu_page(0)->fault_entry = (uint64_t)fault_again;
    __asm__ volatile("movq 8, %%rax" : : : "rax", "memory");
}

static void maps(void)
{
    uint64_t base = info->heap_base + info->heap_bytes - 64 * PAGE;
    for (uint64_t i = 0;; i = (i + 1) % 64) {
        skep_hc_mem_map(base + i * PAGE, PAGE, i % 2 ? READ_WRITE : SKEP_PROT_READ);
        skep_hc_mem_unmap(base + (i * 17 + 1) % 64 * PAGE, PAGE);
    }
}

/* A page every 2 MiB: what takes longest to look through. */
static void sparse(void)
{
    uint64_t base = 1ull << 30, pages = 200;
    CHECK(skep_hc_mem_map(base, pages << 21, SKEP_PROT_NONE) > 0);
    for (uint64_t i = 0; i < pages; i++)
        skep_hc_mem_protect(base + (i << 21), PAGE, READ_WRITE);
    for (;;) {
        skep_hc_mem_protect(base, pages << 21, SKEP_PROT_READ);
        skep_hc_mem_protect(base, pages << 21, SKEP_PROT_NONE);
    }
}

static void kick_on(void)
{
    ring_kick(&tx);
}

static void kick_and_wait(void)
{
    ring_kick(&tx);
    wait_shortly();
}

/* Offers chain after chain, with a kick for every 16, and for as long as the ring is full. */
static void send_for_ever(const uint16_t heads[RING_SIZE], void (*kick)(void))
{
    for (uint16_t sent = 0;; sent++) {
        ring_offer(&tx, heads[sent % RING_SIZE]);
        if (sent % 16 == 15)
            kick();
        while (packet_received(&rx)) {
        }
        while ((uint16_t)(sent - atomic_load(&tx.used->index)) > RING_SIZE - 2 &&
               (uint16_t)(sent - atomic_load(&tx.used->index)) < 0x8000)
            kick();
    }
}

/* As many pieces a frame as there may be, each across two pages. */
static void kicks_in_pieces(void)
{
    uint8_t *pages = map_pages(2);
    uint16_t heads[RING_SIZE];
    net_start(&tx, &rx);
    packet_make((struct packet *)(pages + PAGE - 38), 0);
    for (uint16_t i = 0; i < RING_SIZE; i++) {
        heads[i] = i & ~7u;
        ring_set(&tx, i, (uint64_t)pages + PAGE - 38, i % 8 ? 95 : 76,
                 i % 8 < 7 ? SKEP_VRING_DESC_NEXT : 0, i + 1);
    }
    send_for_ever(heads, kick_on);
}

/* The packet, over and over. */
static void send_packet(uint32_t bytes, void (*kick)(void))
{
    uint16_t heads[RING_SIZE];
    for (uint16_t i = 0; i < RING_SIZE; i++) {
        heads[i] = i;
        ring_set(&tx, i, (uint64_t)&packet, sizeof(packet.header) + bytes, 0, 0);
    }
    send_for_ever(heads, kick);
}

static void kicks(uint32_t bytes, const uint8_t *to, void (*kick)(void))
{
    net_start(&tx, &rx);
    packet_make(&packet, 0);
    memcpy(packet.frame, to, 6);
    memset(packet.frame + MARK_AT, 0, sizeof(MARK));
    send_packet(bytes, kick);
}

static void kicks_own(void)
{
    kicks(FRAME_MAX, info->net[1].mac, kick_on);
}

static void kicks_wire(void)
{
    kicks(FRAME_BYTES, gateway_mac, kick_on);
}

static void kicks_wire_long(void)
{
    kicks(FRAME_MAX, gateway_mac, kick_on);
}

/* From a vCPU that is woken all the time, which ring 0 spares. */
static void kicks_and_waits(void)
{
    atomic_store(&vcpu_page(0)->mask, ~0ull);
    kicks(FRAME_MAX, gateway_mac, kick_and_wait);
}

/* Frames that are refused. */
static void kicks_refused(void)
{
    net_start(&tx, &rx);
    memset(&packet, 0, sizeof(packet));
    send_packet(FRAME_BYTES, kick_on);
}

/* With restart: always. */
static void crashes(void)
{
    __asm__ volatile("ud2");
}

/* ---- the neighbour ---- */

#define ROUNDS 500u
#define JOB_LOOPS \
    5850u /* of two instructions: as much as httpd and ring 0 do for a request on an open connection */

static uint32_t delays[ROUNDS], responses[ROUNDS];

static void sort(uint32_t *values)
{
    for (uint32_t i = 1; i < ROUNDS; i++) {
        uint32_t value = values[i], j = i;
        for (; j > 0 && values[j - 1] > value; j--)
            values[j] = values[j - 1];
        values[j] = value;
    }
}

static void tell(const char *what, uint32_t *values)
{
    sort(values);
    print("%s p50=%u p90=%u p99=%u max=%u\n", word(what), values[ROUNDS / 2],
          values[ROUNDS * 9 / 10], values[ROUNDS * 99 / 100], values[ROUNDS - 1]);
    for (uint32_t i = 0; i < ROUNDS;) {
        uint32_t bound = 512, first = i;
        while (bound <= values[i])
            bound *= 2;
        while (i < ROUNDS && values[i] < bound)
            i++;
        print("below %u: %u\n", bound, i - first);
    }
}

static void job(void)
{
    __asm__ volatile("1: decl %0\n\tjnz 1b" : : "r"(JOB_LOOPS) : "cc");
}

/* Sleeps until a moment, over and over, then does a job; tells how late it woke and how late it was done, in
 * nanoseconds. It ends by a crash, which is on the serial log: whoever asked the API for its end would be load itself. */
static void latency(void)
{
    uint64_t seed = 1;
    atomic_store(&vcpu_page(0)->mask, ~0ull);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint64_t deadline = (uint64_t)skep_hc_clock_read() + 200000 + random_next(&seed) % 100000;
        skep_hc_wait(deadline);
        delays[i] = (uint32_t)((uint64_t)skep_hc_clock_read() - deadline);
        job();
        responses[i] = (uint32_t)((uint64_t)skep_hc_clock_read() - deadline);
    }
    tell("delays", delays);
    tell("responses", responses);
    skep_hc_abort("measured", 8);
}

const struct attack attacks[] = {
    {"latency", latency, "measure"},
    {"spin", spin, "flood"},
    {"calls", calls, "flood"},
    {"yields", yields, "flood"},
    {"console", console, "flood"},
    {"events", events, "flood"},
    {"timers", timers, "flood"},
    {"short-waits", short_waits, "flood"},
    {"faults", faults, "flood"},
    {"fault-storm", fault_storm, "flood"},
    {"maps", maps, "flood"},
    {"sparse", sparse, "flood"},
    {"kicks-in-pieces", kicks_in_pieces, "flood"},
    {"kicks-own", kicks_own, "flood"},
    {"kicks-wire", kicks_wire, "flood"},
    {"kicks-wire-long", kicks_wire_long, "flood"},
    {"kicks-and-waits", kicks_and_waits, "flood"},
    {"kicks-refused", kicks_refused, "flood"},
    {"crashes", crashes, "flood"},
};
ATTACK_COUNT;
