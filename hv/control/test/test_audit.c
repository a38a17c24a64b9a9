/* test_audit.c - the audit trail: its records, their chain, and what power cuts and damage leave of both. */
#include "audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit_log.h"
#include "hex.h"
#include "persist.h"
#include "skep/abi.h"
#include "skep_tls.h"
#include "state.h"
#include "test/fake.h"
#include "test/ram_disk.h"
#include "test_control.h"

#define DISK_BYTES (2u << 20)
#define LOG_BLOCKS (DISK_BYTES / BDEV_BLOCK / 16)
#define LOG_MOST   ((LOG_BLOCKS - 1) * AUDIT_SLOTS)

static int setup(void **state)
{
    (void)state;
    fake_set_disk(NULL, DISK_BYTES);
    fake_start("", "");
    persist_start(false, true);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    persist_stop();
    fake_set_disk(NULL, 0);
    return 0;
}

static void cold_boot(void)
{
    persist_stop();
    fake_start("", "");
    persist_start(false, true);
}

static cJSON *object_of(const char *text)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "text", text);
    return json;
}

/* A call that keeps a value, or deletes it, and is answered with a status. */
static int call(const char *name, const char *value, int expected, int status)
{
    struct audit_call c = {.method = value ? "PUT" : "DELETE", .caller = "admin 10.0.2.2"};
    struct problem p;
    int result;

    snprintf(c.path, sizeof(c.path), "/v1/%s", name);
    audit_begin(&c);
    audit_expect(expected);
    audit_before(cJSON_Parse("{\"text\":\"before\"}"));
    audit_after(value ? object_of(value) : NULL);
    result = value ? persist_put(name, value, strlen(value), &p) : persist_delete(name, &p);
    audit_end(&c, result == 0 ? status : p.status);
    return result;
}

static cJSON *read_page(uint64_t after, uint32_t limit)
{
    return audit_to_json(after, limit);
}

static uint64_t number(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);

    assert_non_null(item);
    /* Integers are raw in what we make. */
    return item->valuestring ? strtoull(item->valuestring, NULL, 10) : (uint64_t)item->valuedouble;
}

static const char *text(const cJSON *json, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
}

/* What is JSON itself; NULL = null. */
static const char *raw(const cJSON *json, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(json, name)->valuestring;
}

static const cJSON *item(const cJSON *page, int index)
{
    return cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(page, "items"), index);
}

static bool is_valid(const cJSON *page)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(page, "valid"));
}

static void assert_extent(uint64_t first, uint64_t last)
{
    struct audit_extent extent;

    audit_extent(&extent);
    assert_int_equal(extent.first, first);
    assert_int_equal(extent.last, last);
}

/* All pages, one after the other. */
static bool is_all_valid(void)
{
    struct audit_extent extent;
    bool valid = true;

    audit_extent(&extent);
    for (uint64_t at = 0; at < extent.last; at = at < extent.first ? extent.first + 6 : at + 7) {
        cJSON *page = read_page(at, 7);
        valid &= is_valid(page);
        cJSON_Delete(page);
    }
    return valid;
}

/* What a client that has only the document can do. */
static void check_digest(const cJSON *record)
{
    static const char *const names[] = {
        "time",        "method", "path",     "caller", "status", "value", "value_before",
        "value_after", "detail", "previous", "before", "after",  "cut"};
    char all[8192], expected[65];
    uint8_t digest[32];
    int n = snprintf(all, sizeof(all), "%lu\n", (unsigned long)number(record, "id"));

    for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const cJSON *field = cJSON_GetObjectItemCaseSensitive(record, names[i]);
        n += snprintf(all + n, sizeof(all) - (size_t)n, "%s\n",
                      cJSON_IsNull(field) ? "" : field->valuestring);
    }
    tls_sha512_half(all, (size_t)n, digest);
    hex_format(expected, digest, sizeof(digest));
    assert_string_equal(text(record, "digest"), expected);
}

