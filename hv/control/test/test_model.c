/* test_model.c - guests and images over the fake core: changes, restarts of the service, damage. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accounts.h"
#include "boots.h"
#include "certificate.h"
#include "crashes.h"
#include "guest.h"
#include "host.h"
#include "identity.h"
#include "image.h"
#include "json.h"
#include "power.h"
#include "store.h"
#include "test/fake.h"
#include "test_control.h"
#include "wall.h"

static struct image *upload(const char *name)
{
    uint8_t data[TEST_ELF_MAX];
    size_t bytes = test_elf(data);
    struct problem p;
    struct image *image = image_build(name, data, bytes, &p);

    assert_non_null(image);
    assert_int_equal(image_publish(image, &p), 0);
    return image;
}

static int setup(void **state)
{
    (void)state;
    fake_start("", "");
    boots_restart(false);
    upload("img");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    boots_forget();
    return 0;
}

static enum guest_change last_change;

static int put_text(const char *name, const char *text, struct problem *p)
{
    cJSON *json = json_parse(text, strlen(text), p);
    int result = boots_put_json(name, json, &last_change, p);

    cJSON_Delete(json);
    return result;
}

static int put(const char *name, const char *text)
{
    struct problem p;
    return put_text(name, text, &p);
}

static uint32_t state_of(const char *name)
{
    struct guest *g = guest_find(name);
    guest_refresh(g);
    return g->handle ? g->view.state : UINT32_MAX;
}

#define MS 1000000ull

static void test_put_twice(void **state)
{
    uint64_t handle;

    (void)state;
    assert_int_equal(put("web", "{\"image\":\"img\"}"), 201);
    assert_int_equal(state_of("web"), SKEP_GUEST_RUNNING);
    handle = guest_find("web")->handle;
    assert_int_equal(put("web", "{\"image\":\"img\"}"), 200);
    assert_int_equal(guest_find("web")->handle, handle);
    assert_int_equal(put("web", "{\"image\":\"img\",\"desired_state\":\"paused\"}"), 200);
    assert_int_equal(guest_find("web")->handle, handle);
    assert_int_equal(state_of("web"), SKEP_GUEST_PAUSED);
    assert_int_equal(last_change, GUEST_APPLIED);
    assert_int_equal(put("web", "{\"image\":\"img\",\"vcpus\":2}"), 200);
    assert_int_equal(last_change, GUEST_REPLACING);
    boots_settle();
    assert_int_not_equal(guest_find("web")->handle, handle);
    assert_int_equal(state_of("web"), SKEP_GUEST_RUNNING);
}

static void test_refusals(void **state)
{
    struct problem p;

    (void)state;
    assert_int_equal(put_text("a", "{\"image\":\"none\"}", &p), -1);
    assert_int_equal(p.status, 422);
    assert_int_equal(put_text("a", "{\"image\":\"img\",\"memory_bytes\":1073741824}", &p), -1);
    assert_int_equal(p.status, 409);
    assert_non_null(strstr(p.detail, "1073741824"));
    assert_int_equal(put("a", "{\"image\":\"img\",\"networks\":[{\"address\":\"10.0.0.9/8\"}]}"),
                     201);
    assert_int_equal(
        put_text("b", "{\"image\":\"img\",\"networks\":[{\"address\":\"10.0.0.9/8\"}]}", &p), -1);
    assert_int_equal(p.status, 409);
    fake_fail_retain(true);
    assert_int_equal(put_text("c", "{\"image\":\"img\"}", &p), -1);
    assert_int_equal(p.status, 503);
    assert_null(guest_find("c"));
    fake_fail_retain(false);
    assert_null(guest_find("b"));
}

static void test_start_after(void **state)
{
    uint64_t handle;
    struct problem p;

    (void)state;
    put("web", "{\"image\":\"img\",\"start_after\":[\"db\"]}");
    assert_int_equal(state_of("web"), UINT32_MAX);
    /* Neither one that doesn't run nor one that failed will do. */
    put("db", "{\"image\":\"img\",\"desired_state\":\"paused\"}");
    boots_settle();
    assert_int_equal(state_of("web"), UINT32_MAX);
    put("failed", "{\"image\":\"img\",\"args\":[\"exit=3\"]}");
    put("job", "{\"image\":\"img\",\"args\":[\"exit=0\"]}");
    boots_settle();
    put("more", "{\"image\":\"img\",\"start_after\":[\"job\",\"failed\"]}");
    assert_string_equal(guest_find("more")->waits_for, "failed");
    cJSON *json = guest_to_json(guest_find("web"), false);
    char *text = cJSON_PrintUnformatted(json);
    assert_non_null(strstr(text, "\"start_after\":[\"db\"]"));
    assert_non_null(strstr(text, "\"state\":\"waiting\""));
    assert_non_null(strstr(text, "guest 'db', which isn't up"));
    free(text);
    cJSON_Delete(json);
    /* A change that fails leaves it waiting. */
    fake_fail_retain(true);
    assert_int_equal(put("web", "{\"image\":\"img\",\"start_after\":[\"db\",\"x\"]}"), -1);
    fake_fail_retain(false);
    guest_step_due(UINT32_MAX);
    assert_string_equal(guest_find("web")->waits_for, "db");
    put("db", "{\"image\":\"img\"}");
    guest_step_due(UINT32_MAX);
    assert_int_equal(state_of("web"), SKEP_GUEST_RUNNING);
    /* Once it runs it goes on, whatever becomes of the other; a change of the order alone is followed in place. */
    handle = guest_find("web")->handle;
    guest_delete(guest_find("db"), &p);
    boots_settle();
    put("web", "{\"image\":\"img\",\"start_after\":[\"db\",\"cache\"]}");
    assert_int_equal(last_change, GUEST_APPLIED);
    assert_int_equal(guest_find("web")->handle, handle);
    assert_int_equal(guest_find("web")->spec->after_count, 2);
    /* A restart of the service knows it as before. */
    boots_restart(false);
    assert_int_equal(guest_find("web")->handle, handle);
    assert_int_equal(guest_find("web")->spec->after_count, 2);
    /* A new one of it waits again, and is woken no more when that is taken back. */
    put("web", "{\"image\":\"img\",\"args\":[\"a\"],\"start_after\":[\"db\"]}");
    boots_settle();
    assert_string_equal(guest_find("web")->waits_for, "db");
    put("web", "{\"image\":\"img\",\"args\":[\"a\"],\"desired_state\":\"stopped\","
               "\"start_after\":[\"db\"]}");
    assert_null(guest_first_waiting("db"));
    put("web", "{\"image\":\"img\",\"args\":[\"a\"]}");
    assert_int_equal(state_of("web"), SKEP_GUEST_RUNNING);
}

