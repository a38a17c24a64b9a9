/* test_json.c - strict JSON, specs, names, addresses, merge patches, problems, configuration. */
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "config.h"
#include "json.h"
#include "spec.h"
#include "test/fake.h"
#include "test_control.h"

static cJSON *parse(const char *text)
{
    struct problem p;
    return json_parse(text, strlen(text), &p);
}

static void test_well_formed(void **state)
{
    static const char *const texts[] = {
        "{}",
        " [ ] ",
        "null",
        "-0.5e+10",
        "\"\\u00e9\\ud83d\\ude00\"",
        "{\"a\":[1,{\"b\":[]}]}",
        "\"\xc3\xa9\"",
        "[[],{},\"\",0]",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        cJSON *json = parse(texts[i]);
        if (!json)
            fail_msg("%s was refused", texts[i]);
        cJSON_Delete(json);
    }
}

static void test_malformed(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "{",
        "[",
        "}",
        "[}",
        "{]",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":}",
        "[1 2]",
        "01",
        "+1",
        ".5",
        "1.",
        "1e",
        "-",
        "nul",
        "truex",
        "{} {}",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\n\"",
        "\"",
        "\"\xff\"",
        "\"\xc0\xaf\"",
        "\"\xed\xa0\x80\"",
        "\"\xf5\x80\x80\x80\"",
        "{\"a\":1,\"a\":2}",
        "[{\"a\":{\"b\":1,\"b\":2}}]",
        "[\"a\":1]",
        ",",
        ":",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        cJSON *json = parse(texts[i]);
        if (json)
            fail_msg("%s was accepted", texts[i]);
    }
}

static void test_depth(void **state)
{
    char text[2 * 5000 + 1];

    (void)state;
    for (int depth = 31; depth <= 33; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        text[2 * depth] = '\0';
        cJSON *json = parse(text);
        assert_int_equal(json != NULL, depth <= JSON_DEPTH_MAX);
        cJSON_Delete(json);
    }
    memset(text, '[', 10000);
    text[10000] = '\0';
    assert_null(parse(text));
}

