/* test_tokens.c - tokens: how they are made, changed and ended, and what is kept of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "core.h"
#include "events.h"
#include "guest.h"
#include "identity.h"
#include "json.h"
#include "persist.h"
#include "service.h"
#include "store.h"
#include "test/boots.h"
#include "test/client.h"
#include "test/fake.h"
#include "test/people.h"
#include "test/ram_disk.h"
#include "test_control.h"

static void test_tokens(void **state)
{
    char first[TOKEN_TEXT_MAX], other[TOKEN_TEXT_MAX];

    (void)state;
    people_make("x", "{\"role\":\"viewer\"}", first);
    assert_int_equal(people_admin("GET", "/v1/tokens/x", NULL), 200);
    assert_null(strstr(client_body(), first));
    assert_non_null(strstr(client_body(), "\"last_used_at\":null"));
    assert_int_equal(client_call(first, "GET", "/v1/host", NULL), 200);
    people_admin("GET", "/v1/tokens/x", NULL);
    assert_null(strstr(client_body(), "\"last_used_at\":null"));
    /* Nothing, another role without another secret, another secret. */
    assert_int_equal(people_admin("PUT", "/v1/tokens/x", "{\"role\":\"viewer\"}"), 200);
    assert_null(strstr(client_body(), "\"token\""));
    assert_int_equal(client_call(first, "DELETE", "/v1/guests/none", NULL), 403);
    assert_int_equal(people_admin("PUT", "/v1/tokens/x", "{\"role\":\"operator\"}"), 200);
    assert_null(strstr(client_body(), "\"token\""));
    assert_int_equal(client_call(first, "DELETE", "/v1/guests/none", NULL), 404);
    assert_int_equal(people_admin("PUT", "/v1/tokens/x?rotate=true", "{\"role\":\"operator\"}"),
                     200);
    people_take_secret(other);
    assert_string_not_equal(first, other);
    assert_int_equal(client_call(first, "GET", "/v1/host", NULL), 401);
    assert_int_equal(client_call(other, "GET", "/v1/host", NULL), 200);
    assert_int_equal(people_admin("DELETE", "/v1/tokens/x", NULL), 204);
    assert_int_equal(client_call(other, "GET", "/v1/host", NULL), 401);
    assert_int_equal(people_admin("DELETE", "/v1/tokens/x", NULL), 404);
    assert_int_equal(people_admin("PUT", "/v1/tokens/x?rotate=1", "{\"role\":\"viewer\"}"), 400);
    people_admin("GET", "/v1/audit", NULL);
    assert_null(strstr(client_body(), first));
    assert_non_null(strstr(client_body(), "operator, new secret"));
    assert_non_null(strstr(client_body(), "\"caller\":\"x 0.0.0.0\""));
}

/* The boot's token isn't to be had here, nor the service's own name. */
static void test_names(void **state)
{
    static const char body[] = "{\"role\":\"viewer\"}";

    (void)state;
    assert_int_equal(people_admin("PUT", "/v1/tokens/admin", body), 409);
    assert_int_equal(people_admin("PUT", "/v1/tokens/admin?rotate=true", body), 409);
    assert_int_equal(people_admin("DELETE", "/v1/tokens/admin", NULL), 409);
    assert_int_equal(people_admin("GET", "/v1/tokens/admin", NULL), 404);
    assert_int_equal(people_admin("PUT", "/v1/tokens/skep", body), 409);
    assert_int_equal(people_admin("PUT", "/v1/tokens/a23456789012345678901234", body), 400);
    assert_int_equal(people_admin("PUT", "/v1/tokens/a2345678901234567890123", body), 201);
    assert_int_equal(people_admin("PUT", "/v1/tokens/A", body), 400);
    assert_int_equal(people_admin("GET", "/v1/host", NULL), 200);
}