static void test_cycles(void **state)
{
    struct problem p;

    (void)state;
    assert_int_equal(put_text("a", "{\"image\":\"img\",\"start_after\":[\"a\"]}", &p), -1);
    assert_int_equal(p.status, 422);
    assert_int_equal(put("a", "{\"image\":\"img\",\"start_after\":[\"b\",\"x\"]}"), 201);
    assert_int_equal(put("b", "{\"image\":\"img\",\"start_after\":[\"x\",\"c\"]}"), 201);
    assert_int_equal(put_text("c", "{\"image\":\"img\",\"start_after\":[\"a\"]}", &p), -1);
    assert_int_equal(p.status, 422);
    assert_non_null(strstr(p.detail, ": c, a, b, c."));
    assert_null(guest_find("c"));
    assert_int_equal(put("c", "{\"image\":\"img\"}"), 201);
    assert_int_equal(put_text("c", "{\"image\":\"img\",\"start_after\":[\"y\",\"b\"]}", &p), -1);
    assert_non_null(strstr(p.detail, ": c, b, c."));
    assert_int_equal(guest_find("c")->spec->after_count, 0);
    /* Two ways to the same are none. */
    assert_int_equal(put("x", "{\"image\":\"img\",\"start_after\":[\"c\"]}"), 201);
    /* A cycle of more than fits into the answer. */
    for (int i = 0; i < 40; i++) {
        char name[16], text[80];
        snprintf(name, sizeof(name), "long-name-%02d", i);
        snprintf(text, sizeof(text), "{\"image\":\"img\",\"start_after\":[\"long-name-%02d\"]}",
                 i + 1);
        assert_int_equal(put_text(name, text, &p), 201);
    }
    assert_int_equal(
        put_text("long-name-40", "{\"image\":\"img\",\"start_after\":[\"long-name-00\"]}", &p), -1);
    assert_non_null(strstr(p.detail, ": long-name-40, ..., long-name-"));
    assert_non_null(strstr(p.detail, ", long-name-39, long-name-40."));
}

