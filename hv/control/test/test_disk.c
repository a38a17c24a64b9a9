/* test_disk.c - what a cold boot finds: images, guests, the identity, and what power cuts leave of changes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "certificate.h"
#include "files.h"
#include "guest.h"
#include "identity.h"
#include "image.h"
#include "log.h"
#include "persist.h"
#include "service.h"
#include "skep/abi.h"
#include "state.h"
#include "test/boots.h"
#include "test/fake.h"
#include "test/ram_disk.h"
#include "test_control.h"

#define MS 1000000ull

static void restart(bool safe_mode)
{
    boots_end();
    boots_begin(safe_mode, false);
}

/* Until there is nothing more to do. */
static void settle(void)
{
    do {
        boots_settle();
    } while (guest_step_due(UINT32_MAX));
}

static void delete_guest(const char *name)
{
    struct problem p;

    assert_true(guest_delete(guest_find(name), &p) > 0);
}

static uint32_t state_of(const char *name)
{
    struct guest *g = guest_find(name);

    assert_non_null(g);
    guest_refresh(g);
    return g->handle ? g->view.state : UINT32_MAX;
}

static void assert_storage(const char *state)
{
    cJSON *json = persist_to_json();

    assert_string_equal(cJSON_GetObjectItem(json, "state")->valuestring, state);
    cJSON_Delete(json);
}

static void test_cold_boot(void **state)
{
    const uint8_t address6[16] = {0xfd, [15] = 9};
    struct problem p;

    (void)state;
    assert_storage("ready");
    assert_int_equal(boots_upload("img", 0, &p), 201);
    assert_int_equal(boots_upload("img", 0, &p), 200);
    boots_put("web", "{\"image\":\"img\",\"args\":[\"print=hello\"],\"env\":{\"A\":\"1\"},"
                     "\"networks\":[{\"address\":\"10.0.0.9/8\",\"address6\":\"fd00::9/64\"}]}");
    boots_put("idle", "{\"image\":\"img\",\"desired_state\":\"stopped\"}");
    boots_cold();
    assert_int_equal(state_of("web"), SKEP_GUEST_RUNNING);
    assert_int_equal(state_of("idle"), UINT32_MAX);
    assert_int_equal(guest_find("web")->spec->envc, 1);
    assert_non_null(guest_with_address(__builtin_bswap32(0x0a000009), ""));
    assert_non_null(guest_with_address6(address6, ""));
    assert_null(guest_with_address6(address6, "web"));
    assert_int_equal(boots_put("other", "{\"image\":\"img\",\"networks\":[{\"address\":\"dhcp\","
                                        "\"address6\":\"fd00::9/64\"}]}"),
                     -1);
    assert_int_equal(boots_upload("img", 0, &p), 200);
    delete_guest("web");
    boots_put("idle", "{\"image\":\"img\"}");
    boots_cold();
    assert_null(guest_find("web"));
    assert_int_equal(state_of("idle"), SKEP_GUEST_RUNNING);
}

/* All that a spec's files are. */
static char *files_of(const char *name)
{
    cJSON *list = files_to_json(guest_find(name)->files, FILES_WHOLE);
    char *text = cJSON_PrintUnformatted(list);

    cJSON_Delete(list);
    return text;
}

/* Secrets, bytes, and the largest text that there can be on the disk. */
static void test_files(void **state)
{
    char *text = malloc(7 * FILES_BYTES_MAX), *at = text, *before, *after;

    (void)state;
    boots_upload("img", 0, &(struct problem){0});
    at += sprintf(
        at,
        "{\"image\":\"img\",\"files\":[{\"path\":\"/key\",\"secret\":true,\"content\":\"hidden\"},"
        "{\"path\":\"/bytes\",\"content_base64\":\"AAEC\"},{\"path\":\"/text\",\"content\":\"");
    for (unsigned i = 0; i < FILES_BYTES_MAX - 9; i++)
        at += sprintf(at, "\\u0001");
    sprintf(at, "\"}]}");
    assert_int_equal(boots_put("web", text), 201);
    free(text);
    for (int boot = 0; boot < 2; boot++) {
        before = files_of("web");
        boots_cold();
        assert_int_equal(state_of("web"), SKEP_GUEST_RUNNING);
        after = files_of("web");
        assert_string_equal(after, before);
        free(before);
        free(after);
        boots_put("web", "{\"image\":\"img\",\"files\":[{\"path\":\"/key\",\"secret\":true}]}");
        settle();
    }
    before = files_of("web");
    assert_string_equal(before, "[{\"path\":\"/key\",\"secret\":true,\"content\":\"hidden\"}]");
    free(before);
}

