/* test_access.c - who may call what, and what a token's holder sees, changes and can't take beyond its quotas. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "test/client.h"
#include "test/people.h"
#include "test_control.h"

/*
 * The matrix
 */

/* A route: what it answers to who may call it, and to who doesn't see the object. `name` goes with "*" or behind the path; names that begin with
 * ci- are the scoped operator's. */
struct row {
    const char *method, *path, *name, *body;
    enum access_role least;
    int allowed, foreign; /* foreign 0 = the same */
};

static const struct row rows[] = {
    {"GET", "/healthz", NULL, NULL, ACCESS_ANYBODY, 200, 0},
    {"GET", "/", NULL, NULL, ACCESS_ANYBODY, 200, 0},
    {"GET", "/page/*", "none", NULL, ACCESS_ANYBODY, 404, 0},
    {"GET", "/openapi.json", NULL, NULL, ACCESS_ANYBODY, 200, 0},
    {"GET", "/metrics", NULL, NULL, ACCESS_VIEWER, 200, 0},
    {"GET", "/v1/host", NULL, NULL, ACCESS_VIEWER, 200, 0},
    {"GET", "/v1/host/panic", NULL, NULL, ACCESS_ADMIN, 200, 0},
    {"POST", "/v1/host/reboot", NULL, "{\"grace\":1}", ACCESS_ADMIN, 422, 0},
    {"POST", "/v1/host/shutdown", NULL, "{\"grace\":1}", ACCESS_ADMIN, 422, 0},
    {"GET", "/v1/host/certificate", NULL, NULL, ACCESS_VIEWER, 200, 0},
    {"PUT", "/v1/host/certificate", NULL, "{\"x\":1}", ACCESS_ADMIN, 422, 0},
    {"POST", "/v1/host/certificate/request", NULL, "{\"x\":1}", ACCESS_ADMIN, 422, 0},
    {"POST", "/v1/host/certificate/renew", NULL, "{\"x\":1}", ACCESS_ADMIN, 422, 0},
    {"GET", "/v1/events", "?after=x", NULL, ACCESS_VIEWER, 400, 0},
    {"GET", "/v1/audit", NULL, NULL, ACCESS_ADMIN, 200, 0},
    {"GET", "/v1/backup", NULL, NULL, ACCESS_ADMIN, 422, 0},
    {"PUT", "/v1/backup", NULL, "x", ACCESS_ADMIN, 422, 0},
    {"GET", "/v1/client-certificates", NULL, NULL, ACCESS_ADMIN, 200, 0},
    {"GET", "/v1/client-certificates/*", "none", NULL, ACCESS_ADMIN, 404, 0},
    {"PUT", "/v1/client-certificates/*", "none", "{\"x\":1}", ACCESS_ADMIN, 422, 0},
    {"DELETE", "/v1/client-certificates/*", "none", NULL, ACCESS_ADMIN, 404, 0},
    {"GET", "/v1/caller", NULL, NULL, ACCESS_VIEWER, 200, 0},
    {"GET", "/v1/tokens", NULL, NULL, ACCESS_ADMIN, 200, 0},
    {"GET", "/v1/tokens/*", "eye", NULL, ACCESS_ADMIN, 200, 0},
    {"PUT", "/v1/tokens/*", "eye", "{\"role\":\"king\"}", ACCESS_ADMIN, 422, 0},
    {"DELETE", "/v1/tokens/*", "none", NULL, ACCESS_ADMIN, 404, 0},
    {"GET", "/v1/crashes", NULL, NULL, ACCESS_VIEWER, 200, 0},
    {"GET", "/v1/crashes/*", "1", NULL, ACCESS_VIEWER, 404, 0},
    {"GET", "/v1/images", NULL, NULL, ACCESS_VIEWER, 200, 0},
    {"GET", "/v1/images/*", "hello", NULL, ACCESS_VIEWER, 200, 0},
    {"PUT", "/v1/images/*", "hello", "no ELF", ACCESS_OPERATOR, 409, 403},
    {"PUT", "/v1/images/*", "ci-new", "no ELF", ACCESS_OPERATOR, 422, 0},
    {"PATCH", "/v1/images/*", "hello", "{}", ACCESS_OPERATOR, 200, 403},
    {"PATCH", "/v1/images/*", "ci-hello", "{}", ACCESS_OPERATOR, 200, 0},
    {"DELETE", "/v1/images/*", "hello", NULL, ACCESS_OPERATOR, 409, 403},
    {"DELETE", "/v1/images/*", "ci-hello", NULL, ACCESS_OPERATOR, 409, 0},
    {"GET", "/v1/guests", NULL, NULL, ACCESS_VIEWER, 200, 0},
    {"GET", "/v1/guests/*", "web", NULL, ACCESS_VIEWER, 200, 404},
    {"GET", "/v1/guests/*", "ci-web", NULL, ACCESS_VIEWER, 200, 0},
    {"PUT", "/v1/guests/*", "web", GUEST("hello"), ACCESS_OPERATOR, 200, 403},
    {"PUT", "/v1/guests/*", "ci-web", GUEST("ci-hello"), ACCESS_OPERATOR, 200, 0},
    {"PATCH", "/v1/guests/*", "web", "{}", ACCESS_OPERATOR, 200, 404},
    {"PATCH", "/v1/guests/*", "ci-web", "{}", ACCESS_OPERATOR, 200, 0},
    {"DELETE", "/v1/guests/*", "web", NULL, ACCESS_OPERATOR, 204, 404},
    {"DELETE", "/v1/guests/*", "ci-web", NULL, ACCESS_OPERATOR, 204, 0},
    {"GET", "/v1/guests/*/log", "web", NULL, ACCESS_VIEWER, 200, 404},
    {"GET", "/v1/guests/*/log", "ci-web", NULL, ACCESS_VIEWER, 200, 0},
    {"GET", "/v1/guests/*/console", "web", NULL, ACCESS_VIEWER, 426, 404},
    {"GET", "/v1/guests/*/console", "ci-web", NULL, ACCESS_VIEWER, 426, 0},
    {"GET", "/v1/guests/*/vcpus", "web", NULL, ACCESS_VIEWER, 409, 404},
    {"GET", "/v1/guests/*/trace", "web", NULL, ACCESS_VIEWER, 409, 404},
    {"GET", "/v1/disks", NULL, NULL, ACCESS_VIEWER, 200, 0},
    {"GET", "/v1/disks/*", "0", NULL, ACCESS_VIEWER, 200, 0},
    {"PUT", "/v1/disks/*", "0", "{}", ACCESS_ADMIN, 422, 0},
    {"GET", "/v1/volumes", NULL, NULL, ACCESS_VIEWER, 200, 0},
    {"GET", "/v1/volumes/*", "db", NULL, ACCESS_VIEWER, 200, 404},
    {"GET", "/v1/volumes/*", "ci-db", NULL, ACCESS_VIEWER, 200, 0},
    {"PUT", "/v1/volumes/*", "db", VOLUME, ACCESS_OPERATOR, 200, 403},
    {"PUT", "/v1/volumes/*", "ci-db", VOLUME, ACCESS_OPERATOR, 200, 0},
    {"PATCH", "/v1/volumes/*", "db", "{}", ACCESS_OPERATOR, 200, 404},
    {"DELETE", "/v1/volumes/*", "db", NULL, ACCESS_OPERATOR, 204, 404},
    {"DELETE", "/v1/volumes/*", "ci-db", NULL, ACCESS_OPERATOR, 204, 0},
    {"GET", "/v1/volumes/*/data", "db", NULL, ACCESS_OPERATOR, 200, 404},
    {"GET", "/v1/volumes/*/data", "ci-db", NULL, ACCESS_OPERATOR, 200, 0},
    {"PUT", "/v1/volumes/*/data", "db", "x", ACCESS_OPERATOR, 422, 404},
    {"PUT", "/v1/volumes/*/data", "ci-db", "x", ACCESS_OPERATOR, 422, 0},
    {"GET", "/v1/apps", NULL, NULL, ACCESS_VIEWER, 200, 0},
    {"GET", "/v1/apps/*", "none", NULL, ACCESS_VIEWER, 404, 0},
    {"PUT", "/v1/apps/*", "none", "{\"x\":1}", ACCESS_OPERATOR, 422, 403},
    {"PUT", "/v1/apps/*", "ci-none", "{\"x\":1}", ACCESS_OPERATOR, 422, 0},
    {"DELETE", "/v1/apps/*", "none", NULL, ACCESS_OPERATOR, 404, 0},
    {"GET", "/v1/operations", NULL, NULL, ACCESS_VIEWER, 200, 0},
    {"GET", "/v1/operations/*", "none", NULL, ACCESS_VIEWER, 404, 0},
    {"DELETE", "/v1/operations/*", "none", NULL, ACCESS_OPERATOR, 404, 0},
#if SKEP_DEBUG
    {"GET", "/v1/debug/points", NULL, NULL, ACCESS_ADMIN, 200, 0},
    {"POST", "/v1/debug/crash", NULL, "{\"at\":-1}", ACCESS_ADMIN, 422, 0},
#endif
};
#define ROWS (sizeof(rows) / sizeof(*rows))

