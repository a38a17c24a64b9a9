/* test_volumes.c - disks and volumes as the service runs them, over the fake core: guests write, services restart. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "guest.h"
#include "host.h"
#include "image.h"
#include "json.h"
#include "spec_volume.h"
#include "storage.h"
#include "storage/probe.h"
#include "test/boots.h"
#include "test/fake.h"
#include "test_control.h"

#define DISK_BYTES (64ull << 20)
#define CHUNK      65536ull

static void restart(void)
{
    storage_forget();
    storage_start();
}

/* The machine starts anew, too. */
static void power_cut(void)
{
    fake_volumes_power_cut();
    restart();
}

static int format(uint32_t index, bool force, struct problem *p)
{
    struct problem ignored;
    return storage_format(storage_disk(index), force, p ? p : &ignored);
}

static int setup(void **state)
{
    (void)state;
    fake_start("", "");
    fake_disk_add(NULL, DISK_BYTES);
    restart();
    return format(0, false, NULL) == 200 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    storage_forget();
    return 0;
}

static int make(const char *name, uint64_t chunks, bool overcommit, struct problem *p)
{
    struct storage_wish wish = {
        .name = name, .has_bytes = true, .bytes = chunks * CHUNK, .overcommit = overcommit};
    return storage_create(&wish, p);
}

static int copy(const char *name, const char *source, bool snapshot, struct problem *p)
{
    struct storage_wish wish = {
        .name = name, .source = source, .snapshot = snapshot, .overcommit = true};
    return storage_create(&wish, p);
}

static int delete (const char *name, struct problem *p)
{
    struct disk *disk;
    struct volume *v = storage_find(name, &disk);
    return storage_delete(disk, v, p);
}

static void open_for_guest(const char *name)
{
    assert_true(storage_open(name) > 0);
    fake_volume_use(name, 1);
}

/* A guest writes, and waits for the service where it has to. */
static void write_value(const char *name, uint32_t chunk, uint64_t value)
{
    for (unsigned tries = 0; !fake_volume_write(name, chunk, value); tries++) {
        assert_in_range(tries, 0, 3);
        storage_step();
    }
}

static void assert_committed(const char *name)
{
    const struct skep_volume_status *s = fake_volume_status(name);
    assert_int_equal(s->committed, s->sequence);
}

static void assert_clean(uint32_t used)
{
    assert_int_equal(boots_disk_found(0).chunks_used, used);
}

static void test_foreign_disks(void **state)
{
    struct problem p;

    (void)state;
    fake_disk_add(NULL, DISK_BYTES);
    memcpy(fake_disk_data(1) + 1080, "\x53\xef", 2);
    restart();
    assert_int_equal(storage_disk(1)->state, DISK_UNFORMATTED);
    assert_int_equal(storage_disk(1)->content, PROBE_EXT);
    assert_int_equal(fake_disk_data(1)[1080], 0x53);
    assert_int_equal(format(1, false, &p), 200);
    assert_int_equal(format(1, false, &p), -1);
    assert_int_equal(p.status, 409);
    assert_int_equal(format(1, true, &p), 200);
    assert_int_equal(make("a", 1, false, &p), -1); /* on which one? */
    assert_int_equal(p.status, 422);
    restart();
    assert_int_equal(storage_disk(1)->state, DISK_ONLINE);
    assert_null(storage_disk(2));
}

static void test_small_disk(void **state)
{
    struct problem p;

    (void)state;
    fake_disk_add(NULL, FORMAT_BYTES_MIN - BDEV_BLOCK);
    restart();
    assert_int_equal(format(1, false, &p), -1);
    assert_int_equal(p.status, 422);
}

