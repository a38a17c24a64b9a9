/* test_files.c - the files of guests' specs over the fake core: what is taken, shown, kept and given back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boots.h"
#include "core.h"
#include "files.h"
#include "guest.h"
#include "image.h"
#include "json.h"
#include "skep/files.h"
#include "test/fake.h"
#include "test_control.h"

static enum guest_change last_change;
static struct problem problem;

static int setup(void **state)
{
    uint8_t data[TEST_ELF_MAX];
    struct image *image;

    (void)state;
    fake_start("", "");
    boots_restart(false);
    image = image_build("img", data, test_elf(data), &problem);
    assert_non_null(image);
    assert_int_equal(image_publish(image, &problem), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    boots_forget();
    return 0;
}

/* Whatever waits comes to its end, the longest grace too. */
static void settle(void)
{
    for (int i = 0; i < 20; i++) {
        char name[SKEP_NAME_MAX] = "";
        fake_skip(600000000000);
        guest_step_after(name, UINT32_MAX);
    }
}

/* How many images of files ring 0 has. */
static unsigned images(void)
{
    struct skep_image_info info;
    unsigned count = 0;
    int64_t handle = 0;

    while ((handle = core_image_next((uint64_t)handle, &info)) > 0)
        count += files_is_image(&info);
    return count;
}

/* A guest whose spec has these files: the elements of the array. More fields may precede. */
static int put_more(const char *more, const char *files)
{
    size_t bytes = strlen(files) + strlen(more) + 64;
    char *text = malloc(bytes);
    cJSON *json;
    int result;

    snprintf(text, bytes, "{\"image\":\"img\",%s\"files\":[%s]}", more, files);
    json = json_parse(text, strlen(text), &problem);
    assert_non_null(json);
    result = boots_put_json("web", json, &last_change, &problem);
    cJSON_Delete(json);
    free(text);
    return result;
}

static int put(const char *files)
{
    return put_more("", files);
}

static void refused(const char *files, const char *why)
{
    assert_int_equal(put(files), -1);
    assert_int_equal(problem.status, 422);
    if (!strstr(problem.detail, why))
        fail_msg("'%s' doesn't say '%s'", problem.detail, why);
    assert_null(guest_find("web"));
    assert_int_equal(images(), 0);
}

static char *shown(enum files_form form)
{
    cJSON *list = files_to_json(guest_find("web")->files, form);
    char *text = cJSON_PrintUnformatted(list);

    cJSON_Delete(list);
    return text;
}

static void expect_shown(enum files_form form, const char *expected)
{
    char *text = shown(form);

    assert_string_equal(text, expected);
    free(text);
}

/* Ends when its grace has passed, and no sooner. */
#define STUBBORN "\"args\":[\"stubborn\"],\"stop_grace_ms\":3600000,"

static void test_bad_files(void **state)
{
    (void)state;
    refused("1", "files[0] must be an object");
    refused("{\"content\":\"a\"}", "files[0].path is missing");
    refused("{\"path\":\"a\",\"content\":\"\"}",
            "files[0].path must be an absolute path of at most 255 bytes");
    refused("{\"path\":\"/\",\"content\":\"\"}", "files[0].path must");
    refused("{\"path\":\"/a/\",\"content\":\"\"}", "files[0].path must");
    refused("{\"path\":\"/a//b\",\"content\":\"\"}", "files[0].path must");
    refused("{\"path\":\"/./b\",\"content\":\"\"}", "files[0].path must");
    refused("{\"path\":\"/a/..\",\"content\":\"\"}", "files[0].path must");
    refused("{\"path\":\"/../b\",\"content\":\"\"}", "files[0].path must");
    refused("{\"path\":\"/a\\nb\",\"content\":\"\"}", "files[0].path must");
    refused("{\"path\":1,\"content\":\"\"}", "files[0].path must");
    refused("{\"path\":\"/dev/null\",\"content\":\"\"}", "/dev");
    refused("{\"path\":\"/a\",\"content\":1}", "files[0].content must be a string");
    refused("{\"path\":\"/a\",\"content_base64\":\"a\"}", "is no base64");
    refused("{\"path\":\"/a\",\"content_base64\":\"YQ==\\n\"}", "is no base64");
    refused("{\"path\":\"/a\",\"content_base64\":\"YQ==\",\"content\":\"a\"}",
            "leave one of them out");
    refused("{\"path\":\"/a\",\"content\":\"\",\"secret\":1}", "secret must be true or false");
    refused("{\"path\":\"/a\",\"content\":\"\",\"mode\":1}", "files[0].mode is no known field");
    refused("{\"path\":\"/a\"}", "needs content or content_base64");
    refused("{\"path\":\"/a\",\"content\":\"\"},{\"path\":\"/b\"}", "files[1] needs content");
    refused("{\"path\":\"/a\",\"content\":\"1\"},{\"path\":\"/a\",\"content\":\"2\"}",
            "'/a' comes twice");
    refused("{\"path\":\"/a/b\",\"content\":\"\"},{\"path\":\"/a-\",\"content\":\"\"},"
            "{\"path\":\"/a\",\"content\":\"\"}",
            "'/a' can't be a file and the folder of '/a/b'");
}