static void test_names(void **state)
{
    (void)state;
    assert_true(name_valid("a"));
    assert_true(name_valid("0-web-"));
    assert_true(name_valid("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    assert_false(name_valid("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    assert_false(name_valid(""));
    assert_false(name_valid("-a"));
    assert_false(name_valid("A"));
    assert_false(name_valid("a.b"));
    assert_false(name_valid("a/b"));
    assert_false(name_valid("\xc3\xbc"));
}

static void test_addresses(void **state)
{
    static const char *const bad[] = {"",
                                      "10.0.2.20",
                                      "10.0.2.20/33",
                                      "10.0.2.0/24",
                                      "10.0.2.255/24",
                                      "224.0.0.1/24",
                                      "127.0.0.1/8",
                                      "10.0.2/24",
                                      "10.0.2.020/24",
                                      "10.0.2.20/24 ",
                                      "256.0.0.1/8",
                                      "1.2.3.4/"};
    uint32_t address, mask;
    const char *why;
    char text[ADDRESS_TEXT_MAX];
    uint8_t mac[6];

    (void)state;
    assert_true(address_parse_host("10.0.2.20/24", &address, &mask, &why));
    address_format_host(text, address, mask);
    assert_string_equal(text, "10.0.2.20/24");
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (address_parse_host(bad[i], &address, &mask, &why))
            fail_msg("%s was accepted", bad[i]);
    assert_true(mac_parse("52:54:00:Ab:cd:ef", mac));
    assert_false(mac_parse("52:54:00:ab:cd", mac));
    assert_false(mac_parse("52-54-00-ab-cd-ef", mac));
    assert_false(mac_parse("52:54:00:ab:cd:eg", mac));
}

static int make_spec(struct spec *spec, const char *text, struct problem *p)
{
    cJSON *json = parse(text);
    int result = spec_from_json(spec, json, "web", p);

    cJSON_Delete(json);
    return result;
}

static void test_spec_defaults(void **state)
{
    struct spec spec;
    struct problem p;
    cJSON *json;
    char *text;

    (void)state;
    assert_int_equal(
        make_spec(&spec, "{\"image\":\"a\",\"env\":{\"X\":\"1=2\"},\"args\":[\"\"]}", &p), 0);
    json = spec_to_json(&spec);
    text = cJSON_PrintUnformatted(json);
    assert_string_equal(
        text,
        "{\"image\":\"a\",\"memory_bytes\":16777216,\"vcpus\":1,"
        "\"max_vcpus\":1,\"weight\":100,\"cpu_cap\":0,"
        "\"stop_grace_ms\":10000,\"restart_limit\":0,\"restart_delay_ms\":500,"
        "\"restart_delay_max_ms\":60000,\"restart_reset_ms\":30000,"
        "\"cpu_affinity\":[],\"args\":[\"\"],\"env\":{\"X\":\"1=2\"},\"networks\":[],\"volumes\":[],"
        "\"start_after\":[],\"labels\":{},"
        "\"desired_state\":\"running\",\"restart\":\"never\"}");
    free(text);
    cJSON_Delete(json);
}

/* A spec's fields that are wrong, and what the answer must name. */
/* A spec whose network has these fields, too. */
#define NET6(fields) "{\"image\":\"a\",\"networks\":[{\"address\":\"10.0.0.2/8\"," fields "}]}"

static const char *const wrong_specs[][2] = {
    {"[]", "object"},
    {"{}", "image"},
    {"{\"image\":5}", "image"},
    {"{\"image\":\"A\"}", "image"},
    {"{\"image\":\"a\",\"color\":1}", "color"},
    {"{\"image\":\"a\",\"memory_bytes\":\"2M\"}", "memory_bytes"},
    {"{\"image\":\"a\",\"memory_bytes\":-1}", "memory_bytes"},
    {"{\"image\":\"a\",\"memory_bytes\":1048577}", "memory_bytes"},
    {"{\"image\":\"a\",\"memory_bytes\":1048576.5}", "memory_bytes"},
    {"{\"image\":\"a\",\"memory_bytes\":1e400}", "memory_bytes"},
    {"{\"image\":\"a\",\"memory_bytes\":18446744073709551616}", "memory_bytes"},
    {"{\"image\":\"a\",\"vcpus\":0}", "vcpus"},
    {"{\"image\":\"a\",\"vcpus\":33}", "vcpus"},
    {"{\"image\":\"a\",\"vcpus\":true}", "vcpus"},
    {"{\"image\":\"a\",\"weight\":10001}", "weight"},
    {"{\"image\":\"a\",\"args\":\"x\"}", "args"},
    {"{\"image\":\"a\",\"args\":[1]}", "args"},
    {"{\"image\":\"a\",\"env\":[]}", "env"},
    {"{\"image\":\"a\",\"env\":{\"A\":1}}", "env"},
    {"{\"image\":\"a\",\"env\":{\"A=B\":\"\"}}", "env"},
    {"{\"image\":\"a\",\"env\":{\"\":\"\"}}", "env"},
    {"{\"image\":\"a\",\"networks\":{}}", "networks"},
    {"{\"image\":\"a\",\"networks\":[1]}", "networks[0]"},
    {"{\"image\":\"a\",\"networks\":[{}]}", "networks[0].address"},
    {"{\"image\":\"a\",\"networks\":[{\"address\":\"x\"}]}", "networks[0].address"},
    {"{\"image\":\"a\",\"networks\":[{\"address\":\"dhcp\",\"gateway\":\"10.0.0.1\"}]}",
     "networks[0]"},
    {"{\"image\":\"a\",\"networks\":[{\"address\":\"10.0.0.2/24\",\"gateway\":\"10.1.0.1\"}]}",
     "networks[0].gateway"},
    {"{\"image\":\"a\",\"networks\":[{\"address\":\"dhcp\",\"mac\":\"01:00:00:00:00:00\"}]}",
     "networks[0].mac"},
    {"{\"image\":\"a\",\"networks\":[{\"address\":\"10.0.0.2/8\"},{\"address\":\"10.0.0.2/8\"}]}",
     "networks[1]"},
    {NET6("\"address6\":\"fd00::1\""), "\"ADDRESS/64\""},
    {NET6("\"address6\":1"), "networks[0].address6"},
    {NET6("\"address6\":\"fd00::1::/64\""), "networks[0].address6"},
    {NET6("\"address6\":\"fd00::1%en0/64\""), "networks[0].address6"},
    {NET6("\"address6\":\"fd00::1/48\""), "must end in /64"},
    {NET6("\"address6\":\"fd00::/64\""), "names the network"},
    {NET6("\"address6\":\"ff02::1/64\""), "multicast"},
    {NET6("\"address6\":\"::/64\""), "unspecified"},
    {NET6("\"address6\":\"::1/64\""), "loopback"},
    {NET6("\"address6\":\"::ffff:10.0.0.1/64\""), "IPv4-mapped"},
    {NET6("\"address6\":\"fe80::1/64\""), "link-local"},
    {NET6("\"gateway6\":\"fd00::1\""), "needs address6"},
    {NET6("\"dns\":\"fd00::1\""), "needs address6"},
    {NET6("\"address6\":\"auto\",\"gateway6\":\"fe80::1\""), "leave gateway6 out"},
    {NET6("\"address6\":\"fd00::2/64\",\"gateway6\":\"fd01::1\""), "gateway6"},
    {NET6("\"address6\":\"fd00::2/64\",\"gateway6\":\"fd00::2\""), "own address"},
    {NET6("\"address6\":\"fd00::2/64\",\"gateway6\":\"10.0.0.1\""), "gateway6"},
    {"{\"image\":\"a\",\"networks\":[{\"address\":\"10.0.0.2/8\",\"address6\":\"fd00::2/64\"},"
     "{\"address\":\"10.0.0.3/8\",\"address6\":\"fd00:0::2/64\"}]}",
     "networks[1]"},
    {"{\"image\":\"a\",\"desired_state\":\"asleep\"}", "desired_state"},
    {"{\"image\":\"a\",\"restart\":null}", "restart"},
    {"{\"image\":\"a\",\"desired_state\":\"on-demand\"}", "not available yet"},
    {"{\"image\":\"a\",\"vcpus\":2,\"max_vcpus\":1}", "max_vcpus is 1"},
    {"{\"image\":\"a\",\"max_vcpus\":33}", "max_vcpus"},
    {"{\"image\":\"a\",\"cpu_cap\":-1}", "cpu_cap"},
    {"{\"image\":\"a\",\"cpu_cap\":3201}", "cpu_cap"},
    {"{\"image\":\"a\",\"cpu_affinity\":1}", "cpu_affinity"},
    {"{\"image\":\"a\",\"cpu_affinity\":[64]}", "cpu_affinity"},
    {"{\"image\":\"a\",\"stop_grace_ms\":3600001}", "stop_grace_ms"},
    {"{\"image\":\"a\",\"restart_delay_ms\":0}", "restart_delay_ms"},
    {"{\"image\":\"a\",\"restart_delay_ms\":2,\"restart_delay_max_ms\":1}", "restart_delay_max_ms"},
};

static void assert_json(const cJSON *json, const char *list, int index, const char *name,
                        const char *value)
{
    const cJSON *item = cJSON_GetArrayItem(cJSON_GetObjectItem(json, list), index);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(item, name)), value);
}