/* Nothing that was committed is lost, and much more is written than a pool or the log holds. */
static void test_writes_survive(void **state)
{
    struct problem p;

    (void)state;
    assert_int_equal(make("db", 700, false, &p), 201);
    open_for_guest("db");
    for (uint32_t i = 0; i < 700; i++)
        write_value("db", i, i + 1);
    for (uint32_t i = 0; i < 700; i += 7)
        fake_volume_discard("db", i);
    storage_step();
    assert_committed("db");
    assert_clean(600);
    power_cut();
    open_for_guest("db");
    for (uint32_t i = 0; i < 700; i++)
        assert_int_equal(fake_volume_read("db", i), i % 7 ? i + 1 : 0);
}

/* Chunks in use, in pools and free are all there are. */
static void assert_nothing_lost(void)
{
    const struct disk *disk = storage_disk(0);
    const struct usage *u = &disk->volumes->chunks;
    uint32_t pools = 0, used = 0;

    for (const struct open_volume *o = disk->open; o; o = o->next)
        pools += fake_volume_status(o->volume->record.name)->pool_count;
    for (uint32_t i = 0; i < u->count; i++)
        used += usage_refs(u, i) != 0;
    assert_int_equal(u->taken_count, pools);
    assert_int_equal(u->free_count + pools + used, u->count);
}

static void test_restart_of_the_service(void **state)
{
    struct problem p;

    (void)state;
    assert_int_equal(make("a", 200, false, &p), 201);
    assert_int_equal(make("b", 200, false, &p), 201);
    open_for_guest("a");
    open_for_guest("b");
    for (uint32_t round = 0; round < 10; round++) {
        for (uint32_t i = 0; i < 20; i++) {
            write_value("a", round * 20 + i, 1000 + i);
            write_value("b", round * 20 + i, 2000 + i);
        }
        restart();
        assert_nothing_lost();
        assert_committed("a");
    }
    assert_clean(400);
    for (uint32_t i = 0; i < 200; i++) {
        assert_int_equal(fake_volume_read("a", i), 1000 + i % 20);
        assert_int_equal(fake_volume_read("b", i), 2000 + i % 20);
    }
}

/* The service ends between the disk and ring 0: the changes come again. */
static void test_restart_before_the_commit(void **state)
{
    static struct skep_volume_change changes[SKEP_VOLUME_CHANGES_MAX];
    struct problem p;
    struct disk *disk;
    struct open_volume *o;
    int64_t count;

    (void)state;
    assert_int_equal(make("a", 200, false, &p), 201);
    open_for_guest("a");
    for (uint32_t i = 0; i < 30; i++)
        write_value("a", i, i + 1);
    fake_volume_discard("a", 3);
    write_value("a", 3, 77);
    o = storage_find_open(storage_disk(0), storage_find("a", &disk));
    count = core_volume_read(o->handle, SKEP_VOLUME_CHANGES, (uintptr_t)changes,
                             SKEP_VOLUME_CHANGES_MAX, 0);
    assert_int_equal(count, 32);
    assert_int_equal(volumes_apply(disk->volumes, o->volume, changes, (uint32_t)count), 0);
    restart();
    assert_committed("a");
    assert_nothing_lost();
    assert_clean(30);
    power_cut();
    open_for_guest("a");
    assert_int_equal(fake_volume_read("a", 3), 77);
    assert_int_equal(fake_volume_read("a", 4), 5);
}

static void test_snapshot_of_a_running_guest(void **state)
{
    struct problem p;

    (void)state;
    assert_int_equal(make("db", 100, false, &p), 201);
    open_for_guest("db");
    for (uint32_t i = 0; i < 50; i++)
        write_value("db", i, 1);
    assert_int_equal(copy("snap", "db", true, &p), 201);
    for (uint32_t i = 25; i < 75; i++)
        write_value("db", i, 2);
    assert_int_equal(copy("clone", "snap", false, &p), 201);
    open_for_guest("clone");
    open_for_guest("snap");
    write_value("clone", 0, 3);
    assert_false(fake_volume_write("snap", 0, 4));
    storage_step();
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(fake_volume_read("snap", i), i < 50 ? 1 : 0);
        assert_int_equal(fake_volume_read("db", i), i < 25 ? 1 : i < 75 ? 2 : 0);
        assert_int_equal(fake_volume_read("clone", i), i == 0 ? 3 : i < 50 ? 1 : 0);
    }
    assert_clean(50 + 50 + 1);
    assert_nothing_lost();
    fake_volume_use("snap", -1);
    assert_int_equal(delete ("snap", &p), 204);
    fake_volume_use("db", -1);
    assert_int_equal(delete ("db", &p), 204);
    assert_nothing_lost();
    assert_clean(50);
}

