/*
 * identity.c - the TLS identity and the token.
 *
 * Of the token only a SHA-256 digest is kept. Digests are compared in full, so that the time tells
 * nothing about how much of a guess was right.
 */
#include "identity.h"

#include <stdio.h>
#include <string.h>

#include "hex.h"
#include "log.h"
#include "persist.h"
#include "store.h"
#include "tokens.h"

_Static_assert(sizeof(struct tls_identity) <= STORE_BYTES_MAX, "one record");

static uint8_t token_digest[32];

/* On the disk, and in the record for a restart of the service. The disk's refusal is no reason not to serve. */
static bool keep(const char *name, unsigned record, enum store_kind kind, const void *data,
                 size_t bytes)
{
    struct problem p;

    if (persist_update(name, data, bytes, &p) != 0)
        log_line("the %s is not kept over a reboot: %s", name, p.detail);
    return store_write(record, kind, data, bytes);
}

/* As a former service left it, or else a former boot. */
static bool recall(const char *name, unsigned record, enum store_kind kind, void *data,
                   size_t bytes)
{
    if (store_read(record, kind, data, bytes) != bytes &&
        persist_get(name, data, bytes) != (int64_t)bytes)
        return false;
    keep(name, record, kind, data, bytes);
    return true;
}

static bool tell(const struct tls_identity *id, const char *origin)
{
    char text[TLS_FINGERPRINT_MAX];

    tls_identity_fingerprint(id, text);
    log_line("certificate %s, SHA-256 fingerprint %s", origin, text);
    return true;
}

bool identity_get(struct tls_identity *id, const struct config *config, bool entropy)
{
    if (config->certificate && config->key) {
        if (tls_identity_from_pem(id, config->certificate, config->key) == 0)
            return tell(id, "from the boot module");
        log_line("the boot module's certificate and key are not used: they must be PEM of an ECDSA "
                 "P-256 or P-384 key and of a certificate for it, at most %d bytes",
                 TLS_DER_MAX);
    }
    if (recall("identity", STORE_IDENTITY_RECORD, STORE_IDENTITY, id, sizeof(*id)) &&
        id->key_bytes <= sizeof(id->key) && id->cert_bytes <= sizeof(id->cert))
        return tell(id, "as before");
    if (!entropy) {
        log_line("no key is made: this machine has no source of entropy. Give it RDRAND or "
                 "RDSEED, or a certificate and key in the boot module");
        return false;
    }
    if (tls_identity_generate(id, config->hostname, config->net.address) != 0) {
        log_line("a key and certificate could not be made");
        return false;
    }
    if (!keep("identity", STORE_IDENTITY_RECORD, STORE_IDENTITY, id, sizeof(*id)))
        return false;
    return tell(id, "made now");
}

static bool set_token(const char *token)
{
    tls_sha256(token, strlen(token), token_digest);
    return keep("token", STORE_TOKEN_RECORD, STORE_TOKEN, token_digest, sizeof(token_digest));
}

bool token_get(const struct config *config, bool entropy)
{
    uint8_t random[20];
    char token[2 * sizeof(random) + 1];

    if (config->token[0])
        return set_token(config->token);
    if (recall("token", STORE_TOKEN_RECORD, STORE_TOKEN, token_digest, sizeof(token_digest)))
        return true;
    if (!entropy || tls_random(random, sizeof(random)) != 0) {
        log_line("no token was given, and none can be made without entropy: add token=… to the "
                 "command line");
        return false;
    }
    for (unsigned i = 0; i < sizeof(random); i++)
        snprintf(token + 2 * i, 3, "%02x", random[i]);
    if (!set_token(token))
        return false;
    log_line("no token was given; this one was made and is not shown again: %s", token);
    return true;
}

void identity_keep(void)
{
    struct tls_identity id;

    if (store_read(STORE_IDENTITY_RECORD, STORE_IDENTITY, &id, sizeof(id)) == sizeof(id))
        keep("identity", STORE_IDENTITY_RECORD, STORE_IDENTITY, &id, sizeof(id));
    keep("token", STORE_TOKEN_RECORD, STORE_TOKEN, token_digest, sizeof(token_digest));
}

bool token_matches(const uint8_t digest[32])
{
    uint8_t difference = 0;

    for (unsigned i = 0; i < sizeof(token_digest); i++)
        difference |= (uint8_t)(digest[i] ^ token_digest[i]);
    return difference == 0;
}

/*
 * In backups
 */

static void add_hex(cJSON *json, const char *name, const void *data, size_t bytes)
{
    char text[2 * TLS_DER_MAX + 1];

    hex_format(text, data, bytes);
    cJSON_AddStringToObject(json, name, text);
}

cJSON *identity_to_json(void)
{
    cJSON *json = cJSON_CreateObject();
    struct tls_identity id;

    if (store_read(STORE_IDENTITY_RECORD, STORE_IDENTITY, &id, sizeof(id)) == sizeof(id)) {
        add_hex(json, "key", id.key, id.key_bytes);
        add_hex(json, "certificate", id.cert, id.cert_bytes);
    }
    add_hex(json, "token_sha256", token_digest, sizeof(token_digest));
    cJSON_AddItemToObject(json, "tokens", tokens_to_kept());
    return json;
}

/* Bytes of the value, 0 if it isn't there or is no hexadecimal text that fits. */
static size_t take_hex(const cJSON *json, const char *name, void *data, size_t room)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
    size_t bytes = text ? strlen(text) / 2 : 0;

    return bytes && bytes <= room && hex_parse(text, data, bytes) ? bytes : 0;
}

/* Whether there is a key, too. */
static bool take_json(const cJSON *json, struct tls_identity *id, uint8_t token[32])
{
    memset(id, 0, sizeof(*id));
    id->key_bytes = take_hex(json, "key", id->key, sizeof(id->key));
    id->cert_bytes = take_hex(json, "certificate", id->cert, sizeof(id->cert));
    take_hex(json, "token_sha256", token, 32);
    return id->key_bytes && id->cert_bytes;
}

int identity_check_json(const cJSON *json, struct problem *p)
{
    struct tls_identity id;
    const cJSON *tokens = cJSON_GetObjectItemCaseSensitive(json, "tokens");
    uint8_t token[32];
    bool has_key = take_json(json, &id, token);

    if (take_hex(json, "token_sha256", token, sizeof(token)) != sizeof(token))
        return problem_set(p, 422, "The backup has no right digest of a token.");
    if (has_key ? tls_identity_check(&id) != 0 : cJSON_HasObjectItem(json, "key"))
        return problem_set(p, 422, "The backup has a key and certificate that can't be used.");
    return tokens ? tokens_check_kept(tokens, p) : 0;
}

int identity_restore(const cJSON *json, struct problem *p)
{
    const cJSON *tokens = cJSON_GetObjectItemCaseSensitive(json, "tokens");
    struct tls_identity id;
    uint8_t token[32];

    if (take_json(json, &id, token) &&
        (persist_update("identity", &id, sizeof(id), p) != 0 ||
         !store_write(STORE_IDENTITY_RECORD, STORE_IDENTITY, &id, sizeof(id))))
        return problem_set(p, 503, "The key and certificate can't be kept.");
    if (persist_update("token", token, sizeof(token), p) != 0 ||
        !store_write(STORE_TOKEN_RECORD, STORE_TOKEN, token, sizeof(token)))
        return problem_set(p, 503, "The token can't be kept.");
    return tokens ? tokens_restore(tokens, p) : 0;
}
