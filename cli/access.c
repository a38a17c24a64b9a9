/* access.c - roles, scopes and quotas, as tables and options have them. */
#include "access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

char *access_quotas(const cJSON *token)
{
    const cJSON *quotas = value_at(token, "scope.quotas"), *one;
    char *text = text_copy(""), size[TEXT_MAX];

    cJSON_ArrayForEach(one, quotas)
    {
        bool bytes = strstr(one->string, "_bytes") != NULL;
        if (!cJSON_IsNumber(one))
            continue;
        snprintf(size, sizeof(size), "%.0f", one->valuedouble);
        text = text_extend(text, "%s%s %.*s", *text ? ", " : "",
                           bytes ? size_text(one->valuedouble, size) : size,
                           (int)strlen(one->string) - (bytes ? 6 : 0), one->string);
    }
    return text;
}

char *access_row(const cJSON *one)
{
    char made[32], expires[32], used[32], *quotas = access_quotas(one);
    char *row =
        text_format("%s\t%s\t%s\t%s\t%s%s\t%s\t%s", value_text(one, "name", "?"),
                    value_text(one, "role", "?"), value_text(one, "scope.prefix", "-"),
                    moment_text(one, "made_at", made), moment_text(one, "expires_at", expires),
                    cJSON_IsTrue(value_at(one, "expired")) ? " (expired)" : "",
                    moment_text(one, "last_used_at", used), quotas);

    free(quotas);
    return row;
}

/* One quota of an option: a number, or a size. */
static int add_quota(const struct call *call, const char *option, const char *field, bool size,
                     cJSON *quotas)
{
    unsigned long number = 0;
    uint64_t bytes = 0;
    const char *text = call_value(call, option);
    int result = EXIT_OK;

    if (!text)
        return EXIT_OK;
    result = size ? size_read(text, &bytes) : call_number(call, option, 0, 1ul << 53, &number);
    cJSON_AddNumberToObject(quotas, field, size ? (double)bytes : (double)number);
    return result;
}

/* The scope that options say; *body gets none if they say nothing of it. */
static int add_scope(const struct call *call, cJSON *body)
{
    cJSON *scope = cJSON_CreateObject(), *quotas = cJSON_CreateObject();
    const char *prefix = call_value(call, "prefix");
    int result = add_quota(call, "guests", "guests", false, quotas);

    if (result == EXIT_OK)
        result = add_quota(call, "vcpus", "vcpus", false, quotas);
    if (result == EXIT_OK)
        result = add_quota(call, "memory", "memory_bytes", true, quotas);
    if (result == EXIT_OK)
        result = add_quota(call, "volumes", "volume_bytes", true, quotas);
    if (prefix)
        cJSON_AddStringToObject(scope, "prefix", prefix);
    if (cJSON_GetArraySize(quotas) > 0)
        cJSON_AddItemToObject(scope, "quotas", quotas);
    else
        cJSON_Delete(quotas);
    if (cJSON_GetArraySize(scope) > 0)
        cJSON_AddItemToObject(body, "scope", scope);
    else
        cJSON_Delete(scope);
    return result;
}

cJSON *access_body(const struct call *call)
{
    const char *role = call_value(call, "role"), *expires = call_value(call, "expires");
    cJSON *body;

    if (!role) {
        fail(EXIT_USAGE, "say --role admin, operator or viewer");
        return NULL;
    }
    body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "role", role);
    if (expires)
        cJSON_AddStringToObject(body, "expires_at", expires);
    if (add_scope(call, body) == EXIT_OK)
        return body;
    cJSON_Delete(body);
    return NULL;
}

int access_put(const struct call *call, const char *kind, const char *taken, const cJSON *body,
               struct answer *a)
{
    char *path = api_path(kind, call->operands[0], "");
    int result = EXIT_OK;

    if (!taken) {
        result = api_get(path, a);
        answer_end(a);
    }
    if (result == EXIT_OK)
        result = taken ? api_create(path, body, taken, a) : api_call("PUT", path, body, a);
    free(path);
    return result;
}