static void test_in_use(void **state)
{
    struct problem p;

    (void)state;
    assert_int_equal(make("db", 100, false, &p), 201);
    assert_int_equal(make("db", 100, false, &p), -1);
    assert_int_equal(p.status, 409);
    open_for_guest("db");
    write_value("db", 1, 1);
    assert_int_equal(delete ("db", &p), -1);
    assert_int_equal(p.status, 409);
    assert_int_equal(format(0, true, &p), -1);
    assert_int_equal(p.status, 409);
    fake_volume_use("db", -1);
    storage_step();
    /* Closed after a while, and all of its pool comes back. */
    fake_skip(20000000000ull);
    storage_step();
    assert_null(fake_volume_status("db"));
    assert_int_equal(storage_disk(0)->volumes->chunks.taken_count, 0);
    assert_nothing_lost();
    assert_int_equal(format(0, true, &p), 200);
    assert_clean(0);
}

static void test_full_disk(void **state)
{
    struct problem p;
    uint32_t i = 0, all = storage_disk(0)->volumes->super.chunk_count;

    (void)state;
    assert_int_equal(make("a", all + 1, false, &p), -1);
    assert_int_equal(p.status, 409);
    assert_int_equal(make("a", 2 * all, true, &p), 201);
    open_for_guest("a");
    for (bool full = false; !full; i++) {
        while (!fake_volume_write("a", i, 1) && !(full = fake_volume_status("a")->full))
            storage_step();
        assert_true(i <= all);
    }
    assert_clean(all);
    fake_volume_discard("a", 0);
    storage_step();
    assert_false(fake_volume_status("a")->full);
    write_value("a", i, 1);
    storage_step();
    assert_clean(all);
}

static void test_resize_and_limits(void **state)
{
    struct storage_wish wish = {.has_bytes = true, .bytes = 50 * CHUNK, .has_limits = true};
    struct problem p;
    struct disk *disk;
    struct volume *v;

    (void)state;
    wish.limits.requests_second = 100;
    assert_int_equal(make("a", 10, false, &p), 201);
    open_for_guest("a");
    v = storage_find("a", &disk);
    assert_int_equal(storage_change(disk, v, &wish, &p), 200);
    assert_int_equal(fake_volume_status("a")->spec.bytes, 50 * CHUNK);
    assert_int_equal(fake_volume_status("a")->spec.limits.requests_second, 100);
    write_value("a", 49, 9);
    wish.bytes = 20 * CHUNK;
    assert_int_equal(storage_change(disk, v, &wish, &p), -1);
    assert_int_equal(p.status, 422);
    storage_step();
    power_cut();
    open_for_guest("a");
    assert_int_equal(fake_volume_read("a", 49), 9);
    assert_int_equal(fake_volume_status("a")->spec.limits.requests_second, 100);
}

static void test_failing_disk(void **state)
{
    struct problem p;

    (void)state;
    assert_int_equal(make("a", 10, false, &p), 201);
    open_for_guest("a");
    write_value("a", 0, 1);
    fake_disk_fail(0);
    storage_step();
    assert_int_equal(storage_disk(0)->state, DISK_FAILED);
    assert_true(fake_volume_status("a")->spec.flags & SKEP_VOLUME_OFFLINE);
    assert_int_equal(storage_open("a"), -SKEP_EIO);
    assert_int_equal(make("b", 10, false, &p), -1);
    restart();
    assert_int_equal(storage_disk(0)->state, DISK_FAILED);
}