static void test_records(void **state)
{
    uint8_t digest[STATE_DIGEST];
    char expected[2 * STATE_DIGEST + 1];
    cJSON *page;

    (void)state;
    page = read_page(0, 10);
    assert_int_equal(number(page, "last"), 0);
    assert_true(is_valid(page));
    assert_null(item(page, 0));
    cJSON_Delete(page);
    call("guests/web", "one", 201, 201);
    call("guests/web", "two", 200, 200);
    call("guests/web", NULL, 202, 204);
    audit_note("PUT", "/v1/volumes/db", "4096 bytes", 409);
    for (int boot = 0; boot < 2; boot++) {
        page = read_page(0, 10);
        assert_true(is_valid(page));
        assert_string_equal(text(page, "kept"), "disk");
        assert_int_equal(number(page, "last"), 4);
        assert_string_equal(text(item(page, 0), "path"), "/v1/guests/web");
        assert_string_equal(text(item(page, 0), "caller"), "admin 10.0.2.2");
        assert_int_equal(number(item(page, 0), "status"), 201);
        assert_null(text(item(page, 0), "value_before"));
        assert_string_equal(text(item(page, 0), "value_after"),
                            text(item(page, 1), "value_before"));
        state_digest_of("two", 3, digest);
        hex_format(expected, digest, sizeof(digest));
        assert_string_equal(text(item(page, 1), "value_after"), expected);
        assert_null(text(item(page, 2), "value_after"));
        assert_int_equal(number(item(page, 3), "status"), 409);
        assert_null(text(item(page, 3), "value"));
        assert_string_equal(raw(item(page, 1), "before"), "{\"text\":\"before\"}");
        assert_string_equal(raw(item(page, 1), "after"), "{\"text\":\"two\"}");
        assert_null(raw(item(page, 2), "after"));
        assert_null(raw(item(page, 3), "before"));
        assert_string_equal(text(item(page, 3), "digest"), text(page, "head"));
        for (int i = 0; i < 4; i++)
            check_digest(item(page, i));
        cJSON_Delete(page);
        cold_boot();
    }
    page = read_page(2, 1);
    assert_int_equal(number(item(page, 0), "id"), 3);
    assert_null(item(page, 1));
    cJSON_Delete(page);
    page = read_page(UINT64_MAX, AUDIT_PAGE_MAX);
    assert_null(item(page, 0));
    cJSON_Delete(page);
}

/* What is refused after its change was kept, what changes nothing, and what is refused from the start. */
static void test_outcomes(void **state)
{
    struct audit_call idle = {.method = "PUT", .path = "/v1/guests/web"};
    cJSON *page;

    (void)state;
    call("guests/web", "one", 201, 409);
    audit_begin(&idle);
    audit_idle();
    audit_end(&idle, 200);
    audit_begin(&idle);
    audit_end(&idle, 422);
    page = read_page(0, 10);
    assert_int_equal(number(page, "last"), 3);
    assert_int_equal(number(item(page, 1), "status"), 409);
    assert_string_equal(text(item(page, 1), "detail"), "the change of record 1 is undone");
    assert_int_equal(number(item(page, 2), "status"), 422);
    cJSON_Delete(page);
}

/* A value with members of these sizes, which can't be the record's as it is. */
static cJSON *large(size_t a, size_t b, size_t of_guest)
{
    static char text[70000];
    cJSON *json = cJSON_CreateObject(), *guests = cJSON_AddObjectToObject(json, "guests");

    memset(text, 'x', sizeof(text) - 1);
    cJSON_AddStringToObject(json, "a", text + sizeof(text) - 1 - a);
    cJSON_AddStringToObject(json, "b", text + sizeof(text) - 1 - b);
    for (unsigned i = 0; i < 20; i++) {
        char name[8];
        snprintf(name, sizeof(name), "g%u", i);
        cJSON_AddStringToObject(cJSON_AddObjectToObject(guests, name), "c",
                                text + sizeof(text) - 1 - of_guest);
    }
    return json;
}

