/*
 * rates.c - how many requests a block device answers, and whether with the right data.
 *
 *   rates prepare                writes the area's pattern, and makes it durable
 *   rates check                  says "all there" when every byte of it is
 *   rates read|write random|sequential BYTES IN_FLIGHT MILLISECONDS REQUESTS
 *                                keeps so many requests in flight until the time is over or so many have ended, and says
 *                                "done REQUESTS NANOSECONDS"
 *
 * BYTES is a power of two from 4 KiB to 1 MiB. One request in flight is a thread's synchronous call, as pread() is; of more,
 * each is submitted again by its done(). Each sector of the area begins and ends with its own number; reads look at the
 * first sector and at the last one, and writes write what was there. The benches' markers 40 and 41 are around it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "mark.h"
#include "skep/block.h"
#include "skep/guest.h"
#include "skep/thread.h"

#define AREA          (64u << 20)
#define SECTOR        512u
#define WORDS         (SECTOR / 8)
#define IN_FLIGHT_MAX 32u
#define BYTES_MAX     (1u << 20)
#define PARTS_MAX     (BYTES_MAX / SKEP_BLOCK_BYTES_MAX)
#define MS            1000000ull

static uint64_t memory[IN_FLIGHT_MAX][BYTES_MAX / 8] __attribute__((aligned(4096)));

/*
 * The pattern
 */

static uint64_t middle(unsigned word)
{
    return (word + 1) * 0x9e3779b97f4a7c15ull;
}

static void fill(uint64_t *data, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes / 8; i++)
        data[i] = middle(i % WORDS);
}

/* What differs from sector to sector. */
static void stamp(uint64_t *data, uint64_t offset, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes / 8; i += WORDS) {
        data[i] = offset / SECTOR + i / WORDS;
        data[i + WORDS - 1] = ~data[i];
    }
}

static bool is_stamped(const uint64_t *sector, uint64_t number)
{
    return sector[0] == number && sector[WORDS - 1] == ~number;
}

static bool is_right(const uint64_t *data, uint64_t offset, uint64_t bytes)
{
    uint64_t first = offset / SECTOR, last = first + bytes / SECTOR - 1;
    return is_stamped(data, first) && is_stamped(data + bytes / 8 - WORDS, last);
}

static void prepare(void)
{
    fill(memory[0], BYTES_MAX);
    for (uint64_t at = 0; at < AREA; at += BYTES_MAX) {
        stamp(memory[0], at, BYTES_MAX);
        CHECK(skep_block_write(0, at, memory[0], BYTES_MAX) == 0);
    }
    CHECK(skep_block_flush(0) == 0);
    puts("prepared");
}

static void check_all(void)
{
    fill(memory[0], BYTES_MAX);
    for (uint64_t at = 0; at < AREA; at += BYTES_MAX) {
        stamp(memory[0], at, BYTES_MAX);
        CHECK(skep_block_read(0, at, memory[1], BYTES_MAX) == 0);
        CHECK(memcmp(memory[0], memory[1], BYTES_MAX) == 0);
    }
    puts("all there");
}

/*
 * Requests
 */

static struct {
    bool writes, random;
    unsigned bytes, in_flight;
    uint64_t deadline_ns, requests;
} what;

static uint64_t begun, ended, at;

static uint64_t next_place(void)
{
    static uint64_t state = 1;
    if (what.random) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        return (state >> 24) & (AREA - 1) & ~(uint64_t)(what.bytes - 1);
    }
    at = (at + what.bytes) & (AREA - 1);
    return at;
}

static bool goes_on(void)
{
    return begun < what.requests && skep_clock_ns() < what.deadline_ns;
}

static void run_one_by_one(void)
{
    for (; goes_on(); begun++) {
        uint64_t place = next_place();
        if (what.writes) {
            stamp(memory[0], place, what.bytes);
            CHECK(skep_block_write(0, place, memory[0], what.bytes) == 0);
        } else {
            CHECK(skep_block_read(0, place, memory[0], what.bytes) == 0);
            CHECK(is_right(memory[0], place, what.bytes));
        }
    }
    ended = begun;
}