static void test_damaged_disk(void **state)
{
    struct problem p;
    struct disk *disk;
    struct volume *v;

    (void)state;
    assert_int_equal(make("a", 10, false, &p), 201);
    assert_int_equal(make("b", 10, false, &p), 201);
    open_for_guest("a");
    open_for_guest("b");
    write_value("a", 0, 1);
    write_value("b", 0, 2);
    storage_step();
    v = storage_find("a", &disk);
    fake_disk_data(0)[v->maps[0] * 4096ull + 100] ^= 1;
    power_cut();
    /* The journal brought the block home again: what it has is whole. */
    assert_int_equal(storage_disk(0)->state, DISK_ONLINE);
    v = storage_find("a", &disk);
    fake_disk_data(0)[v->maps[0] * 4096ull + 100] ^= 1;
    power_cut();
    assert_int_equal(storage_disk(0)->state, DISK_DAMAGED);
    assert_int_equal(storage_open("a"), -SKEP_EIO);
    assert_true(storage_open("b") > 0);
    assert_int_equal(fake_volume_read("b", 0), 2);
    assert_false(fake_volume_write("b", 0, 3)); /* read-only */
    assert_int_equal(make("c", 1, false, &p), -1);
    assert_int_equal(delete ("b", &p), -1);
    assert_int_equal(p.status, 409);
}

/*
 * Whole volumes
 */

static void write_all(const char *name, uint32_t count, uint8_t first)
{
    uint8_t *data = malloc(CHUNK);
    struct storage_stream stream;
    struct problem p;

    assert_int_equal(storage_stream_begin(&stream, name, true, &p), 0);
    for (uint32_t n = 0; n < count; n++) {
        memset(data, n % 5 ? first + (int)n : 0, CHUNK);
        assert_int_equal(storage_stream_write(&stream, n, data), 0);
    }
    assert_int_equal(storage_stream_end(&stream), 0);
    free(data);
}

static void assert_all(const char *name, uint32_t count, uint8_t first)
{
    uint8_t *data = malloc(CHUNK);
    struct storage_stream stream;
    struct problem p;

    assert_int_equal(storage_stream_begin(&stream, name, false, &p), 0);
    for (uint32_t n = 0; n < count; n++) {
        assert_int_equal(storage_stream_read(&stream, n, data), 0);
        assert_int_equal(data[0], n % 5 ? (uint8_t)(first + n) : 0);
        assert_memory_equal(data, data + 1, CHUNK - 1);
    }
    assert_int_equal(storage_stream_end(&stream), 0);
    free(data);
}

static void test_whole_volumes(void **state)
{
    struct storage_stream stream;
    struct problem p;

    (void)state;
    assert_int_equal(make("a", 200, false, &p), 201);
    write_all("a", 200, 1);
    assert_clean(160);
    assert_int_equal(copy("snap", "a", true, &p), 201);
    write_all("a", 200, 2);
    power_cut();
    assert_all("a", 200, 2);
    assert_all("snap", 200, 1);
    assert_int_equal(storage_stream_begin(&stream, "snap", true, &p), -1);
    assert_int_equal(storage_stream_begin(&stream, "none", false, &p), -1);
    assert_int_equal(p.status, 404);
    assert_int_equal(storage_stream_begin(&stream, "a", false, &p), 0);
    assert_int_equal(delete ("a", &p), -1);
    assert_int_equal(format(0, true, &p), -1);
    assert_int_equal(storage_open("a"), -SKEP_EBUSY);
    storage_stream_end(&stream);
    open_for_guest("a");
    assert_int_equal(storage_stream_begin(&stream, "a", false, &p), -1);
    assert_int_equal(p.status, 409);
    open_for_guest("snap");
    assert_all("snap", 200, 1);
    assert_clean(320);
    assert_nothing_lost();
}