static uint64_t started_at(const char *name)
{
    const struct skep_guest_status *status = guest_refresh(guest_find(name));

    assert_non_null(status);
    assert_int_equal(status->state, SKEP_GUEST_RUNNING);
    return status->started_ns;
}

/* Guests start after those that they name, all by themselves. */
static void test_order(void **state)
{
    struct problem p;

    (void)state;
    boots_upload("img", 0, &p);
    boots_put("a", "{\"image\":\"img\",\"start_after\":[\"b\",\"c\"]}");
    boots_put("b", "{\"image\":\"img\",\"start_after\":[\"c\"]}");
    boots_put("d", "{\"image\":\"img\",\"start_after\":[\"e\"]}");
    boots_put("e", "{\"image\":\"img\",\"desired_state\":\"paused\",\"start_after\":[\"c\"]}");
    assert_string_equal(guest_find("a")->waits_for, "b");
    boots_put("c", "{\"image\":\"img\"}");
    for (int boot = 0; boot < 2; boot++) {
        settle();
        assert_true(started_at("c") <= started_at("b"));
        assert_true(started_at("b") <= started_at("a"));
        assert_int_equal(state_of("e"), SKEP_GUEST_CREATED);
        assert_int_equal(state_of("d"), UINT32_MAX);
        assert_string_equal(guest_find("d")->waits_for, "e");
        boots_cold();
    }
}

static void set_labels(const char *name, const char *labels)
{
    char texts[LABELS_BYTES] = "";
    struct problem p;

    strcpy(texts, labels);
    assert_int_equal(image_set_labels(image_find(name), texts, &p), 0);
}

static void test_labels(void **state)
{
    struct problem p;

    (void)state;
    boots_upload("a", 0, &p);
    set_labels("a", "team=edge");
    restart(false);
    assert_string_equal(image_find("a")->labels, "team=edge");
    boots_cold();
    assert_string_equal(image_find("a")->labels, "team=edge");
    assert_int_equal(boots_upload("a", 1, &p), 201);
    boots_cold();
    assert_string_equal(image_find("a")->labels, "team=edge");
    set_labels("a", "");
    boots_cold();
    assert_string_equal(image_find("a")->labels, "");
}

/* What Skep wrote before there were labels. */
static void test_plain_record(void **state)
{
    struct {
        uint32_t version, reserved;
        uint64_t uploaded_wall_ns;
        uint8_t digest[32];
    } record = {.version = 1, .uploaded_wall_ns = 12345};
    struct problem p;

    (void)state;
    boots_upload("a", 0, &p);
    memcpy(record.digest, image_find("a")->digest, 32);
    assert_int_equal(state_put("images/a", &record, sizeof(record)), 0);
    boots_cold();
    assert_non_null(image_find("a"));
    assert_true(image_find("a")->kept && image_find("a")->uploaded_wall_ns == 12345);
    assert_string_equal(image_find("a")->labels, "");
    set_labels("a", "team=edge");
    boots_cold();
    assert_string_equal(image_find("a")->labels, "team=edge");
    /* Nor is one taken that says something else of itself than it is. */
    assert_int_equal(state_put("images/a", &record, sizeof(record) - 1), 0);
    boots_cold();
    assert_null(image_find("a"));
}

static void test_images(void **state)
{
    struct problem p;

    (void)state;
    boots_upload("a", 0, &p);
    boots_upload("b", 1, &p);
    boots_cold();
    assert_int_equal(boots_upload("a", 0, &p), 200);
    assert_int_equal(boots_upload("b", 2, &p), 201);
    assert_int_equal(image_remove(image_find("a"), &p), 0);
    boots_cold();
    assert_null(image_find("a"));
    assert_int_equal(boots_upload("b", 2, &p), 200);
    assert_int_equal(boots_upload("b", 1, &p), 201);
    /* Of the replaced and the deleted one nothing is left. */
    char *files = persist_list("files/");
    assert_int_equal(strncmp(files, "files/b.", 8), 0);
    assert_int_equal(files[strlen(files) + 1], '\0');
    free(files);
}

