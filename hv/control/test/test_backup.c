/* test_backup.c - backups: the sealed stream, what of it is believed, and restores, also those that a power cut ends. */
#include "backup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "audit.h"
#include "certificate.h"
#include "config.h"
#include "guest.h"
#include "hex.h"
#include "identity.h"
#include "image.h"
#include "persist.h"
#include "power.h"
#include "restore.h"
#include "seal.h"
#include "skep/abi.h"
#include "test/boots.h"
#include "test/fake.h"
#include "test/ram_disk.h"
#include "test_control.h"
#include "tokens.h"

#define WORDS "correct horse battery"

/*
 * The seal
 */

/* Python: hashlib.pbkdf2_hmac("sha512", words, b"0123456789abcdef", rounds) */
static void test_derive(void **state)
{
    static const struct {
        const char *words;
        uint32_t rounds;
        const char *key;
    } vectors[] = {
        {"correct horse battery", 1,
         "2a01e4a10f308d1f81c08fa88ccb37d2d985857189e68bebd659ed1e4abb2abf"
         "2e83ca329ffb3976b3a55fb60b9ef8bf4118edfcafdbbebee54af42b370747df"},
        {"correct horse battery", 1000,
         "ec5fd8d6b9d65d7bab2c27c5bc09b28f25ed6c006183305304d726fffc259ef1"
         "813b3ece131960445b39ab0698e4fcc1dff5a347b3f8caffc0083419a435c87d"},
        {"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
         3,
         "a033df750838efb4674711175100ff74579e0dd620c326c1ec0dfdf3986dc7bc"
         "07ffd95e36fae31e3e8d568d5e8fca907431133d54ca57e8225c896e4fcfe7b9"},
    };
    uint8_t key[64];
    char text[129];

    (void)state;
    for (unsigned i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
        assert_int_equal(seal_derive(vectors[i].words, (const uint8_t *)"0123456789abcdef",
                                     vectors[i].rounds, key),
                         0);
        hex_format(text, key, sizeof(key));
        assert_string_equal(text, vectors[i].key);
    }
}

static const char parts[3][24] = {"first", "second, a longer one", ""};

static size_t seal_parts(uint8_t *stream)
{
    size_t bytes = SEAL_HEADER_BYTES;
    struct seal s;

    assert_int_equal(seal_begin(&s, WORDS, stream), SEAL_OK);
    for (unsigned i = 0; i < 3; i++)
        bytes += seal_piece(&s, parts[i], (uint32_t)strlen(parts[i]), i == 2, stream + bytes);
    seal_end(&s);
    return bytes;
}

/* Reads a stream of that kind with a key that was derived before: how many parts come out before an error or the end. */
static unsigned open_parts(struct seal *s, uint8_t *stream, size_t bytes, bool *whole)
{
    size_t at = SEAL_HEADER_BYTES;
    unsigned count = 0;
    bool last = false;

    *whole = false;
    while (!last && bytes - at >= SEAL_WORD_BYTES) {
        uint32_t part;
        if (!seal_read_word(stream + at, &part, &last) ||
            bytes - at < SEAL_WORD_BYTES + part + SEAL_TAG_BYTES)
            return count;
        if (seal_open_piece(s, stream + at, stream + at + SEAL_WORD_BYTES, part) != SEAL_OK)
            return count;
        assert_memory_equal(stream + at + SEAL_WORD_BYTES, parts[count], part);
        at += SEAL_WORD_BYTES + part + SEAL_TAG_BYTES;
        count++;
    }
    *whole = last && at == bytes;
    return count;
}