static const struct {
    const char *body, *word; /* of the problem's detail */
} bad[] = {
    {"{}", "role"},
    {"[]", "object"},
    {"{\"role\":7}", "role"},
    {"{\"role\":\"none\"}", "role"},
    {"{\"role\":\"Admin\"}", "role"},
    {"{\"role\":\"viewer\",\"name\":\"y\"}", "name"},
    {"{\"role\":\"viewer\",\"token\":\"mine\"}", "token"},
    {"{\"role\":\"viewer\",\"sha256\":\"00\"}", "sha256"},
    {"{\"role\":\"viewer\",\"scope\":\"ci-\"}", "scope"},
    {"{\"role\":\"viewer\",\"scope\":{}}", "prefix"},
    {"{\"role\":\"viewer\",\"scope\":{\"prefix\":\"\"}}", "prefix"},
    {"{\"role\":\"viewer\",\"scope\":{\"prefix\":\"-a\"}}", "prefix"},
    {"{\"role\":\"viewer\",\"scope\":{\"prefix\":\"a/\"}}", "prefix"},
    {"{\"role\":\"viewer\",\"scope\":{\"prefix\":\"a234567890123456789012345678901234567890\"}}",
     "prefix"},
    {"{\"role\":\"viewer\",\"scope\":{\"prefix\":\"a\",\"suffix\":\"b\"}}", "suffix"},
    {"{\"role\":\"viewer\",\"scope\":{\"prefix\":\"a\",\"quotas\":7}}", "quotas"},
    {"{\"role\":\"viewer\",\"scope\":{\"prefix\":\"a\",\"quotas\":{\"disks\":1}}}", "disks"},
    {"{\"role\":\"viewer\",\"scope\":{\"prefix\":\"a\",\"quotas\":{\"guests\":-1}}}", "guests"},
    {"{\"role\":\"viewer\",\"scope\":{\"prefix\":\"a\",\"quotas\":{\"vcpus\":1.5}}}", "vcpus"},
    {"{\"role\":\"viewer\",\"scope\":{\"prefix\":\"a\",\"quotas\":{\"memory_bytes\":1e99}}}",
     "memory_bytes"},
    {"{\"role\":\"admin\",\"scope\":{\"prefix\":\"a\"}}", "scope"},
    {"{\"role\":\"viewer\",\"expires_at\":5}", "expires_at"},
    {"{\"role\":\"viewer\",\"expires_at\":\"tomorrow\"}", "expires_at"},
    {"{\"role\":\"viewer\",\"expires_at\":\"2025-01-01T00:00:00Z\"}", "expires_at"},
};

static void test_bad_bodies(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_int_equal(people_admin("PUT", "/v1/tokens/bad", bad[i].body), 422);
        if (!strstr(client_body(), bad[i].word))
            fail_msg("%s: %s", bad[i].body, client_body());
        assert_int_equal(people_admin("PUT", "/v1/tokens/eye", bad[i].body), 422);
    }
    assert_int_equal(people_admin("GET", "/v1/tokens/bad", NULL), 404);
    assert_int_equal(people_admin("GET", "/v1/tokens/eye", NULL), 200);
    assert_non_null(strstr(client_body(), "\"role\":\"viewer\",\"scope\":null"));
}

static void test_many(void **state)
{
    char path[40], secret[TOKEN_TEXT_MAX];
    unsigned made = 5; /* those of the set-up */

    (void)state;
    for (; made < TOKENS_MAX; made++) {
        snprintf(path, sizeof(path), "/v1/tokens/t%u", made);
        assert_int_equal(people_admin("PUT", path, "{\"role\":\"viewer\"}"), 201);
    }
    people_take_secret(secret);
    assert_int_equal(people_admin("PUT", "/v1/tokens/more", "{\"role\":\"viewer\"}"), 409);
    assert_int_equal(people_admin("PUT", "/v1/tokens/t9", "{\"role\":\"operator\"}"), 200);
    assert_int_equal(people_admin("DELETE", "/v1/tokens/t7", NULL), 204);
    assert_int_equal(people_admin("PUT", "/v1/tokens/more", "{\"role\":\"viewer\"}"), 201);
    boots_cold();
    assert_int_equal(client_call(secret, "GET", "/v1/host", NULL), 200);
}

/* Without the time nothing is known to be valid still. */
static void test_expiry(void **state)
{
    char time[JSON_TIME_MAX], body[120], soon[TOKEN_TEXT_MAX];
    uint64_t base = core_wall_base_ns();

    (void)state;
    assert_int_equal(client_call(people_expired, "GET", "/v1/host", NULL), 401);
    assert_non_null(strstr(client_body(), "'late' has expired"));
    json_time_text(core_wall_ns() + HOUR, time);
    snprintf(body, sizeof(body), "{\"role\":\"viewer\",\"expires_at\":\"%s\"}", time);
    people_make("soon", body, soon);
    assert_int_equal(client_call(soon, "GET", "/v1/host", NULL), 200);
    core_wall_set(0);
    assert_int_equal(client_call(soon, "GET", "/v1/host", NULL), 401);
    assert_int_equal(client_call(people_viewer, "GET", "/v1/host", NULL), 200);
    assert_int_equal(people_admin("PUT", "/v1/tokens/more", body), 409);
    core_wall_set(base);
    assert_int_equal(client_call(soon, "GET", "/v1/host", NULL), 200);
    fake_skip(HOUR);
    assert_int_equal(client_call(soon, "GET", "/v1/host", NULL), 401);
    assert_int_equal(people_admin("GET", "/v1/tokens/soon", NULL), 200);
    assert_non_null(strstr(client_body(), "\"expired\":true"));
    assert_int_equal(people_admin("PUT", "/v1/tokens/soon", "{\"role\":\"viewer\"}"), 200);
    assert_int_equal(client_call(soon, "GET", "/v1/host", NULL), 200);
}