static void test_delete(void **state)
{
    struct problem p;

    (void)state;
    put("web", "{\"image\":\"img\"}");
    assert_int_equal(image_remove(image_find("img"), &p), -1);
    assert_int_equal(p.status, 409);
    assert_int_equal(guest_delete(guest_find("web"), &p), 202);
    assert_int_equal(put_text("web", "{\"image\":\"img\"}", &p), -1);
    assert_int_equal(p.status, 409);
    boots_settle();
    assert_null(guest_find("web"));
    assert_int_equal(core_guest_next(0), 0);
    assert_int_equal(image_remove(image_find("img"), &p), 0);
    boots_restart(false);
    assert_null(guest_find("web"));
    assert_null(image_find("img"));
}

static void test_stop_and_start(void **state)
{
    uint64_t first;

    (void)state;
    put("web", "{\"image\":\"img\"}");
    first = guest_find("web")->handle;
    put("web", "{\"image\":\"img\",\"desired_state\":\"stopped\"}");
    boots_settle();
    assert_int_equal(state_of("web"), SKEP_GUEST_EXITED);
    put("web", "{\"image\":\"img\"}");
    boots_settle();
    assert_int_equal(state_of("web"), SKEP_GUEST_RUNNING);
    assert_int_not_equal(guest_find("web")->handle, first);
    assert_int_equal(guest_find("web")->log_base, strlen("web starts\n"));
}

static void test_restart_policy(void **state)
{
    const char *text;
    uint64_t first;

    (void)state;
    put("web", "{\"image\":\"img\",\"args\":[\"crash=8\"],\"restart\":\"on-failure\"}");
    first = guest_find("web")->handle;
    boots_settle();
    assert_int_equal(state_of("web"), SKEP_GUEST_CRASHED);
    assert_true(guest_next_deadline() <= core_clock_ns() + 500 * MS);
    fake_skip(500 * MS);
    boots_settle();
    assert_int_not_equal(guest_find("web")->handle, first);
    text = crashes_text(guest_find("web")->crash);
    assert_non_null(text);
    assert_non_null(strstr(text, "page-fault"));
    assert_non_null(strstr(text, "main+0x10"));
}

static void test_service_restart(void **state)
{
    uint64_t handle;

    (void)state;
    put("web", "{\"image\":\"img\"}");
    put("idle", "{\"image\":\"img\",\"desired_state\":\"stopped\"}");
    handle = guest_find("web")->handle;
    boots_restart(false);
    assert_int_equal(guest_find("web")->handle, handle);
    assert_int_equal(state_of("web"), SKEP_GUEST_RUNNING);
    assert_int_equal(guest_find("idle")->spec->desired, SPEC_STOPPED);
    assert_non_null(image_find("img"));
    assert_int_equal(put("web", "{\"image\":\"img\"}"), 200);
    assert_int_equal(guest_find("web")->handle, handle);
}

/* Wishes that come while ring 0 still takes the guest's memory back. */
static void test_changes_amid_dying(void **state)
{
    uint64_t first;

    (void)state;
    put("web", "{\"image\":\"img\"}");
    first = guest_find("web")->handle;
    put("web", "{\"image\":\"img\",\"desired_state\":\"stopped\"}");
    put("web", "{\"image\":\"img\"}");
    boots_settle();
    assert_int_equal(state_of("web"), SKEP_GUEST_RUNNING);
    assert_int_not_equal(guest_find("web")->handle, first);
    put("web", "{\"image\":\"img\",\"vcpus\":3}");
    boots_restart(false);
    boots_settle();
    assert_int_equal(state_of("web"), SKEP_GUEST_RUNNING);
    assert_int_equal(guest_find("web")->spec->vcpus, 3);
}