static void test_whole_volume_on_a_failing_disk(void **state)
{
    uint8_t *data = malloc(CHUNK);
    struct storage_stream stream;
    struct problem p;

    (void)state;
    memset(data, 1, CHUNK);
    assert_int_equal(make("a", 10, false, &p), 201);
    assert_int_equal(storage_stream_begin(&stream, "a", true, &p), 0);
    assert_int_equal(storage_stream_write(&stream, 0, data), 0);
    fake_disk_fail(0);
    assert_int_equal(storage_stream_write(&stream, 1, data), -SKEP_EIO);
    assert_int_not_equal(storage_stream_end(&stream), 0);
    assert_int_equal(storage_disk(0)->state, DISK_FAILED);
    assert_int_equal(storage_stream_begin(&stream, "a", false, &p), -1);
    free(data);
}

static void test_whole_volume_on_a_full_disk(void **state)
{
    uint32_t all = storage_disk(0)->volumes->super.chunk_count, n = 0;
    uint8_t *data = malloc(CHUNK);
    struct storage_stream stream, asked;
    struct problem p;
    int result = 0;

    (void)state;
    memset(data, 1, CHUNK);
    assert_int_equal(make("a", all + 10, true, &p), 201);
    assert_int_equal(storage_stream_foresee(&asked, "a", all, &p), 0);
    assert_int_equal(storage_stream_foresee(&asked, "a", all + 1, &p), -1);
    assert_int_equal(p.status, 409);
    assert_int_equal(storage_stream_begin(&stream, "a", true, &p), 0);
    assert_int_equal(storage_stream_foresee(&asked, "a", 0, &p), -1); /* it is being written */
    while (result == 0)
        result = storage_stream_write(&stream, n++, data);
    assert_int_equal(result, -SKEP_ENOSPC);
    assert_int_equal(n, all + 1);
    assert_int_equal(storage_stream_end(&stream), 0);
    /* What the volume has comes back as it is written anew. */
    assert_int_equal(storage_stream_foresee(&asked, "a", all, &p), 0);
    assert_int_equal(storage_stream_foresee(&asked, "a", all + 1, &p), -1);
    assert_clean(all);
    assert_nothing_lost();
    free(data);
}

/*
 * Guests' volumes
 */

static int read_spec(struct spec *spec, const char *volumes, struct problem *p)
{
    char text[1024];
    cJSON *json;
    int result;

    snprintf(text, sizeof(text), "{\"image\":\"img\",\"args\":[\"x\"],\"volumes\":%s}", volumes);
    json = json_parse(text, strlen(text), p);
    assert_non_null(json);
    result = spec_from_json(spec, json, "web", p);
    cJSON_Delete(json);
    return result;
}

static void test_specs(void **state)
{
    static const char *const wrong[] = {
        "{}",
        "[1]",
        "[{}]",
        "[{\"name\":\"A\"}]",
        "[{\"name\":\"a\",\"size\":1}]",
        "[{\"name\":\"a\",\"read_only\":1}]",
        "[{\"name\":\"a\",\"mount\":\"data\"}]",
        "[{\"name\":\"a\",\"mount\":\"/a:b\"}]",
        "[{\"name\":\"a\",\"mount\":\"/a/../b\"}]",
        "[{\"name\":\"a\",\"mount\":\"/a/.\"}]",
        "[{\"name\":\"a\",\"mount\":\"/a/\"}]",
        "[{\"name\":\"a\",\"format\":true}]",
        "[{\"name\":\"a\",\"mount\":\"/a\",\"read_only\":true,\"format\":true}]",
        "[{\"name\":\"a\"},{\"name\":\"a\"}]",
        "[{\"name\":\"a\",\"mount\":\"/a\"},{\"name\":\"b\",\"mount\":\"/a\"}]",
    };
    char text[2 * SPEC_STRINGS_MAX];
    struct spec spec, again;
    struct problem p;
    cJSON *json;

    (void)state;
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_int_equal(read_spec(&spec, wrong[i], &p), -1);
    assert_int_equal(read_spec(&spec, "[]", &p), 0);
    assert_int_equal(spec_mounts_text(&spec, text, sizeof(text)), 0);
    assert_int_equal(
        read_spec(&spec,
                  "[{\"name\":\"db\",\"mount\":\"/data\",\"format\":true},{\"name\":"
                  "\"raw\"},{\"name\":\"w\",\"mount\":\"/srv/..www\",\"read_only\":true}]",
                  &p),
        0);
    assert_int_equal(spec_mounts_text(&spec, text, sizeof(text)), 44);
    assert_string_equal(text, "SKEP_MOUNTS=db:/data:format,w:/srv/..www:ro");
    assert_int_equal(spec_env_bytes(&spec), 2);
    json = spec_to_json(&spec);
    assert_int_equal(spec_from_json(&again, json, "web", &p), 0);
    cJSON_Delete(json);
    assert_int_equal(spec_compare(&spec, &again), SPEC_SAME);
}

