/* tokens_json.c - tokens as clients see them, and as they are kept. */
#include <string.h>

#include "hex.h"
#include "json.h"
#include "skep_tls.h"
#include "spec.h"
#include "tokens.h"

/* 2^53: up to there a JSON number is exact. */
#define NUMBER_MAX 9007199254740992ull

static const char *const quota_names[] = {"guests", "memory_bytes", "vcpus", "volume_bytes"};
#define QUOTAS (sizeof(quota_names) / sizeof(*quota_names))

static uint64_t *quota_of(struct access_quotas *quotas, unsigned index)
{
    uint64_t *const fields[QUOTAS] = {&quotas->guests, &quotas->memory_bytes, &quotas->vcpus,
                                      &quotas->volume_bytes};
    return fields[index];
}

/*
 * To JSON
 */

static void add_scope(cJSON *json, const char *prefix, struct access_quotas quotas)
{
    cJSON *scope, *list;

    if (!prefix[0]) {
        cJSON_AddNullToObject(json, "scope");
        return;
    }
    scope = cJSON_AddObjectToObject(json, "scope");
    cJSON_AddStringToObject(scope, "prefix", prefix);
    list = cJSON_AddObjectToObject(scope, "quotas");
    for (unsigned i = 0; i < QUOTAS; i++)
        if (*quota_of(&quotas, i) == ACCESS_NO_QUOTA)
            cJSON_AddNullToObject(list, quota_names[i]);
        else
            json_add_item(list, quota_names[i], json_create_integer(*quota_of(&quotas, i)));
}

cJSON *token_to_json(const struct token *t)
{
    cJSON *json = cJSON_CreateObject();
    char fingerprint[TLS_FINGERPRINT_MAX];

    cJSON_AddStringToObject(json, "name", t->name);
    cJSON_AddStringToObject(json, "role", access_role_name((enum access_role)t->role));
    add_scope(json, t->prefix, t->quotas);
    json_add_time(json, "made_at", t->made_ns);
    json_add_time(json, "expires_at", t->expires_ns);
    if (t->kind == TOKEN_CERTIFICATE) {
        tls_fingerprint(t->digest, fingerprint);
        cJSON_AddStringToObject(json, "fingerprint", fingerprint);
    }
    return json;
}

cJSON *caller_to_json(const struct principal *caller)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "name", caller->name);
    cJSON_AddStringToObject(json, "role", access_role_name(caller->role));
    add_scope(json, caller->prefix, caller->quotas);
    return json;
}

cJSON *token_to_kept(const struct token *t)
{
    cJSON *json = token_to_json(t);
    char text[2 * sizeof(t->digest) + 1];

    hex_format(text, t->digest, sizeof(t->digest));
    cJSON_AddStringToObject(json, "sha256", text);
    return json;
}

/*
 * From JSON
 */

static int take_quota(struct token *t, const cJSON *item, struct problem *p)
{
    for (unsigned i = 0; i < QUOTAS; i++) {
        if (strcmp(item->string, quota_names[i]) != 0)
            continue;
        if (cJSON_IsNull(item) || json_integer(item, 0, NUMBER_MAX, quota_of(&t->quotas, i)))
            return 0;
        return problem_set(p, 422, "scope.quotas.%s must be an integer, 0 or more, or null.",
                           item->string);
    }
    return problem_set(p, 422,
                       "scope.quotas.%.40s is no known field; there are guests, memory_bytes, "
                       "vcpus, volume_bytes.",
                       item->string);
}

static int take_quotas(struct token *t, const cJSON *json, struct problem *p)
{
    const cJSON *item;

    if (cJSON_IsNull(json))
        return 0;
    if (!cJSON_IsObject(json))
        return problem_set(p, 422, "scope.quotas must be an object.");
    cJSON_ArrayForEach(item, json) if (take_quota(t, item, p) != 0) return -1;
    return 0;
}

static int take_prefix(struct token *t, const cJSON *item, struct problem *p)
{
    const char *text = cJSON_GetStringValue(item);

    if (!text || strlen(text) >= sizeof(t->prefix) || !name_valid(text))
        return problem_set(p, 422,
                           "scope.prefix must be a string: 1 to %u of a-z, 0-9 and -, not "
                           "beginning with -.",
                           ACCESS_PREFIX_MAX - 1);
    memcpy(t->prefix, text, strlen(text) + 1);
    return 0;
}

static int take_scope_field(struct token *t, const cJSON *item, struct problem *p)
{
    if (strcmp(item->string, "prefix") == 0)
        return take_prefix(t, item, p);
    if (strcmp(item->string, "quotas") == 0)
        return take_quotas(t, item, p);
    return problem_set(p, 422, "scope.%.40s is no known field; there are prefix, quotas.",
                       item->string);
}

static int take_scope(struct token *t, const cJSON *json, struct problem *p)
{
    const cJSON *item;

    if (cJSON_IsNull(json))
        return 0;
    if (!cJSON_IsObject(json))
        return problem_set(p, 422, "scope must be an object, or null.");
    cJSON_ArrayForEach(item, json) if (take_scope_field(t, item, p) != 0) return -1;
    return t->prefix[0] ? 0 : problem_set(p, 422, "scope needs a prefix.");
}

