/*
 * fuzz_certificate.c - certificates and keys that clients send: the server's own, and those that they show.
 *
 * The first byte says what the rest is: a script (script.h) of certificates in DER, each ended by an operation of its own,
 * which is sent as PEM; texts of certificates and a key; or names for a request.
 *
 *   1010....   the public key in use, as certificates have it
 *   1011....   the end of a certificate
 */
#include <stdlib.h>
#include <string.h>

#include <mbedtls/pem.h>
#include <mbedtls/pk.h>

#include "certificate.h"
#include "guest.h"
#include "harness.h"
#include "identity.h"
#include "script.h"
#include "steady.h"
#include "test/fake.h"
#include "tokens.h"

#define TEXT_MAX 32768u

static struct config config;
static struct problem problem;
static struct tls_identity first;
static uint8_t public_key[256];
static size_t public_key_bytes;
static char text[TEXT_MAX], *first_pem, first_key_pem[512];

static const struct tls_identity *in_use(void)
{
    static struct tls_identity id;

    FUZZ_CHECK(certificate_get(&id, &config, false));
    return &id;
}

static bool same(const struct tls_identity *one, const struct tls_identity *other)
{
    return one->key_bytes == other->key_bytes && one->chain_bytes == other->chain_bytes &&
           memcmp(one->key, other->key, one->key_bytes) == 0 &&
           memcmp(one->chain, other->chain, one->chain_bytes) == 0;
}

static const char *text_of(const cJSON *json, const char *name)
{
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItem(json, name));

    FUZZ_CHECK(value);
    return value;
}

/* Of a text as JSON has it: RFC 3629's sequences alone. */
static void check_utf8(const char *at)
{
    while (*at) {
        uint8_t lead = (uint8_t)*at++;
        unsigned more = lead < 0x80 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;

        FUZZ_CHECK(lead < 0x80 || (lead >= 0xC2 && lead < 0xF5));
        for (; more > 0; more--) {
            FUZZ_CHECK(((uint8_t)*at++ & 0xC0) == 0x80);
        }
    }
}

/* What was installed can be shown, and what is shown is what clients get, who know its digest as the server does. */
static void check_shown(void)
{
    cJSON *json = certificate_to_json();
    char fingerprint[TLS_FINGERPRINT_MAX], *printed;
    uint8_t digest[32];

    FUZZ_CHECK(json);
    FUZZ_CHECK(tls_certificate_digest(text_of(json, "certificate"), digest) == 0);
    tls_fingerprint(digest, fingerprint);
    FUZZ_CHECK(strcmp(fingerprint, text_of(json, "fingerprint")) == 0);
    printed = cJSON_PrintUnformatted(json);
    FUZZ_CHECK(printed);
    check_utf8(printed);
    free(printed);
    cJSON_Delete(json);
}

/* It serves, or nothing has changed. */
static uint64_t install(const char *chain, const char *key)
{
    struct problem none = {0};

    problem = none;
    if (certificate_install(chain, key, &problem) == 0) {
        check_shown();
        return 200;
    }
    FUZZ_CHECK(problem.status == 422);
    FUZZ_CHECK(same(in_use(), &first));
    return (uint64_t)problem.status;
}

/* Whoever shows it is known by it, if it was taken, until that is taken back. */
static uint64_t client(const char *chain)
{
    cJSON *json = cJSON_CreateObject();
    struct token wish;
    char secret[TOKEN_TEXT_MAX];
    struct principal who;
    int status;

    cJSON_AddStringToObject(json, "role", "operator");
    cJSON_AddStringToObject(json, "certificate", chain);
    model_lock();
    status = token_from_json(&wish, TOKEN_CERTIFICATE, json, "bot", &problem);
    if (status == 0 && (status = tokens_put(&wish, false, secret, &problem)) == 201) {
        FUZZ_CHECK(tokens_identify_certificate(wish.digest, &who) == TOKEN_GOOD);
        FUZZ_CHECK(tokens_delete(TOKEN_CERTIFICATE, "bot", &problem) >= 0);
        FUZZ_CHECK(tokens_identify_certificate(wish.digest, &who) == TOKEN_UNKNOWN);
    }
    model_unlock();
    cJSON_Delete(json);
    return (uint64_t)(int64_t)status;
}

static uint64_t chain_run(const char *chain, const char *key)
{
    return way_add(install(chain, key), client(chain));
}