/* What is too large is cut, and said so; of what isn't done nothing is said. */
static void test_values(void **state)
{
    static const struct {
        size_t a, b, of_guest;
        const char *cut, *rest; /* of the rest: its beginning, NULL = there is none */
    } cases[] = {
        {10, 10, 1, NULL, "{\"guests\":{\"g0\":{\"c\":\"x\"}"},
        {60000, 10, 1, "[\"before.a\"]", "{\"guests\":{"},
        {3000, 60000, 1, "[\"before.b\",\"before.a\"]", "{\"guests\":{\"g0\""},
        {10, 10, 90, "[\"before.guests.g19\",\"before.guests.g18\",", "{\"guests\":{\"g0\""},
        {10, 10, 3000, "[\"before\"]", NULL},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        for (int status = 200; status <= 409; status += 209) {
            struct audit_call c = {.method = "PUT", .path = "/v1/apps/shop", .caller = "x"};
            struct audit_extent extent;
            cJSON *page;
            audit_begin(&c);
            audit_before(large(cases[i].a, cases[i].b, cases[i].of_guest));
            audit_after(cJSON_Parse("{\"a\":1}"));
            audit_end(&c, status);
            audit_extent(&extent);
            page = read_page(extent.last - 1, 1);
            check_digest(item(page, 0));
            if (status == 409 || !cases[i].rest)
                assert_null(raw(item(page, 0), "before"));
            else
                assert_int_equal(
                    strncmp(raw(item(page, 0), "before"), cases[i].rest, strlen(cases[i].rest)), 0);
            if (status == 409 || !cases[i].cut)
                assert_null(raw(item(page, 0), "cut"));
            else
                assert_int_equal(
                    strncmp(raw(item(page, 0), "cut"), cases[i].cut, strlen(cases[i].cut)), 0);
            assert_true(status == 409 || strcmp(raw(item(page, 0), "after"), "{\"a\":1}") == 0);
            cJSON_Delete(page);
        }
    }
    assert_true(is_all_valid());
    cold_boot();
    assert_true(is_all_valid());
}

/* A call with a value of so many bytes. */
static void note_value(size_t bytes)
{
    struct audit_call c = {.method = "PUT", .path = "/v1/volumes/db", .caller = "x"};
    char value[AUDIT_VALUE_MAX];

    memset(value, 'v', bytes);
    value[bytes] = '\0';
    audit_begin(&c);
    audit_before(object_of(value));
    audit_after(object_of(value));
    audit_end(&c, 200);
}

/* Records of one to eight sectors: as many as fit are kept, wherever it goes on after a boot. */
static void test_rotation_of_values(void **state)
{
    struct audit_extent extent;
    uint64_t first = 1;

    (void)state;
    for (unsigned i = 1; i <= 5 * LOG_BLOCKS; i++) {
        note_value(i * 397 % (AUDIT_VALUE_MAX - 20));
        audit_extent(&extent);
        assert_int_equal(extent.last, i);
        assert_true(extent.first >= first && extent.last - extent.first + 1 <= LOG_MOST);
        assert_true(i < LOG_BLOCKS - 1 || extent.last - extent.first + 1 >= LOG_BLOCKS - 1);
        first = extent.first;
        if (i % 23 == 0) {
            cold_boot();
            assert_extent(first, i);
            assert_true(is_all_valid());
        }
    }
    assert_true(first > 1);
}

/* An answer has not more bytes than it may, and a client that goes on gets them all. */
static void test_long_pages(void **state)
{
    uint64_t at = 0;
    unsigned pages = 0;
    struct audit_extent extent;

    (void)state;
    for (unsigned i = 0; i < LOG_BLOCKS - 1; i++)
        note_value(AUDIT_VALUE_MAX - 20);
    audit_extent(&extent);
    for (; at < extent.last; pages++) {
        cJSON *page = read_page(at, AUDIT_PAGE_MAX);
        int count = cJSON_GetArraySize(cJSON_GetObjectItem(page, "items"));
        assert_true(is_valid(page) && count > 0);
        assert_true(count * 3200u < AUDIT_PAGE_BYTES + BDEV_BLOCK);
        at = number(item(page, count - 1), "id");
        cJSON_Delete(page);
    }
    assert_int_equal(pages, 1 + (LOG_BLOCKS - 1) * 3300u / AUDIT_PAGE_BYTES);
}

