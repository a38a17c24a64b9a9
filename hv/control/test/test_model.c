/* test_model.c - guests and images over the fake core: changes, restarts of the service, damage. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "guest.h"
#include "identity.h"
#include "image.h"
#include "json.h"
#include "store.h"
#include "test/fake.h"
#include "test_control.h"

#define RECORDS 66

/* What a restart of the service leaves: nothing of its own. */
static void forget_all(void)
{
    while (guest_first())
        guest_forget(guest_first());
    image_forget_all();
}

static void restart(bool safe_mode)
{
    forget_all();
    image_adopt_all();
    guest_adopt_all(safe_mode, RECORDS);
}

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
    restart(false);
    upload("img");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    forget_all();
    return 0;
}

static int put_text(const char *name, const char *text, struct problem *p)
{
    cJSON *json = json_parse(text, strlen(text), p);
    struct spec spec;
    int result = spec_from_json(&spec, json, name, p);

    cJSON_Delete(json);
    memset(p, 0, sizeof(*p));
    return result == 0 ? guest_put(name, &spec, p) : -1;
}

static int put(const char *name, const char *text)
{
    struct problem p;
    return put_text(name, text, &p);
}

/* What the thread that follows notifications does in the service, until nothing is dying. */
static void settle(void)
{
    const struct timespec moment = {.tv_nsec = 2000000};
    bool dying = true;

    while (dying) {
        guest_step_handle(0);
        dying = false;
        for (struct guest *g = guest_first(); g; g = g->next)
            dying |=
                g->deleting || g->replacing || (g->handle && g->status.state == SKEP_GUEST_DYING);
        nanosleep(&moment, NULL);
    }
}

static uint32_t state_of(const char *name)
{
    struct guest *g = guest_find(name);
    guest_refresh(g);
    return g->handle ? g->status.state : UINT32_MAX;
}

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
    assert_int_equal(put("web", "{\"image\":\"img\",\"vcpus\":2}"), 200);
    settle();
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
    settle();
    assert_null(guest_find("web"));
    assert_int_equal(core_guest_next(0), 0);
    assert_int_equal(image_remove(image_find("img"), &p), 0);
    restart(false);
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
    settle();
    assert_int_equal(state_of("web"), SKEP_GUEST_EXITED);
    put("web", "{\"image\":\"img\"}");
    settle();
    assert_int_equal(state_of("web"), SKEP_GUEST_RUNNING);
    assert_int_not_equal(guest_find("web")->handle, first);
    assert_int_equal(guest_find("web")->log_base, strlen("web starts\n"));
}

static void test_restart_policy(void **state)
{
    const struct timespec moment = {.tv_nsec = 600000000};
    uint64_t first;

    (void)state;
    put("web", "{\"image\":\"img\",\"args\":[\"crash=8\"],\"restart\":\"on-failure\"}");
    first = guest_find("web")->handle;
    settle();
    assert_int_equal(state_of("web"), SKEP_GUEST_CRASHED);
    assert_true(guest_next_deadline() != UINT64_MAX);
    nanosleep(&moment, NULL);
    settle();
    assert_int_not_equal(guest_find("web")->handle, first);
    assert_non_null(guest_find("web")->crash);
    assert_non_null(strstr(guest_find("web")->crash, "page-fault"));
    assert_non_null(strstr(guest_find("web")->crash, "main+0x10"));
}

static void test_service_restart(void **state)
{
    uint64_t handle;

    (void)state;
    put("web", "{\"image\":\"img\"}");
    put("idle", "{\"image\":\"img\",\"desired_state\":\"stopped\"}");
    handle = guest_find("web")->handle;
    restart(false);
    assert_int_equal(guest_find("web")->handle, handle);
    assert_int_equal(state_of("web"), SKEP_GUEST_RUNNING);
    assert_int_equal(guest_find("idle")->spec.desired, SPEC_STOPPED);
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
    settle();
    assert_int_equal(state_of("web"), SKEP_GUEST_RUNNING);
    assert_int_not_equal(guest_find("web")->handle, first);
    put("web", "{\"image\":\"img\",\"vcpus\":3}");
    restart(false);
    settle();
    assert_int_equal(state_of("web"), SKEP_GUEST_RUNNING);
    assert_int_equal(guest_find("web")->status.vcpu_count, 3);
}

static void test_damaged_record(void **state)
{
    uint64_t handle;

    (void)state;
    put("web", "{\"image\":\"img\",\"env\":{\"A\":\"1\"}}");
    handle = guest_find("web")->handle;
    fake_record(guest_find("web")->record)[2000] ^= 1;
    restart(false);
    /* Its spec is lost, the guest isn't. */
    assert_int_equal(guest_find("web")->handle, handle);
    assert_int_equal(guest_find("web")->spec.envc, 0);
    assert_string_equal(guest_find("web")->spec.image, "img");
}

static void test_safe_mode(void **state)
{
    (void)state;
    put("web", "{\"image\":\"img\"}");
    put("idle", "{\"image\":\"img\",\"desired_state\":\"stopped\"}");
    restart(true);
    assert_non_null(guest_find("web"));
    assert_null(guest_find("idle"));
    restart(false);
    assert_non_null(guest_find("web"));
}

static void test_unfinished_image(void **state)
{
    struct skep_image_spec spec = {.page_count = 1, .name = "half"};

    (void)state;
    assert_true(core_image_create(&spec) > 0);
    restart(false);
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
    assert_false(identity_get(&first, &config, false));
    assert_false(token_get(&config, false));
    assert_true(identity_get(&first, &config, true));
    assert_true(identity_get(&second, &config, false));
    assert_memory_equal(&first, &second, sizeof(first));
    strcpy(config.token, "0123456789abcdef");
    assert_true(token_get(&config, false));
    assert_true(token_matches("0123456789abcdef"));
    assert_false(token_matches("0123456789abcde"));
    assert_false(token_matches("0123456789abcdef0"));
    assert_false(token_matches(""));
}

int run_model_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_put_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_delete, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_and_start, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart_policy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_service_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changes_amid_dying, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_record, setup, teardown),
        cmocka_unit_test_setup_teardown(test_safe_mode, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unfinished_image, setup, teardown),
        cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
