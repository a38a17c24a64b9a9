/* test_app.c - apps: documents that are taken or refused as a whole, and what crashes and power cuts leave of them. */
#include "app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api.h"
#include "core.h"
#include "events.h"
#include "persist.h"
#include "points.h"
#include "storage.h"
#include "test/boots.h"
#include "test/client.h"
#include "test/fake.h"
#include "test/people.h"
#include "test/ram_disk.h"
#include "test_control.h"

#define GUEST_WITH(fields) "{\"image\":\"hello\",\"desired_state\":\"stopped\"," fields "}"
#define MEBIBYTE           "\"memory_bytes\":1048576"

#define SHOP                                                                                  \
    "{\"labels\":{\"team\":\"shop\"},\"volumes\":{\"shop-db\":{\"size_bytes\":65536},"        \
    "\"shop-log\":{\"size_bytes\":65536,\"keep\":true}},\"guests\":{\"shop-db\":" GUEST_WITH( \
        MEBIBYTE                                                                              \
        ",\"volumes\":[{\"name\":\"shop-db\"}]") ",\"shop-web\":" GUEST_WITH(MEBIBYTE         \
                                                                             ",\"start"       \
                                                                             "_after\""       \
                                                                             ":[\"sho"        \
                                                                             "p-db\"]") "}}"
/* Without web and the log, with a cache, and a larger db. */
#define OTHER                                                                           \
    "{\"labels\":{\"team\":\"shop\"},\"volumes\":{\"shop-db\":{\"size_bytes\":131072}," \
    "\"shop-cache\":{\"size_bytes\":65536}},\"guests\":{\"shop-db\":" GUEST_WITH(       \
        MEBIBYTE                                                                        \
        ",\"weight\":7,\"volumes\":[{\"name\":\"shop-db\"}]") ",\"shop-cache\":" GUEST_WITH(MEBIBYTE) "}}"

static int admin(const char *method, const char *path, const char *body)
{
    return people_admin(method, path, body);
}

static bool answers(const char *text)
{
    return strstr(client_body(), text) != NULL;
}

static void assert_answer(const char *text)
{
    if (!answers(text))
        fail_msg("no %s in %s", text, client_body());
}

static bool is_busy(void)
{
    for (const struct app *app = app_after(""); app; app = app->next)
        if (app_is_busy(app))
            return true;
    return false;
}

/* What the thread that follows notifications does, until nothing is underway. */
static void finish(void)
{
    boots_settle();
    for (unsigned turns = 0; is_busy(); turns++) {
        assert_in_range(turns, 0, 100);
        fake_skip(SECOND);
        app_step_due();
        boots_settle();
    }
}

/* Images, guests, apps, and names of volumes; the caller frees it. */
static char *snapshot(void)
{
    char *guests = boots_snapshot(), *text;
    cJSON *all = cJSON_CreateArray();

    cJSON_AddItemToArray(all, cJSON_CreateRaw(guests));
    for (uint32_t i = 0; storage_disk(i); i++)
        for (struct volume *v = storage_disk(i)->volumes->first; v; v = v->next)
            cJSON_AddItemToArray(all, cJSON_CreateString(v->record.name));
    text = cJSON_PrintUnformatted(all);
    cJSON_Delete(all);
    free(guests);
    return text;
}

/*
 * Documents
 */

static void test_life(void **state)
{
    (void)state;
    assert_int_equal(admin("PUT", "/v1/apps/shop", SHOP), 201);
    assert_answer("\"change\":\"created\"");
    assert_answer("\"changes\":{\"guests\":{\"shop-db\":\"created\",\"shop-web\":\"created\"},"
                  "\"volumes\":{\"shop-db\":\"created\",\"shop-log\":\"created\"}}");
    assert_answer("\"status\":{\"state\":\"ready\",\"error\":null,");
    assert_int_equal(admin("GET", "/v1/guests/shop-web", NULL), 200);
    assert_int_equal(admin("GET", "/v1/volumes/shop-log", NULL), 200);
    assert_int_equal(admin("PUT", "/v1/apps/shop", SHOP), 200);
    assert_answer("\"change\":\"none\"");
    assert_int_equal(admin("PUT", "/v1/apps/shop", OTHER), 200);
    assert_answer("\"changes\":{\"guests\":{\"shop-db\":\"applied\",\"shop-cache\":\"created\","
                  "\"shop-web\":\"deleted\"},\"volumes\":{\"shop-db\":\"applied\",\"shop-cache\":"
                  "\"created\"}}");
    assert_int_equal(admin("GET", "/v1/guests/shop-web", NULL), 404);
    assert_int_equal(admin("GET", "/v1/volumes/shop-log", NULL), 200); /* kept */
    assert_int_equal(admin("GET", "/v1/volumes/shop-db", NULL), 200);
    assert_answer("\"size_bytes\":131072");
    assert_int_equal(admin("DELETE", "/v1/apps/shop", NULL), 204);
    assert_int_equal(admin("GET", "/v1/apps/shop", NULL), 404);
    assert_int_equal(admin("GET", "/v1/guests/shop-db", NULL), 404);
    assert_int_equal(admin("GET", "/v1/volumes/shop-db", NULL), 404);
    assert_int_equal(admin("GET", "/v1/volumes/shop-cache", NULL), 404);
    assert_int_equal(admin("DELETE", "/v1/apps/shop", NULL), 404);
}