/* What a change costs the disk, with its record or without. */
static void measure(const char *value, bool recorded, unsigned *writes, unsigned *flushes)
{
    struct ram_disk *disk = fake_disk();
    struct problem p;

    persist_put("guests/a", "x", 1, &p);
    disk->writes = disk->flushes = 0;
    if (recorded)
        assert_int_equal(call("guests/a", value, 200, 200), 0);
    else if (value)
        assert_int_equal(persist_put("guests/a", value, strlen(value), &p), 0);
    else
        assert_int_equal(persist_delete("guests/a", &p), 0);
    *writes = disk->writes;
    *flushes = disk->flushes;
}

static void test_cost(void **state)
{
    static const char *const values[] = {"y", NULL};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        unsigned writes[2], flushes[2];
        measure(values[i], false, &writes[0], &flushes[0]);
        measure(values[i], true, &writes[1], &flushes[1]);
        print_message("%s: %u writes, %u flushes; with its record %u, %u\n",
                      values[i] ? "put" : "delete", writes[0], flushes[0], writes[1], flushes[1]);
        assert_int_equal(writes[1], writes[0] + 1);
        assert_int_equal(flushes[1], flushes[0]);
    }
}

static void test_rotation(void **state)
{
    char detail[16];
    unsigned last = 0;

    (void)state;
    for (unsigned count = 1; count < 3 * LOG_MOST; count += 61) {
        uint64_t first;
        for (; last < count; last++) {
            snprintf(detail, sizeof(detail), "%u", last + 1);
            audit_note("PUT", "/v1/host", detail, 200);
        }
        first = last <= LOG_MOST
                    ? 1
                    : (last - LOG_MOST + AUDIT_SLOTS - 1) / AUDIT_SLOTS * AUDIT_SLOTS + 1;
        assert_extent(first, last);
        assert_true(is_all_valid());
        cold_boot();
        assert_extent(first, last);
        assert_true(is_all_valid());
    }
}

static void fill(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        audit_note("PUT", "/v1/host", "", 200);
}

static struct audit_record *on_disk(uint64_t id)
{
    uint8_t *log = fake_disk()->data + DISK_BYTES - LOG_BLOCKS * BDEV_BLOCK;

    log += (id - 1) % (LOG_BLOCKS * AUDIT_SLOTS) * AUDIT_SECTOR;
    return (struct audit_record *)(void *)log;
}

static void test_tampering(void **state)
{
    struct audit_record *r;
    cJSON *page;

    (void)state;
    fill(40);
    cold_boot();
    for (unsigned bit = 0; bit < 8 * AUDIT_SECTOR; bit += 5) {
        uint8_t *byte = (uint8_t *)on_disk(12) + bit / 8;
        if (bit / 8 >= offsetof(struct audit_record, text) + on_disk(12)->bytes)
            break;
        *byte ^= (uint8_t)(1 << bit % 8);
        assert_false(is_all_valid());
        *byte ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(is_all_valid());
    /* One that is whole, but another: the next one tells. */
    r = on_disk(12);
    r->text[r->bytes - 80] ^= 1;
    tls_sha512_half(r->text, r->bytes, r->digest);
    assert_false(is_all_valid());
    page = read_page(10, 2);
    assert_true(is_valid(page)); /* 11 and 12 */
    cJSON_Delete(page);
    page = read_page(12, 2);
    assert_false(is_valid(page)); /* 13 follows another 12 */
    cJSON_Delete(page);
    /* One in another's place. */
    memcpy(on_disk(20), on_disk(21), AUDIT_SECTOR);
    page = read_page(19, 1);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(item(page, 0), "damaged")));
    cJSON_Delete(page);
    /* It goes on behind a damaged end. */
    memset(on_disk(40), 0x5a, AUDIT_SECTOR);
    cold_boot();
    assert_extent(1, 39);
    fill(3);
    cold_boot();
    assert_extent(1, 42);
    /* Nor does one in the middle, or at the start of the last block, hide those behind it. */
    on_disk(41)->text[3] ^= 1;
    cold_boot();
    assert_extent(1, 42);
    assert_false(is_all_valid());
}

