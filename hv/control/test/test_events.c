/* test_events.c - events: what makes one, their ring, and the stream that clients read. */
#include "events.h"

#include <stdio.h>
#include <string.h>

#include "api.h"
#include "boots.h"
#include "guest.h"
#include "image.h"
#include "power.h"
#include "test/client.h"
#include "test/fake.h"
#include "test_control.h"

#define MS 1000000ull

static int setup(void **state)
{
    boots_setup(state);
    client_setup();
    events_start();
    return 0;
}

static int teardown(void **state)
{
    events_stop();
    return boots_teardown(state);
}

static void add(enum event_kind kind, const char *name, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        events_add(kind, "noted", name, NULL, "\"n\":%u", i);
}

/*
 * The ring
 */

static void test_ring(void **state)
{
    char first[EVENT_ID_MAX], id[EVENT_ID_MAX];
    struct event e;
    uint64_t number;

    (void)state;
    assert_int_equal(events_last(), 0);
    assert_int_equal(events_read(0, &e), 0);
    add(EVENT_DISKS, "0", 1);
    assert_int_equal(events_read(0, &e), 1);
    assert_int_equal(e.number, 1);
    assert_string_equal(e.change, "{\"n\":0}");
    assert_int_equal(events_read(1, &e), 0);
    events_id_text(1, first);
    assert_true(events_id_read(first, &number));
    assert_int_equal(number, 1);
    events_id_text(2, id);
    assert_false(events_id_read(id, &number)); /* there is none yet */
    /* As many as are kept, and one more. */
    add(EVENT_DISKS, "0", EVENTS_KEPT);
    assert_int_equal(events_read(1, &e), 1);
    assert_int_equal(events_read(0, &e), -1);
    assert_int_equal(events_read(EVENTS_KEPT, &e), 1);
    assert_int_equal(e.number, EVENTS_KEPT + 1);
    assert_string_equal(e.change, "{\"n\":1023}");
    /* Another start: the same number is another event. */
    events_stop();
    add(EVENT_DISKS, "0", 3);
    assert_int_equal(events_last(), 0);
    events_start();
    add(EVENT_DISKS, "0", 3);
    assert_false(events_id_read(first, &number));
    assert_false(events_id_read("", &number));
    assert_false(events_id_read("1", &number));
    assert_false(events_id_read("-1", &number));
}

static void test_long_change(void **state)
{
    char digits[300];
    struct event e;

    (void)state;
    memset(digits, '7', sizeof(digits));
    for (size_t n = EVENT_CHANGE_MAX - 20; n < EVENT_CHANGE_MAX + 20; n++) {
        events_add(EVENT_HOST, "noted", NULL, NULL, "%.*s", (int)n, digits);
        assert_int_equal(events_read(events_last() - 1, &e), 1);
        assert_int_equal(strlen(e.change), n + 2 < EVENT_CHANGE_MAX ? n + 2 : 2);
        assert_int_equal(e.change[strlen(e.change) - 1], '}');
    }
}

/*
 * What makes one
 */