/* One that can't be read is left aside, its guests wait, and another upload brings both back. */
static void test_unreadable_image(void **state)
{
    struct problem p;
    char *files;

    (void)state;
    boots_upload("img", 0, &p);
    boots_upload("other", 1, &p);
    boots_put("web", "{\"image\":\"img\"}");
    boots_put("more", "{\"image\":\"other\"}");
    files = persist_list("files/img");
    assert_int_equal(state_put(files, "nonsense", 8), 0);
    free(files);
    boots_cold();
    assert_null(image_find("img"));
    assert_int_equal(state_of("web"), UINT32_MAX);
    assert_int_equal(guest_find("web")->create_error, -SKEP_ENOENT);
    assert_int_equal(state_of("more"), SKEP_GUEST_RUNNING);
    assert_int_equal(boots_upload("img", 0, &p), 201);
    fake_skip(1000 * MS);
    settle();
    assert_int_equal(state_of("web"), SKEP_GUEST_RUNNING);
}

static void test_identity_is_kept(void **state)
{
    struct tls_identity first, second;
    struct config config;

    (void)state;
    config_defaults(&config);
    assert_true(certificate_get(&first, &config, true));
    assert_true(token_get(&config, true));
    boots_cold();
    assert_true(certificate_get(&second, &config, false));
    assert_memory_equal(&first, &second, sizeof(first));
    assert_true(token_get(&config, false));
    /* A token that is given stays the token at boots that give none. */
    strcpy(config.token, "0123456789abcdef");
    assert_true(token_get(&config, false));
    boots_cold();
    config.token[0] = '\0';
    assert_true(token_get(&config, false));
    assert_true(boots_obeys("0123456789abcdef"));
}

static void test_no_disk(void **state)
{
    struct problem p;

    (void)state;
    boots_end();
    fake_set_disk(NULL, 0);
    boots_begin(false, true);
    assert_storage("none");
    assert_int_equal(boots_upload("img", 0, &p), 201);
    assert_int_equal(boots_put("web", "{\"image\":\"img\"}"), 201);
    restart(false);
    assert_int_equal(boots_upload("img", 0, &p), 200);
    assert_int_equal(state_of("web"), SKEP_GUEST_RUNNING);
    boots_cold();
    assert_null(image_find("img"));
    assert_null(guest_find("web"));
}

/* A disk that comes while the service runs: what there is is kept from then on, images when they are uploaded again. */
static void test_disk_comes(void **state)
{
    struct tls_identity first, second;
    struct config config;
    struct problem p;

    (void)state;
    boots_end();
    fake_set_disk(NULL, 0);
    fake_start("", "");
    boots_begin(false, true);
    config_defaults(&config);
    assert_true(certificate_get(&first, &config, true));
    assert_true(token_get(&config, true));
    assert_int_equal(boots_upload("img", 0, &p), 201);
    assert_int_equal(boots_put("web", "{\"image\":\"img\"}"), 201);
    service_keep();
    assert_storage("none");
    fake_set_disk(NULL, BOOTS_DISK_BYTES);
    service_keep();
    assert_storage("ready");
    assert_int_equal(boots_put("more", "{\"image\":\"img\"}"), 201);
    assert_int_equal(boots_upload("img", 0, &p), 200);
    service_keep();
    boots_cold();
    settle();
    assert_int_equal(state_of("web"), SKEP_GUEST_RUNNING);
    assert_int_equal(state_of("more"), SKEP_GUEST_RUNNING);
    assert_true(certificate_get(&second, &config, false));
    assert_memory_equal(&first, &second, sizeof(first));
}

static void assert_refused(int status, const struct problem *p)
{
    assert_int_equal(status, -1);
    assert_int_equal(p->status, 507);
}

/* Every change is refused, and nothing of it is made. */
static void test_failing_disk(void **state)
{
    struct problem p;

    (void)state;
    boots_upload("img", 0, &p);
    boots_upload("spare", 1, &p);
    boots_put("web", "{\"image\":\"img\"}");
    fake_disk()->fails_after = 0;
    assert_refused(boots_put_text("web", "{\"image\":\"img\",\"weight\":7}", &p), &p);
    assert_int_equal(guest_refresh(guest_find("web"))->weight, SPEC_WEIGHT_DEFAULT);
    assert_int_equal(guest_find("web")->spec->weight, SPEC_WEIGHT_DEFAULT);
    assert_storage("damaged");
    assert_refused(boots_put_text("new", "{\"image\":\"img\"}", &p), &p);
    assert_null(guest_find("new"));
    assert_refused(guest_delete(guest_find("web"), &p), &p);
    assert_false(guest_find("web")->deleting);
    assert_refused(boots_upload("new", 2, &p), &p);
    assert_refused(boots_upload("spare", 2, &p), &p);
    assert_refused(image_remove(image_find("spare"), &p), &p);
    assert_int_equal(boots_upload("spare", 1, &p), 200);
    assert_int_equal(core_guest_next(core_guest_next(0)), 0);
    fake_disk()->fails_after = -1;
    boots_cold();
    assert_storage("ready");
    assert_int_equal(state_of("web"), SKEP_GUEST_RUNNING);
    assert_int_equal(boots_upload("spare", 1, &p), 200);
}