/* Members that are changed or deleted by themselves: the app shows it, and a PUT brings them back. */
static void test_drift(void **state)
{
    (void)state;
    assert_int_equal(admin("PUT", "/v1/apps/shop", SHOP), 201);
    assert_int_equal(admin("PATCH", "/v1/guests/shop-web", "{\"weight\":9}"), 200);
    assert_int_equal(admin("DELETE", "/v1/guests/shop-db", NULL), 204);
    assert_int_equal(admin("GET", "/v1/apps/shop", NULL), 200);
    assert_answer("\"weight\":9");
    assert_answer("\"state\":\"degraded\"");
    assert_answer("\"shop-db\":\"missing\"");
    assert_int_equal(admin("PUT", "/v1/apps/shop", SHOP), 200);
    assert_answer("\"guests\":{\"shop-db\":\"created\",\"shop-web\":\"applied\"}");
    assert_answer("\"state\":\"ready\"");
    assert_false(answers("\"weight\":9"));
}

/* Another service follows, which hasn't gone on yet. */
static void restart(void)
{
    boots_end();
    storage_forget();
    storage_start();
    boots_begin(false, false);
}

/* A guest that was deleted by itself isn't the app's any more, nor is another one in its place, whatever comes between. */
static void test_made_again(void **state)
{
    (void)state;
    for (unsigned restarts = 0; restarts < 4; restarts++) {
        assert_int_equal(admin("PUT", "/v1/apps/shop", SHOP), 201);
        assert_int_equal(admin("DELETE", "/v1/guests/shop-web", NULL), 204);
        if (restarts & 1)
            restart();
        assert_int_equal(admin("PUT", "/v1/guests/shop-web", GUEST_WITH(MEBIBYTE)), 201);
        if (restarts & 2)
            restart();
        assert_int_equal(admin("GET", "/v1/apps/shop", NULL), 200);
        assert_answer("\"shop-web\":\"missing\"");
        assert_false(answers("\"shop-web\":{"));
        assert_int_equal(admin("PUT", "/v1/apps/shop", SHOP), 409);
        assert_answer("there is 'shop-web' already, which is of no app");
        assert_int_equal(admin("PUT", "/v1/apps/shop", OTHER), 200);
        assert_int_equal(admin("GET", "/v1/guests/shop-web", NULL), 200);
        assert_int_equal(admin("DELETE", "/v1/apps/shop", NULL), 204);
        assert_int_equal(admin("GET", "/v1/guests/shop-web", NULL), 200);
        assert_int_equal(admin("DELETE", "/v1/guests/shop-web", NULL), 204);
        assert_true(admin("DELETE", "/v1/volumes/shop-log", NULL) < 300);
    }
}

/* The service ends between the guest's deletion and the app's record of it: the next start makes good for it. */
static void test_lost_amid_a_crash(void **state)
{
    struct problem p;

    (void)state;
    assert_int_equal(admin("PUT", "/v1/apps/shop", SHOP), 201);
    model_lock();
    assert_in_range(guest_delete(guest_find("shop-web"), &p), 202, 204);
    model_unlock();
    restart();
    assert_int_equal(admin("PUT", "/v1/guests/shop-web", GUEST_WITH(MEBIBYTE)), 201);
    restart();
    assert_int_equal(admin("GET", "/v1/apps/shop", NULL), 200);
    assert_answer("\"shop-web\":\"missing\"");
    assert_int_equal(admin("DELETE", "/v1/apps/shop", NULL), 204);
    assert_int_equal(admin("GET", "/v1/guests/shop-web", NULL), 200);
}

static void test_lists(void **state)
{
    (void)state;
    assert_int_equal(admin("PUT", "/v1/apps/b", "{\"labels\":{\"team\":\"b\"}}"), 201);
    assert_int_equal(admin("PUT", "/v1/apps/shop", SHOP), 201);
    assert_int_equal(admin("PUT", "/v1/apps/a", "{}"), 201);
    assert_int_equal(admin("GET", "/v1/apps?limit=2", NULL), 200);
    assert_true(answers("\"a\"") && answers("\"b\"") && !answers("\"shop\""));
    assert_int_equal(admin("GET", "/v1/apps?after=b", NULL), 200);
    assert_true(answers("\"name\":\"shop\"") && !answers("\"name\":\"b\""));
    assert_int_equal(admin("GET", "/v1/apps?label=team=shop", NULL), 200);
    assert_true(answers("\"name\":\"shop\"") && !answers("\"name\":\"b\"") &&
                !answers("\"name\":\"a\""));
    assert_int_equal(admin("GET", "/v1/apps?label=team=shops", NULL), 200);
    assert_answer("{\"items\":[]}");
    assert_int_equal(admin("GET", "/v1/apps?label=team", NULL), 400);
}

