/* test_operations.c - full copies of volumes as operations: their results, ends before the time, and what is left then. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "operations.h"
#include "test/boots.h"
#include "test/client.h"
#include "test/fake.h"
#include "test/people.h"
#include "test_control.h"

#define DISK_BYTES (64ull << 20)
#define CHUNK      65536ull
/* Its copy runs until it is cancelled: two million steps. */
#define VAST    "{\"size_bytes\":137438953472,\"disk\":\"0\",\"overcommit\":true}"
#define OF_VAST "{\"copy_of\":\"vast\",\"overcommit\":true}"

static int setup(void **state)
{
    struct problem p;

    people_setup(state);
    storage_forget();
    fake_disk_add(NULL, DISK_BYTES);
    storage_start();
    events_start();
    return storage_format(storage_disk(1), false, &p) == 200 ? 0 : -1;
}

static int teardown(void **state)
{
    operations_forget();
    events_stop();
    return people_teardown(state);
}

/* Nothing is on a disk but this, and no chunk is lost. */
static void assert_disk(uint32_t index, uint32_t volumes, uint32_t chunks_used)
{
    const struct usage *u = &storage_disk(index)->volumes->chunks;
    struct fsck_result r = boots_disk_found(index);

    assert_int_equal(r.volumes + r.snapshots, volumes);
    assert_int_equal(r.chunks_used, chunks_used);
    assert_int_equal(u->taken_count, 0);
    assert_int_equal(u->free_count + chunks_used, u->count);
}

/* Writes a whole volume of one chunk. */
static void fill(const char *path, int value)
{
    char fields[128];
    uint8_t *data = malloc(CHUNK);

    memset(data, value, CHUNK);
    snprintf(fields, sizeof(fields), "Authorization: Bearer %s\r\n", BOOT);
    assert_int_equal(client_send("PUT", path, fields, data, CHUNK), 200);
    free(data);
}

/* What the volume's data begin with; 0 for none. */
static int first_byte(const char *path)
{
    const char *chunk;

    assert_int_equal(people_admin("GET", path, NULL), 200);
    chunk = strstr(client_body(), "\r\n");
    assert_non_null(chunk);
    return (unsigned char)chunk[2];
}

/* Begins a copy by this token: the path of its operation. */
static void begin(const char *token, const char *path, const char *body, char operation[64])
{
    const char *location;

    assert_int_equal(client_call(token, "PUT", path, body), 202);
    location = strstr(client_answer(), "Location: /v1/operations/");
    assert_non_null(location);
    assert_int_equal(sscanf(location, "Location: %63s", operation), 1);
}

static void assert_end(const char *operation, const char *state)
{
    char path[80], text[32];

    snprintf(path, sizeof(path), "%s?wait=60", operation);
    snprintf(text, sizeof(text), "\"state\":\"%s\"", state);
    assert_int_equal(people_admin("GET", path, NULL), 200);
    if (!strstr(client_body(), text))
        fail_msg("not %s: %s", state, client_body());
}

/* Of volumes, in their order: their types, each followed by a space. */
static void assert_events(const char *volume, const char *types)
{
    char found[256] = "";
    struct event e;

    for (uint64_t at = 0; events_read(at, &e) > 0; at = e.number)
        if (strcmp(e.name, volume) == 0)
            snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s ", e.type);
    assert_string_equal(found, types);
}