/* Who calls. */
static const struct caller {
    const char *token;
    enum access_role role;
    bool scoped;
} callers[] = {
    {NULL, ACCESS_ANYBODY, false},
    {"wrong", ACCESS_ANYBODY, false},
    {people_expired, ACCESS_ANYBODY, false},
    {people_revoked, ACCESS_ANYBODY, false},
    {people_viewer, ACCESS_VIEWER, false},
    {people_operator, ACCESS_OPERATOR, false},
    {people_scoped, ACCESS_OPERATOR, true},
    {people_second_admin, ACCESS_ADMIN, false},
    {BOOT, ACCESS_ADMIN, false},
};

static int expected(const struct row *row, const struct caller *caller)
{
    if (row->least == ACCESS_ANYBODY)
        return row->allowed;
    if (caller->role == ACCESS_ANYBODY)
        return 401;
    if (caller->role > row->least)
        return 403;
    return caller->scoped && row->foreign ? row->foreign : row->allowed;
}

static void fill_path(const struct row *row, char path[80])
{
    const char *star = strchr(row->path, '*');

    if (star)
        snprintf(path, 80, "%.*s%s%s", (int)(star - row->path), row->path, row->name, star + 1);
    else
        snprintf(path, 80, "%s%s", row->path, row->name ? row->name : "");
}