/* Each is refused as a whole. */
static const struct refusal {
    const char *body;
    int status;
    const char *detail;
} refusals[] = {
    {"[]", 422, "The body must be a JSON object."},
    {"{\"x\":1}", 422, "'x' is no known field; there are labels, guests, volumes."},
    {"{\"labels\":{\"A\":\"b\"}}", 422, "labels: 'A' is no name"},
    {"{\"guests\":[]}", 422, "guests must be an object of at most 16 members."},
    {"{\"guests\":{\"A\":{}}}", 422, "guests: 'A' is no name"},
    {"{\"guests\":{\"n\":{\"image\":\"hello\",\"x\":1}}}", 422, "guests.n: "},
    {"{\"guests\":{\"n\":{\"image\":\"none\"}}}", 422, "guests.n: image: there is no image"},
    {"{\"guests\":{\"n\":" GUEST_WITH("\"volumes\":[{\"name\":\"none\"}]") "}}", 422,
     "guests.n: volumes[0]: there is no volume 'none'"},
    {"{\"volumes\":{\"n\":1}}", 422, "volumes.n must be an object."},
    {"{\"volumes\":{\"n\":{}}}", 422, "volumes.n: "},
    {"{\"volumes\":{\"n\":{\"size_bytes\":65536,\"keep\":1}}}", 422,
     "volumes.n: keep must be true or false."},
    {"{\"volumes\":{\"n\":{\"size_bytes\":65536,\"x\":1}}}", 422,
     "volumes.n: 'x' is no known field"},
    {"{\"volumes\":{\"n\":{\"snapshot_of\":\"db\"}}}", 422, "volumes.n: An app's volume is new"},
    {"{\"volumes\":{\"n\":{\"copy_of\":\"db\"}}}", 422, "volumes.n: An app's volume is new"},
    {"{\"volumes\":{\"n\":{\"size_bytes\":68719476736}}}", 409, "volumes.n: "},
    {"{\"guests\":{\"web\":" GUEST("hello") "}}", 409, "guests: there is 'web' already"},
    {"{\"volumes\":{\"db\":" VOLUME "}}", 409, "volumes: there is 'db' already"},
    {"{\"guests\":{\"shop-web\":" GUEST("hello") "}}", 409,
     "guests: 'shop-web' is of the app 'shop'"},
    {"{\"guests\":{\"shop-db\":" GUEST("hello") "}}", 409, "guests: 'shop-db' is of the app"},
    /* What members have in common. */
    {"{\"guests\":{\"n\":" GUEST_WITH("\"start_after\":[\"m\"]") ",\"m\":" GUEST_WITH(
         "\"start_after\":[\"n\"]") "}}",
     422, "guests.m: start_after makes a cycle"},
    {"{\"guests\":{\"n\":" GUEST_WITH(
         "\"networks\":[{\"address\":\"10.0.0.7/8\"}]") ",\"m\":" GUEST_WITH("\"networks\":[{"
                                                                             "\"address\":\"10.0."
                                                                             "0.7/8\"}]") "}}",
     409, "guests.m: networks: guest 'n' has the address 10.0.0.7."},
};

static void test_refusals(void **state)
{
    char *before, *after;

    (void)state;
    assert_int_equal(admin("PUT", "/v1/apps/shop", SHOP), 201);
    assert_int_equal(admin("DELETE", "/v1/guests/shop-db", NULL), 204); /* missing, but not free */
    before = snapshot();
    for (const struct refusal *r = refusals; r < refusals + sizeof(refusals) / sizeof(*r); r++)
        for (unsigned dry = 0; dry < 2; dry++) {
            int status = admin("PUT", dry ? "/v1/apps/new?dry_run=true" : "/v1/apps/new", r->body);
            if (status != r->status || !answers(r->detail))
                fail_msg("%s: %d: %s", r->body, status, client_body());
            after = snapshot();
            assert_string_equal(after, before);
            free(after);
        }
    free(before);
    assert_null(app_find("new"));
}

/* Each would have room, both have none. */
static void test_memory_together(void **state)
{
    struct skep_host_info info;
    char body[400];
    unsigned long long half;

    (void)state;
    assert_int_equal(core_host_info(&info), 0);
    half = ((info.memory_promisable - info.memory_promised) / 2 + 4096) & ~4095ull;
    snprintf(body, sizeof(body),
             "{\"guests\":{\"n\":" GUEST_WITH("\"memory_bytes\":%llu") ",\"m\":" GUEST_WITH(
                 "\"memory_bytes\":%llu") "}}",
             half, half);
    assert_int_equal(admin("PUT", "/v1/apps/new", body), 409);
    assert_answer("The sum of all guests' memory_bytes is");
    assert_int_equal(admin("GET", "/v1/guests/n", NULL), 404);
}