static void test_full_disk(void **state)
{
    struct problem p;
    char name[16];
    int status, count = 0;

    (void)state;
    boots_end();
    fake_set_disk(NULL, STATE_BYTES_MIN);
    boots_begin(false, true);
    boots_upload("img", 0, &p);
    boots_put("web", "{\"image\":\"img\"}");
    do {
        snprintf(name, sizeof(name), "i%d", ++count);
        status = boots_upload(name, 1, &p);
    } while (status == 201 && count < 15);
    assert_refused(status, &p);
    assert_storage("full");
    assert_null(image_find(name));
    delete_guest("web");
    assert_storage("ready");
    assert_int_equal(image_remove(image_find("i1"), &p), 0);
    assert_int_equal(image_remove(image_find("i2"), &p), 0);
    assert_int_equal(image_remove(image_find("i3"), &p), 0);
    assert_int_equal(boots_upload(name, 1, &p), 201);
    boots_cold();
    assert_non_null(image_find(name));
    assert_null(image_find("i1"));
    assert_null(guest_find("web"));
}

static void test_damaged_disk(void **state)
{
    struct problem p;

    (void)state;
    boots_end();
    memset(fake_disk()->data, 0x5a, BOOTS_DISK_BYTES);
    boots_begin(false, true);
    assert_storage("damaged");
    assert_refused(boots_upload("img", 0, &p), &p);
    assert_int_equal(fake_disk()->data[BOOTS_DISK_BYTES - 1], 0x5a);
}

/* One that comes while the machine runs, to a service that is started again: it takes what it can. */
static void test_late_disk(void **state)
{
    struct problem p;

    (void)state;
    boots_end();
    fake_set_disk(NULL, 0);
    boots_begin(false, true);
    boots_upload("img", 0, &p);
    boots_upload("spare", 1, &p);
    boots_put("web", "{\"image\":\"img\"}");
    boots_end();
    fake_set_disk(NULL, BOOTS_DISK_BYTES);
    boots_begin(false, false);
    assert_storage("ready");
    assert_non_null(image_find("spare"));
    assert_int_equal(boots_upload("img", 0, &p), 200);
    boots_cold();
    assert_int_equal(state_of("web"), SKEP_GUEST_RUNNING);
    assert_null(image_find("spare"));
}

/* In safe mode the disk is left alone, and afterwards all is as before. */
static void test_safe_mode(void **state)
{
    static const char labels[LABELS_BYTES] = "team=edge";
    struct problem p;

    (void)state;
    boots_upload("img", 0, &p);
    boots_put("web", "{\"image\":\"img\",\"args\":[\"a\"]}");
    boots_put("idle", "{\"image\":\"img\",\"desired_state\":\"stopped\"}");
    restart(true);
    assert_storage("damaged");
    assert_int_equal(state_of("web"), SKEP_GUEST_RUNNING);
    assert_refused(boots_put_text("web", "{\"image\":\"img\",\"weight\":7}", &p), &p);
    assert_refused(guest_delete(guest_find("web"), &p), &p);
    assert_refused(image_set_labels(image_find("img"), labels, &p), &p);
    boots_cold();
    assert_int_equal(state_of("web"), SKEP_GUEST_RUNNING);
    assert_int_equal(guest_find("web")->spec->argc, 1);
    assert_non_null(guest_find("idle"));
}

