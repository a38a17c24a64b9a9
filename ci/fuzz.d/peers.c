/* peers.c - guests whose queues and pages a harness writes. */
#include "peers.h"

#include <string.h>

#include "core/frame.h"
#include "core/gmem.h"
#include "fake.h"
#include "io/io.h"
#include "machine.h"

#define OPERATIONS_MAX 300u

struct run run;

/* ---- guests ---- */

struct guest *peer_create(struct peer *peer, struct skep_guest_spec *spec)
{
    spec->image = fake_image();
    spec->stack_bytes = 2 * PEER_PAGES * PAGE_SIZE;
    spec->vcpu_count = spec->vcpu_max = 1;
    spec->weight = 100;
    spec->console_bytes = 4096;
    memcpy(spec->name, "peer", sizeof("peer"));
    int64_t handle = guest_create(machine_control(), spec);
    FUZZ_CHECK(handle > 0);
    peer->handle = (uint64_t)handle;
    struct guest *guest = fake_find(peer->handle);
    const struct skep_start_info *info = frame_data(guest->start_info[0]);
    peer->base = info->stack_base;
    for (uint32_t i = 0; i < PEER_PAGES; i++) {
        paddr_t at;
        FUZZ_CHECK(gmem_pin(guest, gva(peer->base + i * PAGE_SIZE), true, &at) == 0);
        peer->page[i] = arch_direct(at);
        gmem_unpin(at);
    }
    FUZZ_CHECK(guest_start(guest) == 0);
    return guest;
}

struct guest *peer_guest(const struct peer *peer)
{
    void (*between)(void) = fake_between;
    fake_between = NULL;
    struct guest *guest = fake_find(peer->handle);
    fake_between = between;
    return guest && guest->state < SKEP_GUEST_EXITED ? guest : NULL;
}

void peer_queue_start(const struct peer *peer, struct guest *guest, uint32_t queue, uint32_t page,
                      uint32_t size, uint32_t flags)
{
    uint64_t place = peer->base + page * PAGE_SIZE;
    struct skep_queue_setup setup = {
        .queue = queue,
        .size = size,
        .desc = place,
        .avail = place + AVAIL_AT,
        .used = place + USED_AT,
        .flags = flags,
    };
    FUZZ_CHECK(io_queue_setup(guest->vcpus[0], &setup) == 0);
}

struct skep_vring_avail *peer_avail(const struct peer *peer, uint32_t page)
{
    return (struct skep_vring_avail *)(peer->page[page] + AVAIL_AT);
}

void peer_offer(const struct peer *peer, uint32_t page, uint32_t size, uint32_t head)
{
    struct skep_vring_avail *avail = peer_avail(peer, page);
    uint16_t index = atomic_load(&avail->index);
    avail->ring[index % size] = (uint16_t)head;
    atomic_store(&avail->index, (uint16_t)(index + 1));
}

void peer_kick(const struct peer *peer, uint32_t queue)
{
    struct guest *guest = peer_guest(peer);
    if (guest) {
        /* Others may act amid it, and add to the way. */
        int result = io_queue_kick(guest->vcpus[0], queue);
        run.way = way_add(run.way, (uint64_t)result);
    }
}

void peer_poke(const struct peer *peer, const struct operation *op)
{
    memcpy(&peer->page[op->queue % PEER_PAGES][op->at % (SKEP_PAGE_SIZE - 4)], &op->value, 4);
}

/* ---- operations ---- */

void run_begin(const uint8_t *data, size_t bytes)
{
    memset(&run, 0, sizeof(run));
    run.input = (struct input){data, data + bytes};
}

static void operate_next(void)
{
    struct operation op;
    input_take(&run.input, &op, sizeof(op));
    operate(&op);
}

void run_operations(void)
{
    for (uint32_t i = 0; i < OPERATIONS_MAX && input_left(&run.input); i++) {
        operate_next();
    }
}

void run_work(uint32_t cpu)
{
    uint32_t here = fake_cpu->index;
    if (run.depth == 0) {
        fake_cpu_set(cpu % MACHINE_CPUS);
        fake_interrupts();
    } else if (cpu % MACHINE_CPUS != here) {
        fake_cpu_set(cpu % MACHINE_CPUS)->traps++;
        io_work();
    }
    fake_cpu_set(here);
}

static void lock_given(void)
{
    if (--run.releases) {
        return;
    }
    uint32_t here = fake_cpu->index;
    fake_between = NULL;
    run.depth++;
    fake_cpu_set((here + 1) % MACHINE_CPUS);
    operate_next();
    fake_cpu_set(here);
    run.depth--;
}

void run_between(const struct operation *op)
{
    run.releases = 1 + op->at % 32u;
    fake_between = run.depth == 0 ? lock_given : NULL;
}