/* A volume of an app has the labels that the document says of it, and none of the app's. */
static void test_labels_of_volumes(void **state)
{
    static const char with[] =
        "{\"labels\":{\"app\":\"a\"},\"volumes\":{\"v\":{\"size_bytes\":65536,"
        "\"labels\":{\"tier\":\"1\"}},\"w\":{\"size_bytes\":65536}}}";

    (void)state;
    assert_int_equal(admin("PUT", "/v1/apps/new?dry_run=true", with), 200);
    assert_answer("\"labels\":{\"tier\":\"1\"}");
    assert_int_equal(admin("PUT", "/v1/apps/new", with), 201);
    assert_int_equal(admin("GET", "/v1/volumes/v", NULL), 200);
    assert_answer("\"labels\":{\"tier\":\"1\"}");
    assert_int_equal(admin("GET", "/v1/volumes/w", NULL), 200);
    assert_answer("\"labels\":{}");
    assert_int_equal(admin("PUT", "/v1/apps/new", with), 200);
    assert_answer("\"change\":\"none\"");
    assert_int_equal(admin("PATCH", "/v1/volumes/w", "{\"labels\":{\"tier\":\"2\"}}"), 200);
    assert_int_equal(admin("GET", "/v1/apps/new", NULL), 200);
    assert_answer("\"labels\":{\"tier\":\"2\"}");
    assert_int_equal(admin("PUT", "/v1/apps/new", with), 200);
    assert_answer("\"volumes\":{\"v\":\"none\",\"w\":\"applied\"}");
    assert_int_equal(admin("GET", "/v1/volumes?label=tier=1", NULL), 200);
    assert_answer("\"v\"");
    assert_int_equal(admin("GET", "/v1/volumes?label=tier=2", NULL), 200);
    assert_answer("\"items\":[]");
}

/* The same of a disk: new ones, and those that grow; but not what may be overcommitted. */
static void test_room_together(void **state)
{
    const struct volumes *vs = storage_disk(0)->volumes;
    unsigned long long half, all;
    char body[400];

    (void)state;
    all = (vs->super.chunk_count - volumes_promised(vs)) * vs->super.chunk_bytes;
    half = (all / 2 + vs->super.chunk_bytes) & ~4095ull;
    snprintf(body, sizeof(body),
             "{\"volumes\":{\"n\":{\"size_bytes\":%llu},\"m\":{\"size_bytes\":%llu}}}", half, half);
    for (unsigned dry = 0; dry < 2; dry++) {
        assert_int_equal(admin("PUT", dry ? "/v1/apps/new?dry_run=true" : "/v1/apps/new", body),
                         409);
        assert_answer("volumes.m: The disk has no room");
        assert_int_equal(admin("GET", "/v1/volumes/n", NULL), 404);
    }
    assert_int_equal(admin("PUT", "/v1/apps/new",
                           "{\"volumes\":{\"n\":{\"size_bytes\":65536},\"m\":{\"size_bytes\":"
                           "65536}}}"),
                     201);
    assert_int_equal(admin("PUT", "/v1/apps/new", body), 409);
    assert_answer("volumes.m: The disk has no room");
    snprintf(body, sizeof(body),
             "{\"volumes\":{\"n\":{\"size_bytes\":%llu},\"m\":{\"size_bytes\":%llu,"
             "\"overcommit\":true}}}",
             half, half);
    assert_int_equal(admin("PUT", "/v1/apps/new", body), 200);
}

/* What is to be deleted while others use it, now or by the new document. */
static void test_volumes_in_use(void **state)
{
    (void)state;
    assert_int_equal(admin("PUT", "/v1/apps/shop", SHOP), 201);
    assert_int_equal(admin("PATCH", "/v1/guests/web", "{\"volumes\":[{\"name\":\"shop-db\"}]}"),
                     200);
    assert_int_equal(admin("DELETE", "/v1/apps/shop", NULL), 409);
    assert_answer("'shop-db' would be deleted, and guest 'web' uses it");
    assert_int_equal(admin("PUT", "/v1/apps/shop", "{}"), 409);
    assert_int_equal(admin("PATCH", "/v1/guests/web", "{\"volumes\":[]}"), 200);
    assert_int_equal(
        admin("PUT", "/v1/apps/shop",
              "{\"guests\":{\"shop-x\":" GUEST_WITH("\"volumes\":[{\"name\":\"shop-db\"}]") "}}"),
        409);
    assert_answer("guest 'shop-x' uses it");
    assert_int_equal(admin("GET", "/v1/guests/shop-x", NULL), 404);
    assert_int_equal(admin("DELETE", "/v1/apps/shop", NULL), 204);
}