/* A request of the program's: as many of the library's as it takes. */
struct job {
    uint64_t place;
    uint64_t *data;
    unsigned underway;
    struct skep_block_io ios[PARTS_MAX];
    struct skep_block_part parts[PARTS_MAX];
};

static struct job jobs[IN_FLIGHT_MAX];
static _Atomic uint32_t underway; /* jobs */

static void on_done(struct skep_block_io *io);

static void part_submit(struct job *job, unsigned i, unsigned bytes)
{
    unsigned from = i * SKEP_BLOCK_BYTES_MAX;
    job->parts[i] = (struct skep_block_part){(uint8_t *)job->data + from, bytes};
    job->ios[i] = (struct skep_block_io){
        .op = what.writes ? SKEP_BLOCK_WRITE : SKEP_BLOCK_READ,
        .offset = job->place + from,
        .parts = &job->parts[i],
        .part_count = 1,
        .done = on_done,
        .argument = job,
    };
    CHECK(skep_block_submit(0, &job->ios[i]) == 0);
}

static void job_submit(struct job *job)
{
    unsigned bytes = what.bytes < SKEP_BLOCK_BYTES_MAX ? what.bytes : SKEP_BLOCK_BYTES_MAX;
    begun++;
    job->place = next_place();
    job->underway = what.bytes / bytes;
    if (what.writes)
        stamp(job->data, job->place, what.bytes);
    for (unsigned i = 0; i < what.bytes / bytes; i++)
        part_submit(job, i, bytes);
}

static void on_done(struct skep_block_io *io)
{
    struct job *job = io->argument;
    if (io->result < 0)
        skep_abort("a request failed");
    if (--job->underway > 0)
        return;
    if (!what.writes && !is_right(job->data, job->place, what.bytes))
        skep_abort("other data than was written");
    ended++;
    if (goes_on())
        job_submit(job);
    else if (--underway == 0)
        skep_wake(&underway, SKEP_WAKE_ALL);
}

static void run_many(void)
{
    underway = what.in_flight;
    for (unsigned i = 0; i < what.in_flight; i++) {
        jobs[i].data = memory[i];
        job_submit(&jobs[i]);
    }
    skep_block_kick(0);
    for (uint32_t left; (left = underway) > 0;)
        skep_wait(&underway, left, SKEP_FOREVER);
}

static void run(void)
{
    for (unsigned i = 0; i < what.in_flight; i++)
        fill(memory[i], what.bytes);
    uint64_t start = skep_clock_ns();
    what.deadline_ns += start;
    mark(40);
    if (what.in_flight == 1)
        run_one_by_one();
    else
        run_many();
    mark(41);
    printf("done %llu %llu\n", (unsigned long long)ended,
           (unsigned long long)(skep_clock_ns() - start));
}

static unsigned number(const char *text, unsigned min, unsigned max)
{
    unsigned long value = strtoul(text, NULL, 0);
    CHECK(value >= min && value <= max);
    return (unsigned)value;
}

int main(int argc, char **argv)
{
    struct skep_block_info info;
    CHECK(argc > 1 && skep_block_info(0, &info) == 0 && info.bytes >= AREA);
    if (strcmp(argv[1], "prepare") == 0) {
        prepare();
        return 0;
    }
    if (strcmp(argv[1], "check") == 0) {
        check_all();
        return 0;
    }
    CHECK(argc == 7);
    what.writes = strcmp(argv[1], "write") == 0;
    what.random = strcmp(argv[2], "random") == 0;
    CHECK(what.writes || strcmp(argv[1], "read") == 0);
    CHECK(what.random || strcmp(argv[2], "sequential") == 0);
    what.bytes = number(argv[3], 4096, BYTES_MAX);
    CHECK((what.bytes & (what.bytes - 1)) == 0);
    what.in_flight = number(argv[4], 1, IN_FLIGHT_MAX);
    what.deadline_ns = number(argv[5], 1, UINT32_MAX) * MS;
    what.requests = number(argv[6], 1, UINT32_MAX);
    run();
    return 0;
}
