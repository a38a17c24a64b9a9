/* test_storage.c - disks and volumes: what is recognised, accounted, refused, and what damage does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "storage/crc32c.h"
#include "storage/fsck.h"
#include "storage/probe.h"
#include "storage/volumes.h"
#include "test/cut_disk.h"

#define DISK_BYTES (32ull << 20)
#define CHUNK      65536ull

static const uint8_t uuid[16] = {1, 2, 3};

static struct cut_disk disk;
static struct volumes vs;

static int setup(void **state)
{
    (void)state;
    cut_disk_init(&disk, DISK_BYTES);
    assert_int_equal(format_disk(&disk.dev, uuid, 5), 0);
    assert_int_equal(volumes_open(&vs, &disk.dev), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    volumes_close(&vs);
    cut_disk_free(&disk);
    return 0;
}

static void reopen(void)
{
    volumes_close(&vs);
    assert_int_equal(volumes_open(&vs, &disk.dev), 0);
}

static int create(const char *name, uint64_t chunks, bool overcommit)
{
    struct volumes_wish wish = {.name = name, .bytes = chunks * CHUNK, .overcommit = overcommit};
    struct volume *v;

    return volumes_create(&vs, &wish, &v);
}

static int copy(const char *from, bool snapshot, const char *name)
{
    struct volumes_wish wish = {.name = name};
    struct volume *v;

    return volumes_copy(&vs, volumes_find(&vs, from), snapshot, &wish, &v);
}

/* Puts free chunks at these places of the volume. */
static void map(const char *name, uint32_t first, uint32_t count, uint32_t step)
{
    struct skep_volume_change *changes = calloc(count, sizeof(*changes));
    uint32_t *chunks = calloc(count, sizeof(*chunks));

    assert_int_equal(volumes_take(&vs, count, chunks), count);
    for (uint32_t i = 0; i < count; i++)
        changes[i] = (struct skep_volume_change){.chunk = first + i * step, .to = chunks[i]};
    assert_int_equal(volumes_apply(&vs, volumes_find(&vs, name), changes, count), 0);
    free(changes);
    free(chunks);
}

static uint32_t entry(const char *name, uint32_t chunk)
{
    uint32_t found;

    assert_int_equal(volumes_map(&vs, volumes_find(&vs, name), chunk, 1, &found), 0);
    return found;
}

static void say(void *argument, const char *line)
{
    snprintf(argument, 160, "%s", line);
}

static uint32_t errors(char line[160])
{
    struct fsck_result r;

    line[0] = '\0';
    assert_int_equal(fsck_disk(&disk.dev, say, line, &r), 0);
    return r.errors;
}

static void assert_clean(void)
{
    char line[160];

    assert_int_equal(errors(line), 0);
    assert_string_equal(line, "");
}

/*
 * Formats
 */

static void test_checksum(void **state)
{
    (void)state;
    assert_int_equal(crc32c(0, "123456789", 9),
                     0xe3069283); /* RFC 3720's polynomial, its usual check */
    assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
}

static void assert_plan(uint64_t bytes, uint32_t chunk_bytes)
{
    struct format_super s;

    assert_true(format_plan(&s, bytes));
    assert_int_equal(s.chunk_bytes, chunk_bytes);
    assert_true(s.table_first >= s.journal_first + s.journal_blocks);
    assert_true(s.meta_first >= s.table_first + s.table_blocks);
    assert_true(s.system_first >= s.meta_first + s.meta_blocks);
    assert_true(s.chunk_first >= s.system_first + s.system_blocks);
    assert_int_equal((uint64_t)s.chunk_first * BDEV_BLOCK % chunk_bytes, 0);
    assert_true((uint64_t)s.chunk_first * BDEV_BLOCK + (uint64_t)s.chunk_count * chunk_bytes <=
                (uint64_t)(s.blocks - 1) * BDEV_BLOCK);
    /* At most a few hundredths are not chunks, but for the 8 MiB at least of a small disk's system region. */
    assert_true((uint64_t)s.chunk_first * BDEV_BLOCK < bytes / 20 + (12ull << 20));
}

static void test_plans(void **state)
{
    struct format_super s;

    (void)state;
    assert_false(format_plan(&s, DISK_BYTES - BDEV_BLOCK));
    for (uint64_t bytes = DISK_BYTES; bytes < 64ull << 40; bytes = bytes * 3 / 2 / 4096 * 4096)
        assert_plan(bytes, bytes < 256ull << 30 ? 65536 : 131072);
}