static void test_dry_run(void **state)
{
    char *before = snapshot(), *after;

    (void)state;
    assert_int_equal(admin("PUT", "/v1/apps/shop?dry_run=true", SHOP), 200);
    assert_answer("\"change\":\"created\"");
    assert_answer("\"shop-db\":\"missing\"");
    assert_answer("\"guests\":{\"shop-db\":{\"image\":\"hello\"");
    after = snapshot();
    assert_string_equal(after, before);
    free(before);
    free(after);
    assert_int_equal(admin("PUT", "/v1/apps/shop", SHOP), 201);
    assert_int_equal(admin("PUT", "/v1/apps/shop?dry_run=true", OTHER), 200);
    assert_answer("\"shop-web\":\"deleted\"");
    assert_answer("\"shop-db\":{\"size_bytes\":131072");
    assert_int_equal(admin("GET", "/v1/guests/shop-web", NULL), 200);
}

/*
 * Conditions, and who may
 */

static int with_match(const char *method, const char *field, const char *etag)
{
    char fields[400];

    snprintf(fields, sizeof(fields),
             "Authorization: Bearer " BOOT "\r\nContent-Type: application/json\r\n%s: %s\r\n",
             field, etag);
    return client_send(method, "/v1/apps/shop", fields, SHOP, sizeof(SHOP) - 1);
}

static void take_etag(char etag[ETAG_MAX])
{
    const char *at = strstr(client_answer(), "ETag: ");

    assert_non_null(at);
    snprintf(etag, ETAG_MAX, "%s", at + 6);
}

static void test_match(void **state)
{
    char first[ETAG_MAX], second[ETAG_MAX];

    (void)state;
    assert_int_equal(with_match("PUT", "If-Match", "*"), 412);
    assert_int_equal(with_match("PUT", "If-None-Match", "*"), 201);
    take_etag(first);
    assert_int_equal(with_match("PUT", "If-None-Match", "*"), 412);
    assert_int_equal(with_match("PUT", "If-Match", first), 200);
    assert_int_equal(admin("PATCH", "/v1/guests/shop-web", "{\"weight\":9}"), 200);
    assert_int_equal(with_match("PUT", "If-Match", first), 412);
    assert_int_equal(admin("GET", "/v1/apps/shop", NULL), 200);
    take_etag(second);
    assert_string_not_equal(first, second);
    assert_int_equal(with_match("DELETE", "If-Match", first), 412);
    assert_int_equal(with_match("DELETE", "If-Match", second), 204);
}

/* A secret's change is one, though none sees it. */
static void test_tag_of_files(void **state)
{
#define WITH_FILE(content)            \
    "{\"guests\":{\"n\":" GUEST_WITH( \
        "\"files\":[{\"path\":\"/k\",\"secret\":true,\"content\":\"" content "\"}]") "}}"
    char first[ETAG_MAX], second[ETAG_MAX];

    (void)state;
    assert_int_equal(admin("PUT", "/v1/apps/a", WITH_FILE("one")), 201);
    assert_false(answers("one"));
    take_etag(first);
    assert_int_equal(admin("PUT", "/v1/apps/a", WITH_FILE("two")), 200);
    take_etag(second);
    assert_string_not_equal(first, second);
    assert_int_equal(admin("PUT", "/v1/apps/a", WITH_FILE("two")), 200);
    assert_answer("\"change\":\"none\"");
}

static int bot(const char *method, const char *path, const char *body)
{
    return client_call(people_scoped, method, path, body);
}

#define WITH_GUEST(name) "{\"guests\":{\"" name "\":" GUEST_WITH(MEBIBYTE) "}}"

static void test_scope(void **state)
{
    (void)state;
    assert_int_equal(bot("PUT", "/v1/apps/x", "{}"), 403);
    assert_int_equal(bot("PUT", "/v1/apps/ci-x", WITH_GUEST("x")), 403);
    assert_answer("guests: 'x' doesn't begin with 'ci-'");
    assert_int_equal(bot("PUT", "/v1/apps/ci-x", "{\"volumes\":{\"x\":" VOLUME "}}"), 403);
    assert_int_equal(bot("PUT", "/v1/apps/ci-x", WITH_GUEST("ci-x")), 201);
    assert_int_equal(bot("GET", "/v1/apps/ci-x", NULL), 200);
    /* Whose members aren't all its own. */
    assert_int_equal(admin("PUT", "/v1/apps/ci-y", WITH_GUEST("y")), 201);
    assert_int_equal(bot("GET", "/v1/apps/ci-y", NULL), 404);
    assert_int_equal(bot("DELETE", "/v1/apps/ci-y", NULL), 404);
    assert_int_equal(bot("PUT", "/v1/apps/ci-y", "{}"), 403);
    assert_int_equal(admin("PUT", "/v1/apps/z", WITH_GUEST("ci-z")), 201);
    assert_int_equal(bot("PUT", "/v1/apps/ci-z", WITH_GUEST("ci-z")), 409);
    assert_null(strstr(client_body(), "'z'"));
    assert_int_equal(bot("GET", "/v1/apps", NULL), 200);
    assert_true(answers("\"ci-x\"") && !answers("ci-y") && !answers("\"z\""));
    assert_int_equal(bot("DELETE", "/v1/apps/ci-x", NULL), 204);
}

