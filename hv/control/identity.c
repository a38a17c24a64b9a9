/*
 * identity.c - the token, and what a backup has of it and of the certificate.
 *
 * Of the token only a SHA-256 digest is kept. Digests are compared in full, so that the time tells
 * nothing about how much of a guess was right.
 */
#include "identity.h"

#include <mbedtls/constant_time.h>
#include <string.h>

#include "certificate.h"
#include "hex.h"
#include "log.h"
#include "persist.h"
#include "skep_tls.h"
#include "store.h"
#include "tokens.h"

static uint8_t token_digest[32];

/* On the disk, and in the record for a restart of the service. The disk's refusal is no reason not to serve. */
static bool keep_token(void)
{
    struct problem p;

    if (persist_update("token", token_digest, sizeof(token_digest), &p) != 0)
        log_line("the token is not kept over a reboot: %s", p.detail);
    return store_write(STORE_TOKEN_RECORD, STORE_TOKEN, token_digest, sizeof(token_digest));
}

/* As a former service left it, or else a former boot. */
static bool recall_token(void)
{
    size_t bytes = sizeof(token_digest);

    if (store_read(STORE_TOKEN_RECORD, STORE_TOKEN, token_digest, bytes) != bytes &&
        persist_get("token", token_digest, bytes) != (int64_t)bytes)
        return false;
    keep_token();
    return true;
}

static bool set_token(const char *token)
{
    tls_sha256(token, strlen(token), token_digest);
    return keep_token();
}

bool token_get(const struct config *config, bool entropy)
{
    uint8_t random[20];
    char token[2 * sizeof(random) + 1];

    if (config->token[0])
        return set_token(config->token);
    if (recall_token())
        return true;
    if (!entropy || tls_random(random, sizeof(random)) != 0) {
        log_line("no token was given, and none can be made without entropy: add token=… to the "
                 "command line");
        return false;
    }
    hex_format(token, random, sizeof(random));
    if (!set_token(token))
        return false;
    log_line("no token was given; this one was made and is not shown again: %s", token);
    return true;
}

void identity_keep(void)
{
    certificate_keep();
    keep_token();
}

bool token_matches(const uint8_t digest[32])
{
    return mbedtls_ct_memcmp(digest, token_digest, sizeof(token_digest)) == 0;
}

/*
 * In backups
 */

cJSON *identity_to_json(void)
{
    cJSON *json = cJSON_CreateObject();
    char text[2 * sizeof(token_digest) + 1];

    certificate_to_backup(json);
    hex_format(text, token_digest, sizeof(token_digest));
    cJSON_AddStringToObject(json, "token_sha256", text);
    cJSON_AddItemToObject(json, "tokens", tokens_to_kept());
    return json;
}

static bool take_token(const cJSON *json, uint8_t token[32])
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "token_sha256"));

    return text && hex_parse(text, token, 32);
}

int identity_check_json(const cJSON *json, struct problem *p)
{
    const cJSON *tokens = cJSON_GetObjectItemCaseSensitive(json, "tokens");
    uint8_t token[32];

    if (!take_token(json, token))
        return problem_set(p, 422, "The backup has no right digest of a token.");
    if (certificate_check_backup(json, p) != 0)
        return -1;
    return tokens ? tokens_check_kept(tokens, p) : 0;
}

int identity_restore(const cJSON *json, struct problem *p)
{
    const cJSON *tokens = cJSON_GetObjectItemCaseSensitive(json, "tokens");
    uint8_t token[32];

    if (certificate_restore(json, p) != 0)
        return -1;
    if (!take_token(json, token) || persist_update("token", token, sizeof(token), p) != 0 ||
        !store_write(STORE_TOKEN_RECORD, STORE_TOKEN, token, sizeof(token)))
        return problem_set(p, 503, "The token can't be kept.");
    return tokens ? tokens_restore(tokens, p) : 0;
}