static void put_text(uint64_t offset, const char *text, size_t bytes)
{
    uint8_t block[BDEV_BLOCK];

    assert_int_equal(disk.dev.read(&disk.dev, offset / BDEV_BLOCK * BDEV_BLOCK, block, BDEV_BLOCK),
                     0);
    memcpy(block + offset % BDEV_BLOCK, text, bytes);
    assert_int_equal(disk.dev.write(&disk.dev, offset / BDEV_BLOCK * BDEV_BLOCK, block, BDEV_BLOCK),
                     0);
}

static void assert_probe(uint64_t offset, const char *text, size_t bytes, enum probe_kind kind)
{
    disk.dev.zero(&disk.dev, 0, DISK_BYTES);
    assert_int_equal(probe_disk(&disk.dev), PROBE_EMPTY);
    put_text(offset, text, bytes);
    assert_int_equal(probe_disk(&disk.dev), kind);
}

static void test_probes(void **state)
{
    (void)state;
    assert_int_equal(probe_disk(&disk.dev), PROBE_SKEP);
    assert_probe(510, "\x55\xaa", 2, PROBE_MBR);
    put_text(512, "EFI PART", 8);
    assert_int_equal(probe_disk(&disk.dev), PROBE_GPT);
    assert_probe(DISK_BYTES - 512, "EFI PART", 8, PROBE_GPT);
    assert_probe(1080, "\x53\xef", 2, PROBE_EXT);
    assert_probe(0, "XFSB", 4, PROBE_XFS);
    assert_probe(65600, "_BHRfS_M", 8, PROBE_BTRFS);
    assert_probe(512, "LABELONE", 8, PROBE_LVM);
    assert_probe(4086, "SWAPSPACE2", 10, PROBE_SWAP);
    assert_probe(32769, "CD001", 5, PROBE_ISO9660);
    assert_probe(9000, "x", 1, PROBE_UNKNOWN);
    assert_probe(DISK_BYTES - 1, "x", 1, PROBE_UNKNOWN);
    assert_probe(32, "SKEPDISK", 8, PROBE_SKEP_DAMAGED);
}

static void test_superblock_is_mended(void **state)
{
    struct fsck_result r;

    (void)state;
    assert_int_equal(create("a", 3, false), 0);
    for (unsigned last = 0; last < 2; last++) {
        cut_disk_flip(&disk, last ? disk.block_count - 1 : 0, 700);
        assert_int_equal(fsck_disk(&disk.dev, NULL, NULL, &r), 0);
        assert_int_equal(r.warnings, 1);
        reopen();
        assert_true(vs.super_repaired);
        assert_non_null(volumes_find(&vs, "a"));
        assert_clean();
    }
    cut_disk_flip(&disk, 0, 700);
    cut_disk_flip(&disk, disk.block_count - 1, 700);
    volumes_close(&vs);
    assert_int_equal(volumes_open(&vs, &disk.dev), -SKEP_ENODEV);
    assert_int_equal(probe_disk(&disk.dev), PROBE_SKEP_DAMAGED);
}

/* A cut while a disk is formatted leaves none, or a whole one. */
static uint64_t format_random;

static void cut_format(struct cut_disk *d)
{
    struct cut_disk image;
    struct volumes *opened = malloc(sizeof(*opened));
    int result;

    cut_disk_cut(&image, d, &format_random);
    result = volumes_open(opened, &image.dev);
    assert_true(result == 0 || result == -SKEP_ENODEV);
    if (result == 0) {
        assert_int_equal(opened->state, VOLUMES_ONLINE);
        assert_true(opened->super.uuid[0] == 9 ? !opened->first : opened->first != NULL);
        volumes_close(opened);
    }
    free(opened);
    cut_disk_free(&image);
}

static void test_format_is_all_or_nothing(void **state)
{
    const uint8_t other[16] = {9};

    (void)state;
    assert_int_equal(create("a", 3, false), 0);
    disk.on_event = cut_format;
    assert_int_equal(format_disk(&disk.dev, other, 5), 0);
    disk.on_event = NULL;
    reopen();
    assert_null(vs.first);
    assert_clean();
}

/*
 * Volumes
 */