static void test_wrong_specs(void **state)
{
    struct spec spec;
    struct problem p;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong_specs) / sizeof(*wrong_specs); i++) {
        assert_int_equal(make_spec(&spec, wrong_specs[i][0], &p), -1);
        assert_int_equal(p.status, 422);
        if (!strstr(p.detail, wrong_specs[i][1]))
            fail_msg("%s: \"%s\"", wrong_specs[i][0], p.detail);
    }
}

/* What is said of IPv6 comes back in canonical form, and what that says is the same. */
static void test_ipv6(void **state)
{
    struct spec spec, again;
    struct problem p;
    cJSON *json;

    (void)state;
    assert_int_equal(make_spec(&spec,
                               NET6("\"address6\":\"FD00:0:0::0:20/64\","
                                    "\"gateway6\":\"FE80::1\",\"dns\":\"2001:DB8::53\""),
                               &p),
                     0);
    json = spec_to_json(&spec);
    assert_json(json, "networks", 0, "address6", "fd00::20/64");
    assert_json(json, "networks", 0, "gateway6", "fe80::1");
    assert_json(json, "networks", 0, "dns", "2001:db8::53");
    assert_int_equal(spec_from_json(&again, json, "web", &p), 0);
    assert_int_equal(spec_compare(&spec, &again), SPEC_SAME);
    cJSON_Delete(json);
    make_spec(&again, NET6("\"address6\":\"auto\",\"dns\":\"fd00::53\""), &p);
    assert_int_equal(again.net[0].ipv6.automatic, 1);
    assert_int_equal(spec_compare(&spec, &again), SPEC_ANOTHER);
    make_spec(&spec, NET6("\"address6\":null"), &p);
    json = spec_to_json(&spec);
    assert_null(cJSON_GetObjectItem(cJSON_GetArrayItem(cJSON_GetObjectItem(json, "networks"), 0),
                                    "address6"));
    cJSON_Delete(json);
}