/*
 * At once
 */

static void revoke(void)
{
    struct problem p;

    model_lock();
    assert_int_equal(tokens_delete(TOKEN_SECRET, "hand", &p), 204);
    model_unlock();
}

static void demote(void)
{
    struct problem p;
    struct token wish;
    char text[TOKEN_TEXT_MAX];
    cJSON *json = cJSON_Parse("{\"role\":\"viewer\"}");

    assert_int_equal(token_from_json(&wish, TOKEN_SECRET, json, "hand", &p), 0);
    model_lock();
    assert_int_equal(tokens_put(&wish, false, text, &p), 200);
    model_unlock();
    cJSON_Delete(json);
}

static void let_expire(void)
{
    fake_skip(HOUR);
}

/* What is being served when a token ends isn't done, or goes no further. */
static void test_while_serving(void **state)
{
    static char data[65536];
    char fields[256];

    (void)state;
    snprintf(fields, sizeof(fields), "Authorization: Bearer %s\r\n", people_operator);
    client_before_body(demote);
    assert_int_equal(client_call(people_operator, "PUT", "/v1/guests/new", GUEST("hello")), 401);
    assert_null(guest_find("new"));
    assert_int_equal(people_admin("PUT", "/v1/tokens/hand", "{\"role\":\"operator\"}"), 200);
    client_before_body(demote);
    assert_int_equal(client_send("PUT", "/v1/images/new", fields, data, 2000), 401);
    assert_int_equal(people_admin("PUT", "/v1/tokens/hand", "{\"role\":\"operator\"}"), 200);
    client_before_body(revoke);
    assert_int_equal(client_send("PUT", "/v1/volumes/db/data", fields, data, sizeof(data)), 401);
}

static void test_streams(void **state)
{
    char time[JSON_TIME_MAX], body[120], soon[TOKEN_TEXT_MAX];

    (void)state;
    assert_int_equal(client_call(people_operator, "GET", "/v1/guests/web/log", NULL), 200);
    assert_true(client_has_last_chunk());
    assert_int_equal(people_admin("PATCH", "/v1/guests/web", "{\"desired_state\":\"running\"}"),
                     200);
    client_after_head(revoke);
    assert_int_equal(client_call(people_operator, "GET", "/v1/guests/web/log?follow=true", NULL),
                     200);
    assert_false(client_has_last_chunk());
    json_time_text(core_wall_ns() + HOUR, time);
    snprintf(body, sizeof(body), "{\"role\":\"operator\",\"expires_at\":\"%s\"}", time);
    people_make("soon", body, soon);
    client_after_head(let_expire);
    assert_int_equal(client_call(soon, "GET", "/v1/volumes/db/data", NULL), 200);
    assert_false(client_has_last_chunk());
}

/*
 * What is kept
 */

static bool obeys(const char *secret)
{
    return client_call(secret, "GET", "/v1/host", NULL) == 200;
}

static void restart(bool safe_mode)
{
    boots_end();
    boots_begin(safe_mode, false);
}

static int setup_alone(void **state)
{
    struct config config;

    boots_setup(state);
    config_defaults(&config);
    strcpy(config.token, BOOT);
    return token_get(&config, true) ? 0 : -1;
}

static int setup_without_disk(void **state)
{
    int result = setup_alone(state);

    boots_end();
    fake_set_disk(NULL, 0);
    boots_begin(false, true);
    return result;
}

static void check_kept(const char *secret)
{
    assert_true(obeys(secret));
    assert_int_equal(client_call(secret, "PUT", "/v1/guests/web", "{}"), 403);
    assert_non_null(strstr(client_body(), "begin with 'ci-'"));
    people_admin("GET", "/v1/tokens/bot", NULL);
    assert_non_null(strstr(client_body(), "\"guests\":5,\"memory_bytes\":null"));
    assert_non_null(strstr(client_body(), "\"expires_at\":\"2099-12-31T23:59:59.999Z\""));
}

