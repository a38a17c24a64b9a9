/* throttle.c - known addresses, turns at handshakes, and a bucket of requests for each caller. */
#include "throttle.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define SECOND 1000000000ull

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below; innermost */

/*
 * Known addresses
 */

static uint32_t known[THROTTLE_KNOWN_MAX]; /* the latest first; 0 = none */

static unsigned find_known(uint32_t address)
{
    unsigned i = 0;

    while (i < THROTTLE_KNOWN_MAX && known[i] != address)
        i++;
    return i;
}

void throttle_know(uint32_t address)
{
    unsigned i;

    pthread_mutex_lock(&lock);
    i = find_known(address);
    if (i == THROTTLE_KNOWN_MAX)
        i--; /* in the place of the last */
    memmove(known + 1, known, i * sizeof(*known));
    known[0] = address;
    pthread_mutex_unlock(&lock);
}

bool throttle_knows(uint32_t address)
{
    bool found;

    pthread_mutex_lock(&lock);
    found = address != 0 && find_known(address) < THROTTLE_KNOWN_MAX;
    pthread_mutex_unlock(&lock);
    return found;
}

/*
 * Handshakes
 */

static pthread_cond_t turn = PTHREAD_COND_INITIALIZER;
static unsigned at_work, waiting, known_waiting;

void throttle_handshake_begin(bool is_known)
{
    pthread_mutex_lock(&lock);
    waiting++;
    known_waiting += is_known;
    while (at_work == THROTTLE_HANDSHAKES_MAX || (!is_known && known_waiting > 0))
        pthread_cond_wait(&turn, &lock);
    waiting--;
    known_waiting -= is_known;
    at_work++;
    /* When the last known one has its turn, others may have the next. */
    if (is_known && known_waiting == 0)
        pthread_cond_broadcast(&turn);
    pthread_mutex_unlock(&lock);
}

void throttle_handshake_end(void)
{
    pthread_mutex_lock(&lock);
    at_work--;
    pthread_cond_broadcast(&turn);
    pthread_mutex_unlock(&lock);
}

unsigned throttle_handshakes_waiting(void)
{
    unsigned count;

    pthread_mutex_lock(&lock);
    count = waiting;
    pthread_mutex_unlock(&lock);
    return count;
}

/*
 * Requests
 */

struct bucket {
    char caller[THROTTLE_CALLER_MAX]; /* "" = none */
    uint64_t since_ns;                /* it was looked at last */
    uint64_t left;                    /* by then, in billionths of a request */
};

static struct bucket buckets[THROTTLE_KINDS][THROTTLE_CALLERS];

static const struct {
    uint64_t rate, burst;
} bounds[THROTTLE_KINDS] = {
    [THROTTLE_PRINCIPAL] = {THROTTLE_PRINCIPAL_RATE, THROTTLE_PRINCIPAL_BURST},
    [THROTTLE_ADDRESS] = {THROTTLE_ADDRESS_RATE, THROTTLE_ADDRESS_BURST},
};

/* The caller's, or else a full one in the place of that which was looked at longest ago. */
static struct bucket *find_bucket(enum throttle_kind kind, const char *caller, uint64_t now_ns)
{
    struct bucket *oldest = buckets[kind];

    for (struct bucket *b = buckets[kind]; b < buckets[kind] + THROTTLE_CALLERS; b++) {
        if (strcmp(b->caller, caller) == 0)
            return b;
        if (b->since_ns < oldest->since_ns)
            oldest = b;
    }
    snprintf(oldest->caller, sizeof(oldest->caller), "%s", caller);
    oldest->since_ns = now_ns;
    oldest->left = bounds[kind].burst * SECOND;
    return oldest;
}

/* What has come in since the last look; no more than it holds. */
static void fill(struct bucket *b, enum throttle_kind kind, uint64_t now_ns)
{
    uint64_t room = bounds[kind].burst * SECOND - b->left;
    uint64_t passed = now_ns > b->since_ns ? now_ns - b->since_ns : 0;

    if (passed > room / bounds[kind].rate)
        b->left += room;
    else
        b->left += passed * bounds[kind].rate;
    b->since_ns = now_ns;
}

bool throttle_request(enum throttle_kind kind, const char *caller, uint64_t now_ns,
                      unsigned *seconds)
{
    struct bucket *b;
    bool may;

    pthread_mutex_lock(&lock);
    b = find_bucket(kind, caller, now_ns);
    fill(b, kind, now_ns);
    may = b->left >= SECOND;
    if (may)
        b->left -= SECOND;
    else
        *seconds = (unsigned)((SECOND - b->left) / (bounds[kind].rate * SECOND)) + 1;
    pthread_mutex_unlock(&lock);
    return may;
}

void throttle_forget(void)
{
    pthread_mutex_lock(&lock);
    memset(known, 0, sizeof(known));
    memset(buckets, 0, sizeof(buckets));
    pthread_mutex_unlock(&lock);
}