static void test_matrix(void **state)
{
    char path[80];

    (void)state;
    for (const struct row *row = rows; row < rows + ROWS; row++)
        for (unsigned i = 0; i < sizeof(callers) / sizeof(*callers); i++) {
            int status, wanted = expected(row, &callers[i]);
            people_furnish();
            fill_path(row, path);
            status = client_call(callers[i].token, row->method, path, row->body);
            if (status != wanted)
                fail_msg("%s %s by caller %u: %d, not %d: %s", row->method, path, i, status, wanted,
                         client_body());
            if (status == 401 || status == 403)
                assert_non_null(strstr(client_answer(), "application/problem+json"));
        }
}

/* Each route has its rows, with its role, and each row a route. */
static void test_matrix_is_whole(void **state)
{
    const struct api_route *route;
    unsigned count[ROWS] = {0};

    (void)state;
    for (unsigned i = 0; (route = api_route(i)) != NULL; i++) {
        char path[80] = "";
        unsigned found = 0;
        for (unsigned k = 0; k < API_SEGMENTS_MAX && route->path[k]; k++)
            snprintf(path + strlen(path), sizeof(path) - strlen(path), "/%s", route->path[k]);
        for (unsigned k = 0; k < ROWS; k++)
            if (strcmp(rows[k].path, path) == 0 &&
                strcmp(rows[k].method, llhttp_method_name(route->method)) == 0) {
                assert_int_equal(rows[k].least, route->least);
                found = ++count[k];
            }
        if (!found)
            fail_msg("nobody says who may call %s %s", llhttp_method_name(route->method), path);
    }
    for (unsigned k = 0; k < ROWS; k++)
        assert_int_equal(count[k], 1);
}