static void test_copy(void **state)
{
    char operation[64];

    (void)state;
    fill("/v1/volumes/db/data", 7);
    begin(people_operator, "/v1/volumes/twin",
          "{\"copy_of\":\"db\",\"disk\":\"1\",\"size_bytes\":196608}", operation);
    assert_end(operation, "done");
    assert_non_null(strstr(client_body(), "\"result\":\"/v1/volumes/twin\""));
    assert_non_null(strstr(client_body(), "\"done_bytes\":65536,\"total_bytes\":65536"));
    assert_non_null(strstr(client_body(), "\"caller\":\"hand "));
    fill("/v1/volumes/db/data", 8);
    assert_int_equal(first_byte("/v1/volumes/twin/data"), 7);
    assert_int_equal(first_byte("/v1/volumes/db/data"), 8);
    assert_int_equal(people_admin("GET", "/v1/volumes/twin", NULL), 200);
    assert_non_null(strstr(client_body(), "\"state\":\"online\""));
    assert_non_null(strstr(client_body(), "\"disk\":\"1\",\"size_bytes\":196608,\"copy_of\":null"));
    assert_disk(0, 2, 1);
    assert_disk(1, 1, 1);
    assert_events("twin", "created copying copied ");
    assert_int_equal(people_admin("GET", "/v1/audit", NULL), 200);
    assert_non_null(strstr(client_body(), "\"END\""));
    assert_int_equal(people_admin("DELETE", operation, NULL), 409);
}

