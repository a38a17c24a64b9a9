/* test_metrics.c - metrics: the text formats, and what they have of guests, volumes and the service. */
#include "metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boots.h"
#include "counters.h"
#include "exposition.h"
#include "guest.h"
#include "storage.h"
#include "test/client.h"
#include "test/fake.h"
#include "test_control.h"

#define MS  1000000ull
#define MIB (1ull << 20)

/*
 * The formats
 */

static char text[65536];
static size_t text_bytes;
static unsigned sends_left;

static int take(void *context, const char *data, size_t bytes)
{
    (void)context;
    assert_true(bytes > 0 && bytes <= EXPOSITION_BYTES && bytes < sizeof(text) - text_bytes);
    assert_int_not_equal(sends_left, 0);
    memcpy(text + text_bytes, data, bytes);
    text_bytes += bytes;
    text[text_bytes] = '\0';
    return --sends_left ? 0 : -1;
}

static struct exposition *new_exposition(bool open_metrics, unsigned sends)
{
    static struct exposition x;

    memset(&x, 0, sizeof(x));
    x.send = take;
    x.open_metrics = open_metrics;
    text_bytes = 0;
    sends_left = sends;
    return &x;
}

static void write_all_types(struct exposition *x)
{
    exposition_family(x, METRIC_GAUGE, "g_bytes", "A gauge.");
    exposition_number(x, UINT64_MAX);
    exposition_family(x, METRIC_COUNTER, "c_seconds", "A counter.");
    exposition_label_number(x, "cpu", 0);
    exposition_label(x, "mode", "a\"b\\c\nd");
    exposition_seconds(x, 5);
    exposition_seconds(x, 61000000007);
    exposition_family(x, METRIC_INFO, "i", "An info.");
    exposition_label(x, "version", "");
    exposition_number(x, 1);
    exposition_family(x, METRIC_HISTOGRAM, "h", "A histogram.");
    exposition_suffix(x, "_bucket");
    exposition_label(x, "le", "+Inf");
    exposition_number(x, 0);
}

static void test_formats(void **state)
{
    struct exposition *x = new_exposition(false, 9);

    (void)state;
    write_all_types(x);
    assert_true(exposition_end(x));
    assert_string_equal(text, "# HELP g_bytes A gauge.\n"
                              "# TYPE g_bytes gauge\n"
                              "g_bytes 18446744073709551615\n"
                              "# HELP c_seconds_total A counter.\n"
                              "# TYPE c_seconds_total counter\n"
                              "c_seconds_total{cpu=\"0\",mode=\"a\\\"b\\\\c\\nd\"} 0.000000005\n"
                              "c_seconds_total 61.000000007\n"
                              "# HELP i_info An info.\n"
                              "# TYPE i_info gauge\n"
                              "i_info{version=\"\"} 1\n"
                              "# HELP h A histogram.\n"
                              "# TYPE h histogram\n"
                              "h_bucket{le=\"+Inf\"} 0\n");
    x = new_exposition(true, 9);
    write_all_types(x);
    assert_true(exposition_end(x));
    assert_non_null(strstr(text, "# TYPE c_seconds counter\nc_seconds_total{"));
    assert_non_null(strstr(text, "# TYPE i info\ni_info{"));
    assert_string_equal(text + text_bytes - 6, "# EOF\n");
}

/* However long what is written is, and where pieces end; and nothing more goes to who takes no more. */
static void test_pieces(void **state)
{
    static char value[20000], expected[sizeof(value) + 100];

    (void)state;
    for (size_t bytes = EXPOSITION_BYTES - 40; bytes < 2 * EXPOSITION_BYTES + 40; bytes += 13) {
        struct exposition *x = new_exposition(false, 9);
        memset(value, 'v', bytes);
        value[bytes] = '\0';
        exposition_family(x, METRIC_GAUGE, "g", "G.");
        exposition_label(x, "l", value);
        exposition_number(x, 12345);
        assert_true(exposition_end(x));
        snprintf(expected, sizeof(expected), "# HELP g G.\n# TYPE g gauge\ng{l=\"%s\"} 12345\n",
                 value);
        assert_string_equal(text, expected);
        x = new_exposition(false, 1);
        exposition_family(x, METRIC_GAUGE, "g", "G.");
        for (unsigned i = 0; i < 3; i++) {
            exposition_label(x, "l", value);
            exposition_number(x, 1);
        }
        assert_false(exposition_end(x));
    }
}