static void start_model(void)
{
    uint8_t data[TEST_ELF_MAX];
    struct problem p;
    struct image *image;

    host_set_cpus(FAKE_CPUS);
    guest_adopt_all(false, false, FAKE_RECORDS);
    image = image_build("img", data, test_elf(data), &p);
    assert_non_null(image);
    assert_int_equal(image_publish(image, &p), 0);
}

static int put_guest(const char *name, const char *volumes, struct problem *p)
{
    const struct files none = {0};
    enum guest_change change;
    struct spec spec;

    return read_spec(&spec, volumes, p) == 0 ? guest_put(name, &spec, &none, &change, p) : -1;
}

static void test_guests(void **state)
{
    struct problem p;

    (void)state;
    start_model();
    assert_int_equal(put_guest("web", "[{\"name\":\"db\"}]", &p), -1);
    assert_int_equal(p.status, 422);
    assert_int_equal(make("db", 10, false, &p), 201);
    assert_int_equal(copy("snap", "db", true, &p), 201);
    assert_int_equal(put_guest("web", "[{\"name\":\"snap\"}]", &p), -1);
    assert_int_equal(p.status, 422);
    assert_int_equal(put_guest("web",
                               "[{\"name\":\"db\",\"mount\":\"/data\"},{\"name\":\"snap\","
                               "\"read_only\":true}]",
                               &p),
                     201);
    assert_int_equal(fake_volume_status("db")->users, 1);
    assert_int_equal(fake_volume_status("snap")->users, 1);
    assert_int_equal(put_guest("other", "[{\"name\":\"db\"}]", &p), -1);
    assert_int_equal(p.status, 409);
    assert_non_null(strstr(p.detail, "volume"));
    write_value("db", 3, 3);
    assert_int_equal(delete ("db", &p), -1);
    for (unsigned i = 0; guest_find("web") && i < 1000; i++) {
        guest_delete(guest_find("web"), &p);
        fake_skip(5000000);
    }
    assert_null(guest_find("web"));
    assert_int_equal(delete ("db", &p), 204);
    image_forget_all();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int run_volume_tests(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_foreign_disks),
        TEST(test_small_disk),
        TEST(test_writes_survive),
        TEST(test_restart_of_the_service),
        TEST(test_restart_before_the_commit),
        TEST(test_snapshot_of_a_running_guest),
        TEST(test_in_use),
        TEST(test_full_disk),
        TEST(test_resize_and_limits),
        TEST(test_failing_disk),
        TEST(test_damaged_disk),
        TEST(test_whole_volumes),
        TEST(test_whole_volume_on_a_full_disk),
        TEST(test_whole_volume_on_a_failing_disk),
        TEST(test_specs),
        TEST(test_guests),
    };
    return cmocka_run_group_tests_name("volumes", tests, NULL, NULL);
}