/* Each bit of the pieces, and each end that is too early; and pieces in another order. */
static void test_pieces(void **state)
{
    uint8_t stream[1024], copy[1024];
    size_t bytes = seal_parts(stream);
    struct seal key, s;
    bool whole;

    (void)state;
    assert_int_equal(seal_open(&key, WORDS, stream), SEAL_OK);
    for (size_t bit = 8 * SEAL_HEADER_BYTES; bit <= 8 * bytes; bit++) {
        s = key;
        memcpy(copy, stream, bytes);
        if (bit < 8 * bytes)
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        open_parts(&s, copy, bytes, &whole);
        assert_int_equal(whole, bit == 8 * bytes);
    }
    for (size_t end = SEAL_HEADER_BYTES; end < bytes; end++) {
        s = key;
        memcpy(copy, stream, bytes);
        open_parts(&s, copy, end, &whole);
        assert_false(whole);
    }
    s = key;
    size_t first = SEAL_WORD_BYTES + strlen(parts[0]) + SEAL_TAG_BYTES;
    memcpy(copy, stream, SEAL_HEADER_BYTES);
    memcpy(copy + SEAL_HEADER_BYTES, stream + SEAL_HEADER_BYTES + first,
           bytes - SEAL_HEADER_BYTES - first);
    assert_int_equal(open_parts(&s, copy, bytes - first, &whole), 0);
    assert_false(whole);
    seal_end(&key);
}

static void test_header(void **state)
{
    uint8_t stream[1024], copy[SEAL_HEADER_BYTES];
    struct seal s;

    (void)state;
    seal_parts(stream);
    for (unsigned bit = 0; bit < 8 * SEAL_HEADER_BYTES; bit++) {
        memcpy(copy, stream, sizeof(copy));
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(seal_open(&s, WORDS, copy), bit < 64   ? SEAL_FOREIGN
                                                     : bit < 96 ? SEAL_NEWER
                                                                : SEAL_DAMAGED);
    }
    assert_int_equal(seal_open(&s, "correct horse batterz", stream), SEAL_PASSPHRASE);
}

/*
 * The text
 */

/* Another machine, with an empty disk, or without. */
static void new_machine(bool disk)
{
    boots_end();
    fake_set_disk(NULL, disk ? BOOTS_DISK_BYTES : 0);
    fake_start("", "");
    boots_begin(false, true);
}

static void furnish(void)
{
    static const char labels[LABELS_BYTES] = "a=b";
    struct problem p;

    assert_int_equal(boots_upload("img", 0, &p), 201);
    assert_int_equal(image_set_labels(image_find("img"), labels, &p), 0);
    assert_int_equal(boots_upload("spare", 1, &p), 201);
    boots_put("web", "{\"image\":\"img\",\"env\":{\"A\":\"1\"},\"restart\":\"always\","
                     "\"files\":[{\"path\":\"/etc/key\",\"content\":\"s3cret\",\"secret\":true}],"
                     "\"networks\":[{\"address\":\"10.0.0.9/8\"}]}");
    boots_put("idle", "{\"image\":\"spare\",\"desired_state\":\"stopped\",\"weight\":7}");
    boots_put("after", "{\"image\":\"img\",\"start_after\":[\"web\"]}");
    assert_int_equal(boots_put_app("shop", "{\"labels\":{\"a\":\"b\"},\"guests\":{\"shop\":{"
                                           "\"image\":\"img\",\"desired_state\":\"stopped\"}}}"),
                     201);
}

static int take_files(struct restore *r, struct problem *p)
{
    static const struct {
        const char *name;
        size_t version;
        const char *labels;
    } files[] = {{"img", 0, "a=b"}, {"spare", 1, ""}};
    int result = 0;

    for (unsigned i = 0; i < 2 && result == 0; i++) {
        uint8_t data[TEST_ELF_MAX + 16] = {0};
        struct backup_image image = {.name = files[i].name, .has_file = true};
        image.bytes = test_elf(data) + files[i].version;
        strcpy(image.labels, files[i].labels);
        tls_sha256(data, image.bytes, image.digest);
        result = restore_take_file(r, &image, data, p);
    }
    return result;
}

static int restore_text(const char *text, struct restore *r, bool files, struct problem *p)
{
    cJSON *json = NULL;
    int status;

    r->text = strdup(text);
    r->bytes = strlen(text);
    status = restore_check(r, p);
    if (status == 0 && files)
        status = take_files(r, p);
    if (status == 0)
        status = restore_commit(r, &json, p);
    assert_int_equal(status > 0, json != NULL);
    cJSON_Delete(json);
    restore_end(r);
    free(r->text);
    return status;
}

static int restore(const char *text, bool replace, struct problem *p)
{
    struct restore r = {.replace = replace};
    return restore_text(text, &r, true, p);
}

