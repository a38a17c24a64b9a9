/*
 * basics.c - ring 0's basic operations between markers, for ci/bench core: basics WHAT [MAC].
 *
 *   calls     the null hypercall (1, 2)
 *   faults    a page is supplied (14, 15)
 *   events    an event to another vCPU and one back (10, 11)
 *   yields    YIELD until it comes back (12, 13): a switch, if somebody else does the same
 *   ping      a frame to the guest with this MAC and one back (16, 17); it runs `echo` with this one's
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mark.h"
#include "skep/guest.h"
#include "skep/hypercall.h"
#include "skep/thread.h"

enum {
    PAGE = SKEP_PAGE_SIZE,
    ROUNDS = 300,
    YIELDS = 30000,
    EVENT = 20,
    UNKNOWN_CALL = SKEP_HC_CONTROL_FIRST - 1,
};
#define FOREVER (~0ull)

static void must(int64_t result, const char *what)
{
    if (result >= 0)
        return;
    printf("basics: %s: %lld\n", what, (long long)result);
    exit(1);
}

static struct skep_vcpu_page *page_of(uint32_t vcpu)
{
    return (struct skep_vcpu_page *)(skep_start_info()->vcpu_pages + (uint64_t)vcpu * PAGE);
}

/* Waits for an event without an upcall, and takes it. */
static void await(struct skep_vcpu_page *page, unsigned event)
{
    while (!(atomic_load(&page->pending) & 1ull << event))
        skep_hc_wait(FOREVER);
    atomic_fetch_and(&page->pending, ~(1ull << event));
}

/* The calling thread takes the event itself from now on, and its vCPU no other: nor will it leave that. */
static struct skep_vcpu_page *listen(unsigned event)
{
    struct skep_vcpu_page *page = page_of(skep_vcpu_index());
    atomic_store(&page->upcall_masked, 1);
    while (page != page_of(skep_vcpu_index())) { /* moved in between */
        atomic_store(&page->upcall_masked, 0);
        page = page_of(skep_vcpu_index());
        atomic_store(&page->upcall_masked, 1);
    }
    atomic_store(&page->mask, ~(1ull << event));
    return page;
}

static void calls(const char *peer)
{
    (void)peer;
    for (unsigned i = 0; i < ROUNDS; i++) {
        mark(1);
        skep_hypercall0(UNKNOWN_CALL);
        mark(2);
    }
}

static void faults(const char *peer)
{
    (void)peer;
    int64_t at = skep_hc_mem_map(0, ROUNDS * PAGE, SKEP_PROT_READ | SKEP_PROT_WRITE);
    must(at, "map");
    /* Downwards: behind pages that are there, several would come with one touch. */
    for (unsigned i = ROUNDS; i-- > 0;) {
        volatile uint64_t *word = (volatile uint64_t *)((uint64_t)at + i * PAGE);
        mark(14);
        *word = 1;
        mark(15);
    }
}

static _Atomic uint32_t answerer; /* its vCPU + 1 */

/* On a vCPU of its own, which it keeps: it takes no upcalls. */
static void answer(void *asker)
{
    struct skep_vcpu_page *page = listen(EVENT);
    atomic_store(&answerer, skep_vcpu_index() + 1);
    for (;;) {
        await(page, EVENT);
        skep_hc_event_send(*(uint32_t *)asker, EVENT);
    }
}

static void events(const char *peer)
{
    (void)peer;
    uint32_t self;
    must(skep_thread_create(NULL, 0, answer, &self), "thread");
    struct skep_vcpu_page *page = listen(EVENT);
    self = skep_vcpu_index();
    while (atomic_load(&answerer) == 0)
        skep_hc_yield();
    for (unsigned i = 0; i < ROUNDS; i++) {
        mark(10);
        skep_hc_event_send(atomic_load(&answerer) - 1, EVENT);
        await(page, EVENT);
        mark(11);
    }
}

