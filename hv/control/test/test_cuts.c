/*
 * test_cuts.c - volumes under power cuts: random operations, and at many of their writes and flushes, what a cut there may
 * leave. Each must open, be clean, and hold all that was acknowledged; what was underway is there as a whole or not at all.
 * So must what a second cut leaves of opening the first one's.
 *
 *   test_cuts [SEED [RUNS]]     a failure prints its seed
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/fsck.h"
#include "storage/volumes.h"
#include "test/cut_disk.h"

#define DISK_BYTES (32ull << 20)
#define CHUNK      65536u
#define VOLUMES    6u
#define CHUNKS_MAX 2300u /* of a volume: three MAP blocks */
#define BATCH      24u
#define OPERATIONS 40u
#define RUNS       12u
#define CUT_ONE_IN 3u

/* What is in a volume: of each chunk what the guest wrote at its start, 0 = nothing. */
struct content {
    bool exists, snapshot;
    uint64_t bytes, limit;
    uint64_t tags[CHUNKS_MAX];
};

struct state {
    struct content volumes[VOLUMES];
};

static struct world {
    uint64_t seed, random, next_tag;
    struct cut_disk disk;
    struct volumes vs;
    struct state before, after; /* the operation underway */
    uint32_t pool[BATCH * 2], pool_count;
    uint32_t cuts, second_cuts, replayed, operations, as_before, as_after;
    const char *operation;
} w;