static void test_dots_in_names(void **state)
{
    (void)state;
    assert_int_equal(
        put("{\"path\":\"/.a/..b/...\",\"content\":\"x\"},{\"path\":\"/a.\",\"content\":\"\"}"),
        201);
    expect_shown(
        FILES_PATHS,
        "[{\"path\":\"/.a/..b/...\",\"secret\":false},{\"path\":\"/a.\",\"secret\":false}]");
}

/* The largest that is taken, and one more of each. */
static void test_limits(void **state)
{
    char *text = malloc(FILES_BYTES_MAX + 20000), *at = text;

    (void)state;
    for (unsigned i = 0; i <= FILES_MAX; i++)
        at += sprintf(at, "%s{\"path\":\"/%u\",\"content\":\"\"}", i ? "," : "", i);
    refused(text, "files must be an array of at most 32 objects");
    at = text + sprintf(text, "{\"path\":\"/");
    memset(at, 'p', FILES_PATH_MAX);
    sprintf(at + FILES_PATH_MAX, "\",\"content\":\"\"}");
    refused(text, "at most 255 bytes");
    at =
        text + sprintf(text, "{\"path\":\"/a\",\"content\":\"b\"},{\"path\":\"/b\",\"content\":\"");
    memset(at, 'x', FILES_BYTES_MAX);
    sprintf(at + FILES_BYTES_MAX, "\"}");
    refused(text, "the contents have 32769 bytes together, and may have 32768");

    /* All limits at once. */
    at = text;
    for (unsigned i = 0; i < FILES_MAX; i++) {
        at += sprintf(at, "%s{\"path\":\"/%02u", i ? "," : "", i);
        memset(at, 'p', FILES_PATH_MAX - 3);
        at += FILES_PATH_MAX - 3;
        at += sprintf(at, "\",\"content\":\"");
        memset(at, 'x', FILES_BYTES_MAX / FILES_MAX);
        at += FILES_BYTES_MAX / FILES_MAX;
        at += sprintf(at, "\"}");
    }
    assert_int_equal(put(text), 201);
    assert_int_equal(images(), 1);
    free(text);
    text = shown(FILES_PUBLIC);
    assert_int_equal(strlen(text),
                     2 +
                         FILES_MAX * (strlen("{\"path\":\"\",\"secret\":false,\"content\":\"\"},") +
                                      FILES_PATH_MAX) -
                         1 + FILES_BYTES_MAX);
    free(text);
}

static void test_mounts(void **state)
{
    const char *volumes =
        "\"volumes\":[{\"name\":\"none\"},{\"name\":\"db\",\"mount\":\"/data/db\"}],";

    (void)state;
    assert_int_equal(put_more(volumes, "{\"path\":\"/data/db/x\",\"content\":\"\"}"), -1);
    assert_non_null(strstr(
        problem.detail, "'/data/db/x' is in the way of the volume that is mounted at '/data/db'"));
    assert_int_equal(put_more(volumes, "{\"path\":\"/data\",\"content\":\"\"}"), -1);
    assert_non_null(strstr(problem.detail, "'/data' is in the way"));
    assert_int_equal(put_more(volumes, "{\"path\":\"/data/db\",\"content\":\"\"}"), -1);
    /* The volume isn't there, which is found when the files are good. */
    assert_int_equal(put_more(volumes, "{\"path\":\"/data/dbx\",\"content\":\"\"}"), -1);
    assert_non_null(strstr(problem.detail, "there is no volume"));
    assert_int_equal(images(), 0);
}

/* Of both kinds: what is empty is shown as such. */
static void test_empty_files(void **state)
{
    (void)state;
    assert_int_equal(put("{\"path\":\"/bin\",\"content_base64\":\"\"},"
                         "{\"path\":\"/text\",\"content\":\"\"}"),
                     201);
    expect_shown(FILES_PUBLIC, "[{\"path\":\"/bin\",\"secret\":false,\"content_base64\":\"\"},"
                               "{\"path\":\"/text\",\"secret\":false,\"content\":\"\"}]");
}

#define TWO_FILES                                                     \
    "{\"path\":\"/etc/key\",\"secret\":true,\"content\":\"hidden\"}," \
    "{\"path\":\"/etc/app.conf\",\"content\":\"a = 1\\n\"}"