static int take_role(struct token *t, const cJSON *item, struct problem *p)
{
    enum access_role role;

    if (!access_role_read(cJSON_GetStringValue(item), &role))
        return problem_set(p, 422, "role must be one of admin, operator, viewer.");
    t->role = role;
    return 0;
}

static int take_expiry(struct token *t, const cJSON *item, struct problem *p)
{
    const char *text = cJSON_GetStringValue(item);

    if (cJSON_IsNull(item) || (text && json_time_read(text, &t->expires_ns)))
        return 0;
    return problem_set(p, 422,
                       "expires_at must be a time of RFC 3339 in UTC, such as "
                       "\"2030-01-31T09:00:00Z\", or null.");
}

static int take_certificate(struct token *t, const cJSON *item, struct problem *p)
{
    const char *text = cJSON_GetStringValue(item);

    if (text && tls_certificate_digest(text, t->digest) == 0)
        return 0;
    return problem_set(p, 422,
                       "certificate must be PEM of a certificate with an ECDSA (P-256 or P-384) or "
                       "RSA key.");
}

static int take_field(struct token *t, const cJSON *item, struct problem *p)
{
    if (strcmp(item->string, "role") == 0)
        return take_role(t, item, p);
    if (strcmp(item->string, "scope") == 0)
        return take_scope(t, item, p);
    if (strcmp(item->string, "expires_at") == 0)
        return take_expiry(t, item, p);
    if (t->kind == TOKEN_CERTIFICATE && strcmp(item->string, "certificate") == 0)
        return take_certificate(t, item, p);
    return problem_set(p, 422, "'%.40s' is no known field; there are role, scope, expires_at%s.",
                       item->string, t->kind == TOKEN_CERTIFICATE ? ", certificate" : "");
}

/* The trail has the names of those who call. */
int token_check_name(const char *name, struct problem *p)
{
    if (strlen(name) >= ACCESS_NAME_MAX || !name_valid(name))
        return problem_set(p, 400,
                           "'%.40s' is no name of a token: 1 to %u of a-z, 0-9 and -, not "
                           "beginning with -.",
                           name, ACCESS_NAME_MAX - 1);
    if (strcmp(name, TOKENS_BOOT_NAME) == 0)
        return problem_set(p, 409,
                           "'" TOKENS_BOOT_NAME "' is the token of the boot, which only a boot "
                           "with another one changes: choose another name.");
    if (strcmp(name, TOKENS_OWN_NAME) == 0)
        return problem_set(p, 409,
                           "'" TOKENS_OWN_NAME "' is the service itself: choose another name.");
    return 0;
}

int token_from_json(struct token *t, enum token_kind kind, const cJSON *json, const char *name,
                    struct problem *p)
{
    const cJSON *item;

    memset(t, 0, sizeof(*t));
    t->kind = kind;
    memset(&t->quotas, 0xff, sizeof(t->quotas)); /* ACCESS_NO_QUOTA */
    t->role = ACCESS_ANYBODY;
    if (token_check_name(name, p) != 0)
        return -1;
    memcpy(t->name, name, strlen(name) + 1);
    if (!cJSON_IsObject(json))
        return problem_set(p, 422, "The body must be a JSON object.");
    cJSON_ArrayForEach(item, json) if (take_field(t, item, p) != 0) return -1;
    if (t->role == ACCESS_ANYBODY)
        return problem_set(p, 422, "role is missing: one of admin, operator, viewer.");
    if (t->role == ACCESS_ADMIN && t->prefix[0])
        return problem_set(p, 422, "An admin may do everything: leave scope out.");
    return 0;
}

/* What clients can't say goes first, then it is a wish like theirs. */
bool token_from_kept(struct token *t, const cJSON *json)
{
    cJSON *copy = cJSON_Duplicate(json, true);
    cJSON *name = cJSON_DetachItemFromObjectCaseSensitive(copy, "name");
    cJSON *made = cJSON_DetachItemFromObjectCaseSensitive(copy, "made_at");
    cJSON *digest = cJSON_DetachItemFromObjectCaseSensitive(copy, "sha256");
    cJSON *fingerprint = cJSON_DetachItemFromObjectCaseSensitive(copy, "fingerprint");
    const char *text = cJSON_GetStringValue(digest), *time = cJSON_GetStringValue(made);
    struct problem ignored;
    bool good = copy && cJSON_IsString(name) && text &&
                token_from_json(t, TOKEN_SECRET, copy, name->valuestring, &ignored) == 0 &&
                hex_parse(text, t->digest, sizeof(t->digest)) &&
                (!time || json_time_read(time, &t->made_ns));

    t->kind = fingerprint ? TOKEN_CERTIFICATE : TOKEN_SECRET;
    cJSON_Delete(fingerprint);
    cJSON_Delete(name);
    cJSON_Delete(made);
    cJSON_Delete(digest);
    cJSON_Delete(copy);
    return good;
}