/* A HEAD is a GET, also for who may not. */
static void test_head(void **state)
{
    (void)state;
    assert_int_equal(client_call(people_viewer, "HEAD", "/v1/volumes/db/data", NULL), 403);
    assert_int_equal(client_call(people_scoped, "HEAD", "/v1/guests/web", NULL), 404);
    assert_int_equal(client_call(people_scoped, "HEAD", "/v1/guests/ci-web", NULL), 200);
    assert_int_equal(client_call(people_viewer, "HEAD", "/v1/tokens", NULL), 403);
    assert_int_equal(client_call(people_viewer, "HEAD", "/v1/backup", NULL), 403);
}

/* Looking at a console is reading, typing isn't. */
static void test_console(void **state)
{
    (void)state;
    assert_int_equal(client_call(people_viewer, "GET", "/v1/guests/web/console?input=true", NULL),
                     403);
    assert_int_equal(client_call(people_operator, "GET", "/v1/guests/web/console?input=true", NULL),
                     426);
    assert_int_equal(client_call(people_scoped, "GET", "/v1/guests/web/console?input=true", NULL),
                     404);
}

/*
 * Header fields
 */

/* Header lines, with the viewer's token for each "@". */
static int with_fields(const char *lines)
{
    char fields[512] = "";

    for (const char *at = lines; *at; at++)
        snprintf(fields + strlen(fields), sizeof(fields) - strlen(fields), "%.*s",
                 *at == '@' ? (int)sizeof(people_viewer) : 1, *at == '@' ? people_viewer : at);
    return client_send("GET", "/v1/host", fields, "", 0);
}

static void test_fields(void **state)
{
    (void)state;
    assert_int_equal(with_fields("Authorization: Bearer @\r\n"), 200);
    assert_int_equal(with_fields("aUTHORIZATION: bEARER   @\r\n"), 200);
    assert_int_equal(with_fields("Authorization: Bearer @\r\nAuthorization: Bearer @\r\n"), 401);
    assert_int_equal(with_fields("Authorization: x\r\nauthorization: Bearer @\r\n"), 401);
    assert_int_equal(with_fields("Authorization: Bearer @, Bearer x\r\n"), 401);
    assert_int_equal(with_fields("Authorization: Bearer @x\r\n"), 401);
    assert_int_equal(with_fields("Authorization: Bearer@\r\n"), 401);
    assert_int_equal(with_fields("Authorization: Basic @\r\n"), 401);
    assert_int_equal(with_fields("Authorization: @\r\n"), 401);
    assert_int_equal(with_fields("Authorization: Bearer \r\nX: @\r\n"), 401);
    assert_int_equal(with_fields("Proxy-Authorization: Bearer @\r\n"), 401);
}

/* What the path names is what it says once its escapes are read. */
static void test_escapes(void **state)
{
    (void)state;
    assert_int_equal(client_call(people_scoped, "GET", "/v1/guests/%77eb", NULL), 404);
    assert_int_equal(client_call(people_scoped, "GET", "/v1/guests/%63i%2Dweb", NULL), 200);
    assert_int_equal(client_call(people_scoped, "GET", "/v1/guests/ci-%2F..%2Fweb", NULL), 400);
    assert_int_equal(client_call(people_scoped, "GET", "/v1/guests/ci-web%00", NULL), 400);
    assert_int_equal(client_call(people_viewer, "PUT", "/v1/%67uests/web", GUEST("hello")), 403);
    assert_int_equal(client_call(people_viewer, "GET", "/v1/%74okens", NULL), 403);
    assert_int_equal(client_call(people_scoped, "GET", "/v1/guests/ci-web/../web", NULL), 404);
}

/*
 * Scope
 */

static int bot(const char *method, const char *path, const char *body)
{
    return client_call(people_scoped, method, path, body);
}