static void test_damaged_record(void **state)
{
    uint64_t handle;

    (void)state;
    put("web", "{\"image\":\"img\",\"env\":{\"A\":\"1\"}}");
    handle = guest_find("web")->handle;
    fake_record(guest_find("web")->record)[200] ^= 1;
    boots_restart(false);
    /* Its spec is lost, the guest isn't. */
    assert_int_equal(guest_find("web")->handle, handle);
    assert_int_equal(guest_find("web")->spec->envc, 0);
    assert_string_equal(guest_find("web")->spec->image, "img");
}

static void test_safe_mode(void **state)
{
    (void)state;
    put("web", "{\"image\":\"img\"}");
    put("idle", "{\"image\":\"img\",\"desired_state\":\"stopped\"}");
    boots_restart(true);
    assert_non_null(guest_find("web"));
    assert_null(guest_find("idle"));
    boots_restart(false);
    assert_non_null(guest_find("web"));
}

static void test_unfinished_image(void **state)
{
    struct skep_image_spec spec = {.page_count = 1, .name = "half"};

    (void)state;
    assert_true(core_image_create(&spec) > 0);
    boots_restart(false);
    assert_null(image_find("half"));
    assert_non_null(image_find("img"));
}

static void test_identity(void **state)
{
    struct tls_identity first, second;
    struct config config;

    (void)state;
    config_defaults(&config);
    fake_set_entropy(false);
    assert_false(certificate_get(&first, &config, false));
    assert_false(token_get(&config, false));
    assert_true(certificate_get(&first, &config, true));
    assert_true(certificate_get(&second, &config, false));
    assert_memory_equal(&first, &second, sizeof(first));
    strcpy(config.token, "0123456789abcdef");
    assert_true(token_get(&config, false));
    assert_true(boots_obeys("0123456789abcdef"));
    assert_false(boots_obeys("0123456789abcde"));
    assert_false(boots_obeys("0123456789abcdef0"));
    assert_false(boots_obeys(""));
}

static const struct skep_guest_status *look(const char *name)
{
    return guest_refresh(guest_find(name));
}

static void test_live_changes(void **state)
{
    struct problem p;
    uint64_t handle;

    (void)state;
    put("web", "{\"image\":\"img\",\"max_vcpus\":4,\"args\":[\"used=8388608\"]}");
    handle = guest_find("web")->handle;
    assert_int_equal(put("web", "{\"image\":\"img\",\"max_vcpus\":4,\"args\":[\"used=8388608\"],"
                                "\"weight\":7,\"cpu_cap\":150,\"cpu_affinity\":[1],\"vcpus\":3,"
                                "\"memory_bytes\":33554432}"),
                     200);
    assert_int_equal(last_change, GUEST_APPLIED);
    assert_int_equal(guest_find("web")->handle, handle);
    assert_int_equal(look("web")->weight, 7);
    assert_int_equal(look("web")->cpu_cap, 150);
    assert_int_equal(look("web")->cpu_affinity, 2);
    assert_int_equal(look("web")->vcpu_count, 3);
    assert_int_equal(look("web")->memory_promised, 33554432);
    /* Below what is in use: refused with both numbers, and nothing else of it is made either. */
    assert_int_equal(put_text("web",
                              "{\"image\":\"img\",\"max_vcpus\":4,\"args\":[\"used=8388608\"],"
                              "\"weight\":8,\"memory_bytes\":4194304}",
                              &p),
                     -1);
    assert_int_equal(p.status, 409);
    assert_non_null(strstr(p.detail, "4194304"));
    assert_non_null(strstr(p.detail, "8388608"));
    assert_int_equal(look("web")->weight, 7);
    assert_int_equal(guest_find("web")->spec->weight, 7);
    boots_restart(false);
    assert_int_equal(guest_find("web")->handle, handle);
    assert_int_equal(guest_find("web")->spec->weight, 7);
}