/* Adds a certificate to the text, and begins another one. */
static void add_pem(struct script *s)
{
    size_t used = strlen(text), bytes;

    script_end(s);
    if (s->count > 0 &&
        mbedtls_pem_write_buffer("-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n",
                                 s->bytes, s->count, (uint8_t *)text + used, TEXT_MAX - used,
                                 &bytes) != 0) {
        text[used] = '\0'; /* it has no room */
    }
    script_begin(s);
}

static uint64_t script_run(struct input *input)
{
    static struct script script;

    text[0] = '\0';
    script_begin(&script);
    while (input_left(input)) {
        uint8_t code = script_take(&script, input);

        if (code >= 0xB0) {
            add_pem(&script);
        } else if (code) {
            script_put(&script, public_key, public_key_bytes);
        }
    }
    add_pem(&script);
    return chain_run(text, NULL);
}

/* Certificates, and a key behind a NUL if there is one. */
static uint64_t text_run(struct input *input)
{
    size_t bytes = (size_t)(input->end - input->at);
    const char *key;

    bytes = bytes < TEXT_MAX - 1 ? bytes : TEXT_MAX - 1;
    input_take(input, text, bytes);
    text[bytes] = '\0';
    key = memchr(text, '\0', bytes);
    return chain_run(text, key ? key + 1 : NULL);
}

/* Names, one behind the other. A request of such as are valid is made, and a certificate of its own. */
static uint64_t names_run(struct input *input)
{
    static char names[TLS_NAMES_MAX][TLS_NAME_MAX];
    const char *list[TLS_NAMES_MAX];
    unsigned count = 0;
    char *request;

    while (input_left(input) && count < TLS_NAMES_MAX) {
        size_t bytes = input_byte(input) % TLS_NAME_MAX;
        input_take(input, names[count], bytes);
        names[count][bytes] = '\0';
        if (!certificate_name_valid(names[count])) {
            return count;
        }
        list[count] = names[count];
        count++;
    }
    if (count == 0) {
        return 0;
    }
    request = certificate_request(list, count, false, &problem);
    FUZZ_CHECK(request);
    free(request);
    FUZZ_CHECK(certificate_renew(list, count, &problem) == 0);
    check_shown();
    return way_add(200, count);
}

static void restore_first(void)
{
    FUZZ_CHECK(certificate_install(first_pem, first_key_pem, &problem) == 0);
}

static void public_key_find(void)
{
    uint8_t der[sizeof(public_key)];
    mbedtls_x509_crt chain;
    mbedtls_pk_context pk;
    int bytes;

    mbedtls_x509_crt_init(&chain);
    mbedtls_pk_init(&pk);
    FUZZ_CHECK(tls_identity_open(&first, &chain, &pk) == 0);
    bytes = mbedtls_pk_write_pubkey_der(&pk, der, sizeof(der));
    FUZZ_CHECK(bytes > 0);
    public_key_bytes = (size_t)bytes;
    memcpy(public_key, der + sizeof(der) - bytes, public_key_bytes);
    mbedtls_x509_crt_free(&chain);
    mbedtls_pk_free(&pk);
}

/* As it was installed, so that it is the same after each input. */
void fuzz_start(void)
{
    steady_begin();
    fake_start("", "");
    tokens_start();
    config_defaults(&config);
    FUZZ_CHECK(certificate_get(&first, &config, true));
    public_key_find();
    FUZZ_CHECK((first_pem = tls_chain_pem(&first)) != NULL);
    FUZZ_CHECK(mbedtls_pem_write_buffer("-----BEGIN EC PRIVATE KEY-----\n",
                                        "-----END EC PRIVATE KEY-----\n", first.key,
                                        first.key_bytes, (uint8_t *)first_key_pem,
                                        sizeof(first_key_pem), &(size_t){0}) == 0);
    restore_first();
}

uint64_t fuzz_run(const uint8_t *data, size_t bytes)
{
    struct input input = {data, data + bytes};
    uint64_t way;

    steady_begin();
    switch (input_byte(&input) % 3) {
    case 0:
        way = script_run(&input);
        break;
    case 1:
        way = text_run(&input);
        break;
    default:
        way = names_run(&input);
    }
    if (!same(in_use(), &first)) {
        restore_first();
    }
    return way;
}