/* What a service left that died between the disk and the record, or between the disk and ring 0. */
static void test_restart_in_between(void **state)
{
    struct problem p;
    struct guest *web;
    struct spec spec;

    (void)state;
    boots_upload("img", 0, &p);
    boots_put("web", "{\"image\":\"img\"}");
    web = guest_find("web");
    spec_expand(&spec, web->spec);
    spec.weight = 7;
    assert_int_equal(guest_keep("web", &spec, 0, &p), 0);
    assert_int_equal(guest_keep("new", &spec, 0, &p), 0);
    restart(false);
    assert_int_equal(guest_find("web")->spec->weight, SPEC_WEIGHT_DEFAULT);
    assert_int_equal(guest_find("new")->spec->weight, 7);
    boots_cold();
    assert_int_equal(guest_find("web")->spec->weight, SPEC_WEIGHT_DEFAULT);
    assert_int_equal(guest_find("new")->spec->weight, 7);
    /* An image whose upload was not answered, and one whose deletion was not. */
    uint8_t data[TEST_ELF_MAX];
    size_t bytes = test_elf(data);
    struct image *half = image_build("half", data, bytes, &p);
    assert_non_null(half);
    free(half);
    boots_upload("gone", 1, &p);
    assert_int_equal(image_unkeep(image_find("gone"), &p), 0);
    restart(false);
    assert_null(image_find("half"));
    assert_null(image_find("gone"));
    assert_non_null(image_find("img"));
    /* Of two with one name the disk's stays, even if it is the former. */
    boots_upload("two", 1, &p);
    half = image_build("two", data, bytes, &p);
    assert_non_null(half);
    free(half);
    restart(false);
    assert_int_equal(boots_upload("two", 1, &p), 200);
}

/*
 * Power cuts
 */

struct step {
    const char *guest, *image, *text; /* text NULL = deleted */
    const char *labels;               /* of the image; NULL = those that it has */
    size_t version;                   /* of the image's file, from 1 on; 0 = deleted */
};

static const struct step steps[] = {
    {.image = "img", .version = 1},
    {.guest = "web", .text = "{\"image\":\"img\",\"networks\":[{\"address\":\"10.0.0.9/8\"}]}"},
    {.guest = "idle", .text = "{\"image\":\"img\",\"desired_state\":\"stopped\"}"},
    {.guest = "idle",
     .text =
         "{\"image\":\"img\",\"desired_state\":\"stopped\",\"files\":[{\"path\":\"/a\",\"content\":\"1\"}]}"},
    {.guest = "idle",
     .text =
         "{\"image\":\"img\",\"desired_state\":\"stopped\",\"files\":[{\"path\":\"/a\",\"content\":\"2\"},"
         "{\"path\":\"/b\",\"content\":\"secret\",\"secret\":true}]}"},
    {.image = "spare", .version = 2},
    {.image = "spare", .labels = "team=edge"},
    {.image = "spare", .version = 3},
    {.image = "spare", .labels = ""},
    {.guest = "web", .text = "{\"image\":\"img\",\"args\":[\"a\"]}"},
    {.guest = "web", .text = "{\"image\":\"img\",\"args\":[\"a\"],\"weight\":7}"},
    {.guest = "other", .text = "{\"image\":\"spare\"}"},
    {.guest = "idle"},
    {.guest = "other"},
    {.image = "spare"},
    {.image = "spare", .version = 2},
    {.guest = "web", .text = "{\"image\":\"spare\",\"desired_state\":\"stopped\"}"},
    {.image = "img"},
};
#define STEPS (sizeof(steps) / sizeof(*steps))

static void make_step(const struct step *s)
{
    struct problem p;

    if (s->labels)
        set_labels(s->image, s->labels);
    else if (s->image && s->version)
        assert_true(boots_upload(s->image, s->version, &p) > 0);
    else if (s->image)
        assert_int_equal(image_remove(image_find(s->image), &p), 0);
    else if (s->text)
        assert_true(boots_put(s->guest, s->text) > 0);
    else
        delete_guest(s->guest);
    settle();
}

static void check_running(void)
{
    for (struct guest *g = guest_first(); g; g = guest_after(g->name)) {
        guest_refresh(g);
        assert_int_equal(g->handle != 0, g->spec->desired == SPEC_RUNNING);
        if (g->handle)
            assert_int_equal(g->view.state, SKEP_GUEST_RUNNING);
    }
}

static void make_change(unsigned index)
{
    make_step(&steps[index]);
}

static void check_start(void)
{
    assert_storage("ready");
    check_running();
}

static void test_power_cuts(void **state)
{
    (void)state;
    boots_cut_everywhere(
        &(struct boots_changes){STEPS, make_change, boots_snapshot, check_start, 9});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cold_boot, boots_setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_files, boots_setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_order, boots_setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_labels, boots_setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_plain_record, boots_setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_images, boots_setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_unreadable_image, boots_setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_identity_is_kept, boots_setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_no_disk, boots_setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_disk_comes, boots_setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_failing_disk, boots_setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, boots_setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_damaged_disk, boots_setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_late_disk, boots_setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_safe_mode, boots_setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_restart_in_between, boots_setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_power_cuts, boots_setup, boots_teardown),
    };
    return cmocka_run_group_tests_name("disk", tests, NULL, NULL);
}