/* Between the look at its state and the change: that isn't memory which can't be lowered. */
static void test_live_change_of_one_that_ends(void **state)
{
    struct problem p;

    (void)state;
    put("web", "{\"image\":\"img\",\"args\":[\"ends-when-changed\"]}");
    assert_int_equal(
        put_text("web", "{\"image\":\"img\",\"args\":[\"ends-when-changed\"],\"weight\":9}", &p),
        200);
    assert_int_equal(guest_find("web")->spec->weight, 9);
}

static void test_live_change_is_not_half_made(void **state)
{
    struct problem p;

    (void)state;
    put("web", "{\"image\":\"img\"}");
    fake_fail_retain(true);
    assert_int_equal(put_text("web", "{\"image\":\"img\",\"weight\":9}", &p), -1);
    assert_int_equal(p.status, 503);
    assert_int_equal(look("web")->weight, SPEC_WEIGHT_DEFAULT);
    assert_int_equal(guest_find("web")->spec->weight, SPEC_WEIGHT_DEFAULT);
    fake_fail_retain(false);
    fake_fail_live_changes(true);
    assert_int_equal(put_text("web", "{\"image\":\"img\",\"weight\":9}", &p), -1);
    assert_int_equal(p.status, 501);
    fake_fail_live_changes(false);
    /* Ring 0 has it, but the service died before it was retained: it is as if nobody had asked. */
    core_guest_set(guest_find("web")->handle,
                   &(struct skep_guest_change){.changes = SKEP_CHANGE_WEIGHT, .weight = 9});
    boots_restart(false);
    assert_int_equal(look("web")->weight, SPEC_WEIGHT_DEFAULT);
}

static void test_fewer_vcpus(void **state)
{
    static const char more[] = "{\"image\":\"img\",\"vcpus\":3,\"max_vcpus\":3,"
                               "\"args\":[\"vcpus=3\",\"keep-vcpus\"]}";
    static const char fewer[] = "{\"image\":\"img\",\"vcpus\":1,\"max_vcpus\":3,"
                                "\"args\":[\"vcpus=3\",\"keep-vcpus\"]}";

    (void)state;
    put("web", more);
    assert_int_equal(look("web")->vcpus_on, 3);
    assert_int_equal(put("web", fewer), 200);
    assert_int_equal(look("web")->vcpus_on, 3);
    fake_skip(999 * MS);
    assert_false(guest_step_due(UINT32_MAX));
    fake_skip(2 * MS);
    assert_false(guest_step_due(UINT32_MAX));
    assert_int_equal(look("web")->vcpus_on, 1);
}

static void test_affinity(void **state)
{
    struct problem p;

    (void)state;
    assert_int_equal(put_text("a", "{\"image\":\"img\",\"cpu_affinity\":[2,63]}", &p), -1);
    assert_int_equal(p.status, 422);
    assert_non_null(strstr(p.detail, "0 to 1"));
    assert_int_equal(put("a", "{\"image\":\"img\",\"cpu_affinity\":[1,63]}"), 201);
}

/* Ends in a crash at once, again and again: the waits are as documented, and the state says so. */
static void test_crash_loop(void **state)
{
    static const uint64_t waits_ms[] = {500, 1000, 2000, 2500, 2500};
    struct guest *g;
    cJSON *json;

    (void)state;
    put("web", "{\"image\":\"img\",\"args\":[\"crash=8\"],\"restart\":\"always\","
               "\"restart_delay_max_ms\":2500}");
    g = guest_find("web");
    for (size_t i = 0; i < sizeof(waits_ms) / sizeof(*waits_ms); i++) {
        boots_settle();
        assert_int_equal(g->failures, i + 1);
        assert_int_equal(guest_is_crash_looping(g), i >= 2);
        assert_true(g->restart_at > core_clock_ns() + (waits_ms[i] - 400) * MS);
        assert_true(g->restart_at <= core_clock_ns() + waits_ms[i] * MS);
        json = guest_to_json(g, false);
        const cJSON *status = cJSON_GetObjectItem(json, "status");
        assert_string_equal(cJSON_GetObjectItem(status, "state")->valuestring,
                            i >= 2 ? "crash-looping" : "crashed");
        assert_int_equal(cJSON_HasObjectItem(status, "crash_loop"), i >= 2);
        cJSON_Delete(json);
        fake_skip(waits_ms[i] * MS);
        guest_step(g);
    }
    /* A client's change forgets what was. */
    put("web", "{\"image\":\"img\",\"args\":[\"crash=8\"],\"restart\":\"always\"}");
    boots_settle();
    assert_int_equal(g->failures, 1);
}

