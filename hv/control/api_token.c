/* api_token.c - handlers for tokens, for clients' certificates, and for who calls. */
#include "api.h"
#include "guest.h"
#include "tokens.h"

/*
 * Of both kinds
 */

static int list(struct request *r, enum token_kind kind)
{
    r->json = cJSON_CreateObject();
    model_lock();
    cJSON_AddItemToObject(r->json, "items", tokens_list(kind));
    model_unlock();
    return 200;
}

static int get(struct request *r, enum token_kind kind)
{
    model_lock();
    r->json = tokens_get(kind, r->name);
    model_unlock();
    if (r->json)
        return 200;
    return problem_set(&r->problem, 404, "There is no %s '%s'.",
                       kind == TOKEN_SECRET ? "token" : "client certificate", r->name);
}

/* The secret is in the answer to the request that had it made, and nowhere else. */
static int put_wish(struct request *r, const struct token *wish, bool rotate)
{
    char text[TOKEN_TEXT_MAX];
    int status;

    model_lock();
    status = tokens_put(wish, rotate, text, &r->problem);
    if (status > 0)
        r->json = tokens_get((enum token_kind)wish->kind, wish->name);
    model_unlock();
    if (r->json && text[0])
        cJSON_AddStringToObject(r->json, "token", text);
    return status;
}

static int put(struct request *r, enum token_kind kind, bool rotate)
{
    cJSON *body = api_read_json(r);
    struct token wish;
    int status = -1;

    if (!body)
        return -1;
    if (token_from_json(&wish, kind, body, r->name, &r->problem) == 0)
        status = put_wish(r, &wish, rotate);
    cJSON_Delete(body);
    return status;
}

static int end(struct request *r, enum token_kind kind)
{
    int status;

    model_lock();
    status = tokens_delete(kind, r->name, &r->problem);
    model_unlock();
    return status;
}

/*
 * Tokens
 */

int api_token_list(struct request *r)
{
    return list(r, TOKEN_SECRET);
}

int api_token_get(struct request *r)
{
    return get(r, TOKEN_SECRET);
}

int api_token_put(struct request *r)
{
    bool rotate = false;

    return api_query_bool(r, "rotate", &rotate) == 0 ? put(r, TOKEN_SECRET, rotate) : -1;
}

int api_token_delete(struct request *r)
{
    return end(r, TOKEN_SECRET);
}

/*
 * Clients' certificates
 */

int api_client_list(struct request *r)
{
    return list(r, TOKEN_CERTIFICATE);
}

int api_client_get(struct request *r)
{
    return get(r, TOKEN_CERTIFICATE);
}

int api_client_put(struct request *r)
{
    return put(r, TOKEN_CERTIFICATE, false);
}

int api_client_delete(struct request *r)
{
    return end(r, TOKEN_CERTIFICATE);
}

/*
 * Who calls
 */

int api_caller(struct request *r)
{
    r->json = caller_to_json(&r->caller);
    return 200;
}