static void test_names_and_sizes(void **state)
{
    (void)state;
    assert_int_equal(create("a", 0, false), -SKEP_EINVAL);
    assert_int_equal(create("A", 1, false), -SKEP_EINVAL);
    assert_int_equal(create("", 1, false), -SKEP_EINVAL);
    assert_int_equal(create("a234567890b234567890c234567890d234567890", 1, false), -SKEP_EINVAL);
    assert_int_equal(create("a234567890b234567890c234567890d23456789", 1, false), 0);
    assert_int_equal(create("a234567890b234567890c234567890d23456789", 1, false), -SKEP_EEXIST);
    assert_int_equal(create("b", SKEP_CHUNKS_MAX + 1ull, true), -SKEP_EINVAL);
    assert_int_equal(create("b", SKEP_CHUNKS_MAX, true), 0);
    map("b", SKEP_CHUNKS_MAX - 1, 1, 1);
    reopen();
    assert_int_not_equal(entry("b", SKEP_CHUNKS_MAX - 1), SKEP_CHUNK_NONE);
    assert_clean();
}

static void set_labels(const char *name, const char *text, size_t bytes)
{
    struct volume *v = volumes_find(&vs, name);
    char labels[FORMAT_LABELS] = "";

    memcpy(labels, text, bytes);
    assert_int_equal(volumes_set(&vs, v, &v->record.limits, labels), 0);
}

/* A copy has none of them; and what can't be a label is damage. */
static void test_labels(void **state)
{
    static const char two[] = "a=b\0c/d=";
    static const struct {
        const char *text;
        size_t bytes;
    } wrong[] = {{"a", 1}, {"a=b\0c", 5}, {"a=b\0\0c=d", 8}, {"a= ", 3}, {"a=\xff", 3}};
    char longest[FORMAT_LABELS], line[160];

    (void)state;
    assert_int_equal(create("a", 1, false), 0);
    set_labels("a", two, sizeof(two));
    assert_int_equal(copy("a", true, "s"), 0);
    reopen();
    assert_memory_equal(volumes_find(&vs, "a")->record.labels, two, sizeof(two));
    assert_string_equal(volumes_find(&vs, "s")->record.labels, "");
    memset(longest, 'x', sizeof(longest));
    longest[1] = '=';
    set_labels("a", longest, FORMAT_LABELS - 1);
    assert_clean();
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        set_labels("a", wrong[i].text, wrong[i].bytes);
        assert_int_equal(errors(line), 1);
    }
    set_labels("a", longest, FORMAT_LABELS);
    assert_int_equal(errors(line), 1);
    reopen();
    assert_int_equal(vs.state, VOLUMES_DAMAGED);
}

static int resize(const char *name, uint32_t chunks)
{
    struct volume *v = volumes_find(&vs, name);

    return volumes_resize(&vs, v, chunks * CHUNK, false, &v->record.limits, v->record.labels);
}

static void test_promises(void **state)
{
    uint32_t all = vs.super.chunk_count;

    (void)state;
    assert_int_equal(create("a", all - 10, false), 0);
    assert_int_equal(create("b", 11, false), -SKEP_ENOSPC);
    assert_int_equal(create("b", 11, true), 0);
    assert_int_equal(volumes_delete(&vs, volumes_find(&vs, "b")), 0);
    assert_int_equal(create("b", 8, false), 0);
    assert_int_equal(resize("b", 11), -SKEP_ENOSPC);
    assert_int_equal(resize("b", 7), -SKEP_EINVAL);
    map("a", 0, 3, 1);
    assert_int_equal(copy("a", true, "s"), -SKEP_ENOSPC);
    assert_int_equal(volumes_delete(&vs, volumes_find(&vs, "b")), 0);
    assert_int_equal(copy("a", true, "s"), 0);
    assert_int_equal(volumes_promised(&vs), all - 10 + 3);
}

