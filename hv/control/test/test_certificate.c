/* test_certificate.c - the server's certificate: what is refused, and what is kept over restarts, boots and failures. */
#include "certificate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/pem.h>

#include "config.h"
#include "persist.h"
#include "store.h"
#include "test/boots.h"
#include "test/fake.h"
#include "test/ram_disk.h"
#include "test_control.h"

#define PEM_MAX 4096

static struct config config;
static struct tls_identity first, now;
static struct problem problem;

/* A key and certificate of the test's own, as PEM. */
struct pair {
    struct tls_identity id;
    char key[PEM_MAX], *chain;
};

static void make_pair(struct pair *pair, const char *name)
{
    size_t bytes;

    assert_int_equal(tls_identity_generate(&pair->id, &name, 1), 0);
    pair->chain = tls_chain_pem(&pair->id);
    assert_non_null(pair->chain);
    assert_int_equal(mbedtls_pem_write_buffer("-----BEGIN EC PRIVATE KEY-----\n",
                                              "-----END EC PRIVATE KEY-----\n", pair->id.key,
                                              pair->id.key_bytes, (uint8_t *)pair->key,
                                              sizeof(pair->key), &bytes),
                     0);
}

static int setup(void **state)
{
    boots_setup(state);
    config_defaults(&config);
    memset(&problem, 0, sizeof(problem));
    return certificate_get(&first, &config, true) ? 0 : -1;
}

/* What a service finds that is started again, or a machine; without entropy, so that nothing is made anew. */
static const struct tls_identity *restarted(void)
{
    assert_true(certificate_get(&now, &config, false));
    return &now;
}

static const struct tls_identity *booted(void)
{
    boots_cold();
    return restarted();
}

static bool same(const struct tls_identity *one, const struct tls_identity *other)
{
    return one->key_bytes == other->key_bytes && one->chain_bytes == other->chain_bytes &&
           memcmp(one->key, other->key, one->key_bytes) == 0 &&
           memcmp(one->chain, other->chain, one->chain_bytes) == 0;
}

static void test_install(void **state)
{
    struct pair pair;

    (void)state;
    make_pair(&pair, "skep.example");
    assert_int_equal(certificate_install(pair.chain, pair.key, &problem), 0);
    assert_true(same(restarted(), &pair.id));
    assert_true(same(booted(), &pair.id));
    /* The key in use needn't be sent again. */
    assert_int_equal(certificate_install(pair.chain, NULL, &problem), 0);
    free(pair.chain);
}

static void test_refusals(void **state)
{
    struct pair one, other;
    char both[2 * PEM_MAX];
    const struct {
        const char *chain, *key, *why;
    } bad[] = {
        {"", one.key, "must be PEM"},
        {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", one.key, "must be PEM"},
        {NULL, "nonsense", "isn't encrypted"},
        {NULL, other.key, "isn't that of the first"},
        {both, one.key, "issued by the one behind"},
        {NULL, NULL, "neither for the key in use"},
    };

    (void)state;
    make_pair(&one, "one.example");
    make_pair(&other, "other.example");
    snprintf(both, sizeof(both), "%s%s", one.chain, other.chain);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_int_equal(
            certificate_install(bad[i].chain ? bad[i].chain : one.chain, bad[i].key, &problem), -1);
        assert_int_equal(problem.status, 422);
        assert_non_null(strstr(problem.detail, bad[i].why));
        assert_true(same(restarted(), &first));
    }
    assert_true(same(booted(), &first));
    free(one.chain);
    free(other.chain);
}

/* What comes back is taken for the key that was made for the request, and for no other. */
static void test_request(void **state)
{
    static const char *const names[] = {"skep.example", "192.0.2.7"};
    char *text = certificate_request(names, 2, true, &problem);
    cJSON *json;

    (void)state;
    assert_non_null(text);
    assert_non_null(strstr(text, "BEGIN CERTIFICATE REQUEST"));
    free(text);
    assert_true(same(restarted(), &first));
    assert_true(same(booted(), &first));
    json = certificate_to_json();
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(json, "requested")));
    cJSON_Delete(json);
    text = certificate_request(names, 2, false, &problem);
    assert_non_null(text);
    free(text);
}