static void test_shown(void **state)
{
    cJSON *json;
    char *text;

    (void)state;
    assert_int_equal(put(TWO_FILES ",{\"path\":\"/bin\",\"content_base64\":\"AAEC\"}"), 201);
    expect_shown(FILES_PUBLIC,
                 "[{\"path\":\"/bin\",\"secret\":false,\"content_base64\":\"AAEC\"},"
                 "{\"path\":\"/etc/app.conf\",\"secret\":false,\"content\":\"a = 1\\n\"},"
                 "{\"path\":\"/etc/key\",\"secret\":true}]");
    expect_shown(FILES_WHOLE,
                 "[{\"path\":\"/bin\",\"secret\":false,\"content_base64\":\"AAEC\"},"
                 "{\"path\":\"/etc/app.conf\",\"secret\":false,\"content\":\"a = 1\\n\"},"
                 "{\"path\":\"/etc/key\",\"secret\":true,\"content\":\"hidden\"}]");
    for (int in_list = 0; in_list < 2; in_list++) {
        json = guest_to_json(guest_find("web"), in_list);
        text = cJSON_PrintUnformatted(json);
        assert_non_null(strstr(text, "/etc/key"));
        assert_null(strstr(text, "hidden"));
        assert_int_equal(strstr(text, "a = 1") != NULL, !in_list);
        free(text);
        cJSON_Delete(json);
    }
}

/* What a client was shown, put again, changes nothing; nor does another order. */
static void test_same_again(void **state)
{
    uint64_t files;
    cJSON *json;

    (void)state;
    assert_int_equal(put(TWO_FILES), 201);
    files = guest_find("web")->files;
    for (int in_list = 0; in_list < 2; in_list++) {
        json = guest_to_json(guest_find("web"), in_list);
        assert_int_equal(
            boots_put_json("web", cJSON_GetObjectItem(json, "spec"), &last_change, &problem), 200);
        assert_int_equal(last_change, GUEST_UNCHANGED);
        cJSON_Delete(json);
    }
    assert_int_equal(put("{\"path\":\"/etc/app.conf\"},{\"path\":\"/etc/key\",\"secret\":true}"),
                     200);
    assert_int_equal(last_change, GUEST_UNCHANGED);
    assert_int_equal(guest_find("web")->files, files);
    assert_int_equal(images(), 1);
}

static void test_content_that_stays(void **state)
{
    (void)state;
    assert_int_equal(put(TWO_FILES), 201);
    /* A secret's content doesn't come out by dropping the word. */
    assert_int_equal(put("{\"path\":\"/etc/key\"}"), -1);
    assert_non_null(strstr(problem.detail, "'/etc/key' is a secret: say \"secret\": true"));
    assert_int_equal(put("{\"path\":\"/etc/key\",\"secret\":false}"), -1);
    assert_int_equal(put("{\"path\":\"/other\",\"secret\":true}"), -1);
    /* One stays, one is new, one is gone. */
    assert_int_equal(
        put("{\"path\":\"/etc/key\",\"secret\":true},{\"path\":\"/n\",\"content\":\"new\"}"), 200);
    assert_int_equal(last_change, GUEST_REPLACING);
    expect_shown(FILES_WHOLE, "[{\"path\":\"/etc/key\",\"secret\":true,\"content\":\"hidden\"},"
                              "{\"path\":\"/n\",\"secret\":false,\"content\":\"new\"}]");
    /* What can be read may become a secret, and a secret may get new content that can be read. */
    assert_int_equal(
        put("{\"path\":\"/etc/key\",\"content\":\"open\"},{\"path\":\"/n\",\"secret\":true}"), 200);
    expect_shown(FILES_PUBLIC, "[{\"path\":\"/etc/key\",\"secret\":false,\"content\":\"open\"},"
                               "{\"path\":\"/n\",\"secret\":true}]");
    settle();
    assert_int_equal(images(), 1);
    assert_int_equal(put(""), 200);
    settle();
    assert_int_equal(images(), 0);
}

static void test_merge_patch(void **state)
{
    struct guest *g;
    cJSON *patch, *json;

    (void)state;
    assert_int_equal(put(TWO_FILES), 201);
    g = guest_find("web");
    patch = cJSON_Parse("{\"weight\":7}");
    json = spec_patch(guest_spec_to_json(g->spec, g->files, FILES_PATHS), patch, &problem);
    assert_int_equal(boots_put_json("web", json, &last_change, &problem), 200);
    assert_int_equal(last_change, GUEST_APPLIED);
    cJSON_Delete(json);
    cJSON_Delete(patch);
    expect_shown(FILES_WHOLE,
                 "[{\"path\":\"/etc/app.conf\",\"secret\":false,\"content\":\"a = 1\\n\"},"
                 "{\"path\":\"/etc/key\",\"secret\":true,\"content\":\"hidden\"}]");
    patch = cJSON_Parse("{\"files\":null}");
    json = spec_patch(guest_spec_to_json(g->spec, g->files, FILES_PATHS), patch, &problem);
    assert_int_equal(boots_put_json("web", json, &last_change, &problem), 200);
    assert_int_equal(last_change, GUEST_REPLACING);
    cJSON_Delete(json);
    cJSON_Delete(patch);
    assert_int_equal(g->files, 0);
}