/* What several dry runs need together is no more than what all of them could have one after the other. */
static void test_needs_together(void **state)
{
    struct volumes_needs before = {.chunks = 0};
    struct volumes_wish wish = {
        .name = "n", .bytes = CHUNK, .overcommit = true, .dry_run = true, .before = &before};
    uint32_t chunks = vs.super.chunk_count;
    struct volume *v;

    (void)state;
    assert_int_equal(create("a", 1, false), 0);
    map("a", 0, 1, 1);
    for (uint32_t i = 1; i < volumes_slots(&vs); i++) {
        assert_int_equal(volumes_create(&vs, &wish, &v), 0);
        assert_int_equal(v->slot, i);
        volumes_discard(v);
    }
    assert_int_equal(volumes_create(&vs, &wish, &v), -SKEP_ENOSPC);

    before = (struct volumes_needs){.metas = vs.metas.free_count - 3};
    assert_int_equal(volumes_copy(&vs, volumes_find(&vs, "a"), false, &wish, &v), 0);
    volumes_discard(v);
    assert_int_equal(before.metas, vs.metas.free_count - 1);
    assert_int_equal(volumes_copy(&vs, volumes_find(&vs, "a"), false, &wish, &v), -SKEP_ENOSPC);

    before = (struct volumes_needs){.chunks = chunks - 10};
    wish.overcommit = false;
    wish.bytes = 8 * CHUNK;
    assert_int_equal(volumes_create(&vs, &wish, &v), 0);
    volumes_discard(v);
    assert_int_equal(volumes_check_size(&vs, volumes_find(&vs, "a"), 3 * CHUNK, false, &before),
                     -SKEP_ENOSPC);
    assert_int_equal(volumes_check_size(&vs, volumes_find(&vs, "a"), 2 * CHUNK, false, &before), 0);
    assert_int_equal(before.chunks, chunks - 1);
    wish.bytes = CHUNK;
    assert_int_equal(volumes_create(&vs, &wish, &v), -SKEP_ENOSPC);
    assert_int_equal(create("n", chunks - 1, false), 0);
}

static void test_table_is_full(void **state)
{
    char name[16];

    (void)state;
    for (uint32_t i = 0; i < volumes_slots(&vs); i++) {
        snprintf(name, sizeof(name), "v%u", (unsigned)i);
        assert_int_equal(create(name, 1, false), 0);
    }
    assert_int_equal(create("another", 1, false), -SKEP_ENOSPC);
    assert_int_equal(volumes_delete(&vs, volumes_find(&vs, "v7")), 0);
    assert_int_equal(create("another", 1, false), 0);
    reopen();
    assert_non_null(volumes_find(&vs, "another"));
    assert_clean();
}

static void test_chunks_come_and_go(void **state)
{
    uint32_t all = vs.chunks.free_count, metas = vs.metas.free_count, first;

    (void)state;
    assert_int_equal(create("a", 100, false), 0);
    map("a", 0, 10, 1);
    assert_int_equal(vs.chunks.free_count, all - 10);
    assert_int_equal(copy("a", true, "s"), 0);
    assert_int_equal(copy("s", false, "c"), 0);
    first = entry("a", 0);
    assert_true(first & SKEP_CHUNK_SHARED);
    assert_int_equal(entry("c", 0), first);
    map("c", 0, 1, 1);
    assert_false(entry("c", 0) & SKEP_CHUNK_SHARED);
    assert_int_equal(entry("a", 0), first);
    assert_int_equal(vs.chunks.free_count, all - 11);
    assert_int_equal(volumes_delete(&vs, volumes_find(&vs, "a")), 0);
    assert_int_equal(volumes_delete(&vs, volumes_find(&vs, "c")), 0);
    assert_int_equal(vs.chunks.free_count, all - 10);
    assert_false(entry("s", 0) & SKEP_CHUNK_SHARED);
    assert_int_equal(volumes_delete(&vs, volumes_find(&vs, "s")), 0);
    assert_int_equal(vs.chunks.free_count, all);
    assert_int_equal(vs.metas.free_count, metas);
    assert_clean();
}

static void test_the_disk_is_full(void **state)
{
    uint32_t all = vs.super.chunk_count, *chunks = calloc(all + 1, sizeof(*chunks));

    (void)state;
    assert_int_equal(volumes_take(&vs, all + 1, chunks), all);
    assert_int_equal(volumes_take(&vs, 1, chunks), 0);
    volumes_give_back(&vs, 17);
    assert_int_equal(volumes_take(&vs, 2, chunks), 1);
    assert_int_equal(chunks[0], 17);
    reopen();
    assert_int_equal(vs.chunks.free_count, all);
    free(chunks);
}