static void yields(const char *peer)
{
    (void)peer;
    for (unsigned i = 0; i < YIELDS; i++) {
        mark(12);
        skep_hc_yield();
        mark(13);
    }
}

/*
 * Frames
 */

enum { QUEUE_SIZE = 4, FRAME_BYTES = 60, HEADER = 12 };

struct ring {
    struct skep_vring_desc desc[QUEUE_SIZE];
    struct skep_vring_avail avail __attribute__((aligned(PAGE)));
    uint16_t avail_ring[QUEUE_SIZE];
    uint16_t used_event;
    struct skep_vring_used used __attribute__((aligned(PAGE)));
    struct skep_vring_used_elem used_ring[QUEUE_SIZE];
    char buffer[HEADER + FRAME_BYTES] __attribute__((aligned(PAGE)));
};

static struct ring rings[2] __attribute__((aligned(PAGE)));

static void ring_setup(uint32_t number, uint16_t flags)
{
    struct ring *ring = &rings[number];
    ring->desc[0] = (struct skep_vring_desc){
        .addr = (uintptr_t)ring->buffer, .len = sizeof(ring->buffer), .flags = flags};
    struct skep_queue_setup setup = {.queue = number,
                                     .size = QUEUE_SIZE,
                                     .desc = (uintptr_t)ring->desc,
                                     .avail = (uintptr_t)&ring->avail,
                                     .used = (uintptr_t)&ring->used};
    must(skep_hc_queue_setup(&setup), "queue_setup");
}

/* Offers the one buffer, and wants to hear of it. */
static void offer(struct ring *ring)
{
    ring->used_event = atomic_load(&ring->avail.index);
    atomic_store(&ring->avail.index, (uint16_t)(ring->used_event + 1));
}

static struct skep_vcpu_page *frames_setup(const char *peer)
{
    const struct skep_net *net = &skep_start_info()->net[0];
    uint8_t *frame = (uint8_t *)rings[1].buffer + HEADER;
    for (unsigned i = 0; i < 6; i++)
        frame[i] = (uint8_t)strtoul(peer + 3 * i, NULL, 16);
    memcpy(frame + 6, net->mac, 6);
    frame[12] = 8; /* IPv4, from here */
    frame[14] = 0x45;
    frame[23] = 17;
    memcpy(frame + 26, &net->address, 4);
    struct skep_vcpu_page *page = listen(SKEP_EVENT_QUEUE_0);
    ring_setup(0, SKEP_VRING_DESC_WRITE);
    ring_setup(1, 0);
    offer(&rings[0]);
    skep_console_write("ready\n", 6);
    return page;
}

static void send_frame(void)
{
    offer(&rings[1]);
    must(skep_hc_queue_kick(1), "kick");
}

static void receive_frame(struct skep_vcpu_page *page)
{
    while (atomic_load(&rings[0].used.index) != atomic_load(&rings[0].avail.index))
        await(page, SKEP_EVENT_QUEUE_0);
    offer(&rings[0]);
}

static void echo(const char *peer)
{
    struct skep_vcpu_page *page = frames_setup(peer);
    for (;;) {
        receive_frame(page);
        send_frame();
    }
}

static void ping(const char *peer)
{
    struct skep_vcpu_page *page = frames_setup(peer);
    for (unsigned i = 0; i < ROUNDS; i++) {
        mark(16);
        send_frame();
        receive_frame(page);
        mark(17);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*function)(const char *peer);
    } all[] = {{"calls", calls},   {"faults", faults}, {"events", events},
               {"yields", yields}, {"echo", echo},     {"ping", ping}};
    for (unsigned i = 0; argc > 1 && i < sizeof(all) / sizeof(*all); i++) {
        if (strcmp(argv[1], all[i].name) == 0)
            all[i].function(argc > 2 ? argv[2] : "");
    }
    skep_hc_exit(0); /* its upcalls may be masked by now */
}
