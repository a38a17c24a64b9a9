/* token.c - tokens that may do less: ls, create, set, rotate, rm; and whoami. */
#include <stdio.h>
#include <stdlib.h>

#include "access.h"
#include "commands.h"
#include "table.h"

static void print_tokens(const cJSON *list)
{
    const cJSON *token;
    struct table t;

    table_begin(&t, ACCESS_HEAD);
    cJSON_ArrayForEach(token, value_at(list, "items"))
    {
        char *row = access_row(token);
        table_add(&t, "%s", row);
        free(row);
    }
    table_end(&t);
}

static void print_caller(const cJSON *caller)
{
    char *quotas = access_quotas(caller);
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

/* A secret that was made is all that is printed, as nobody can ask for it again. */
static void print_secret(const struct call *call, const struct answer *a)
{
    if (call->json)
        answer_print(a);
    else if (value_at(a->json, "token"))
        puts(value_text(a->json, "token", ""));
}

/* create makes one that isn't there, set changes one that is. */
static int create_or_set(const struct call *call, const char *taken)
{
    cJSON *body = access_body(call);
    struct answer a = {.json = NULL};
    int result = body ? access_put(call, "tokens", taken, body, &a) : EXIT_USAGE;

    if (result == EXIT_OK)
        print_secret(call, &a);
    answer_end(&a);
    cJSON_Delete(body);
    return result;
}

int token_create(const struct call *call)
{
    char *taken = text_format("there is a token '%s': set changes it, rotate gives it a new secret",
                              call->operands[0]);
    int result = create_or_set(call, taken);

    free(taken);
    return result;
}

int token_set(const struct call *call)
{
    return create_or_set(call, NULL);
}

/* What a token may do, as a request has it. */
static cJSON *same_again(const cJSON *token)
{
    static const char *const fields[] = {"role", "scope", "expires_at"};
    cJSON *body = cJSON_CreateObject();

    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
        const cJSON *value = value_at(token, fields[i]);
        if (value)
            cJSON_AddItemToObject(body, fields[i], cJSON_Duplicate(value, true));
    }
    return body;
}

/* With what it may do as it is. */
int token_rotate(const struct call *call)
{
    char *path = api_path("tokens", call->operands[0], ""), *rotate;
    struct answer a;
    int result = api_get(path, &a);
    cJSON *body = same_again(a.json);

    answer_end(&a);
    rotate = text_format("%s?rotate=true", path);
    if (result == EXIT_OK)
        result = api_call("PUT", rotate, body, &a);
    if (result == EXIT_OK)
        print_secret(call, &a);
    answer_end(&a);
    cJSON_Delete(body);
    free(rotate);
    free(path);
    return result;
}