/* Changes that ring 0 wouldn't make do nothing. */
static void test_wrong_changes(void **state)
{
    struct skep_volume_change changes[2] = {{.chunk = 1}, {.chunk = 2}};
    struct volume *v;
    uint32_t chunks[2];

    (void)state;
    assert_int_equal(create("a", 100, false), 0);
    assert_int_equal(copy("a", true, "s"), 0);
    v = volumes_find(&vs, "a");
    assert_int_equal(volumes_take(&vs, 2, chunks), 2);
    changes[0].to = chunks[0];
    changes[1].to = chunks[1] + 1; /* not given */
    assert_int_equal(volumes_apply(&vs, v, changes, 2), -SKEP_EINVAL);
    changes[1].to = vs.super.chunk_count;
    assert_int_equal(volumes_apply(&vs, v, changes, 2), -SKEP_EINVAL);
    changes[1].to = chunks[0]; /* twice */
    assert_int_equal(volumes_apply(&vs, v, changes, 2), -SKEP_EINVAL);
    changes[1] = (struct skep_volume_change){.chunk = 100, .to = chunks[1]};
    assert_int_equal(volumes_apply(&vs, v, changes, 2), -SKEP_EINVAL);
    assert_int_equal(volumes_apply(&vs, volumes_find(&vs, "s"), changes, 1), -SKEP_EINVAL);
    assert_int_equal(entry("a", 1), SKEP_CHUNK_NONE);
    assert_int_equal(volumes_apply(&vs, v, changes, 1), 0);
    assert_int_equal(entry("a", 1), chunks[0]);
    assert_clean();
}

/* More map blocks than a transaction can have. */
static void test_batch_over_transactions(void **state)
{
    (void)state;
    assert_int_equal(create("a", 300000, true), 0);
    map("a", 500, 250, FORMAT_ENTRIES);
    reopen();
    assert_int_equal(volumes_find(&vs, "a")->mapped, 250);
    for (uint32_t i = 0; i < 250; i++)
        assert_int_not_equal(entry("a", 500 + i * FORMAT_ENTRIES), SKEP_CHUNK_NONE);
    assert_clean();
    assert_int_equal(copy("a", false, "b"), -SKEP_ENOSPC); /* it would promise too much */
    assert_int_equal(copy("a", true, "b"), -SKEP_ENOSPC);
    assert_int_equal(volumes_delete(&vs, volumes_find(&vs, "a")), 0);
    assert_int_equal(vs.metas.free_count, vs.super.meta_blocks);
}

static void test_metadata_is_full(void **state)
{
    (void)state;
    assert_int_equal(create("a", 600000, true), 0);
    map("a", 500, 300, FORMAT_ENTRIES);
    map("a", 501 + 300 * FORMAT_ENTRIES, 40, FORMAT_ENTRIES);
    struct volumes_wish wish = {.name = "b", .overcommit = true};
    struct volume *v;
    assert_int_equal(volumes_copy(&vs, volumes_find(&vs, "a"), true, &wish, &v), -SKEP_ENOSPC);
    assert_null(volumes_find(&vs, "b"));
    assert_clean();
    assert_int_equal(vs.state, VOLUMES_ONLINE);
}

/* After a write that failed nobody knows what is on the disk: nothing more is done until it is opened anew. */
static void test_failing_device(void **state)
{
    (void)state;
    for (int64_t events = 0; events < 12; events++) {
        uint32_t chunk;
        int result;

        assert_int_equal(volumes_take(&vs, 1, &chunk), 1);
        if (!volumes_find(&vs, "a"))
            assert_int_equal(create("a", 5, false), 0);
        disk.fail_after = events + 1;
        result = volumes_find(&vs, "b") ? volumes_delete(&vs, volumes_find(&vs, "b"))
                                        : copy("a", false, "b");
        disk.fail_after = -1;
        if (result != 0) {
            assert_int_equal(vs.state, VOLUMES_FAILED);
            assert_int_equal(create("c", 1, false), -SKEP_EIO);
            assert_int_equal(volumes_take(&vs, 1, &chunk), -SKEP_EIO);
        }
        assert_clean();
        reopen();
        assert_non_null(volumes_find(&vs, "a"));
        assert_null(volumes_find(&vs, "c"));
    }
}

static void test_system_region(void **state)
{
    uint8_t block[BDEV_BLOCK] = {7}, back[BDEV_BLOCK];
    struct bdev *dev = &vs.system;

    (void)state;
    assert_int_equal(dev->bytes, 8u << 20);
    assert_int_equal(dev->write(dev, dev->bytes - BDEV_BLOCK, block, BDEV_BLOCK), 0);
    assert_int_equal(dev->write(dev, dev->bytes, block, BDEV_BLOCK), -SKEP_EINVAL);
    assert_int_equal(dev->zero(dev, 4096, dev->bytes), -SKEP_EINVAL);
    assert_int_equal(dev->flush(dev), 0);
    reopen();
    assert_int_equal(dev->read(dev, dev->bytes - BDEV_BLOCK, back, BDEV_BLOCK), 0);
    assert_memory_equal(block, back, BDEV_BLOCK);
    assert_clean();
}