/* ci-web has 1 vCPU and 16 MiB, ci-db 64 KiB: each of two fits, both don't. */
static void test_quotas(void **state)
{
    char secret[TOKEN_TEXT_MAX];

    (void)state;
    people_make("q",
                "{\"role\":\"operator\",\"scope\":{\"prefix\":\"ci-\",\"quotas\":{\"guests\":2,"
                "\"memory_bytes\":33554432,\"vcpus\":9,\"volume_bytes\":131072}}}",
                secret);
    assert_int_equal(client_call(secret, "PUT", "/v1/apps/ci-a",
                                 "{\"volumes\":{\"ci-a\":" VOLUME ",\"ci-b\":" VOLUME "}}"),
                     409);
    assert_answer("The quota of volume_bytes");
    assert_int_equal(client_call(secret, "PUT", "/v1/apps/ci-a",
                                 "{\"guests\":{\"ci-a\":" GUEST_WITH(
                                     MEBIBYTE) ",\"ci-b\":" GUEST_WITH(MEBIBYTE) "}}"),
                     409);
    assert_answer("guests.ci-b: The quota of guests");
    assert_int_equal(admin("GET", "/v1/guests/ci-a", NULL), 404);
    assert_int_equal(client_call(secret, "PUT", "/v1/apps/ci-a", WITH_GUEST("ci-a")), 201);
}

/* One record a call, whatever members it changes; and events of the app beside theirs. */
static void test_records(void **state)
{
    struct event event;
    uint64_t last;

    (void)state;
    events_start();
    last = events_last();
    assert_int_equal(admin("PUT", "/v1/apps/shop", SHOP), 201);
    assert_int_equal(events_read(last, &event), 1);
    assert_int_equal(event.kind, EVENT_APPS);
    assert_string_equal(event.type, "created");
    assert_string_equal(event.change, "{\"guests\":2,\"volumes\":2}");
    assert_int_equal(admin("PUT", "/v1/apps/shop", SHOP), 200);
    assert_int_equal(admin("DELETE", "/v1/apps/shop", NULL), 204);
    assert_int_equal(events_read(events_last() - 1, &event), 1);
    assert_int_equal(event.kind, EVENT_APPS);
    assert_string_equal(event.type, "deleted");
    assert_int_equal(admin("GET", "/v1/audit", NULL), 200);
    assert_answer("\"path\":\"/v1/apps/shop\"");
    assert_answer("\"value\":\"apps/shop\"");
    assert_answer("2 guests, 2 volumes");
    assert_false(answers("guests/shop-web"));
    events_stop();
}

/*
 * What fails on the way
 */

static void test_failing_step(void **state)
{
    (void)state;
    fake_fail_retain(true);
    assert_int_equal(admin("PUT", "/v1/apps/shop", SHOP), 202);
    assert_answer(
        "\"state\":\"changing\",\"error\":\"guests.shop-db: The change can't be retained");
    assert_answer("\"shop-web\":\"missing\"");
    app_step_due(); /* not yet */
    assert_true(is_busy());
    fake_fail_retain(false);
    finish();
    assert_int_equal(admin("GET", "/v1/apps/shop", NULL), 200);
    assert_answer("\"state\":\"ready\",\"error\":null");
    /* What can't be done may be taken back instead. */
    fake_fail_retain(true);
    assert_int_equal(admin("PUT", "/v1/apps/shop", OTHER), 202);
    fake_fail_retain(false);
    assert_int_equal(admin("DELETE", "/v1/apps/shop", NULL), 204);
    assert_int_equal(admin("GET", "/v1/guests/shop-cache", NULL), 404);
    assert_int_equal(admin("GET", "/v1/volumes/shop-cache", NULL), 404);
}

/* The service's thread has no scope of its own: that of who asked holds, also after a restart. */
static void test_scope_of_later_steps(void **state)
{
    char secret[TOKEN_TEXT_MAX];

    (void)state;
    people_make("q",
                "{\"role\":\"operator\",\"scope\":{\"prefix\":\"ci-\",\"quotas\":{\"guests\":2}}}",
                secret);
    fake_fail_retain(true);
    assert_int_equal(client_call(secret, "PUT", "/v1/apps/ci-a", WITH_GUEST("ci-a")), 202);
    fake_fail_retain(false);
    assert_int_equal(client_call(secret, "PUT", "/v1/guests/ci-full", GUEST_WITH(MEBIBYTE)), 201);
    for (unsigned turn = 0; turn < 2; turn++) {
        fake_skip(10 * SECOND);
        assert_true(app_step_due());
        assert_int_equal(admin("GET", "/v1/guests/ci-a", NULL), 404);
        assert_int_equal(client_call(secret, "GET", "/v1/apps/ci-a", NULL), 200);
        assert_answer("guests.ci-a: The quota of guests");
        app_forget_all();
        app_load_all();
    }
    assert_int_equal(client_call(secret, "DELETE", "/v1/guests/ci-full", NULL), 204);
    finish();
    assert_int_equal(admin("GET", "/v1/guests/ci-a", NULL), 200);
}