static void test_strings_limit(void **state)
{
    char text[8192] = "{\"image\":\"a\",\"args\":[\"";
    struct spec spec;
    struct problem p;
    size_t used = strlen(text);

    (void)state;
    memset(text + used, 'x', SPEC_STRINGS_MAX - 1);
    memcpy(text + used + SPEC_STRINGS_MAX - 1, "\"]}", 4);
    assert_int_equal(make_spec(&spec, text, &p), 0);
    memset(text + used, 'x', SPEC_STRINGS_MAX);
    memcpy(text + used + SPEC_STRINGS_MAX, "\"]}", 4);
    assert_int_equal(make_spec(&spec, text, &p), -1);
}

static void patch_spec(struct spec *spec, cJSON *patch)
{
    struct problem p;
    cJSON *json = spec_patch(spec_to_json(spec), patch, &p);

    assert_non_null(json);
    assert_int_equal(spec_from_json(spec, json, "web", &p), 0);
    cJSON_Delete(json);
    cJSON_Delete(patch);
}

static void test_merge_patch(void **state)
{
    struct spec spec, same, *kept;
    struct problem p;
    cJSON *patch;

    (void)state;
    make_spec(&spec, "{\"image\":\"a\",\"memory_bytes\":1048576,\"env\":{\"A\":\"1\",\"B\":\"2\"}}",
              &p);
    same = spec;
    patch = parse("{\"env\":{\"A\":null,\"C\":\"3\"},\"memory_bytes\":null}");
    patch_spec(&spec, patch);
    assert_int_equal(spec.memory_bytes, SPEC_MEMORY_DEFAULT);
    assert_int_equal(spec.envc, 2);
    assert_memory_equal(spec.strings, "B=2\0C=3", 8);
    assert_int_equal(spec_compare(&spec, &same), SPEC_ANOTHER);
    spec = same;
    patch = parse("{\"desired_state\":\"paused\"}");
    patch_spec(&spec, patch);
    assert_int_equal(spec_compare(&spec, &same), SPEC_WISHES);
    spec.weight = 3;
    assert_int_equal(spec_compare(&spec, &same), SPEC_LIVE);
    kept = spec_keep(&same);
    assert_int_equal(spec_compare(kept, &same), SPEC_SAME);
    spec_expand(&spec, kept);
    assert_memory_equal(&spec, &same, sizeof(spec));
    free(kept);
}

static void test_problem_text(void **state)
{
    struct problem p = {0};
    char *text;

    (void)state;
    problem_set(&p, 422, "bad \"%s\" \x01\xff at the start", "x");
    text = problem_text(&p);
    assert_string_equal(text, "{\"type\":\"about:blank\",\"title\":\"Unprocessable Content\","
                              "\"status\":422,\"detail\":\"bad \\\"x\\\" ?? at the start\"}");
    free(text);
}

static void test_times(void **state)
{
    cJSON *json = cJSON_CreateObject();

    (void)state;
    json_add_time(json, "t", 1700000000123456789ull);
    json_add_time(json, "none", 0);
    assert_string_equal(cJSON_GetObjectItem(json, "t")->valuestring, "2023-11-14T22:13:20.123Z");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(json, "none")));
    cJSON_Delete(json);
}