static void make_bot(char secret[TOKEN_TEXT_MAX])
{
    people_make("bot",
                "{\"role\":\"operator\",\"scope\":{\"prefix\":\"ci-\",\"quotas\":{\"guests\":5}},"
                "\"expires_at\":\"2099-12-31T23:59:59.999Z\"}",
                secret);
}

static void test_kept_on_disk(void **state)
{
    char secret[TOKEN_TEXT_MAX], gone[TOKEN_TEXT_MAX];

    (void)state;
    make_bot(secret);
    people_make("gone", "{\"role\":\"admin\"}", gone);
    assert_int_equal(people_admin("DELETE", "/v1/tokens/gone", NULL), 204);
    boots_cold();
    check_kept(secret);
    assert_false(obeys(gone));
    restart(false);
    check_kept(secret);
    restart(true); /* from the records alone */
    check_kept(secret);
    assert_int_equal(people_admin("DELETE", "/v1/tokens/bot", NULL), 507);
    restart(false);
    assert_int_equal(people_admin("DELETE", "/v1/tokens/bot", NULL), 204);
    boots_cold();
    assert_false(obeys(secret));
}

static void test_kept_without_disk(void **state)
{
    char secret[TOKEN_TEXT_MAX], gone[TOKEN_TEXT_MAX];

    (void)state;
    make_bot(secret);
    people_make("gone", "{\"role\":\"admin\"}", gone);
    assert_int_equal(people_admin("DELETE", "/v1/tokens/gone", NULL), 204);
    restart(false);
    check_kept(secret);
    assert_false(obeys(gone));
    boots_cold();
    assert_false(obeys(secret));
}

/* The first disk takes over what there is. */
static void test_disk_comes(void **state)
{
    char secret[TOKEN_TEXT_MAX];

    (void)state;
    make_bot(secret);
    fake_set_disk(NULL, BOOTS_DISK_BYTES);
    service_keep();
    boots_cold();
    check_kept(secret);
}

/* A record that is empty gives its page back. */
static void test_records_are_given_back(void **state)
{
    struct token records[STORE_BYTES_MAX / sizeof(struct token)];
    char secret[TOKEN_TEXT_MAX];

    (void)state;
    assert_int_equal(store_read(STORE_TOKENS_FIRST, STORE_TOKENS, records, sizeof(records)), 0);
    make_bot(secret);
    assert_true(store_read(STORE_TOKENS_FIRST, STORE_TOKENS, records, sizeof(records)) > 0);
    assert_int_equal(people_admin("DELETE", "/v1/tokens/bot", NULL), 204);
    assert_int_equal(store_read(STORE_TOKENS_FIRST, STORE_TOKENS, records, sizeof(records)), 0);
}

/* What can't be kept isn't done: neither a new token nor the end of one. */
static void test_refusals(void **state)
{
    char secret[TOKEN_TEXT_MAX];

    (void)state;
    make_bot(secret);
    fake_fail_retain(true);
    assert_int_equal(people_admin("PUT", "/v1/tokens/more", "{\"role\":\"viewer\"}"), 503);
    assert_int_equal(people_admin("DELETE", "/v1/tokens/bot", NULL), 503);
    fake_fail_retain(false);
    assert_int_equal(people_admin("GET", "/v1/tokens/more", NULL), 404);
    check_kept(secret);
    boots_cold();
    assert_int_equal(people_admin("GET", "/v1/tokens/more", NULL), 404);
    check_kept(secret);
    fake_disk()->fails_after = 0;
    assert_int_equal(people_admin("PUT", "/v1/tokens/more", "{\"role\":\"viewer\"}"), 507);
    assert_int_equal(people_admin("DELETE", "/v1/tokens/bot", NULL), 507);
    fake_disk()->fails_after = -1;
    check_kept(secret);
    fake_set_entropy(false);
    assert_int_equal(people_admin("PUT", "/v1/tokens/bot?rotate=true", "{\"role\":\"viewer\"}"),
                     503);
    fake_set_entropy(true);
    check_kept(secret);
}