static void test_latencies(void **state)
{
    struct latencies before, after;

    (void)state;
    latency_get(&before);
    latency_add(0);
    latency_add(MS);
    latency_add(MS + 1);
    latency_add(10000 * MS);
    latency_add(UINT64_MAX / 2);
    latency_get(&after);
    assert_int_equal(after.counts[0] - before.counts[0], 2);
    assert_int_equal(after.counts[1] - before.counts[1], 3);
    assert_int_equal(after.counts[LATENCY_BOUNDS - 1] - before.counts[LATENCY_BOUNDS - 1], 4);
    assert_int_equal(after.counts[LATENCY_BOUNDS] - before.counts[LATENCY_BOUNDS], 5);
    for (unsigned i = 0; i < LATENCY_BOUNDS; i++)
        assert_true(strtod(latency_bounds[i], NULL) < strtod(latency_bounds[i + 1], NULL));
}

/*
 * What there is
 */

static int setup(void **state)
{
    struct problem p;

    boots_setup(state);
    client_setup();
    assert_int_equal(boots_upload("img", 1, &p), 201);
    return 0;
}

static bool stay(void)
{
    return true;
}

static const char *get_metrics(const char *fields)
{
    client_set_reader(stay, -1);
    return client_get("/metrics", fields);
}

/* A sample's value; there must be just one. Chunks end between a sample's bytes, so they are cut out first. */
static const char *sample(const char *name)
{
    static char all[CLIENT_ANSWER_MAX];
    char *at = strstr(client_answer(), "\r\n\r\n") + 4, *end = all;
    char line[200];
    size_t bytes;

    while ((bytes = strtoul(at, &at, 16)) != 0) {
        memcpy(end, at + 2, bytes);
        end += bytes;
        at += bytes + 4;
    }
    *end = '\0';
    snprintf(line, sizeof(line), "\n%s ", name);
    if (client_count(all, line) != 1)
        fail_msg("%s is there %u times", name, client_count(all, line));
    return strstr(all, line) + strlen(line);
}

static uint64_t number(const char *name)
{
    return strtoull(sample(name), NULL, 10);
}

static bool has(const char *text_of_it)
{
    return strstr(client_answer(), text_of_it) != NULL;
}