static void test_restart_limit_and_reset(void **state)
{
    struct guest *g;

    (void)state;
    put("web", "{\"image\":\"img\",\"args\":[\"exit=3\"],\"restart\":\"on-failure\","
               "\"restart_limit\":1}");
    g = guest_find("web");
    boots_settle();
    assert_false(guest_has_given_up(g));
    fake_skip(500 * MS);
    guest_step(g);
    boots_settle();
    assert_true(guest_has_given_up(g));
    assert_true(guest_has_ended(g));
    assert_int_equal(guest_next_deadline(), UINT64_MAX);
    /* One that ran long enough starts from zero. */
    put("web", "{\"image\":\"img\",\"args\":[\"exit=3\",\"after=2000\"],\"restart\":\"always\","
               "\"restart_reset_ms\":1000,\"restart_limit\":1}");
    boots_settle();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(state_of("web"), SKEP_GUEST_RUNNING);
        fake_skip(2000 * MS);
        boots_settle();
        assert_int_equal(g->failures, 1);
        fake_skip(500 * MS);
        guest_step(g);
        boots_settle();
    }
}

static void test_grace_and_killed(void **state)
{
    struct guest *g;
    cJSON *json;

    (void)state;
    put("web", "{\"image\":\"img\",\"args\":[\"stubborn\"],\"stop_grace_ms\":2000}");
    put("web", "{\"image\":\"img\",\"args\":[\"stubborn\"],\"stop_grace_ms\":2000,"
               "\"desired_state\":\"stopped\"}");
    g = guest_find("web");
    fake_skip(1900 * MS);
    guest_step(g);
    assert_int_equal(state_of("web"), SKEP_GUEST_STOPPING);
    fake_skip(101 * MS);
    guest_step(g);
    boots_settle();
    json = guest_to_json(g, false);
    const cJSON *status = cJSON_GetObjectItem(json, "status");
    assert_string_equal(cJSON_GetObjectItem(status, "state")->valuestring, "killed");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(status, "exit_code")));
    cJSON_Delete(json);
    assert_int_equal(g->crash, 0);
}

/* More crashes than are kept; then the service is started again. */
static void test_crashes_are_kept(void **state)
{
    char name[16];
    uint32_t id;
    cJSON *list;

    (void)state;
    for (int i = 0; i < 20; i++) {
        struct problem p;
        snprintf(name, sizeof(name), "g%d", i);
        put(name, "{\"image\":\"img\",\"args\":[\"print=last words\",\"crash=8\"]}");
        boots_settle();
        guest_delete(guest_find(name), &p);
        boots_settle();
    }
    for (int round = 0; round < 2; round++) {
        list = crashes_to_json(UINT64_MAX, UINT64_MAX);
        assert_int_equal(cJSON_GetArraySize(list), STORE_CRASHES);
        id = (uint32_t)cJSON_GetObjectItem(cJSON_GetArrayItem(list, 0), "id")->valuedouble;
        assert_string_equal(cJSON_GetObjectItem(cJSON_GetArrayItem(list, 0), "guest")->valuestring,
                            "g19");
        cJSON_Delete(list);
        assert_non_null(strstr(crashes_text(id), "g19 starts\\nlast words\\n"));
        assert_non_null(strstr(crashes_text(id), "\"kind\":\"guard\""));
        assert_non_null(strstr(crashes_text(id), "\"kind\":\"fault\""));
        assert_null(crashes_text(id - STORE_CRASHES));
        boots_restart(false);
    }
    /* One of whose records a part is damaged isn't believed. */
    fake_record(STORE_CRASH_FIRST + id % STORE_CRASHES * STORE_CRASH_PARTS)[100] ^= 1;
    boots_restart(false);
    assert_null(crashes_text(id));
    assert_non_null(crashes_text(id - 1));
}