static void test_lists(void **state)
{
    (void)state;
    assert_int_equal(bot("GET", "/v1/guests", NULL), 200);
    assert_non_null(strstr(client_body(), "\"ci-web\""));
    assert_null(strstr(client_body(), "\"web\""));
    assert_int_equal(bot("GET", "/v1/guests?after=ci-web", NULL), 200);
    assert_non_null(strstr(client_body(), "{\"items\":[\r\n"));
    assert_int_equal(bot("GET", "/v1/guests?after=a&limit=1", NULL), 200);
    assert_non_null(strstr(client_body(), "\"ci-web\""));
    assert_int_equal(bot("GET", "/v1/volumes", NULL), 200);
    assert_non_null(strstr(client_body(), "\"ci-db\""));
    assert_null(strstr(client_body(), "\"db\""));
    assert_int_equal(bot("GET", "/v1/images", NULL), 200);
    assert_non_null(strstr(client_body(), "\"hello\""));
}

/* "a" covers "a" and "ab", "a-" doesn't. */
static void test_prefixes(void **state)
{
    char short_one[TOKEN_TEXT_MAX], long_one[TOKEN_TEXT_MAX];

    (void)state;
    people_make("short", "{\"role\":\"operator\",\"scope\":{\"prefix\":\"a\"}}", short_one);
    people_make("long", "{\"role\":\"operator\",\"scope\":{\"prefix\":\"a-\"}}", long_one);
    assert_int_equal(client_call(long_one, "PUT", "/v1/guests/ab", GUEST("hello")), 403);
    assert_int_equal(client_call(long_one, "PUT", "/v1/guests/a", GUEST("hello")), 403);
    assert_int_equal(client_call(short_one, "PUT", "/v1/guests/ab", GUEST("hello")), 201);
    assert_int_equal(client_call(short_one, "PUT", "/v1/guests/a", GUEST("hello")), 201);
    assert_int_equal(client_call(long_one, "PUT", "/v1/guests/a-b", GUEST("hello")), 201);
    assert_int_equal(client_call(long_one, "GET", "/v1/guests", NULL), 200);
    assert_null(strstr(client_body(), "\"ab\""));
    assert_non_null(strstr(client_body(), "\"a-b\""));
    assert_int_equal(client_call(short_one, "GET", "/v1/guests", NULL), 200);
    assert_non_null(strstr(client_body(), "\"name\":\"a\""));
    assert_non_null(strstr(client_body(), "\"ab\""));
    assert_null(strstr(client_body(), "ci-web"));
}

#define NAMING(field) "{\"image\":\"hello\",\"desired_state\":\"stopped\"," field "}"

/* No spec reaches beyond the prefix, but for what somebody else has put into it; and that stays just as it is. */
static void test_references(void **state)
{
    (void)state;
    assert_int_equal(bot("PUT", "/v1/guests/ci-a", NAMING("\"volumes\":[{\"name\":\"db\"}]")), 422);
    assert_non_null(strstr(client_body(), "there is no volume 'db'"));
    assert_int_equal(bot("PUT", "/v1/guests/ci-a", NAMING("\"volumes\":[{\"name\":\"ci-db\"}]")),
                     201);
    assert_int_equal(bot("PUT", "/v1/guests/ci-b", NAMING("\"start_after\":[\"web\"]")), 422);
    assert_int_equal(bot("PUT", "/v1/guests/ci-b", NAMING("\"start_after\":[\"nothing\"]")), 422);
    assert_int_equal(bot("PUT", "/v1/guests/ci-b", NAMING("\"start_after\":[\"ci-web\"]")), 201);
    assert_int_equal(bot("PATCH", "/v1/guests/ci-b", "{\"start_after\":[\"ci-web\",\"web\"]}"),
                     422);
    assert_int_equal(bot("PATCH", "/v1/guests/ci-b", "{\"name\":\"web\"}"), 422);
    assert_int_equal(bot("PUT", "/v1/volumes/ci-c", "{\"clone_of\":\"db\"}"), 422);
    assert_non_null(strstr(client_body(), "There is no volume 'db'"));
    assert_int_equal(bot("PUT", "/v1/volumes/ci-c", "{\"snapshot_of\":\"db\"}"), 422);
    assert_int_equal(bot("PUT", "/v1/volumes/ci-c", "{\"clone_of\":\"ci-db\"}"), 201);
    assert_int_equal(people_admin("PUT", "/v1/guests/ci-d",
                                  NAMING("\"start_after\":[\"web\"],\"volumes\":[{\"name\":\"db\","
                                         "\"read_only\":true}]")),
                     201);
    assert_int_equal(bot("PATCH", "/v1/guests/ci-d", "{\"weight\":7}"), 200);
    assert_int_equal(bot("PATCH", "/v1/guests/ci-d", "{\"volumes\":[{\"name\":\"db\"}]}"), 422);
    assert_int_equal(bot("PATCH", "/v1/guests/ci-d", "{\"volumes\":[]}"), 200);
}

