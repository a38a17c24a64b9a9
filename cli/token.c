/* token.c - tokens that may do less: ls, create, set, rotate, rm; and whoami. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "commands.h"
#include "table.h"

/* "3 guests, 256 MiB of memory": the quotas that there are. The caller frees it. */
static char *quotas_of(const cJSON *token)
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

static void add_token(struct table *t, const cJSON *token)
{
    char made[32], expires[32], used[32], *quotas = quotas_of(token);

    table_add(t, "%s\t%s\t%s\t%s\t%s%s\t%s\t%s", value_text(token, "name", "?"),
              value_text(token, "role", "?"), value_text(token, "scope.prefix", "-"),
              moment_text(token, "made_at", made), moment_text(token, "expires_at", expires),
              cJSON_IsTrue(value_at(token, "expired")) ? " (expired)" : "",
              moment_text(token, "last_used_at", used), quotas);
    free(quotas);
}

static void print_tokens(const cJSON *list)
{
    const cJSON *token;
    struct table t;

    table_begin(&t, "NAME\tROLE\tPREFIX\tMADE\tEXPIRES\tLAST USED\tQUOTAS");
    cJSON_ArrayForEach(token, value_at(list, "items")) add_token(&t, token);
    table_end(&t);
}

static void print_caller(const cJSON *caller)
{
    char *quotas = quotas_of(caller);
    struct table t;

    table_begin(&t, NULL);
    table_add(&t, "name\t%s", value_text(caller, "name", "?"));
    table_add(&t, "role\t%s", value_text(caller, "role", "?"));
    table_add(&t, "prefix\t%s", value_text(caller, "scope.prefix", "-"));
    table_add(&t, "quotas\t%s", *quotas ? quotas : "-");
    table_end(&t);
    free(quotas);
}

int caller_show(const struct call *call)
{
    return api_show(call, "/v1/caller", print_caller);
}

int token_list(const struct call *call)
{
    return api_show(call, "/v1/tokens", print_tokens);
}

int token_remove(const struct call *call)
{
    return each_delete(call, "tokens");
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

/* What options say; NULL, with the reason told. */
static cJSON *make_body(const struct call *call)
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

/* Sends it; a secret that was made is all that is printed, as nobody can ask for it again. */
static int put(const struct call *call, const char *query, const cJSON *body)
{
    char *path = api_path("tokens", call->operands[0], query);
    struct answer a;
    int result = api_call("PUT", path, body, &a);

    if (result == EXIT_OK && call->json)
        answer_print(&a);
    else if (result == EXIT_OK && value_at(a.json, "token"))
        puts(value_text(a.json, "token", ""));
    answer_end(&a);
    free(path);
    return result;
}

static int look(const char *name, struct answer *a, bool *there)
{
    char *path = api_path("tokens", name, "");
    int result = api_look(path, a, there);

    free(path);
    return result;
}

/* create makes one that isn't there, set changes one that is. */
static int create_or_set(const struct call *call, bool create)
{
    cJSON *body = make_body(call);
    struct answer a = {.json = NULL};
    bool there = false;
    int result = body ? look(call->operands[0], &a, &there) : EXIT_USAGE;

    if (result == EXIT_OK && create && there)
        result =
            fail(EXIT_NO, "there is a token '%s': set changes it, rotate gives it a new secret",
                 call->operands[0]);
    else if (result == EXIT_OK && !create)
        result = api_check(&a);
    if (result == EXIT_OK)
        result = put(call, "", body);
    answer_end(&a);
    cJSON_Delete(body);
    return result;
}

int token_create(const struct call *call)
{
    return create_or_set(call, true);
}

int token_set(const struct call *call)
{
    return create_or_set(call, false);
}

/* With what it may do as it is. */
int token_rotate(const struct call *call)
{
    static const char *const fields[] = {"role", "scope", "expires_at"};
    cJSON *body = cJSON_CreateObject();
    struct answer a;
    bool there;
    int result = look(call->operands[0], &a, &there);

    if (result == EXIT_OK)
        result = api_check(&a);
    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
        const cJSON *value = value_at(a.json, fields[i]);
        if (value)
            cJSON_AddItemToObject(body, fields[i], cJSON_Duplicate(value, true));
    }
    if (result == EXIT_OK)
        result = put(call, "?rotate=true", body);
    answer_end(&a);
    cJSON_Delete(body);
    return result;
}