static void test_guests(void **state)
{
    (void)state;
    boots_put("a-runs", "{\"image\":\"img\",\"args\":[\"print=x\",\"used=131072\"],\"networks\":["
                        "{\"address\":\"10.0.0.9/8\"},{\"address\":\"10.0.0.10/8\"}]}");
    boots_put("b-ends", "{\"image\":\"img\",\"args\":[\"exit=1\"]}");
    boots_put("c-stopped", "{\"image\":\"img\",\"desired_state\":\"stopped\"}");
    boots_settle();
    get_metrics("");
    assert_true(has("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert_int_equal(number("skep_guest_state{guest=\"a-runs\",state=\"running\"}"), 1);
    assert_int_equal(number("skep_guest_state{guest=\"b-ends\",state=\"exited\"}"), 1);
    assert_int_equal(number("skep_guest_state{guest=\"c-stopped\",state=\"stopped\"}"), 1);
    assert_int_equal(number("skep_guests{state=\"running\"}"), 1);
    assert_int_equal(number("skep_guests{state=\"stopped\"}"), 1);
    assert_int_equal(number("skep_guests{state=\"crashed\"}"), 0);
    assert_int_equal(number("skep_guest_starts_total{guest=\"a-runs\"}"), 1);
    assert_int_equal(number("skep_guest_starts_total{guest=\"c-stopped\"}"), 0);
    assert_int_equal(number("skep_guest_memory_used_bytes{guest=\"a-runs\"}"), 131072);
    assert_int_equal(number("skep_guest_memory_promised_bytes{guest=\"a-runs\"}"), 16 * MIB);
    assert_int_equal(number("skep_guest_log_bytes_total{guest=\"a-runs\"}"),
                     strlen("a-runs starts\nx\n"));
    assert_int_equal(
        number("skep_guest_network_receive_bytes_total{guest=\"a-runs\",device=\"0\"}"), 0);
    assert_int_equal(
        number("skep_guest_network_transmit_packets_total{guest=\"a-runs\",device=\"1\"}"), 0);
    assert_false(has("device=\"2\""));
    assert_false(has("skep_guest_block_reads_total{"));
    /* Of what isn't in ring 0 there is nothing to count. */
    assert_false(has("skep_guest_memory_used_bytes{guest=\"c-stopped\"}"));
    assert_false(has("skep_guest_start_time_seconds{guest=\"c-stopped\"}"));
}

/* What a guest says of itself is copied if it is a name, once, and nothing that it says can spoil the answer. */
static void test_stats(void **state)
{
    (void)state;
    boots_put(
        "a",
        "{\"image\":\"img\",\"args\":[\"stat=requests\",\"stat=Upper\",\"stat=a\\\"b\",\"stat=\","
        "\"stat=requests\",\"stat=2nd\",\"stat=n2_x\",\"stat=a-b\",\"stat=abcdefghijklmnopqrstuvw\","
        "\"stat=abcdefghijklmnopqrstuvwx\",\"stat=abcdefghijklmnopqrstuvwxyz\"]}");
    boots_put("b", "{\"image\":\"img\",\"args\":[\"stat=requests\"]}");
    boots_put("c", "{\"image\":\"img\",\"desired_state\":\"stopped\"}");
    get_metrics("");
    assert_int_equal(number("skep_guest_stat{guest=\"a\",name=\"requests\"}"), 0);
    assert_int_equal(number("skep_guest_stat{guest=\"a\",name=\"n2_x\"}"), 6);
    assert_int_equal(number("skep_guest_stat{guest=\"a\",name=\"abcdefghijklmnopqrstuvw\"}"), 8);
    assert_int_equal(number("skep_guest_stat{guest=\"b\",name=\"requests\"}"), 0);
    assert_int_equal(client_count(client_answer(), "skep_guest_stat{"), 4);
    assert_true(has("# TYPE skep_guest_stat untyped\n"));
}

/* Counters of a guest that takes another's place begin anew, and so does its start time; its own never go back. */
static void test_restarts(void **state)
{
    uint64_t printed, began;

    (void)state;
    boots_put("web", "{\"image\":\"img\",\"args\":[\"exit=1\"],\"restart\":\"always\","
                     "\"restart_delay_ms\":1000}");
    for (unsigned i = 1; i <= 4; i++) {
        while (guest_find("web")->failures < i)
            boots_settle();
        get_metrics("");
        assert_int_equal(number("skep_guest_starts_total{guest=\"web\"}"), i);
        printed = number("skep_guest_log_bytes_total{guest=\"web\"}");
        assert_int_equal(printed, i * strlen("web starts\n"));
        if (i > 1)
            assert_true(number("skep_guest_start_time_seconds{guest=\"web\"}") > began);
        began = number("skep_guest_start_time_seconds{guest=\"web\"}");
        fake_skip(20000 * MS);
    }
}

static void test_many_guests(void **state)
{
    char name[16], line[80];

    (void)state;
    for (unsigned i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "g-%02u", i);
        boots_put(name, "{\"image\":\"img\",\"memory_bytes\":1048576}");
    }
    get_metrics("");
    assert_int_equal(number("skep_guests{state=\"running\"}"), 40);
    for (unsigned i = 0; i < 40; i++) {
        snprintf(line, sizeof(line), "skep_guest_memory_promised_bytes{guest=\"g-%02u\"}", i);
        assert_int_equal(number(line), MIB);
    }
}

static void test_service(void **state)
{
    uint64_t good, bad;

    (void)state;
    get_metrics("");
    client_get("/v1/guests/none", "");
    client_get("/v1/guests/none", "");
    client_get("/v1/images", "");
    client_get("/nowhere", "");
    get_metrics("Accept: text/plain;q=0.5, application/openmetrics-text; version=1.0.0\r\n");
    assert_true(
        has("Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"));
    assert_true(has("\n# EOF\n"));
    bad =
        number("skep_http_requests_total{method=\"GET\",route=\"/v1/guests/{name}\",code=\"4xx\"}");
    assert_int_equal(bad, 2);
    assert_int_equal(
        number("skep_http_requests_total{method=\"none\",route=\"none\",code=\"4xx\"}"), 1);
    good = number("skep_http_requests_total{method=\"GET\",route=\"/metrics\",code=\"2xx\"}");
    assert_true(good >= 1);
    assert_int_equal(number("skep_http_request_duration_seconds_bucket{le=\"+Inf\"}"),
                     number("skep_http_request_duration_seconds_count"));
    /* An answer that the client doesn't take in full doesn't look like a whole one. */
    client_set_reader(stay, 1);
    client_get("/metrics", "");
    assert_false(client_is_kept());
    assert_null(strstr(client_answer(), "\r\n0\r\n\r\n"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, boots_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_latencies),
        TEST(test_guests),
        TEST(test_stats),
        TEST(test_restarts),
        TEST(test_many_guests),
        TEST(test_service),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