/* As Skep wrote them before there were values. */
static void write_former(uint64_t id, uint8_t previous[32])
{
    struct audit_record *r = on_disk(id);
    char digest[65];

    hex_format(digest, previous, 32);
    memset((void *)r, 0, AUDIT_SECTOR);
    r->magic = AUDIT_MAGIC;
    r->bytes = (uint32_t)snprintf(
        r->text, 472,
        "%lu\n2025-01-31T09:20:11.020Z\nPUT\n/v1/guests/web\nadmin 10.0.2.2\n200\n\n\n\nimage a\n%s\n",
        (unsigned long)id, digest);
    tls_sha256(r->text, r->bytes, r->digest);
    memcpy(previous, r->digest, 32);
}

static void test_former_records(void **state)
{
    uint8_t previous[32] = {0};
    cJSON *page;

    (void)state;
    for (uint64_t id = 1; id <= 20; id++)
        write_former(id, previous);
    cold_boot();
    assert_extent(1, 20);
    assert_true(is_all_valid());
    note_value(600);
    note_value(10);
    cold_boot();
    assert_extent(1, 22);
    assert_true(is_all_valid());
    page = read_page(19, 2);
    assert_int_equal(number(item(page, 0), "version"), 1);
    assert_string_equal(text(item(page, 0), "detail"), "image a");
    assert_null(raw(item(page, 0), "before"));
    assert_int_equal(number(item(page, 1), "version"), 2);
    assert_non_null(raw(item(page, 1), "before"));
    cJSON_Delete(page);
}

static void test_without_disk(void **state)
{
    cJSON *page;

    (void)state;
    persist_stop();
    fake_set_disk(NULL, 0);
    persist_start(false, true);
    call("guests/web", "one", 201, 201);
    fill(600);
    page = read_page(0, 1);
    assert_string_equal(text(page, "kept"), "memory");
    assert_int_equal(number(page, "last"), 601);
    assert_int_equal(number(page, "first"), 361);
    cJSON_Delete(page);
    assert_true(is_all_valid());
    /* A disk that comes takes over what there is. */
    fake_set_disk(NULL, DISK_BYTES);
    assert_true(persist_begin());
    assert_extent(361, 601);
    assert_true(is_all_valid());
    fill(3);
    cold_boot();
    assert_extent(361, 604);
    assert_true(is_all_valid());
}

/* A change that the disk refuses has no record of having been made. Written is not flushed, though: the record may be found
 * at the next start, and then the next one tells whether its change is there. */
static void test_failing_disk(void **state)
{
    unsigned found[4] = {0};
    int result = -1;

    for (int after = 0; result != 0; after++) {
        struct audit_extent extent;
        char value;
        call("guests/a", "1", 201, 201);
        fake_disk()->fails_after = after;
        result = call("guests/a", "2", 200, 200);
        assert_extent(1, result == 0 ? 2 : 1);
        fake_disk()->fails_after = -1;
        cold_boot();
        audit_extent(&extent);
        assert_in_range(extent.last, 1, 3);
        found[extent.last]++;
        assert_int_equal(persist_get("guests/a", &value, 1), 1);
        assert_true(extent.last == 1 || value == (extent.last == 2 ? '2' : '1'));
        assert_true(is_all_valid());
        teardown(state);
        setup(state);
    }
    assert_true(found[1] && found[2] && found[3]);
}

/*
 * Power cuts
 */

#define CALLS 32u

struct done {
    size_t first_op, end_op;
    unsigned value; /* of the name afterwards, 0 = deleted */
    bool noted;     /* a record without a value */
};

