/* login.c - login, and the contexts that it makes. */
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

/* The host's own name for a context, when none is given. */
static const char *name_of(const struct call *call, const char *url)
{
    const char *name = call_value(call, "name");
    return name ? name : url + strlen("https://");
}

static int keep(const char *name, const char *url, const struct certificate *c, const char *token)
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
    cJSON_AddStringToObject(context, "url", url);
    cJSON_AddStringToObject(context, "pin", c->pin);
    cJSON_AddStringToObject(context, "fingerprint", c->fingerprint);
    cJSON_AddStringToObject(context, "token", token);
    cJSON_DeleteItemFromObjectCaseSensitive(config, "current");
    cJSON_AddStringToObject(config, "current", name);
    result = config_save(config);
    cJSON_Delete(config);
    return result;
}

/* Asks with the pin and the token, so that what is kept works. */
static int try_and_keep(const char *name, const char *url, const struct certificate *c,
                        const char *token)
{
    struct answer a = {.json = NULL};
    int result;

    http_begin(url, c->pin, token);
    result = api_get("/v1/host", &a);
    if (result == EXIT_OK)
        result = keep(name, url, c, token);
    if (result == EXIT_OK)
        printf("Logged in to %s: Skep %s on %s is context %s.\n", url,
               value_text(a.json, "version", "?"), value_text(a.json, "hostname", "?"), name);
    answer_end(&a);
    return result;
}

int login(const struct call *call)
{
    char *url = read_url(call->operands[0]), *pem = NULL, token[TOKEN_MAX];
    struct certificate certificate;
    int result = url ? http_certificate(url, &pem) : EXIT_USAGE;

    if (result == EXIT_OK)
        result = certificate_read(pem, &certificate);
    if (result == EXIT_OK)
        result = check_certificate(call, &certificate, url);
    if (result == EXIT_OK)
        result = read_token(call, token);
    if (result == EXIT_OK)
        result = try_and_keep(name_of(call, url), url, &certificate, token);
    secret_forget(token, sizeof(token));
    free(pem);
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