/* Why an admin's change isn't done may name what others are not to know. */
static void test_errors_of_others(void **state)
{
    (void)state;
    fake_fail_retain(true);
    assert_int_equal(admin("PUT", "/v1/apps/ci-a", WITH_GUEST("ci-a")), 202);
    assert_answer("can't be retained");
    assert_int_equal(bot("GET", "/v1/apps/ci-a", NULL), 200);
    assert_false(answers("can't be retained"));
    assert_answer("\"error\":\"It is told to those");
    fake_fail_retain(false);
    finish();
}

/* What is removed is what the app had: not what somebody makes of the same name before that is done. */
static void test_names_that_come_again(void **state)
{
    struct app *app;

    (void)state;
    assert_int_equal(admin("PUT", "/v1/apps/shop", "{}"), 201);
    assert_int_equal(admin("PUT", "/v1/volumes/again", VOLUME), 201);
    app = app_find("shop");
    app->removing =
        cJSON_Parse("{\"guests\":{\"again\":true},\"volumes\":{\"again\":\"another\"}}");
    assert_int_equal(admin("PUT", "/v1/guests/again", GUEST_WITH(MEBIBYTE)), 409);
    assert_answer("still about to make or delete");
    app->due_ns = 1;
    finish();
    assert_int_equal(admin("GET", "/v1/volumes/again", NULL), 200);
    assert_int_equal(admin("PUT", "/v1/guests/again", GUEST_WITH(MEBIBYTE)), 201);
}

static void test_no_disk(void **state)
{
    (void)state;
    persist_stop();
    assert_int_equal(admin("PUT", "/v1/apps/shop", SHOP), 409);
    assert_answer("There is no disk to keep an app on");
}

static void test_full_disk(void **state)
{
    (void)state;
    fake_disk()->fails_after = 0;
    assert_int_equal(admin("PUT", "/v1/apps/shop", SHOP), 507);
    fake_disk()->fails_after = -1;
    assert_null(app_find("shop"));
    assert_null(guest_find("shop-web"));
    assert_int_equal(admin("GET", "/v1/volumes/shop-db", NULL), 404);
}

/*
 * Crashes of the service
 */

/* The service dies at the point in the call; another one follows, which hasn't gone on yet. */
static void die_at(enum commit_point point, const char *method, const char *body)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        point_arm(point);
        admin(method, "/v1/apps/shop", body);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), FAKE_CRASH_CODE);
    restart();
}

static void check_crash(enum commit_point point, const char *method, const char *body,
                        const char *after)
{
    char *now;

    die_at(point, method, body);
    finish();
    now = snapshot();
    assert_string_equal(now, after);
    free(now);
}

/* From the keeping on, whatever comes is finished. */
static void test_crashes(void **state)
{
    static const enum commit_point points[] = {POINT_APP_KEPT,        POINT_GUEST_KEPT,
                                               POINT_GUEST_PERSISTED, POINT_APP_DONE,
                                               POINT_GUEST_UNKEPT,    POINT_GUEST_DELETE_PERSISTED};
    char *none = snapshot(), *shop, *other;

    (void)state;
    assert_int_equal(admin("PUT", "/v1/apps/shop", SHOP), 201);
    shop = snapshot();
    assert_int_equal(admin("PUT", "/v1/apps/shop", OTHER), 200);
    assert_int_equal(admin("DELETE", "/v1/volumes/shop-log", NULL), 204);
    other = snapshot();
    assert_int_equal(admin("DELETE", "/v1/apps/shop", NULL), 204);
    for (unsigned i = 0; i < sizeof(points) / sizeof(*points); i++) {
        bool removes = points[i] == POINT_GUEST_UNKEPT || points[i] == POINT_GUEST_DELETE_PERSISTED;
        bool makes = points[i] != POINT_APP_KEPT && points[i] != POINT_APP_DONE && !removes;
        if (removes)
            assert_int_equal(admin("PUT", "/v1/apps/shop", SHOP), 201);
        else
            check_crash(points[i], "PUT", SHOP, shop);
        die_at(points[i], "PUT", OTHER);
        finish();
        assert_int_equal(admin("DELETE", "/v1/volumes/shop-log", NULL), 204);
        check_crash(makes ? POINT_APP_DONE : points[i], "DELETE", NULL, none);
    }
    free(none);
    free(shop);
    free(other);
}

static void try_again(void)
{
    fake_skip(1000 * SECOND);
    assert_true(app_step_due());
}