/*
 * Damage
 */

static void make_three(void)
{
    assert_int_equal(create("a", 100, false), 0);
    map("a", 0, 10, 1);
    assert_int_equal(copy("a", true, "s"), 0);
    assert_int_equal(create("b", 50, false), 0);
    map("b", 3, 4, 2);
    /* Opened once more, the journal has nothing to bring home. */
    reopen();
}

/* What is whole reads as before, and nothing is written. */
static void assert_damaged(const char *broken, const char *whole)
{
    uint32_t chunk;
    char line[160];

    assert_int_not_equal(errors(line), 0);
    reopen();
    assert_int_equal(vs.state, VOLUMES_DAMAGED);
    assert_int_not_equal(vs.damage_count, 0);
    assert_int_equal(create("c", 1, false), -SKEP_EIO);
    assert_int_equal(volumes_take(&vs, 1, &chunk), -SKEP_EIO);
    assert_int_equal(volumes_delete(&vs, volumes_find(&vs, whole)), -SKEP_EIO);
    assert_int_equal(volumes_map(&vs, volumes_find(&vs, broken), 0, 1, &chunk), -SKEP_EIO);
    assert_int_equal(volumes_map(&vs, volumes_find(&vs, whole), 3, 1, &chunk), 0);
    assert_int_not_equal(chunk, SKEP_CHUNK_NONE);
}

static void test_damaged_map(void **state)
{
    char text[96];

    (void)state;
    make_three();
    snprintf(text, sizeof(text), "volume s: map block %u is damaged",
             (unsigned)volumes_find(&vs, "s")->maps[0]);
    cut_disk_flip(&disk, volumes_find(&vs, "s")->maps[0], 4000);
    assert_damaged("s", "b");
    assert_string_equal(vs.damage[0], text);
}

static void test_damaged_index(void **state)
{
    (void)state;
    make_three();
    cut_disk_flip(&disk, volumes_find(&vs, "b")->record.roots[0], 30000);
    assert_damaged("b", "a");
}

static void test_damaged_table(void **state)
{
    char line[160];

    (void)state;
    make_three();
    cut_disk_flip(&disk, vs.super.table_first, 300);
    assert_int_equal(errors(line), 1);
    reopen();
    assert_int_equal(vs.state, VOLUMES_DAMAGED);
    assert_null(vs.first);
    assert_int_equal(create("a", 1, false), -SKEP_EIO);
}

/* A map block that was written to another one's place, or that is an old one of another disk's. */
static void test_block_of_another(void **state)
{
    uint8_t block[BDEV_BLOCK];
    uint32_t from, to;

    (void)state;
    make_three();
    from = volumes_find(&vs, "b")->maps[0];
    to = volumes_find(&vs, "s")->maps[0];
    disk.dev.read(&disk.dev, (uint64_t)from * BDEV_BLOCK, block, BDEV_BLOCK);
    disk.dev.write(&disk.dev, (uint64_t)to * BDEV_BLOCK, block, BDEV_BLOCK);
    assert_damaged("s", "b");
}

/* An acknowledged transaction that can't be read is not taken for one that a cut broke off. */
static void test_damaged_journal(void **state)
{
    uint32_t first = vs.super.journal_first + vs.journal.tail;
    char line[160];

    (void)state;
    assert_int_equal(create("a", 100, false), 0);
    assert_int_equal(create("b", 100, false), 0);
    cut_disk_flip(&disk, first + 1, 999); /* the first one; the second comes after it */
    assert_int_equal(errors(line), 1);
    reopen();
    assert_int_equal(vs.state, VOLUMES_DAMAGED);
    assert_true(vs.report.commit_damaged);
    assert_int_equal(vs.report.damaged_block, first);
    assert_int_equal(create("c", 1, false), -SKEP_EIO);
}