#define DIGITS "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* The disk is the truth; if it can't be read, the records are. */
static void test_disagreement(void **state)
{
    static const char *const nonsense[] = {
        "{",
        "{}",
        "[7]",
        "[{\"name\":\"x\"}]",
        "[{\"name\":\"admin\",\"role\":\"admin\",\"sha256\":\"" DIGITS "\"}]",
        "[{\"name\":\"x\",\"role\":\"admin\",\"sha256\":\"" DIGITS "\"},"
        "{\"name\":\"x\",\"role\":\"viewer\",\"sha256\":\"" DIGITS "\"}]"};
    char secret[TOKEN_TEXT_MAX];
    struct problem p;

    (void)state;
    make_bot(secret);
    store_erase(STORE_TOKENS_FIRST);
    restart(false);
    check_kept(secret);
    for (unsigned i = 0; i < sizeof(nonsense) / sizeof(*nonsense); i++) {
        assert_int_equal(persist_put("tokens", nonsense[i], strlen(nonsense[i]), &p), 0);
        restart(false);
        check_kept(secret);
    }
    assert_int_equal(persist_put("tokens", "[]", 2, &p), 0);
    restart(false);
    assert_false(obeys(secret));
    restart(true);
    assert_false(obeys(secret));
}

static char *kept_text(void)
{
    cJSON *json = tokens_to_kept();
    char *text = cJSON_PrintUnformatted(json);

    cJSON_Delete(json);
    return text;
}

static const struct step {
    const char *method, *path, *body;
} steps[] = {
    {"PUT", "/v1/tokens/a", "{\"role\":\"viewer\"}"},
    {"PUT", "/v1/tokens/b", "{\"role\":\"operator\",\"scope\":{\"prefix\":\"b-\"}}"},
    {"PUT", "/v1/tokens/a?rotate=true", "{\"role\":\"viewer\"}"},
    {"PUT", "/v1/tokens/b", "{\"role\":\"viewer\"}"},
    {"DELETE", "/v1/tokens/a", NULL},
    {"PUT", "/v1/tokens/c", "{\"role\":\"admin\"}"},
    {"DELETE", "/v1/tokens/c", NULL},
};
#define STEPS (sizeof(steps) / sizeof(*steps))

static void make_change(unsigned index)
{
    const struct step *s = &steps[index];
    assert_in_range(people_admin(s->method, s->path, s->body), 200, 204);
}

static void test_power_cuts(void **state)
{
    (void)state;
    boots_cut_everywhere(&(struct boots_changes){STEPS, make_change, kept_text, NULL, 5});
}

/* Also what a restore brings is told, of each by its name. */
static void test_events_of_a_restore(void **state)
{
    static const char *const expected[] = {"c deleted", "a created", "b changed"};
    char secret[TOKEN_TEXT_MAX], line[64];
    uint64_t from;
    struct problem p;
    struct event e;
    cJSON *kept;

    (void)state;
    people_make("a", "{\"role\":\"viewer\"}", secret);
    people_make("b", "{\"role\":\"viewer\"}", secret);
    model_lock();
    kept = tokens_to_kept();
    model_unlock();
    people_admin("DELETE", "/v1/tokens/a", NULL);
    people_make("c", "{\"role\":\"viewer\"}", secret);
    people_admin("PUT", "/v1/tokens/b", "{\"role\":\"operator\"}");
    events_start();
    from = events_last();
    model_lock();
    assert_int_equal(tokens_restore(kept, &p), 0);
    model_unlock();
    cJSON_Delete(kept);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(events_read(from + i, &e), 1);
        snprintf(line, sizeof(line), "%s %s", e.name, e.type);
        assert_string_equal(line, expected[i]);
    }
    assert_int_equal(events_read(from + 3, &e), 0);
    events_stop();
}

#define TEST(name)  cmocka_unit_test_setup_teardown(name, people_setup, people_teardown)
#define ALONE(name) cmocka_unit_test_setup_teardown(name, setup_alone, boots_teardown)
#define BARE(name)  cmocka_unit_test_setup_teardown(name, setup_without_disk, boots_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_tokens),        TEST(test_names),
        TEST(test_bad_bodies),    TEST(test_many),
        TEST(test_expiry),        TEST(test_while_serving),
        TEST(test_streams),       TEST(test_events_of_a_restore),
        ALONE(test_kept_on_disk), BARE(test_kept_without_disk),
        BARE(test_disk_comes),    ALONE(test_records_are_given_back),
        ALONE(test_refusals),     ALONE(test_disagreement),
        ALONE(test_power_cuts),
    };
    return cmocka_run_group_tests_name("tokens", tests, NULL, NULL);
}
