/* login.c - login, and the contexts that it makes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "certificate.h"
#include "commands.h"
#include "config.h"
#include "prompt.h"
#include "table.h"

#define TOKEN_MAX 160

/* "HOST" or "https://HOST[:PORT][/]" as "https://HOST[:PORT]"; the caller frees it. NULL, with the reason told. */
static char *read_url(const char *text)
{
    size_t bytes;
    char *url;

    if (strstr(text, "://") && strncmp(text, "https://", 8) != 0) {
        fail(EXIT_USAGE, "'%s': Skep is reached by https:// only", text);
        return NULL;
    }
    url = text_format("%s%s", strstr(text, "://") ? "" : "https://", text);
    bytes = strlen(url);
    if (bytes > 8 && url[bytes - 1] == '/')
        url[--bytes] = '\0';
    if (bytes > 8 && strcspn(url + 8, "/?#@ ") == bytes - 8)
        return url;
    fail(EXIT_USAGE, "'%s': say https://HOST or https://HOST:PORT", text);
    free(url);
    return NULL;
}

/* Whether this certificate is to be trusted: by the fingerprint given, or who sits here. */
static int check_certificate(const struct call *call, const struct certificate *c, const char *url)
{
    const char *wanted = call_value(call, "fingerprint");
    char fingerprint[96];
    int result;

    if (wanted) {
        result = fingerprint_read(wanted, fingerprint);
        if (result != EXIT_OK)
            return result;
        if (strcmp(fingerprint, c->fingerprint) == 0)
            return EXIT_OK;
        return fail(EXIT_CONNECTION, "%s has another certificate: SHA-256 fingerprint %s", url,
                    c->fingerprint);
    }
    note("%s shows a certificate with SHA-256 fingerprint %s", url, c->fingerprint);
    if (call_value(call, "yes"))
        return EXIT_OK;
    if (!prompt_possible())
        return fail(EXIT_USAGE,
                    "nobody can be asked whether this is the fingerprint on the serial log: "
                    "give it by --fingerprint, or trust it by --yes");
    return prompt_yes("Is this the fingerprint on the serial log, and is this Skep to be trusted?")
               ? EXIT_OK
               : fail(EXIT_NO, "not trusted: nothing was kept");
}

static int read_token(const struct call *call, char token[TOKEN_MAX])
{
    const char *given = getenv("SKEP_TOKEN");
    int result = EXIT_OK;

    if (call_value(call, "token-stdin"))
        result = secret_from_file("-", token, TOKEN_MAX);
    else if (given && *given)
        snprintf(token, TOKEN_MAX, "%s", given);
    else
        result = prompt_secret("Token", token, TOKEN_MAX);
    if (result == EXIT_OK && (!*token || strspn(token, " \t") > 0))
        result = fail(EXIT_USAGE, "the token is empty");
    return result;
}

/* The files of --certificate and --key, if they are given, wherever later calls are made; they are the caller's to free. */
static int find_files(const struct call *call, char *files[2], struct target *target)
{
    const char *certificate = call_value(call, "certificate"), *key = call_value(call, "key");
    const char *given[2] = {certificate, key ? key : certificate};

    if (key && !certificate)
        return fail(EXIT_USAGE, "--key is that of a --certificate");
    if (certificate && call_value(call, "token-stdin"))
        return fail(EXIT_USAGE, "log in by --certificate or by --token-stdin");
    if (!certificate)
        return EXIT_OK;
    for (int i = 0; i < 2; i++) {
        files[i] = realpath(given[i], NULL);
        if (!files[i])
            return fail(EXIT_LOCAL, "%s: %s", given[i], strerror(errno));
    }
    target->token = NULL;
    target->certificate = files[0];
    target->key = files[1];
    return config_check_key(target);
}

/* The host's own name for a context, when none is given. */
static const char *name_of(const struct call *call, const char *url)
{
    const char *name = call_value(call, "name");
    return name ? name : url + strlen("https://");
}