static void test_crash_is_known_after_restart(void **state)
{
    uint32_t id;

    (void)state;
    put("web", "{\"image\":\"img\",\"args\":[\"crash=8\"]}");
    boots_settle();
    id = guest_find("web")->crash;
    assert_int_not_equal(id, 0);
    boots_restart(false);
    assert_int_equal(guest_find("web")->crash, id);
    put("next", "{\"image\":\"img\",\"args\":[\"crash=8\"]}");
    boots_settle();
    assert_int_equal(guest_find("next")->crash, id + 1);
}

static void test_image_users(void **state)
{
    struct problem p;
    struct image *image;

    (void)state;
    put("a", "{\"image\":\"img\",\"desired_state\":\"stopped\"}");
    upload("other");
    put("b", "{\"image\":\"other\",\"desired_state\":\"stopped\"}");
    assert_int_equal(image_remove(image_find("other"), &p), -1);
    put("b", "{\"image\":\"img\",\"desired_state\":\"stopped\"}");
    assert_int_equal(image_remove(image_find("other"), &p), 0);
    /* An image that is lost leaves guests without one, until one of its name comes. */
    core_image_destroy(image_find("img")->handle);
    boots_restart(false);
    assert_null(image_find("img"));
    image = upload("img");
    assert_non_null(image->users);
    assert_int_equal(image_remove(image, &p), -1);
}

/* Each CPU's records ascend; the answer has all of them in order. */
static void test_trace_and_vcpus(void **state)
{
    const cJSON *items;
    struct problem p;
    cJSON *json;

    (void)state;
    put("web", "{\"image\":\"img\",\"vcpus\":2}");
    json = trace_of_guest(guest_find("web")->handle, FAKE_CPUS, &p);
    items = cJSON_GetObjectItem(json, "items");
    assert_int_equal(cJSON_GetArraySize(items), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(cJSON_GetObjectItem(cJSON_GetArrayItem(items, i), "cpu")->valueint,
                         i == 1);
    cJSON_Delete(json);
    json = vcpus_of_guest(guest_find("web")->handle, 2, &p);
    items = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "items"), 0);
    assert_int_equal(
        cJSON_GetObjectItem(cJSON_GetObjectItem(items, "hypercalls"), "wait")->valuestring[0], '3');
    cJSON_Delete(json);
    assert_null(trace_of_guest(12345, FAKE_CPUS, &p));
    assert_int_equal(p.status, 409);
}

/* A small error goes away by 500 µs a second, a large one at once. */
static void test_wall_clock(void **state)
{
    uint64_t base = core_wall_base_ns();

    (void)state;
    wall_step();
    assert_int_equal(core_wall_base_ns(), base);
    wall_measured(1000); /* in 1970: not believed */
    wall_step();
    assert_int_equal(core_wall_base_ns(), base);
    wall_measured(core_wall_ns() + 3600 * 1000 * MS);
    assert_true(wall_deadline() <= core_clock_ns());
    wall_step();
    assert_true(core_wall_base_ns() - base >= 3599 * 1000 * MS);
    assert_true(core_wall_base_ns() - base < 3601 * 1000 * MS);
    assert_int_equal(wall_deadline(), UINT64_MAX);
    base = core_wall_base_ns();
    wall_measured(core_wall_ns() - MS - 300000);
    for (int i = 1; i <= 3; i++) {
        wall_step();
        wall_step(); /* no more before it is due */
        assert_true(base - core_wall_base_ns() <= (uint64_t)i * 500000);
        assert_int_equal(wall_deadline() != UINT64_MAX, i < 3);
        fake_skip(1000 * MS);
    }
    assert_true(base - core_wall_base_ns() >= MS + 200000);
}