static char *make(bool files)
{
    struct problem p;
    size_t bytes;
    char *text = backup_make(files, &bytes, &p), *ended;

    assert_non_null(text);
    ended = strndup(text, bytes);
    free(text);
    return ended;
}

static void assert_snapshot(const char *expected)
{
    char *now = boots_snapshot();

    assert_string_equal(now, expected);
    free(now);
}

/* On another machine, with and without a disk, over a cold boot. Apps need a disk. */
static void test_restore(void **state)
{
    struct problem p;
    char *text, *all, *bare;

    (void)state;
    furnish();
    text = make(true);
    all = boots_snapshot();
    app_forget_all();
    bare = boots_snapshot();
    for (int disk = 0; disk < 2; disk++) {
        new_machine(disk);
        assert_int_equal(restore(text, false, &p), 200);
        assert_snapshot(disk ? all : bare);
        while (guest_step_due(UINT32_MAX))
            continue;
        assert_true(guest_find("web")->handle != 0);
        assert_true(guest_find("after")->handle != 0);
        assert_int_equal(guest_find("idle")->handle, 0);
        assert_int_equal(persist_get("restore", NULL, 0), -SKEP_ENOENT);
        boots_cold();
        assert_snapshot(disk ? all : "[]");
    }
    free(text);
    free(all);
    free(bare);
}

/* Without files guests wait for their images. */
static void test_without_files(void **state)
{
    struct restore r = {.text = NULL};
    struct problem p;
    char *text;

    (void)state;
    furnish();
    text = make(false);
    new_machine(true);
    assert_int_equal(restore_text(text, &r, false, &p), 200);
    while (guest_step_due(UINT32_MAX))
        continue;
    assert_int_equal(guest_find("web")->create_error, -SKEP_ENOENT);
    boots_cold();
    assert_int_equal(boots_upload("img", 0, &p), 201);
    fake_skip(1000000000);
    guest_step_due(UINT32_MAX);
    assert_true(guest_find("web")->handle != 0);
    free(text);
}

/* What there is stays unless replacing is wished; then the next start does it, and nothing but that is left. */
static void test_replace(void **state)
{
    struct problem p;
    char *text, *all, *before;

    (void)state;
    furnish();
    text = make(true);
    all = boots_snapshot();
    new_machine(true);
    boots_upload("img", 3, &p);
    boots_put("other", "{\"image\":\"img\"}");
    boots_put("web", "{\"image\":\"img\",\"weight\":9}");
    before = boots_snapshot();
    assert_int_equal(restore(text, false, &p), -1);
    assert_int_equal(p.status, 409);
    assert_snapshot(before);
    assert_int_equal(restore(text, true, &p), 202);
    assert_true(power_is_ending());
    assert_snapshot(before);
    /* A service that is started again goes on with the end, and leaves the rest to the machine's start. */
    boots_end();
    boots_begin(false, false);
    assert_snapshot(before);
    boots_cold();
    assert_snapshot(all);
    boots_cold();
    assert_snapshot(all);
    free(text);
    free(all);
    free(before);
}

/* Whatever is wrong with a text, nothing changes. */
static void test_bad_texts(void **state)
{
    static const struct {
        const char *text;
        int status;
    } bad[] = {
        {"", 422},
        {"{\"guest\":{}}\n", 422},
        {"{\"backup\":{}}\n{\"unknown\":{}}\n", 422},
        {"{\"backup\":{}}\n{\"guest\":1}\n", 422},
        {"{\"backup\":{}}\n{\"guest\":{\"name\":\"UP\",\"spec\":{\"image\":\"img\"}}}\n", 422},
        {"{\"backup\":{}}\n{\"guest\":{\"name\":\"web\"}}\n", 422},
        {"{\"backup\":{}}\n{\"guest\":{\"name\":\"web\",\"spec\":{\"image\":\"img\",\"weight\":0}}}\n",
         422},
        {"{\"backup\":{}}\n{\"guest\":{\"name\":\"a\",\"spec\":{\"image\":\"i\"}}}\n"
         "{\"guest\":{\"name\":\"a\",\"spec\":{\"image\":\"i\"}}}\n",
         422},
        {"{\"backup\":{}}\n{\"image\":{\"name\":\"img\",\"digest\":\"sha256:12\",\"size\":1}}\n",
         422},
        {"{\"backup\":{}}\n{\"volume\":{\"name\":\"db\",\"spec\":{\"size_bytes\":1}}}\n", 422},
        {"{\"backup\":{}}\n{\"volume\":{\"name\":\"-\",\"spec\":{\"size_bytes\":4096}}}\n", 422},
        {"{\"backup\":{}}\nnonsense\n", 400},
    };
    struct problem p;

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct restore r = {.replace = true};
        assert_int_equal(restore_text(bad[i].text, &r, false, &p), -1);
        assert_int_equal(p.status, bad[i].status);
        assert_snapshot("[]");
        assert_int_equal(persist_get("restore", NULL, 0), -SKEP_ENOENT);
    }
}