/* The guest's own pack, in ring 0, goes with it; a former one as soon as nobody has it. */
static void test_images_come_and_go(void **state)
{
    struct guest *g;

    (void)state;
    assert_int_equal(put_more(STUBBORN, "{\"path\":\"/a\",\"content\":\"1\"}"), 201);
    g = guest_find("web");
    assert_int_equal(put_more(STUBBORN, "{\"path\":\"/a\",\"content\":\"2\"}"), 200);
    assert_int_equal(images(), 2); /* the one that is to end has the former one */
    assert_int_equal(put_more(STUBBORN, "{\"path\":\"/a\",\"content\":\"3\"}"), 200);
    assert_int_equal(images(), 2);
    settle();
    assert_int_equal(images(), 1);
    assert_int_equal(g->old_files, 0);
    expect_shown(FILES_PUBLIC, "[{\"path\":\"/a\",\"secret\":false,\"content\":\"3\"}]");
    guest_delete(g, &problem);
    settle();
    assert_null(guest_find("web"));
    assert_int_equal(images(), 0);
}

static void test_changes_that_fail(void **state)
{
    (void)state;
    fake_fail_retain(true);
    assert_int_equal(put(TWO_FILES), -1);
    assert_int_equal(images(), 0);
    fake_fail_retain(false);
    assert_int_equal(put(TWO_FILES), 201);
    fake_fail_retain(true);
    assert_int_equal(put("{\"path\":\"/a\",\"content\":\"2\"}"), -1);
    fake_fail_retain(false);
    assert_int_equal(images(), 1);
    expect_shown(FILES_WHOLE,
                 "[{\"path\":\"/etc/app.conf\",\"secret\":false,\"content\":\"a = 1\\n\"},"
                 "{\"path\":\"/etc/key\",\"secret\":true,\"content\":\"hidden\"}]");
    assert_int_equal(put_more("\"memory_bytes\":1099511627776,", TWO_FILES), -1);
    assert_int_equal(images(), 1);
}

static void test_restart(void **state)
{
    struct files files;
    struct spec spec;
    uint64_t image, other;
    cJSON *list = cJSON_Parse("[{\"path\":\"/x\",\"content\":\"left over\"}]");

    (void)state;
    assert_int_equal(put_more(STUBBORN, TWO_FILES), 201);
    image = guest_find("web")->files;
    /* What a service leaves that dies before it retains a change, or a new guest. */
    assert_int_equal(files_take(list, 0, &spec, &files, &problem), 0);
    assert_int_equal(files_create("web", &files, &other, &problem), 0);
    assert_int_equal(files_create("new", &files, &other, &problem), 0);
    files_free(&files);
    cJSON_Delete(list);
    assert_int_equal(images(), 3);
    boots_restart(false);
    assert_int_equal(images(), 1);
    assert_int_equal(guest_find("web")->files, image);
    expect_shown(FILES_WHOLE,
                 "[{\"path\":\"/etc/app.conf\",\"secret\":false,\"content\":\"a = 1\\n\"},"
                 "{\"path\":\"/etc/key\",\"secret\":true,\"content\":\"hidden\"}]");
    /* A former one that the guest has still is found again, too. */
    assert_int_equal(put_more(STUBBORN, "{\"path\":\"/a\",\"content\":\"2\"}"), 200);
    assert_int_equal(images(), 2);
    boots_restart(false);
    assert_int_equal(images(), 2);
    settle();
    assert_int_equal(images(), 1);
    expect_shown(FILES_PUBLIC, "[{\"path\":\"/a\",\"secret\":false,\"content\":\"2\"}]");
}

/* The specs are forgotten, and with them the files, once the guests that run have ended. */
static void test_safe_mode(void **state)
{
    (void)state;
    assert_int_equal(put(TWO_FILES), 201);
    settle();
    boots_restart(true);
    assert_non_null(guest_find("web"));
    assert_int_equal(guest_find("web")->files, 0);
    assert_int_equal(images(), 1);
    assert_int_equal(guest_delete(guest_find("web"), &problem) > 0, 1);
    settle();
    assert_int_equal(images(), 0);
}

int run_files_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bad_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dots_in_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mounts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_same_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_content_that_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_merge_patch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_images_come_and_go, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changes_that_fail, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_safe_mode, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