static void test_refused(void **state)
{
    static const struct {
        const char *body;
        int status;
    } cases[] = {
        {"{\"copy_of\":\"none\"}", 422},
        {"{\"copy_of\":\"db\",\"clone_of\":\"db\"}", 422},
        {"{\"copy_of\":\"db\",\"size_bytes\":4096}", 422},
        {"{\"copy_of\":\"db\",\"disk\":\"7\"}", 422},
        {"{\"copy_of\":\"db\",\"size_bytes\":137438953472}", 409},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_int_equal(people_admin("PUT", "/v1/volumes/new", cases[i].body), cases[i].status);
    assert_int_equal(people_admin("PUT", "/v1/volumes/db", "{\"copy_of\":\"ci-db\"}"), 409);
    assert_int_equal(people_admin("PUT", "/v1/volumes/new?dry_run=true", "{\"copy_of\":\"db\"}"),
                     200);
    assert_non_null(strstr(client_body(), "\"change\":\"created\""));
    assert_int_equal(people_admin("GET", "/v1/operations", NULL), 200);
    assert_non_null(strstr(client_body(), "{\"items\":[]}"));
    assert_disk(0, 2, 0);
}

/* What is being made is nobody's yet; its source is everybody's as before. */
static void test_meanwhile(void **state)
{
    static const char *const bodies[] = {"{\"clone_of\":\"new\"}", "{\"snapshot_of\":\"new\"}",
                                         "{\"copy_of\":\"new\"}", "{\"copy_of\":\"copy-1\"}"};
    char operation[64];

    (void)state;
    assert_int_equal(people_admin("PUT", "/v1/volumes/vast", VAST), 201);
    begin(BOOT, "/v1/volumes/new", OF_VAST, operation);
    assert_int_equal(people_admin("GET", "/v1/volumes/new", NULL), 200);
    assert_non_null(strstr(client_body(), "\"state\":\"copying\""));
    assert_int_equal(people_admin("GET", "/v1/volumes/new/data", NULL), 409);
    assert_int_equal(people_admin("GET", "/v1/volumes/copy-1/data", NULL), 409);
    assert_int_equal(people_admin("PATCH", "/v1/volumes/new", "{\"limits\":{\"iops\":1}}"), 409);
    assert_int_equal(people_admin("DELETE", "/v1/volumes/new", NULL), 409);
    assert_int_equal(people_admin("DELETE", "/v1/volumes/copy-1", NULL), 409);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(people_admin("PUT", "/v1/volumes/other", bodies[i]), 409);
    storage_lock();
    assert_int_equal(storage_open("new"), -SKEP_EBUSY);
    assert_int_equal(storage_open("copy-1"), -SKEP_EBUSY);
    storage_unlock();
    assert_int_equal(people_admin("DELETE", "/v1/volumes/vast", NULL), 204);
    assert_int_equal(people_admin("DELETE", operation, NULL), 202);
    assert_end(operation, "cancelled");
    assert_int_equal(people_admin("GET", "/v1/volumes/new", NULL), 404);
    assert_disk(0, 2, 0);
    assert_events("new", "created copying deleted copy-cancelled ");
}

static void test_most(void **state)
{
    char operations[OPERATIONS_RUNNING_MAX][64], path[80];

    (void)state;
    assert_int_equal(people_admin("PUT", "/v1/volumes/vast", VAST), 201);
    for (unsigned i = 0; i < OPERATIONS_RUNNING_MAX; i++) {
        snprintf(path, sizeof(path), "/v1/volumes/new-%u", i);
        begin(BOOT, path, OF_VAST, operations[i]);
    }
    assert_int_equal(people_admin("PUT", "/v1/volumes/more", "{\"copy_of\":\"db\"}"), 503);
    assert_non_null(strstr(client_answer(), "Retry-After: "));
    for (unsigned i = 0; i < OPERATIONS_RUNNING_MAX; i++) {
        assert_int_equal(people_admin("DELETE", operations[i], NULL), 202);
        assert_end(operations[i], "cancelled");
    }
    begin(BOOT, "/v1/volumes/more", "{\"copy_of\":\"db\",\"overcommit\":true}", operations[0]);
    assert_end(operations[0], "done");
    assert_disk(0, 4, 0);
}

/* Only the latest are kept. */
static void test_kept(void **state)
{
    char first[64], latest[64];
    unsigned count = 0;

    (void)state;
    begin(BOOT, "/v1/volumes/new", "{\"copy_of\":\"db\"}", first);
    assert_end(first, "done");
    for (unsigned i = 0; i < OPERATIONS_KEPT; i++) {
        assert_int_equal(people_admin("GET", first, NULL), 200);
        assert_int_equal(people_admin("DELETE", "/v1/volumes/new", NULL), 204);
        begin(BOOT, "/v1/volumes/new", "{\"copy_of\":\"db\"}", latest);
        assert_end(latest, "done");
    }
    assert_int_equal(people_admin("GET", first, NULL), 404);
    assert_int_equal(people_admin("GET", "/v1/operations", NULL), 200);
    for (const char *at = client_body(); (at = strstr(at, "\"kind\":\"copy\"")) != NULL; at++)
        count++;
    assert_int_equal(count, OPERATIONS_KEPT);
    assert_non_null(strstr(client_body(), strrchr(latest, '/') + 1));
}

static void test_scope(void **state)
{
    char operation[64], own[64];

    (void)state;
    assert_int_equal(people_admin("PUT", "/v1/volumes/vast", VAST), 201);
    assert_int_equal(client_call(people_scoped, "PUT", "/v1/volumes/ci-x", "{\"copy_of\":\"db\"}"),
                     422);
    begin(BOOT, "/v1/volumes/new", OF_VAST, operation);
    assert_int_equal(client_call(people_scoped, "GET", operation, NULL), 404);
    assert_int_equal(client_call(people_scoped, "DELETE", operation, NULL), 404);
    assert_int_equal(client_call(people_viewer, "DELETE", operation, NULL), 403);
    begin(people_scoped, "/v1/volumes/ci-x", "{\"copy_of\":\"ci-db\",\"overcommit\":true}", own);
    assert_end(own, "done");
    assert_int_equal(client_call(people_scoped, "GET", "/v1/operations", NULL), 200);
    assert_non_null(strstr(client_body(), strrchr(own, '/') + 1));
    assert_null(strstr(client_body(), strrchr(operation, '/') + 1));
    assert_null(strstr(client_body(), "ci-bot"));
}

/* A wait ends with its time. */
static void test_wait(void **state)
{
    char operation[64], path[80];

    (void)state;
    assert_int_equal(people_admin("PUT", "/v1/volumes/vast", VAST), 201);
    begin(BOOT, "/v1/volumes/new", OF_VAST, operation);
    snprintf(path, sizeof(path), "%s?wait=1", operation);
    assert_int_equal(people_admin("GET", path, NULL), 200);
    assert_non_null(strstr(client_body(), "\"state\":\"running\""));
    snprintf(path, sizeof(path), "%s?wait=61", operation);
    assert_int_equal(people_admin("GET", path, NULL), 400);
    operations_forget();
    assert_int_equal(people_admin("GET", operation, NULL), 404);
}

/*
 * Disks that end it
 */

static void test_full_disk(void **state)
{
    uint32_t all = storage_disk(1)->volumes->super.chunk_count;
    char operation[64];

    (void)state;
    fill("/v1/volumes/db/data", 7);
    storage_lock();
    for (uint32_t chunk, i = 0; i < all; i++)
        assert_int_equal(volumes_take(storage_disk(1)->volumes, 1, &chunk), 1);
    storage_unlock();
    begin(BOOT, "/v1/volumes/new", "{\"copy_of\":\"db\",\"disk\":\"1\"}", operation);
    assert_end(operation, "failed");
    assert_non_null(strstr(client_body(), "\"error\":{\"type\":\"about:blank\""));
    assert_non_null(strstr(client_body(), "\"status\":409"));
    assert_int_equal(people_admin("GET", "/v1/volumes/new", NULL), 404);
    assert_disk(0, 2, 1);
    assert_events("new", "created copying deleted copy-failed ");
}

static void test_failing_disk(void **state)
{
    const struct storage_wish wish = {
        .name = "new", .source = "db", .full = true, .disk = storage_disk(1)};
    struct storage_copy copy;
    struct problem p;
    uint64_t at = 0;

    (void)state;
    fill("/v1/volumes/db/data", 7);
    assert_int_equal(storage_copy_begin(&copy, &wish, &p), 202);
    fake_disk_fail(1);
    assert_int_equal(storage_copy_step(&copy, &at), -SKEP_EIO);
    assert_int_equal(at, 0);
    storage_copy_end(&copy, true);
    assert_disk(0, 2, 1);
}

/*
 * Starts anew
 */

/* A guest goes on with the source: the copy is of one moment. And the service ends before the copy does. */
static void test_restart(void **state)
{
    const struct storage_wish wish = {.name = "new", .source = "big", .full = true};
    struct storage_copy copy;
    struct problem p;
    uint64_t at = 0;

    (void)state;
    assert_int_equal(
        people_admin("PUT", "/v1/volumes/big", "{\"size_bytes\":655360,\"disk\":\"0\"}"), 201);
    assert_true(storage_open("big") > 0);
    fake_volume_use("big", 1);
    storage_step();
    assert_true(fake_volume_write("big", 0, 1) && fake_volume_write("big", 9, 1));
    for (unsigned round = 0; round < 3; round++) {
        at = 0;
        assert_int_equal(storage_copy_begin(&copy, &wish, &p), 202);
        storage_step();
        assert_true(fake_volume_write("big", 9, 2 + round));
        for (unsigned i = 0; i < 10 && round != 1; i++)
            assert_int_equal(storage_copy_step(&copy, &at), 0);
        if (round == 2) {
            assert_int_equal(at, 655360);
            assert_int_equal(storage_copy_end(&copy, false), 0);
            continue;
        }
        free(copy.data);
        free(copy.to.changes);
        storage_forget();
        storage_start();
        assert_int_equal(people_admin("GET", "/v1/volumes/new", NULL), 404);
        assert_int_equal(people_admin("GET", "/v1/volumes/copy-1", NULL), 404);
    }
    assert_true(storage_open("new") > 0);
    assert_int_equal(fake_volume_read("new", 0), 1);
    assert_int_equal(fake_volume_read("new", 9), 3);
    fake_volumes_power_cut();
    storage_forget();
    storage_start();
    assert_disk(0, 4, 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_copy),         TEST(test_refused), TEST(test_meanwhile), TEST(test_most),
        TEST(test_kept),         TEST(test_scope),   TEST(test_wait),      TEST(test_full_disk),
        TEST(test_failing_disk), TEST(test_restart),
    };
    return cmocka_run_group_tests_name("operations", tests, NULL, NULL);
}
