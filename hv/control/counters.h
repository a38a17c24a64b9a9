/* counters.h - what the service counts of its own work since its start. Any thread may call any function. */
#ifndef CONTROL_COUNTERS_H
#define CONTROL_COUNTERS_H

#include <stdint.h>

enum counter {
    COUNTER_ACCEPTED, /* connections */
    COUNTER_CLOSED,
    COUNTER_EVICTED,    /* closed for another one's sake */
    COUNTER_REFUSED,    /* there was no slot */
    COUNTER_HANDSHAKES, /* full ones */
    COUNTER_HANDSHAKES_RESUMED,
    COUNTER_HANDSHAKES_FAILED,
    COUNTER_RECEIVED_BYTES, /* of HTTP, within TLS */
    COUNTER_SENT_BYTES,
    COUNTERS
};

void counter_add(enum counter counter, uint64_t more);
uint64_t counter_get(enum counter counter);

/* How long requests took: how many of them at most so long as each bound says, the last one being "for ever". */
#define LATENCY_BOUNDS 13u

struct latencies {
    uint64_t counts[LATENCY_BOUNDS + 1]; /* each with those before it */
    uint64_t sum_ns;
};

extern const char *const latency_bounds[LATENCY_BOUNDS + 1]; /* seconds, as text */

void latency_add(uint64_t ns);
void latency_get(struct latencies *latencies);

#endif