static void test_damaged_end_of_journal(void **state)
{
    uint32_t first = vs.super.journal_first + vs.journal.tail;
    char line[160];

    (void)state;
    assert_int_equal(create("a", 100, false), 0);
    cut_disk_flip(&disk, first, 999); /* what is home is newer than the journal says */
    assert_int_not_equal(errors(line), 0);
    reopen();
    assert_int_equal(vs.state, VOLUMES_DAMAGED);
}

static void test_damaged_heads(void **state)
{
    (void)state;
    assert_int_equal(create("a", 100, false), 0);
    cut_disk_flip(&disk, FORMAT_HEAD_FIRST + (vs.journal.generation + 1) % 2, 50);
    reopen(); /* the other head is an older one */
    assert_int_equal(vs.state, VOLUMES_ONLINE);
    cut_disk_flip(&disk, FORMAT_HEAD_FIRST, 50);
    cut_disk_flip(&disk, FORMAT_HEAD_FIRST + 1, 50);
    reopen();
    assert_int_equal(vs.state, VOLUMES_DAMAGED);
    assert_true(vs.report.heads_damaged);
    assert_non_null(volumes_find(&vs, "a"));
}

/* Any bit of any metadata: it opens and reads as before, or says what is damaged; it never reads otherwise. */
static void check_flip(uint32_t block, uint32_t bit, const uint32_t *a, const uint32_t *b)
{
    static uint32_t found[100];
    struct fsck_result r;
    struct volume *v;

    cut_disk_flip(&disk, block, bit);
    assert_int_equal(fsck_disk(&disk.dev, NULL, NULL, &r), 0);
    volumes_close(&vs);
    assert_int_equal(volumes_open(&vs, &disk.dev), 0);
    assert_int_equal(r.errors != 0, vs.state == VOLUMES_DAMAGED);
    v = volumes_find(&vs, "a");
    assert_true(v || vs.damage_count);
    if (v && volumes_map(&vs, v, 0, 100, found) == 0)
        for (unsigned i = 0; i < 100; i++)
            assert_int_equal(found[i] & ~SKEP_CHUNK_SHARED, a[i] & ~SKEP_CHUNK_SHARED);
    v = volumes_find(&vs, "b");
    assert_true(v || vs.damage_count);
    if (v && volumes_map(&vs, v, 0, 50, found) == 0)
        assert_memory_equal(found, b, 50 * sizeof(*b));
    cut_disk_flip(&disk, block, bit);
    if (vs.state == VOLUMES_ONLINE)
        return;
    reopen();
    assert_int_equal(vs.state, VOLUMES_ONLINE);
}

static void test_any_bit(void **state)
{
    uint64_t random = 1;
    uint32_t a[100], b[50];

    (void)state;
    make_three();
    assert_int_equal(volumes_map(&vs, volumes_find(&vs, "a"), 0, 100, a), 0);
    assert_int_equal(volumes_map(&vs, volumes_find(&vs, "b"), 0, 50, b), 0);
    for (unsigned i = 0; i < 600; i++) {
        uint32_t block = i % 3 == 0   ? cut_random(&random, vs.super.meta_first)
                         : i % 3 == 1 ? vs.super.meta_first + cut_random(&random, 6)
                                      : cut_random(&random, 4) + vs.super.table_first - 2;
        check_flip(block, cut_random(&random, 8 * BDEV_BLOCK), a, b);
    }
}

/* The same while transactions are in the journal, all of which are home. What was damaged stays so at the next opening. */
static void test_any_bit_of_the_journal(void **state)
{
    uint64_t random = 2;
    uint32_t a[100], b[50], damages = 0;

    (void)state;
    make_three();
    for (unsigned round = 0; round < 40; round++) {
        map("b", 10 + round, 1, 1);
        assert_int_equal(create("x", 5, false), 0);
        assert_int_equal(volumes_delete(&vs, volumes_find(&vs, "x")), 0);
        assert_int_equal(volumes_map(&vs, volumes_find(&vs, "a"), 0, 100, a), 0);
        assert_int_equal(volumes_map(&vs, volumes_find(&vs, "b"), 0, 50, b), 0);
        uint32_t first = vs.super.journal_first, blocks = vs.super.journal_blocks;
        uint32_t block = first + (vs.journal.tail + cut_random(&random, vs.journal.used)) % blocks;
        uint32_t bit = cut_random(&random, 8 * BDEV_BLOCK);
        cut_disk_flip(&disk, block, bit);
        reopen();
        damages += vs.state == VOLUMES_DAMAGED;
        cut_disk_flip(&disk, block, bit);
        check_flip(block, bit, a, b);
        reopen();
        assert_int_equal(vs.state, VOLUMES_ONLINE);
    }
    assert_int_equal(damages, 40);
}