static void value_text(unsigned value, char data[1200])
{
    /* Some are large enough for a block of their own. */
    memset(data, 'v', value % 5 == 0 ? 1100 : 20);
    snprintf(data + (value % 5 == 0 ? 1100 : 20), 20, "%u", value);
}

static void make_calls(struct done *calls)
{
    char data[1200];

    for (unsigned i = 0; i < CALLS; i++) {
        bool there = i && calls[i - 1].value;
        calls[i] = (struct done){.first_op = fake_disk()->op_count,
                                 .value = there && i % 4 == 3 ? 0 : i + 1};
        value_text(calls[i].value, data);
        if (i % 7 == 6) {
            calls[i].value = calls[i - 1].value;
            calls[i].noted = true;
            audit_note("PUT", "/v1/volumes/v", "", 200);
        } else {
            call("guests/web", calls[i].value ? data : NULL, 200, 200);
        }
        calls[i].end_op = fake_disk()->op_count;
    }
}

static bool has_value(unsigned value)
{
    char data[1200], found[1200] = "";
    int64_t n = persist_get("guests/web", found, sizeof(found) - 1);

    value_text(value, data);
    return value ? n == (int64_t)strlen(data) && strcmp(found, data) == 0 : n == -SKEP_ENOENT;
}

/* Whether the start has noted that a record and its value don't agree; then it isn't counted. */
static bool take_note(struct audit_extent *extent)
{
    cJSON *page = read_page(extent->last - 1, 1);
    const cJSON *last = item(page, 0);
    bool is_note = last && strcmp(text(last, "method"), "START") == 0;

    extent->last -= is_note;
    cJSON_Delete(page);
    return is_note;
}

static void check_cut(const struct done *calls, size_t ops)
{
    struct audit_extent extent;
    unsigned answered = 0, now;
    bool noted;

    while (answered < CALLS && calls[answered].end_op <= ops)
        answered++;
    now = answered ? calls[answered - 1].value : 0;
    audit_extent(&extent);
    noted = extent.last && take_note(&extent);
    if (extent.last != answered && extent.last != answered + 1)
        fail_msg("cut after %zu operations: %u calls were answered, and %lu are recorded", ops,
                 answered, (unsigned long)extent.last);
    assert_true(is_all_valid());
    /* Either the last record tells what is there, or the next one that it doesn't. */
    if (extent.last > answered)
        assert_true(noted ? has_value(now) : has_value(calls[answered].value));
    else
        assert_true((!noted && has_value(now)) ||
                    ((noted || !answered || calls[answered - 1].noted) &&
                     has_value(calls[answered].value)));
}

static void test_power_cuts(void **state)
{
    static uint8_t before[DISK_BYTES];
    static struct done calls[CALLS + 1];
    struct ram_disk log;
    uint32_t seed = 7;
    unsigned boots = 0;

    (void)state;
    memcpy(before, fake_disk()->data, DISK_BYTES);
    fake_disk()->log = true;
    make_calls(calls);
    log = *fake_disk();
    fake_disk()->ops = NULL;
    fake_disk()->op_count = 0;
    for (size_t ops = 0; ops <= log.op_count; ops++) {
        for (int how = 0; how < CUT_KINDS + 1; how++, boots++) {
            persist_stop();
            fake_set_disk(NULL, DISK_BYTES);
            memcpy(fake_disk()->data, before, DISK_BYTES);
            ram_disk_cut(&log, fake_disk()->data, ops,
                         how < CUT_KINDS ? (enum ram_cut)how : CUT_SECTORS, &seed);
            persist_start(false, false);
            check_cut(calls, ops);
            /* It goes on. */
            fill(1);
            assert_true(is_all_valid());
        }
    }
    print_message("%u calls, %u cold boots\n", CALLS, boots);
    ram_disk_reset(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_records, setup, teardown),
        cmocka_unit_test_setup_teardown(test_outcomes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rotation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rotation_of_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_former_records, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tampering, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failing_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_power_cuts, setup, teardown),
    };
    return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