static void test_time_read(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00.001Z", 1},
        {"2000-02-29T12:00:00Z", 951825600000},
        {"2026-11-23T14:08:17.436Z", 1795442897436},
        {"2026-11-23T14:08:17.4369999999999Z", 1795442897436},
        {"2026-11-23T14:08:17.4Z", 1795442897400},
        {"2499-12-31T23:59:59.999Z", 16725225599999},
    };
    static const char *const bad[] = {
        "",
        "2026-11-23",
        "2026-11-23T14:08:17",
        "2026-11-23 14:08:17Z",
        "2026-11-23t14:08:17z",
        "2026-11-23T14:08:17+00:00",
        "2026-11-23T14:08:17.Z",
        "2026-11-23T14:08:17ZZ",
        "2026-11-23T14:08:60Z",
        "2026-11-23T24:00:00Z",
        "2026-11-31T14:08:17Z",
        "2026-00-23T14:08:17Z",
        "2026-13-23T14:08:17Z",
        "2026-11-00T14:08:17Z",
        "2025-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2500-01-01T00:00:00Z",
        "-026-11-23T14:08:17Z",
        "2026-1-23T14:08:17Z",
    };
    uint64_t wall_ns;

    (void)state;
    for (unsigned i = 0; i < sizeof(good) / sizeof(*good); i++) {
        assert_true(json_time_read(good[i].text, &wall_ns));
        assert_int_equal(wall_ns, good[i].ms * 1000000);
    }
    for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(json_time_read(bad[i], &wall_ns));
    for (uint64_t day = 0; day < 193000; day += 11) {
        char text[JSON_TIME_MAX];
        json_time_text((day * 86400 + 1) * 1000000000, text);
        assert_true(json_time_read(text, &wall_ns));
        assert_int_equal(wall_ns, (day * 86400 + 1) * 1000000000);
    }
}

static void test_config(void **state)
{
    static const char module[] =
        "{\"hostname\":\"edge\",\"token\":\"from-the-module-1\",\"color\":1,"
        "\"network\":{\"address\":\"192.168.1.5/24\",\"gateway\":\"192.168.1.1\",\"hostname\":\"x\"}}";
    char words[] = "pti=on token=from-the-cmdline address=dhcp hostname=Bad! ntp=10.0.4.2:1123";
    struct config c;

    (void)state;
    fake_start("", "");
    config_defaults(&c);
    config_apply_module(&c, module, sizeof(module) - 1);
    assert_string_equal(c.hostname, "edge");
    assert_string_equal(c.token, "from-the-module-1");
    assert_int_equal(c.net.address, 0x0501a8c0);
    config_apply_cmdline(&c, words);
    assert_string_equal(c.token, "from-the-cmdline");
    assert_string_equal(c.hostname, "edge");
    assert_int_equal(c.net.address, 0);
    assert_int_equal(c.ntp.address, 0x0204000a);
    assert_int_equal(c.ntp.port, 1123);
    strcpy(words, "ntp=1.2.3.4:0 ntp=1.2.3.4:x ntp=pool");
    config_apply_cmdline(&c, words);
    assert_int_equal(c.ntp.address, 0x0204000a);
    strcpy(words, "ntp=off");
    config_apply_cmdline(&c, words);
    assert_true(c.ntp.off);
    config_apply_module(&c, "[1", 2);
    config_apply_module(&c, "{\"token\":\"short\",\"network\":3}", 29);
    assert_string_equal(c.token, "from-the-cmdline");
    config_free(&c);
}

int run_json_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_well_formed),   cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_depth),         cmocka_unit_test(test_names),
        cmocka_unit_test(test_addresses),     cmocka_unit_test(test_spec_defaults),
        cmocka_unit_test(test_wrong_specs),   cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_strings_limit), cmocka_unit_test(test_merge_patch),
        cmocka_unit_test(test_problem_text),  cmocka_unit_test(test_times),
        cmocka_unit_test(test_time_read),     cmocka_unit_test(test_config),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
