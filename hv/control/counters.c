/* counters.c - counters that threads add to without a lock. */
#include "counters.h"

#include <stdatomic.h>

#define US 1000ull

static _Atomic uint64_t counters[COUNTERS];

static const uint64_t bounds_ns[LATENCY_BOUNDS] = {
    1000 * US,   2500 * US,   5000 * US,    10000 * US,   25000 * US,   50000 * US,   100000 * US,
    250000 * US, 500000 * US, 1000000 * US, 2500000 * US, 5000000 * US, 10000000 * US};
const char *const latency_bounds[LATENCY_BOUNDS + 1] = {"0.001", "0.0025", "0.005", "0.01", "0.025",
                                                        "0.05",  "0.1",    "0.25",  "0.5",  "1.0",
                                                        "2.5",   "5.0",    "10.0",  "+Inf"};
static _Atomic uint64_t latencies[LATENCY_BOUNDS + 1], latency_sum;

void counter_add(enum counter counter, uint64_t more)
{
    atomic_fetch_add_explicit(&counters[counter], more, memory_order_relaxed);
}

uint64_t counter_get(enum counter counter)
{
    return atomic_load_explicit(&counters[counter], memory_order_relaxed);
}

void latency_add(uint64_t ns)
{
    unsigned i = 0;

    while (i < LATENCY_BOUNDS && ns > bounds_ns[i])
        i++;
    atomic_fetch_add_explicit(&latencies[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&latency_sum, ns, memory_order_relaxed);
}

void latency_get(struct latencies *all)
{
    uint64_t count = 0;

    for (unsigned i = 0; i <= LATENCY_BOUNDS; i++) {
        count += atomic_load_explicit(&latencies[i], memory_order_relaxed);
        all->counts[i] = count;
    }
    all->sum_ns = atomic_load_explicit(&latency_sum, memory_order_relaxed);
}