#define check(condition, ...)                           \
    do {                                                \
        if (!(condition))                               \
            give_up(__LINE__, #condition, __VA_ARGS__); \
    } while (0)

__attribute__((format(printf, 3, 4))) static _Noreturn void give_up(int line, const char *what,
                                                                    const char *format, ...)
{
    va_list list;

    printf("test_cuts.c:%d: %s: ", line, what);
    va_start(list, format);
    vprintf(format, list);
    va_end(list);
    printf("\nseed %" PRIu64 ", operation %" PRIu32 " (%s), cut %" PRIu32 "\n", w.seed,
           w.operations, w.operation, w.cuts);
    exit(1);
}

static uint32_t pick(uint32_t below)
{
    return cut_random(&w.random, below);
}

static void name_of(unsigned index, char name[8])
{
    snprintf(name, 8, "v%u", index);
}

/*
 * Looking at what a cut left
 */

/* Every other write is of two blocks: the others' second block is zeroes, whatever the chunk held before. */
static bool chunk_holds(const struct cut_disk *disk, const struct volumes *vs, uint32_t chunk,
                        uint64_t tag)
{
    uint32_t block = (uint32_t)(volumes_chunk_offset(vs, chunk) / BDEV_BLOCK);
    uint64_t found[2];

    memcpy(&found[0], cut_disk_block(disk, block), sizeof(found[0]));
    memcpy(&found[1], cut_disk_block(disk, block + 1), sizeof(found[1]));
    return found[0] == tag && found[1] == (tag % 2 ? tag : 0);
}

/* A limit and the label that says the same are set at once. */
static void label_of(uint64_t limit, char labels[FORMAT_LABELS])
{
    memset(labels, 0, FORMAT_LABELS);
    if (limit)
        snprintf(labels, FORMAT_LABELS, "limit=%" PRIu64, limit);
}

static bool volume_holds(struct cut_disk *disk, struct volumes *vs, struct volume *v,
                         const struct content *c)
{
    static uint32_t entries[CHUNKS_MAX];
    char labels[FORMAT_LABELS];

    label_of(c->limit, labels);
    if (v->record.bytes != c->bytes || (v->record.kind == FORMAT_SNAPSHOT) != c->snapshot ||
        v->record.limits.bytes_second != c->limit ||
        memcmp(v->record.labels, labels, sizeof(labels)) != 0 || v->damaged ||
        volumes_map(vs, v, 0, v->chunk_count, entries) != 0)
        return false;
    for (uint32_t i = 0; i < v->chunk_count; i++) {
        if (entries[i] == SKEP_CHUNK_NONE
                ? c->tags[i] != 0
                : !chunk_holds(disk, vs, entries[i] & ~SKEP_CHUNK_SHARED, c->tags[i]))
            return false;
    }
    return true;
}

static bool disk_holds(struct cut_disk *disk, struct volumes *vs, const struct state *s)
{
    for (unsigned i = 0; i < VOLUMES; i++) {
        struct volume *v;
        char name[8];
        name_of(i, name);
        v = volumes_find(vs, name);
        if ((v != NULL) != s->volumes[i].exists ||
            (v && !volume_holds(disk, vs, v, &s->volumes[i])))
            return false;
    }
    return true;
}

static void say(void *argument, const char *line)
{
    (void)argument;
    printf("fsck: %s\n", line);
}

static void check_clean(struct cut_disk *disk)
{
    struct fsck_result result;

    check(fsck_disk(&disk->dev, say, NULL, &result) == 0, "fsck couldn't read it");
    check(result.errors == 0, "%" PRIu32 " errors", result.errors);
}

static void check_image(struct cut_disk *image);

/* While the image is opened, a second cut. */
static void cut_again(struct cut_disk *image)
{
    struct cut_disk other;

    if (pick(12) != 0)
        return;
    w.second_cuts++;
    cut_disk_cut(&other, image, &w.random);
    check_image(&other);
    cut_disk_free(&other);
}

static void check_image(struct cut_disk *image)
{
    struct volumes *vs = malloc(sizeof(*vs));
    bool before, after;

    check_clean(image);
    check(volumes_open(vs, &image->dev) == 0, "it doesn't open");
    check(vs->state == VOLUMES_ONLINE, "%s", vs->damage[0]);
    before = disk_holds(image, vs, &w.before);
    after = disk_holds(image, vs, &w.after);
    check(before || after, "neither as before nor as after");
    w.as_before += before && !after;
    w.as_after += after && !before;
    w.replayed += vs->report.replayed;
    volumes_close(vs);
    free(vs);
}

static void cut(struct cut_disk *disk)
{
    struct cut_disk image;

    if (pick(CUT_ONE_IN) != 0)
        return;
    w.cuts++;
    cut_disk_cut(&image, disk, &w.random);
    image.on_event = cut_again;
    check_image(&image);
    cut_disk_free(&image);
}

/*
 * Operations: each sets w.after, and then does it
 */

static unsigned pick_volume(bool exists, bool writable)
{
    unsigned first = pick(VOLUMES);

    for (unsigned i = 0; i < VOLUMES; i++) {
        unsigned n = (first + i) % VOLUMES;
        const struct content *c = &w.before.volumes[n];
        if (c->exists == exists && !(writable && c->snapshot))
            return n;
    }
    return VOLUMES;
}

static struct volume *volume_of(unsigned index)
{
    char name[8];

    name_of(index, name);
    return volumes_find(&w.vs, name);
}

static void create(void)
{
    unsigned n = pick_volume(false, false);
    struct volumes_wish wish = {.overcommit = true};
    struct volume *v;
    char name[8];

    if (n == VOLUMES)
        return;
    name_of(n, name);
    wish.name = name;
    wish.bytes =
        (pick(3) ? pick(60) + 1ull : pick(CHUNKS_MAX) + 1ull) * CHUNK - BDEV_BLOCK * pick(16);
    w.after.volumes[n] = (struct content){.exists = true, .bytes = wish.bytes};
    check(volumes_create(&w.vs, &wish, &v) == 0, "create");
}

static void copy(void)
{
    unsigned from = pick_volume(true, false), to = pick_volume(false, false);
    struct volumes_wish wish = {.overcommit = true};
    bool snapshot = pick(2) == 0;
    struct volume *v;
    char name[8];

    if (from == VOLUMES || to == VOLUMES)
        return;
    name_of(to, name);
    wish.name = name;
    w.after.volumes[to] = w.before.volumes[from];
    w.after.volumes[to].snapshot = snapshot;
    w.after.volumes[to].limit = 0;
    check(volumes_copy(&w.vs, volume_of(from), snapshot, &wish, &v) == 0, "copy");
}

static void delete (void)
{
    unsigned n = pick_volume(true, false);

    if (n == VOLUMES)
        return;
    memset(&w.after.volumes[n], 0, sizeof(w.after.volumes[n]));
    check(volumes_delete(&w.vs, volume_of(n)) == 0, "delete");
}

/* With other limits and labels, which come with it or not at all. */
static void resize(void)
{
    unsigned n = pick_volume(true, true);
    struct skep_volume_limits limits = {.bytes_second = pick(1000)};
    char labels[FORMAT_LABELS];
    uint64_t bytes;

    if (n == VOLUMES)
        return;
    bytes = w.before.volumes[n].bytes + pick(20) * (uint64_t)CHUNK;
    if (bytes > (uint64_t)CHUNKS_MAX * CHUNK)
        return;
    w.after.volumes[n].bytes = bytes;
    w.after.volumes[n].limit = limits.bytes_second;
    label_of(limits.bytes_second, labels);
    check(volumes_resize(&w.vs, volume_of(n), bytes, true, &limits, labels) == 0, "resize");
}

static void limit(void)
{
    unsigned n = pick_volume(true, false);
    struct skep_volume_limits limits = {.bytes_second = pick(1000)};
    char labels[FORMAT_LABELS];

    if (n == VOLUMES)
        return;
    w.after.volumes[n].limit = limits.bytes_second;
    label_of(limits.bytes_second, labels);
    check(volumes_set(&w.vs, volume_of(n), &limits, labels) == 0, "limit");
}

static void fill_pool(void)
{
    int taken = volumes_take(&w.vs, BATCH - w.pool_count, w.pool + w.pool_count);

    check(taken >= 0, "take");
    w.pool_count += (uint32_t)taken;
}

/* A guest writes: ring 0 takes a chunk of the pool, writes the data there, and logs the change. */
static bool write_chunk(unsigned n, struct skep_volume_change *change)
{
    uint32_t chunks = (uint32_t)((w.before.volumes[n].bytes + CHUNK - 1) / CHUNK);
    uint64_t *tag;
    uint8_t block[BDEV_BLOCK] = {0};

    change->chunk = pick(4) ? pick(chunks < 12 ? chunks : 12) : pick(chunks);
    tag = &w.after.volumes[n].tags[change->chunk];
    change->to = SKEP_CHUNK_NONE;
    if (pick(4) == 0) {
        *tag = 0; /* given back by the guest */
        return true;
    }
    if (w.pool_count == 0)
        return false;
    change->to = w.pool[--w.pool_count];
    *tag = w.next_tag++;
    memcpy(block, tag, sizeof(*tag));
    for (uint64_t i = 0; i <= *tag % 2; i++)
        check(w.disk.dev.write(&w.disk.dev,
                               volumes_chunk_offset(&w.vs, change->to) + i * BDEV_BLOCK, block,
                               BDEV_BLOCK) == 0,
              "write");
    return true;
}

static void write_some(void)
{
    struct skep_volume_change changes[BATCH];
    unsigned n = pick_volume(true, true);
    uint32_t count = 0, wanted = 1 + pick(BATCH);

    if (n == VOLUMES)
        return;
    fill_pool();
    while (count < wanted && write_chunk(n, &changes[count]))
        count++;
    check(volumes_apply(&w.vs, volume_of(n), changes, count) == 0, "apply");
    /* As a service does that ended before it told ring 0. */
    if (pick(3) == 0) {
        w.before = w.after;
        check(volumes_apply(&w.vs, volume_of(n), changes, count) == 0, "apply again");
    }
}

static void open_again(void)
{
    volumes_close(&w.vs);
    check(volumes_open(&w.vs, &w.disk.dev) == 0, "open");
    w.pool_count = 0;
}

static const struct {
    const char *name;
    void (*run)(void);
    uint32_t weight;
} operations[] = {{"create", create, 3},  {"copy", copy, 3},   {"delete", delete, 2},
                  {"resize", resize, 1},  {"limit", limit, 1}, {"write", write_some, 9},
                  {"open", open_again, 1}};

static void run_operation(void)
{
    uint32_t choice = pick(20), i = 0;

    while (choice >= operations[i].weight)
        choice -= operations[i++].weight;
    w.operation = operations[i].name;
    w.operations++;
    /* What was freed is used again soon. */
    if (pick(2))
        w.vs.metas.next = w.vs.chunks.next = 0;
    operations[i].run();
    w.before = w.after;
    check(disk_holds(&w.disk, &w.vs, &w.after), "wrong without a cut");
}

/* Chunks and blocks that are in use are those that fsck finds. */
static void check_counts(void)
{
    struct fsck_result found;

    for (; w.pool_count; w.pool_count--)
        volumes_give_back(&w.vs, w.pool[w.pool_count - 1]);
    check(fsck_disk(&w.disk.dev, say, NULL, &found) == 0 && found.errors == 0, "fsck");
    check(w.vs.chunks.free_count == found.chunks - found.chunks_used, "chunks leak");
    check(w.vs.metas.free_count == found.metas - found.metas_used, "metadata blocks leak");
}

static void run_seed(uint64_t seed)
{
    const uint8_t uuid[16] = {(uint8_t)seed, 1, 2, 3};

    w.seed = seed;
    w.random = seed * 0x9e3779b97f4a7c15ull + 1;
    w.next_tag = 1;
    memset(&w.before, 0, sizeof(w.before));
    memset(&w.after, 0, sizeof(w.after));
    cut_disk_init(&w.disk, DISK_BYTES);
    check(format_disk(&w.disk.dev, uuid, 0) == 0, "format");
    check(volumes_open(&w.vs, &w.disk.dev) == 0, "open");
    w.pool_count = 0;
    w.disk.on_event = cut;
    for (unsigned i = 0; i < OPERATIONS; i++)
        run_operation();
    w.disk.on_event = NULL;
    check_counts();
    volumes_close(&w.vs);
    cut_disk_free(&w.disk);
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    uint64_t runs = argc > 2 ? strtoull(argv[2], NULL, 0) : argc > 1 ? 1 : RUNS;

    for (uint64_t seed = first; seed < first + runs; seed++)
        run_seed(seed);
    printf("%" PRIu32 " operations, %" PRIu32 " cuts and %" PRIu32 " second ones, %" PRIu32
           " transactions replayed; %" PRIu32 " as before, %" PRIu32 " as after\n",
           w.operations, w.cuts, w.second_cuts, w.replayed, w.as_before, w.as_after);
    return 0;
}