static void test_panic_text(void **state)
{
    char *text;

    (void)state;
    assert_null(host_panic_text());
    fake_set_panic("first line\nPANIC: why\n");
    text = host_panic_text();
    assert_string_equal(text, "first line\nPANIC: why\n");
    free(text);
}

/* Runs what it is given in a process of its own, as services follow each other; its exit code. */
static int in_process(void (*service)(void))
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        service();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void dies_in_the_midst(void)
{
    struct problem p;

    put("deaf", "{\"image\":\"img\",\"args\":[\"stubborn\"],\"stop_grace_ms\":60000}");
    put("web", "{\"image\":\"img\",\"restart\":\"always\"}");
    if (power_begin(true, 2000 * MS, &p) != 0 || power_begin(true, 0, &p) == 0)
        _exit(1);
    while (power_step())
        continue;
    if (state_of("deaf") != SKEP_GUEST_STOPPING)
        _exit(2);
}

static void goes_on(void)
{
    boots_restart(false);
    power_resume();
    if (!power_is_ending() || state_of("deaf") != SKEP_GUEST_STOPPING)
        _exit(3);
    /* Within the grace and a little more it has ended all, and then the machine. */
    for (int i = 0; i < 60; i++) {
        fake_skip(50 * MS);
        while (guest_step_due(1) || power_step())
            continue;
    }
}

static void test_reboot_over_a_restart(void **state)
{
    (void)state;
    assert_int_equal(in_process(dies_in_the_midst), 0);
    assert_int_equal(in_process(goes_on), FAKE_REBOOT_CODE);
    assert_int_equal(core_guest_next(0) != 0, true); /* ended, not deleted */
    boots_restart(false);
    power_resume();
    assert_false(power_is_ending());
}

static int compare_number(const void *key, const struct tree_node *node)
{
    uint64_t number = (uint64_t)(uintptr_t)key, its = (uint64_t)(uintptr_t)node;
    return number < its ? -1 : number > its;
}

/* Against what is known of the order: nodes' addresses are their keys. */
static void test_tree(void **state)
{
    enum { NODES = 500 };
    static struct tree_node nodes[NODES];
    bool in[NODES] = {false};
    struct tree tree = {.compare = compare_number};
    uint32_t seed = 7;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        seed = seed * 1664525 + 1013904223;
        unsigned i = (seed >> 8) % NODES;
        assert_int_equal(tree_find(&tree, &nodes[i]) == &nodes[i], in[i]);
        if (in[i])
            tree_remove(&tree, &nodes[i], &nodes[i]);
        else
            tree_insert(&tree, &nodes[i], &nodes[i]);
        in[i] = !in[i];
        if (round % 500)
            continue;
        struct tree_node *next = tree_first(&tree);
        for (unsigned k = 0; k < NODES; k++) {
            if (!in[k])
                continue;
            assert_ptr_equal(next, &nodes[k]);
            next = tree_after(&tree, next, false);
        }
        assert_null(next);
    }
}

int run_model_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_put_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_start_after, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cycles, setup, teardown),
        cmocka_unit_test_setup_teardown(test_delete, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_and_start, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart_policy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_service_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changes_amid_dying, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_record, setup, teardown),
        cmocka_unit_test_setup_teardown(test_safe_mode, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unfinished_image, setup, teardown),
        cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
        cmocka_unit_test_setup_teardown(test_live_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_live_change_of_one_that_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_live_change_is_not_half_made, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fewer_vcpus, setup, teardown),
        cmocka_unit_test_setup_teardown(test_affinity, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart_limit_and_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_grace_and_killed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crashes_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_is_known_after_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_image_users, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trace_and_vcpus, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wall_clock, setup, teardown),
        cmocka_unit_test_setup_teardown(test_panic_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reboot_over_a_restart, setup, teardown),
        cmocka_unit_test(test_tree),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