/* Problems name nobody else's guests and volumes. */
static void test_leaks(void **state)
{
    static const char with_address[] = NAMING("\"networks\":[{\"address\":\"10.0.2.77/24\"}]");

    (void)state;
    assert_int_equal(people_admin("PUT", "/v1/guests/secret", with_address), 201);
    assert_int_equal(bot("PUT", "/v1/guests/ci-a", with_address), 409);
    assert_null(strstr(client_body(), "secret"));
    assert_int_equal(people_admin("PUT", "/v1/guests/secret", GUEST("ci-hello")), 200);
    assert_int_equal(people_admin("DELETE", "/v1/guests/ci-web", NULL), 204);
    assert_int_equal(bot("DELETE", "/v1/images/ci-hello", NULL), 409);
    assert_null(strstr(client_body(), "secret"));
    assert_int_equal(people_admin("PUT", "/v1/guests/ci-y", NAMING("\"start_after\":[\"secret\"]")),
                     201);
    assert_int_equal(people_admin("PUT", "/v1/guests/secret", NAMING("\"start_after\":[\"ci-x\"]")),
                     200);
    assert_int_equal(bot("PUT", "/v1/guests/ci-x", NAMING("\"start_after\":[\"ci-y\"]")), 422);
    assert_null(strstr(client_body(), "secret"));
    assert_int_equal(people_admin("PUT", "/v1/volumes/secret", VOLUME), 201);
    assert_int_equal(people_admin("PUT", "/v1/volumes/ci-c", "{\"clone_of\":\"secret\"}"), 201);
    assert_int_equal(bot("GET", "/v1/volumes/ci-c", NULL), 200);
    assert_non_null(strstr(client_body(), "\"copy_of\":null"));
    assert_int_equal(bot("PUT", "/v1/volumes/ci-c", "{\"clone_of\":\"secret\"}"), 422);
}

/*
 * Quotas
 */

#define SIZED(vcpus, bytes)                                                                    \
    "{\"image\":\"hello\",\"desired_state\":\"stopped\",\"vcpus\":" #vcpus ",\"max_vcpus\":9," \
    "\"memory_bytes\":" #bytes "}"

static void assert_figures(const char *quota, const char *taken, const char *more)
{
    char text[120];

    snprintf(text, sizeof(text), "%s, of which %s are taken, and %s more", quota, taken, more);
    if (!strstr(client_body(), text))
        fail_msg("no \"%s\" in %s", text, client_body());
}