static void test_renew(void **state)
{
    static const char *const names[] = {"skep.example", "*.skep.example", "192.0.2.7"};
    cJSON *json, *list;

    (void)state;
    assert_int_equal(certificate_renew(names, 3, &problem), 0);
    assert_false(same(restarted(), &first));
    first = now;
    assert_true(same(booted(), &first));
    json = certificate_to_json();
    list = cJSON_GetObjectItem(json, "names");
    assert_int_equal(cJSON_GetArraySize(list), 3);
    for (int i = 0; i < 3; i++)
        assert_string_equal(cJSON_GetArrayItem(list, i)->valuestring, names[i]);
    assert_string_equal(cJSON_GetObjectItem(json, "origin")->valuestring, "self-signed");
    cJSON_Delete(json);
    assert_int_equal(certificate_renew(NULL, 0, &problem), 0);
    json = certificate_to_json();
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "names")), 3);
    cJSON_Delete(json);
}

/* A service that dies amid a change has the copy before it. */
static void test_torn_copies(void **state)
{
    const unsigned latest = STORE_IDENTITY_FIRST, before = latest + STORE_IDENTITY_PARTS;

    (void)state;
    boots_end();
    fake_set_disk(NULL, 0);
    fake_start("", "");
    boots_begin(false, true);
    assert_true(certificate_get(&first, &config, true));       /* copy 1 */
    assert_int_equal(certificate_renew(NULL, 0, &problem), 0); /* copy 2, in the place of 0 */
    assert_false(same(restarted(), &first));
    fake_record(latest)[100] ^= 1;
    assert_true(same(restarted(), &first));
    assert_int_equal(certificate_renew(NULL, 0, &problem), 0);
    assert_false(same(restarted(), &first));
    fake_record(latest)[100] ^= 1;
    fake_record(before)[100] ^= 1;
    assert_false(certificate_get(&now, &config, false));
}

/* What can't be kept isn't done. */
static void test_failures(void **state)
{
    struct pair pair;

    (void)state;
    make_pair(&pair, "skep.example");
    fake_fail_retain(true);
    assert_int_equal(certificate_install(pair.chain, pair.key, &problem), -1);
    assert_int_equal(problem.status, 503);
    fake_fail_retain(false);
    assert_true(same(booted(), &first));
    fake_disk()->fails_after = 0;
    assert_int_equal(certificate_install(pair.chain, pair.key, &problem), -1);
    assert_int_equal(problem.status, 507);
    fake_disk()->fails_after = -1;
    assert_true(same(booted(), &first));
    free(pair.chain);
}

/* The boot module's wins at each start, so nothing else is taken meanwhile. */
static void test_boot_module(void **state)
{
    struct pair pair;

    (void)state;
    make_pair(&pair, "skep.example");
    config.certificate = pair.chain;
    config.key = pair.key;
    assert_true(same(restarted(), &pair.id));
    assert_int_equal(certificate_renew(NULL, 0, &problem), -1);
    assert_int_equal(problem.status, 409);
    assert_int_equal(certificate_install(pair.chain, pair.key, &problem), -1);
    assert_int_equal(problem.status, 409);
    config.certificate = config.key = NULL;
    assert_true(same(restarted(), &first));
    free(pair.chain);
}

/* As the value was on disks before certificates could be installed. */
static void test_former_value(void **state)
{
    struct {
        uint64_t key_bytes, cert_bytes;
        uint8_t key[384], cert[1536];
    } former = {.key_bytes = first.key_bytes, .cert_bytes = first.chain_bytes};

    (void)state;
    memcpy(former.key, first.key, first.key_bytes);
    memcpy(former.cert, first.chain, first.chain_bytes);
    assert_int_equal(persist_put("identity", &former, sizeof(former), &problem), 0);
    assert_true(same(booted(), &first));
    former.key_bytes = sizeof(former.key) + 1;
    assert_int_equal(persist_put("identity", &former, sizeof(former), &problem), 0);
    boots_cold();
    assert_false(certificate_get(&now, &config, false));
}

static void test_names(void **state)
{
    static const char *const good[] = {"a",         "skep.example", "*.skep.example",
                                       "10.0.2.15", "x-1.y2",       "3com.example"};
    static const char *const bad[] = {
        "",      ".",          "a..b", "-a.b",        "a-.b", "*",  "**",
        "a.*.b", "10.0.0.300", "a b",  "a.b,CN=root", "a.b.", "*.", "sk\xc3\xa9p"};
    char label[66] = "";

    (void)state;
    for (unsigned i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_true(certificate_name_valid(good[i]));
    for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(certificate_name_valid(bad[i]));
    memset(label, 'a', 63);
    assert_true(certificate_name_valid(label));
    label[63] = 'a';
    assert_false(certificate_name_valid(label));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_install, setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_request, setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_renew, setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_torn_copies, setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_failures, setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_boot_module, setup, boots_teardown),
        cmocka_unit_test_setup_teardown(test_former_value, setup, boots_teardown),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