/* The key and the token of the former machine, only if that is wished. */
static void put_token(const char *name, char secret[TOKEN_TEXT_MAX])
{
    cJSON *json = cJSON_Parse("{\"role\":\"viewer\",\"scope\":{\"prefix\":\"a\"}}");
    struct problem p;
    struct token wish;

    assert_int_equal(token_from_json(&wish, TOKEN_SECRET, json, name, &p), 0);
    assert_int_equal(tokens_put(&wish, false, secret, &p), 201);
    cJSON_Delete(json);
}

static void test_identity(void **state)
{
    char theirs[TOKEN_TEXT_MAX], ours[TOKEN_TEXT_MAX];
    struct tls_identity first, second, now;
    struct restore with = {.identity = true}, without = {.identity = false};
    struct config config;
    struct problem p;
    char *text;

    (void)state;
    config_defaults(&config);
    strcpy(config.token, "0123456789abcdef");
    assert_true(certificate_get(&first, &config, true) && token_get(&config, true));
    put_token("theirs", theirs);
    text = make(false);
    assert_null(strstr(text, theirs));
    new_machine(true);
    put_token("ours", ours);
    strcpy(config.token, "another-token-it-is");
    assert_true(certificate_get(&second, &config, true) && token_get(&config, true));
    config.token[0] = '\0';
    assert_int_equal(restore_text(text, &without, false, &p), 200);
    boots_cold();
    assert_true(certificate_get(&now, &config, false) && token_get(&config, false));
    assert_memory_equal(&now, &second, sizeof(now));
    assert_true(boots_obeys("another-token-it-is"));
    assert_true(boots_obeys(ours) && !boots_obeys(theirs));
    assert_int_equal(restore_text(text, &with, false, &p), 200);
    assert_true(boots_obeys(theirs) && !boots_obeys(ours));
    boots_cold();
    assert_true(certificate_get(&now, &config, false) && token_get(&config, false));
    assert_memory_equal(&now, &first, sizeof(now));
    assert_true(boots_obeys("0123456789abcdef"));
    assert_true(boots_obeys(theirs) && !boots_obeys(ours));
    /* A token of which only a part is known here would be somebody else's. */
    strstr(text, "\"viewer\"")[1] = 'V';
    with = (struct restore){.identity = true};
    assert_int_equal(restore_text(text, &with, false, &p), -1);
    assert_int_equal(p.status, 422);
    strstr(text, "\"Viewer\"")[1] = 'v';
    /* A key that isn't its certificate's would lock everybody out. */
    memset(strstr(text, "\"key\":\"") + 40, '0', 8);
    with = (struct restore){.identity = true};
    assert_int_equal(restore_text(text, &with, false, &p), -1);
    assert_int_equal(p.status, 422);
    free(text);
}

/* What was revoked since comes back with the identity, and only with it. */
static void test_revoked_token(void **state)
{
    struct restore with = {.identity = true}, without = {.identity = false};
    struct tls_identity identity;
    struct config config;
    struct problem p;
    char secret[TOKEN_TEXT_MAX], *text;

    (void)state;
    config_defaults(&config);
    assert_true(certificate_get(&identity, &config, true) && token_get(&config, true));
    put_token("theirs", secret);
    text = make(false);
    assert_int_equal(tokens_delete(TOKEN_SECRET, "theirs", &p), 204);
    assert_false(boots_obeys(secret));
    assert_int_equal(restore_text(text, &without, false, &p), 200);
    assert_false(boots_obeys(secret));
    assert_int_equal(restore_text(text, &with, false, &p), 200);
    assert_true(boots_obeys(secret));
    free(text);
}