/* What somebody makes between the promise and the step stays theirs: it isn't changed, taken or deleted. */
static void test_what_others_make_meanwhile(void **state)
{
    (void)state;
    die_at(POINT_APP_KEPT, "PUT", SHOP);
    assert_int_equal(admin("PUT", "/v1/volumes/shop-db", "{\"size_bytes\":131072}"), 201);
    assert_int_equal(admin("PUT", "/v1/guests/shop-web", GUEST("hello")), 409);
    assert_answer("still about to make or delete");
    try_again();
    assert_int_equal(admin("GET", "/v1/apps/shop", NULL), 200);
    assert_answer("\"state\":\"changing\",\"error\":\"volumes.shop-db: Somebody else has made a "
                  "volume of this name meanwhile");
    assert_answer("\"volumes\":{\"shop-db\":\"missing\"");
    assert_int_equal(admin("PUT", "/v1/apps/shop", SHOP), 409);
    assert_answer("volumes: there is 'shop-db' already, which is of no app");
    assert_int_equal(admin("DELETE", "/v1/apps/shop", NULL), 204);
    assert_int_equal(admin("GET", "/v1/volumes/shop-db", NULL), 200);
    assert_answer("\"size_bytes\":131072");
    assert_int_equal(admin("DELETE", "/v1/volumes/shop-db", NULL), 204);
}

/* When theirs is gone the app is made after all; and its own of a former try is known after a crash. */
static void test_what_others_take_back(void **state)
{
    (void)state;
    die_at(POINT_APP_KEPT, "PUT", SHOP);
    assert_int_equal(admin("PUT", "/v1/volumes/shop-log", VOLUME), 201);
    try_again(); /* makes shop-db, which is there the next time */
    assert_int_equal(admin("GET", "/v1/volumes/shop-db", NULL), 200);
    assert_int_equal(admin("DELETE", "/v1/volumes/shop-log", NULL), 204);
    app_forget_all();
    app_load_all();
    finish();
    assert_int_equal(admin("GET", "/v1/apps/shop", NULL), 200);
    assert_answer("\"state\":\"ready\",\"error\":null");
    /* What isn't its own isn't deleted with what is. */
    die_at(POINT_APP_KEPT, "PUT", OTHER);
    assert_int_equal(admin("PUT", "/v1/volumes/shop-cache", VOLUME), 201);
    try_again();
    assert_int_equal(admin("PUT", "/v1/apps/shop", "{}"), 200);
    assert_int_equal(admin("GET", "/v1/volumes/shop-cache", NULL), 200);
    assert_int_equal(admin("GET", "/v1/guests/shop-cache", NULL), 404);
}

/*
 * Power cuts
 */

#define DOCUMENTS 4

/* Guests, without volumes: those have tests of their own (test_cuts.c), on a disk of their own here. */
static const char *const documents[DOCUMENTS] = {
    "{\"guests\":{\"one\":" GUEST_WITH(MEBIBYTE) ",\"two\":" GUEST_WITH(MEBIBYTE) "}}",
    "{\"labels\":{\"a\":\"b\"},\"guests\":{\"two\":" GUEST_WITH(
        "\"weight\":7") ",\"three\":" GUEST_WITH("\"files\":[{\"path\":\"/a\",\"content\":\"1\"}]") "}}",
    "{\"guests\":{\"one\":" GUEST_WITH(MEBIBYTE) "}}", NULL, /* deleted */
};

static void make_change(unsigned index)
{
    assert_in_range(boots_put_app("cut", documents[index]), 200, 204);
}

static char *finished(void)
{
    finish();
    return snapshot();
}

static void test_power_cuts(void **state)
{
    struct problem p;

    (void)state;
    assert_true(boots_upload("hello", 0, &p) > 0);
    boots_cut_everywhere(&(struct boots_changes){DOCUMENTS, make_change, finished, NULL, 9});
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, people_setup, people_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_life),
        TEST(test_drift),
        TEST(test_made_again),
        TEST(test_lost_amid_a_crash),
        TEST(test_lists),
        TEST(test_refusals),
        TEST(test_memory_together),
        TEST(test_labels_of_volumes),
        TEST(test_room_together),
        TEST(test_volumes_in_use),
        TEST(test_dry_run),
        TEST(test_match),
        TEST(test_tag_of_files),
        TEST(test_scope),
        TEST(test_quotas),
        TEST(test_records),
        TEST(test_failing_step),
        TEST(test_scope_of_later_steps),
        TEST(test_errors_of_others),
        TEST(test_names_that_come_again),
        TEST(test_no_disk),
        TEST(test_full_disk),
        TEST(test_crashes),
        TEST(test_what_others_make_meanwhile),
        TEST(test_what_others_take_back),
        cmocka_unit_test_setup_teardown(test_power_cuts, boots_setup, boots_teardown),
    };
    return cmocka_run_group_tests_name("app", tests, NULL, NULL);
}