static int keep(const char *name, const struct target *target, const char *fingerprint)
{
    cJSON *config = config_load(), *contexts, *context;
    int result;

    if (!config)
        return EXIT_USAGE;
    contexts = cJSON_GetObjectItemCaseSensitive(config, "contexts");
    if (!contexts)
        contexts = cJSON_AddObjectToObject(config, "contexts");
    cJSON_DeleteItemFromObjectCaseSensitive(contexts, name);
    context = cJSON_AddObjectToObject(contexts, name);
    cJSON_AddStringToObject(context, "url", target->url);
    cJSON_AddStringToObject(context, "pin", target->pin);
    cJSON_AddStringToObject(context, "fingerprint", fingerprint);
    if (target->certificate) {
        cJSON_AddStringToObject(context, "certificate", target->certificate);
        cJSON_AddStringToObject(context, "key", target->key);
    } else {
        cJSON_AddStringToObject(context, "token", target->token);
    }
    cJSON_DeleteItemFromObjectCaseSensitive(config, "current");
    cJSON_AddStringToObject(config, "current", name);
    result = config_save(config);
    cJSON_Delete(config);
    return result;
}

/* Asks with the pin and the token or certificate, so that what is kept works. */
static int try_and_keep(const char *name, const struct target *target, const char *fingerprint)
{
    struct answer a = {.json = NULL};
    int result;

    http_begin(target);
    result = api_get("/v1/host", &a);
    if (result == EXIT_OK)
        result = keep(name, target, fingerprint);
    if (result == EXIT_OK)
        printf("Logged in to %s: Skep %s on %s is context %s.\n", target->url,
               value_text(a.json, "version", "?"), value_text(a.json, "hostname", "?"), name);
    answer_end(&a);
    return result;
}

int login(const struct call *call)
{
    char *url = read_url(call->operands[0]), *pem = NULL, token[TOKEN_MAX];
    char *files[2] = {NULL, NULL};
    struct certificate certificate;
    struct target target = {.url = url, .pin = certificate.pin, .token = token};
    int result = url ? find_files(call, files, &target) : EXIT_USAGE;

    if (result == EXIT_OK)
        result = http_certificate(url, &pem);
    if (result == EXIT_OK)
        result = certificate_read(pem, &certificate);
    if (result == EXIT_OK)
        result = check_certificate(call, &certificate, url);
    if (result == EXIT_OK && target.token)
        result = read_token(call, token);
    if (result == EXIT_OK)
        result = try_and_keep(name_of(call, url), &target, certificate.fingerprint);
    secret_forget(token, sizeof(token));
    free(pem);
    free(files[0]);
    free(files[1]);
    free(url);
    return result;
}

/* {"items": […]}, without tokens. */
static void print_contexts(const cJSON *config, const char *current)
{
    cJSON *json = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(json, "items"), *item;
    const cJSON *context;

    cJSON_ArrayForEach(context, value_at(config, "contexts"))
    {
        item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", context->string);
        cJSON_AddStringToObject(item, "url", value_text(context, "url", "?"));
        cJSON_AddStringToObject(item, "fingerprint", value_text(context, "fingerprint", "?"));
        cJSON_AddBoolToObject(item, "current", strcmp(context->string, current) == 0);
        cJSON_AddItemToArray(list, item);
    }
    json_print_line(json);
}

int context_list(const struct call *call)
{
    cJSON *config = config_load();
    const char *current = value_text(config, "current", "");
    const cJSON *context;
    struct table t;

    if (!config)
        return EXIT_USAGE;
    if (call->json) {
        print_contexts(config, current);
        cJSON_Delete(config);
        return EXIT_OK;
    }
    table_begin(&t, " \tNAME\tADDRESS\tFINGERPRINT");
    cJSON_ArrayForEach(context, value_at(config, "contexts"))
    {
        table_add(&t, "%s\t%s\t%s\t%s", strcmp(context->string, current) == 0 ? "→" : "",
                  context->string, value_text(context, "url", "?"),
                  value_text(context, "fingerprint", "?"));
    }
    table_end(&t);
    cJSON_Delete(config);
    return EXIT_OK;
}

int context_use(const struct call *call)
{
    cJSON *config = config_load();
    int result = EXIT_USAGE;

    if (config && config_find(config, call->operands[0])) {
        cJSON_DeleteItemFromObjectCaseSensitive(config, "current");
        cJSON_AddStringToObject(config, "current", call->operands[0]);
        result = config_save(config);
    }
    cJSON_Delete(config);
    return result;
}

int context_remove(const struct call *call)
{
    cJSON *config = config_load();
    const char *name = call->operands[0];
    int result = EXIT_USAGE;

    if (config && config_find(config, name)) {
        cJSON_DeleteItemFromObjectCaseSensitive(
            cJSON_GetObjectItemCaseSensitive(config, "contexts"), name);
        if (strcmp(value_text(config, "current", ""), name) == 0)
            cJSON_DeleteItemFromObjectCaseSensitive(config, "current");
        result = config_save(config);
    }
    cJSON_Delete(config);
    return result;
}