/* A disk that is full, or fails at any moment: nothing, and with a failed one the next start has nothing or all. */
static void test_failures(void **state)
{
    struct problem p;
    char *text, *all;
    int status = -1;

    (void)state;
    furnish();
    text = make(true);
    all = boots_snapshot();
    for (int after = 0; status < 0; after++) {
        new_machine(true);
        fake_disk()->fails_after = after;
        status = restore(text, false, &p);
        assert_true(status > 0 || p.status == 507);
        fake_disk()->fails_after = -1;
        /* All is there when only the end of it can't be noted. */
        if (status < 0 && guest_first())
            assert_snapshot(all);
        boots_cold();
        if (guest_first() || image_first())
            assert_snapshot(all);
        assert_true(after < 300);
    }
    boots_end();
    fake_set_disk(NULL, 64 * BDEV_BLOCK);
    fake_start("", "");
    boots_begin(false, true);
    while (boots_upload("img", 0, &p) > 0 && boots_upload("fill", 1, &p) > 0 &&
           boots_upload("more", 2, &p) > 0 && boots_upload("last", 3, &p) > 0)
        break;
    status = restore(text, false, &p);
    assert_true(status == 200 || p.status == 507);
    free(text);
    free(all);
}

/*
 * Power cuts
 */

/* Whatever a cut leaves of a restore, a start makes it nothing or all. */
static void cut_everywhere(const char *text, bool replace, const char *before, const char *all)
{
    static uint8_t medium[BOOTS_DISK_BYTES];
    struct ram_disk log;
    struct problem p;
    uint32_t seed = 5;
    unsigned nothing = 0, whole = 0;

    memcpy(medium, fake_disk()->data, BOOTS_DISK_BYTES);
    fake_disk()->log = true;
    assert_int_equal(restore(text, replace, &p), replace ? 202 : 200);
    if (replace)
        boots_cold();
    log = *fake_disk();
    fake_disk()->ops = NULL;
    fake_disk()->op_count = 0;
    for (size_t ops = 0; ops <= log.op_count; ops++) {
        for (int how = 0; how < CUT_KINDS; how++) {
            char *now;
            boots_end();
            fake_set_disk(NULL, BOOTS_DISK_BYTES);
            memcpy(fake_disk()->data, medium, BOOTS_DISK_BYTES);
            ram_disk_cut(&log, fake_disk()->data, ops, (enum ram_cut)how, &seed);
            fake_start("", "");
            boots_begin(false, true);
            now = boots_snapshot();
            if (strcmp(now, before) != 0 && strcmp(now, all) != 0)
                fail_msg("cut after %zu operations:\n%s\nis neither\n%s\nnor\n%s", ops, now, before,
                         all);
            nothing += strcmp(now, before) == 0;
            whole += strcmp(now, all) == 0;
            free(now);
        }
    }
    print_message("%zu operations: %u times nothing, %u times all\n", log.op_count, nothing, whole);
    assert_true(nothing && whole);
    ram_disk_reset(&log);
}

static void test_power_cuts(void **state)
{
    struct problem p;
    char *text, *all, *before;

    (void)state;
    furnish();
    text = make(true);
    all = boots_snapshot();
    new_machine(true);
    cut_everywhere(text, false, "[]", all);
    new_machine(true);
    boots_upload("img", 3, &p);
    boots_put("other", "{\"image\":\"img\"}");
    boots_put("web", "{\"image\":\"img\",\"weight\":9}");
    boots_put_app("market", "{\"guests\":{\"market\":{\"image\":\"img\"}}}");
    before = boots_snapshot();
    cut_everywhere(text, true, before, all);
    free(text);
    free(all);
    free(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_derive),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_header),
        cmocka_unit_test_setup_teardown(test_restore, boots_setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_without_files, boots_setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_replace, boots_setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_bad_texts, boots_setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_identity, boots_setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_revoked_token, boots_setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_failures, boots_setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_power_cuts, boots_setup, boots_teardown),
    };
    return cmocka_run_group_tests_name("backup", tests, NULL, NULL);
}