/* All since `from`, each as "kind/name type change": the words that must be there, in this order and no others. */
static void assert_events(uint64_t from, const char *const expected[], unsigned count)
{
    char line[512];
    struct event e;

    for (unsigned i = 0; i < count; i++, from++) {
        if (events_read(from, &e) != 1)
            fail_msg("there is no event for %s", expected[i]);
        snprintf(line, sizeof(line), "%s/%s %s %s", event_kind_name(e.kind), e.name, e.type,
                 e.change);
        if (strncmp(line, expected[i], strlen(expected[i])) != 0)
            fail_msg("%s where there should be %s", line, expected[i]);
    }
    if (events_read(from, &e) == 1)
        fail_msg("%s/%s %s %s is one too many", event_kind_name(e.kind), e.name, e.type, e.change);
}
#define ASSERT_EVENTS(from, ...)                            \
    assert_events(from, (const char *const[]){__VA_ARGS__}, \
                  sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void test_a_guests_life(void **state)
{
    struct problem p;
    uint64_t from;

    (void)state;
    assert_int_equal(boots_upload("img", 1, &p), 201);
    assert_int_equal(boots_upload("img", 1, &p), 200);
    assert_int_equal(boots_put("web", "{\"image\":\"none\"}"), -1);
    ASSERT_EVENTS(0, "images/img uploaded {\"digest\":\"sha256:");
    from = events_last();
    boots_put("web", "{\"image\":\"img\"}");
    boots_put("web", "{\"image\":\"img\"}");
    boots_settle();
    ASSERT_EVENTS(from, "guests/web created {\"image\":\"img\",\"desired_state\":\"running\"}",
                  "guests/web state {\"state\":\"running\"}");
    from = events_last();
    boots_put("web", "{\"image\":\"img\",\"desired_state\":\"paused\"}");
    boots_put("web", "{\"image\":\"img\",\"weight\":7}");
    ASSERT_EVENTS(from, "guests/web changed {\"change\":\"applied\"",
                  "guests/web state {\"state\":\"paused\"}",
                  "guests/web changed {\"change\":\"applied\"",
                  "guests/web state {\"state\":\"running\"}");
    from = events_last();
    boots_put("web", "{\"image\":\"img\",\"args\":[\"exit=3\"]}");
    boots_settle();
    boots_settle();
    ASSERT_EVENTS(from, "guests/web changed {\"change\":\"replacing\"",
                  "guests/web state {\"state\":\"exited\",\"exit_code\":0}",
                  "guests/web state {\"state\":\"running\"}",
                  "guests/web state {\"state\":\"exited\",\"exit_code\":3}");
    from = events_last();
    guest_delete(guest_find("web"), &p);
    assert_int_equal(image_remove(image_find("img"), &p), 0);
    ASSERT_EVENTS(from, "guests/web state {\"state\":\"dying\"}", "guests/web deleted {}",
                  "images/img deleted {}");
}

static void test_restarts(void **state)
{
    struct problem p;
    uint64_t from;

    (void)state;
    boots_upload("img", 1, &p);
    boots_put("web", "{\"image\":\"img\",\"args\":[\"crash=8\"],\"restart\":\"always\"}");
    from = events_last();
    boots_settle();
    ASSERT_EVENTS(from,
                  "guests/web state {\"state\":\"crashed\",\"reason\":\"page-fault\",\"crash\":1}",
                  "guests/web restart {\"restarts\":1,\"in_ns\":");
    for (unsigned i = 2; i <= 3; i++) {
        fake_skip(1000 * MS);
        from = events_last();
        while (guest_find("web")->failures < i)
            boots_settle();
    }
    ASSERT_EVENTS(from, "guests/web state {\"state\":\"running\"}",
                  "guests/web state {\"state\":\"crashed\",\"reason\":\"page-fault\",\"crash\":3}",
                  "guests/web restart {\"restarts\":3,\"in_ns\":",
                  "guests/web state {\"state\":\"crash-looping\",\"reason\":\"page-fault\"");
    from = events_last();
    guest_delete(guest_find("web"), &p);
    boots_settle();
    ASSERT_EVENTS(from, "guests/web state {\"state\":\"dying\"}", "guests/web deleted {}");
}

/* One that waits says for what; who restores or empties a machine is told of, too. */
static void test_waiting(void **state)
{
    struct problem p;
    uint64_t from;

    (void)state;
    boots_upload("img", 1, &p);
    from = events_last();
    boots_put("web", "{\"image\":\"img\",\"start_after\":[\"db\"]}");
    ASSERT_EVENTS(from, "guests/web created",
                  "guests/web state {\"state\":\"waiting\",\"error\":\"it starts after guest 'db', "
                  "which isn't up\"}");
    from = events_last();
    guest_restore_none();
    ASSERT_EVENTS(from, "guests/web deleted {}");
}

static void test_host(void **state)
{
    struct problem p;

    (void)state;
    model_lock();
    assert_int_equal(power_begin(true, POWER_GRACE_NONE, &p), 0);
    model_unlock();
    ASSERT_EVENTS(0, "host/ power {\"power\":\"rebooting\"}");
}

/*
 * The stream: a client that leaves when it was told so often
 */

/* At each of the next writes an event is added, and so many with it. */
static int events_more;
static unsigned flood;

static bool add_while_written(void)
{
    if (events_more == 0)
        return false;
    add(EVENT_GUESTS, "web", 1 + flood);
    events_more--;
    return true;
}

static void setup_wire(int more, int writes_left)
{
    events_more = more;
    flood = 0;
    client_set_reader(add_while_written, writes_left);
}

static void test_stream(void **state)
{
    char id[EVENT_ID_MAX], line[200], path[100];
    const char *text;

    (void)state;
    add(EVENT_GUESTS, "web", 2);
    setup_wire(4, -1);
    text = client_get("/v1/events", "");
    events_id_text(2, id);
    assert_non_null(strstr(text, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"));
    snprintf(line, sizeof(line), "Skep-Event-Id: %s\r\n", id);
    assert_non_null(strstr(text, line));
    /* The writer adds one as soon as the head is sent: it belongs to the stream. */
    snprintf(line, sizeof(line), "retry: 1000\nid: %s\n\n", id);
    assert_non_null(strstr(text, line));
    events_id_text(3, id);
    snprintf(line, sizeof(line), "id: %s\nevent: noted\ndata: {\"id\":\"%s\",\"time\":\"2", id, id);
    assert_non_null(strstr(text, line));
    assert_non_null(strstr(text, "\"type\":\"noted\",\"kind\":\"guests\",\"name\":\"web\","
                                 "\"caller\":null,\"change\":{\"n\":0}}\n\n"));
    assert_int_equal(client_count(text, "event: noted\n"), 4);
    assert_non_null(strstr(text, "\r\n0\r\n\r\n"));
    /* From a place on, by the query or by the header, which is the newer one. */
    setup_wire(0, -1);
    events_id_text(4, id);
    snprintf(path, sizeof(path), "/v1/events?after=%s", id);
    assert_int_equal(client_count(client_get(path, ""), "event: noted\n"), 2);
    events_id_text(5, id);
    snprintf(line, sizeof(line), "Last-Event-ID: %s\r\n", id);
    assert_int_equal(client_count(client_get(path, line), "event: noted\n"), 1);
    assert_null(strstr(client_answer(), "event: lost"));
}

static void test_filters(void **state)
{
    char id[EVENT_ID_MAX], path[160];
    static const struct {
        const char *query;
        unsigned count;
    } cases[] = {{"", 6},
                 {"&kind=guests", 3},
                 {"&kind=disks", 2},
                 {"&kind=images", 0},
                 {"&name=web-1", 2},
                 {"&name=web", 0},
                 {"&prefix=web-", 3},
                 {"&prefix=web-&name=0", 0},
                 {"&kind=disks&name=web-1", 0}};

    (void)state;
    setup_wire(0, -1);
    add(EVENT_HOST, NULL, 1);
    events_id_text(1, id);
    add(EVENT_GUESTS, "web-1", 2);
    add(EVENT_GUESTS, "web-2", 1);
    add(EVENT_DISKS, "0", 2);
    add(EVENT_HOST, NULL, 1);
    for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        snprintf(path, sizeof(path), "/v1/events?after=%s%s", id, cases[i].query);
        assert_int_equal(client_count(client_get(path, ""), "event: noted\n"), cases[i].count);
    }
}

static void test_bad_requests(void **state)
{
    static const char *const queries[] = {
        "after=1",
        "after=0123456789abcdef",
        "after=",
        "after=0123456789abcdef-",
        "after=0123456789abcdef-x",
        "after=0123456789ABCDEF-1",
        "kind=guest",
        "kind=",
        "name=",
        "prefix=",
        "name=1234567890123456789012345678901234567890123456789012345678901234"};
    char path[200];

    (void)state;
    setup_wire(0, -1);
    for (unsigned i = 0; i < sizeof(queries) / sizeof(*queries); i++) {
        snprintf(path, sizeof(path), "/v1/events?%s", queries[i]);
        if (strncmp(client_get(path, ""), "HTTP/1.1 400 ", 13) != 0)
            fail_msg("%s: %s", queries[i], client_answer());
    }
    assert_memory_equal(client_get("/v1/events", "Last-Event-ID: x\r\n"), "HTTP/1.1 400 ", 13);
}

/* What the client has is gone: it is told once, and goes on with what is new. */
static void test_lost(void **state)
{
    char old[EVENT_ID_MAX], now[EVENT_ID_MAX], path[100], line[120];

    (void)state;
    add(EVENT_GUESTS, "web", 1);
    events_id_text(1, old);
    snprintf(path, sizeof(path), "/v1/events?after=%s", old);
    add(EVENT_GUESTS, "web", EVENTS_KEPT);
    setup_wire(0, -1);
    assert_null(strstr(client_get(path, ""), "event: lost"));
    events_id_text(2, now);
    snprintf(line, sizeof(line), "id: %s\nevent: noted\n", now);
    assert_non_null(strstr(client_answer(), line));
    add(EVENT_GUESTS, "web", 1);
    for (unsigned start = 0; start < 2; start++) {
        setup_wire(2, -1);
        events_id_text(events_last(), now);
        snprintf(line, sizeof(line), "id: %s\nevent: lost\ndata: {\"id\":\"%s\"", now, now);
        assert_non_null(strstr(client_get(path, ""), line));
        assert_int_equal(client_count(client_answer(), "event: lost\n"), 1);
        assert_int_equal(client_count(client_answer(), "event: noted\n"), 2);
        /* The same after another start. */
        events_stop();
        events_start();
    }
}

/* Neither who takes nothing nor who is overtaken holds anything afterwards. */
static void test_slow_readers(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2 * API_STREAMS_MAX; i++) {
        setup_wire(1, 1 + (int)i % 6);
        client_get("/v1/events", "");
        assert_false(client_is_kept());
        assert_null(strstr(client_answer(), " 503 "));
    }
    setup_wire(1, -1);
    flood = EVENTS_KEPT;
    client_get("/v1/events", "");
    assert_int_equal(client_count(client_answer(), "event: noted\n"), 0);
    assert_non_null(strstr(client_answer(), "\r\n0\r\n\r\n"));
}

static void test_too_many(void **state)
{
    struct request streams[API_STREAMS_MAX] = {0};

    (void)state;
    setup_wire(0, -1);
    for (unsigned i = 0; i < API_STREAMS_MAX; i++)
        assert_int_equal(api_stream_begin(&streams[i]), 0);
    assert_memory_equal(client_get("/v1/events", ""), "HTTP/1.1 503 ", 13);
    assert_non_null(strstr(client_answer(), "There are 16 streams, of events, logs and consoles"));
    assert_non_null(strstr(client_answer(), "Retry-After: 5\r\n"));
    api_stream_end(&streams[0]);
    assert_memory_equal(client_get("/v1/events", ""), "HTTP/1.1 200 ", 13);
    assert_int_equal(api_stream_begin(&streams[0]), 0);
    for (unsigned i = 0; i < API_STREAMS_MAX; i++)
        api_stream_end(&streams[i]);
}

/* Who is no admin can keep out neither admins nor others. */
static void test_shares_of_streams(void **state)
{
    static const char *const names[] = {"one", "two", "three", "four"};
    struct request streams[API_STREAMS_MAX] = {0};
    unsigned count = 0;

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        for (unsigned j = 0; j < 5; j++) {
            struct request *r = &streams[count];
            *r = (struct request){.caller = {.role = ACCESS_VIEWER}};
            snprintf(r->caller.name, sizeof(r->caller.name), "%s", names[i]);
            count += api_stream_begin(r) == 0;
            assert_int_equal(count, i < 3 ? 4 * i + (j < 4 ? j + 1 : 4) : 12);
        }
    memset(&streams[count], 0, sizeof(streams[count]));
    for (; count < API_STREAMS_MAX; count++)
        assert_int_equal(api_stream_begin(&streams[count]), 0);
    for (unsigned i = 0; i < count; i++)
        api_stream_end(&streams[i]);
}

/* Each answer to a GET tells up to which event it has all changes. */
static void test_ids_of_answers(void **state)
{
    static const char *const paths[] = {"/v1/host", "/v1/guests", "/v1/images", "/v1/disks"};
    char id[EVENT_ID_MAX], line[80];

    (void)state;
    for (unsigned i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        setup_wire(0, -1);
        add(EVENT_GUESTS, "web", 1);
        events_id_text(i + 1, id);
        snprintf(line, sizeof(line), "\r\nSkep-Event-Id: %s\r\n", id);
        assert_non_null(strstr(client_get(paths[i], ""), line));
    }
    assert_null(strstr(client_get("/healthz", ""), "Skep-Event-Id"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ring),
        TEST(test_long_change),
        TEST(test_a_guests_life),
        TEST(test_restarts),
        TEST(test_waiting),
        TEST(test_host),
        TEST(test_stream),
        TEST(test_filters),
        TEST(test_bad_requests),
        TEST(test_lost),
        TEST(test_slow_readers),
        TEST(test_too_many),
        TEST(test_shares_of_streams),
        TEST(test_ids_of_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
