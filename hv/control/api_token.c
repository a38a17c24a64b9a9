/* api_token.c - handlers for tokens. */
#include "api.h"
#include "guest.h"
#include "tokens.h"

static int no_token(struct request *r)
{
    return problem_set(&r->problem, 404, "There is no token '%s'.", r->name);
}

int api_token_list(struct request *r)
{
    r->json = cJSON_CreateObject();
    model_lock();
    cJSON_AddItemToObject(r->json, "items", tokens_list());
    model_unlock();
    return 200;
}

int api_token_get(struct request *r)
{
    model_lock();
    r->json = tokens_get(r->name);
    model_unlock();
    return r->json ? 200 : no_token(r);
}

/* The secret is in the answer to the request that had it made, and nowhere else. */
static int put(struct request *r, const struct token *wish, bool rotate)
{
    char text[TOKEN_TEXT_MAX];
    int status;

    model_lock();
    status = tokens_put(wish, rotate, text, &r->problem);
    if (status > 0)
        r->json = tokens_get(wish->name);
    model_unlock();
    if (r->json && text[0])
        cJSON_AddStringToObject(r->json, "token", text);
    return status;
}

int api_token_put(struct request *r)
{
    struct token wish;
    bool rotate = false;
    cJSON *body;
    int status = -1;

    if (api_query_bool(r, "rotate", &rotate) != 0 || (body = api_read_json(r)) == NULL)
        return -1;
    if (token_from_json(&wish, body, r->name, &r->problem) == 0)
        status = put(r, &wish, rotate);
    cJSON_Delete(body);
    return status;
}

int api_token_delete(struct request *r)
{
    int status;

    model_lock();
    status = tokens_delete(r->name, &r->problem);
    model_unlock();
    return status;
}