/* What a power cut kept from home is in the journal only. When that is damaged, nothing older is shown instead. */
static void test_damaged_journal_and_old_home(void **state)
{
    uint8_t old[BDEV_BLOCK];
    uint32_t found, home, first;

    (void)state;
    make_three();
    home = volumes_find(&vs, "b")->maps[0];
    first = vs.super.journal_first + vs.journal.tail;
    disk.dev.read(&disk.dev, (uint64_t)home * BDEV_BLOCK, old, BDEV_BLOCK);
    map("b", 20, 1, 1);
    disk.dev.write(&disk.dev, (uint64_t)home * BDEV_BLOCK, old, BDEV_BLOCK);
    assert_int_equal(create("x", 5, false), 0);
    cut_disk_flip(&disk, first + 1, 999);
    for (unsigned i = 0; i < 2; i++) {
        reopen();
        assert_int_equal(vs.state, VOLUMES_DAMAGED);
        assert_true(vs.report.old_home);
        assert_int_equal(volumes_map(&vs, volumes_find(&vs, "b"), 20, 1, &found), -SKEP_EIO);
    }
    cut_disk_flip(&disk, first + 1, 999);
    reopen();
    assert_int_not_equal(entry("b", 20), SKEP_CHUNK_NONE);
    assert_clean();
}

/* What only a mistake of our own can do: fsck finds it. */
static void edit_map(const char *name, uint32_t chunk, uint32_t value)
{
    static struct format_entries map_block;
    uint32_t number = volumes_find(&vs, name)->maps[0];

    assert_int_equal(format_read(&disk.dev, &vs.super, FORMAT_MAP, number, &map_block), 0);
    map_block.entries[chunk] = value;
    format_seal(&vs.super, &map_block, FORMAT_MAP, number, map_block.header.sequence);
    disk.dev.write(&disk.dev, (uint64_t)number * BDEV_BLOCK, &map_block, BDEV_BLOCK);
}

static void test_fsck_finds(void **state)
{
    char line[160];

    (void)state;
    make_three();
    edit_map("b", 20, entry("b", 3));
    assert_int_equal(errors(line), 1);
    assert_non_null(strstr(line, "twice"));
    edit_map("b", 20, entry("a", 1) & ~SKEP_CHUNK_SHARED);
    assert_int_equal(errors(line), 1);
    assert_non_null(strstr(line, "is that of volume"));
    edit_map("b", 20, vs.super.chunk_count);
    assert_int_equal(errors(line), 1);
    assert_non_null(strstr(line, "beyond the end of the disk"));
    edit_map("b", 20, SKEP_CHUNK_NONE);
    assert_clean();
    edit_map("b", 60, 200);
    assert_int_equal(errors(line), 1);
    assert_non_null(strstr(line, "beyond the end of the volume"));
    edit_map("b", 60, SKEP_CHUNK_NONE);
    edit_map("s", 9, entry("a", 8) & ~SKEP_CHUNK_SHARED);
    assert_int_not_equal(errors(line), 0); /* shared, but not at the same place */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checksum),
        cmocka_unit_test(test_plans),
        TEST(test_probes),
        TEST(test_superblock_is_mended),
        TEST(test_format_is_all_or_nothing),
        TEST(test_names_and_sizes),
        TEST(test_labels),
        TEST(test_promises),
        TEST(test_needs_together),
        TEST(test_table_is_full),
        TEST(test_chunks_come_and_go),
        TEST(test_the_disk_is_full),
        TEST(test_wrong_changes),
        TEST(test_batch_over_transactions),
        TEST(test_metadata_is_full),
        TEST(test_failing_device),
        TEST(test_system_region),
        TEST(test_damaged_map),
        TEST(test_damaged_index),
        TEST(test_damaged_table),
        TEST(test_block_of_another),
        TEST(test_damaged_journal),
        TEST(test_damaged_end_of_journal),
        TEST(test_damaged_heads),
        TEST(test_any_bit),
        TEST(test_any_bit_of_the_journal),
        TEST(test_damaged_journal_and_old_home),
        TEST(test_fsck_finds),
    };
    return cmocka_run_group_tests_name("storage", tests, NULL, NULL);
}