/* ci-web has 1 vCPU and 16 MiB, ci-db 64 KiB. */
static void test_quotas(void **state)
{
    char secret[TOKEN_TEXT_MAX];

    (void)state;
    people_make("q",
                "{\"role\":\"operator\",\"scope\":{\"prefix\":\"ci-\",\"quotas\":{\"guests\":3,"
                "\"memory_bytes\":33554432,\"vcpus\":4,\"volume_bytes\":196608}}}",
                secret);
    assert_int_equal(client_call(secret, "PUT", "/v1/guests/ci-a", SIZED(1, 20971520)), 409);
    assert_figures("33554432", "16777216", "20971520");
    assert_int_equal(client_call(secret, "PUT", "/v1/guests/ci-a", SIZED(4, 1048576)), 409);
    assert_figures("4", "1", "4");
    assert_int_equal(client_call(secret, "PUT", "/v1/guests/ci-a", SIZED(2, 8388608)), 201);
    assert_int_equal(client_call(secret, "PATCH", "/v1/guests/ci-a", "{\"vcpus\":4}"), 409);
    assert_figures("4", "3", "2");
    assert_int_equal(client_call(secret, "PATCH", "/v1/guests/ci-a", "{\"vcpus\":3}"), 200);
    assert_int_equal(client_call(secret, "PATCH", "/v1/guests/ci-a", "{\"memory_bytes\":16781312}"),
                     409);
    assert_figures("33554432", "25165824", "8392704");
    assert_int_equal(client_call(secret, "PATCH", "/v1/guests/ci-a", "{\"memory_bytes\":1048576}"),
                     200);
    assert_int_equal(people_admin("PUT", "/v1/guests/ci-b", SIZED(1, 1048576)), 201);
    assert_int_equal(client_call(secret, "PUT", "/v1/guests/ci-c", SIZED(1, 1048576)), 409);
    assert_figures("3", "3", "1");
    /* More than the quota already, by others: what doesn't grow goes on. */
    assert_int_equal(client_call(secret, "PATCH", "/v1/guests/ci-a", "{\"weight\":3}"), 200);
    assert_int_equal(client_call(secret, "PATCH", "/v1/guests/ci-a", "{\"vcpus\":1}"), 200);
    assert_int_equal(client_call(secret, "DELETE", "/v1/guests/ci-b", NULL), 204);
    assert_int_equal(client_call(secret, "PUT", "/v1/guests/ci-c", SIZED(1, 1048576)), 201);
    /* Volumes: new ones, copies, growth. */
    assert_int_equal(client_call(secret, "PUT", "/v1/volumes/ci-v", "{\"size_bytes\":135168}"),
                     409);
    assert_figures("196608", "65536", "135168");
    assert_int_equal(client_call(secret, "PUT", "/v1/volumes/ci-v", VOLUME), 201);
    assert_int_equal(client_call(secret, "PUT", "/v1/volumes/ci-s", "{\"snapshot_of\":\"ci-v\"}"),
                     201);
    assert_int_equal(client_call(secret, "PUT", "/v1/volumes/ci-t", "{\"clone_of\":\"ci-v\"}"),
                     409);
    assert_figures("196608", "196608", "65536");
    assert_int_equal(client_call(secret, "PATCH", "/v1/volumes/ci-v", "{\"size_bytes\":131072}"),
                     409);
    assert_int_equal(client_call(secret, "PUT", "/v1/volumes/ci-v", "{\"size_bytes\":131072}"),
                     409);
    assert_int_equal(client_call(secret, "PATCH", "/v1/volumes/ci-v", "{\"limits\":{\"iops\":9}}"),
                     200);
    /* Other tokens, other quotas. */
    assert_int_equal(bot("PATCH", "/v1/volumes/ci-v", "{\"size_bytes\":131072}"), 200);
}

static void test_quota_of_none(void **state)
{
    char secret[TOKEN_TEXT_MAX];

    (void)state;
    people_make("q",
                "{\"role\":\"operator\",\"scope\":{\"prefix\":\"q-\",\"quotas\":{\"guests\":0}}}",
                secret);
    assert_int_equal(client_call(secret, "PUT", "/v1/guests/q-a", GUEST("hello")), 409);
    assert_figures("0", "0", "1");
    assert_int_equal(client_call(secret, "PUT", "/v1/volumes/q-a", VOLUME), 201);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, people_setup, people_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_matrix),  TEST(test_matrix_is_whole), TEST(test_head),
        TEST(test_console), TEST(test_fields),          TEST(test_escapes),
        TEST(test_lists),   TEST(test_prefixes),        TEST(test_references),
        TEST(test_leaks),   TEST(test_quotas),          TEST(test_quota_of_none),
    };
    return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
