/* api_token.c - handlers for tokens, for clients' certificates, and for who calls. */
#include "api.h"
#include "guest.h"
#include "tokens.h"

/*
 * Of both kinds
 */

/* Of all that a change can change, the digest of the secret too; NULL if there is none. */
static const char *tag(enum token_kind kind, const char *name, char etag[ETAG_MAX])
{
    const struct token *t = tokens_find(kind, name);

    if (!t)
        return NULL;
    api_make_etag(etag, t, sizeof(*t));
    return etag;
}

static int list(struct request *r, enum token_kind kind)
{
    char after[SKEP_NAME_MAX] = "";
    uint64_t limit = UINT64_MAX;

    if (api_query_page(r, after, &limit) != 0)
        return -1;
    r->json = cJSON_CreateObject();
    model_lock();
    cJSON_AddItemToObject(r->json, "items", tokens_list(kind, after, limit));
    model_unlock();
    return 200;
}

static int get(struct request *r, enum token_kind kind)
{
    model_lock();
    r->json = tokens_get(kind, r->name);
    tag(kind, r->name, r->etag);
    model_unlock();
    if (r->json)
        return 200;
    return problem_set(&r->problem, 404, "There is no %s '%s'.",
                       kind == TOKEN_SECRET ? "token" : "client certificate", r->name);
}

/* The secret is in the answer to the request that had it made, and nowhere else. */
static int put_wish(struct request *r, const struct token *wish, bool rotate)
{
    enum token_kind kind = (enum token_kind)wish->kind;
    char text[TOKEN_TEXT_MAX] = "";
    int status = tokens_put(wish, rotate, text, &r->problem);

    if (status > 0) {
        r->json = tokens_get(kind, wish->name);
        tag(kind, wish->name, r->etag);
    }
    if (r->json && text[0])
        cJSON_AddStringToObject(r->json, "token", text);
    return status;
}

static int foresee(struct request *r, const struct token *wish, bool rotate)
{
    r->json = tokens_foresee(wish, rotate, &r->problem);
    return r->json ? 200 : -1;
}

static int put(struct request *r, enum token_kind kind, bool rotate)
{
    cJSON *body = api_read_json(r);
    char etag[ETAG_MAX];
    struct token wish;
    int status = body ? token_from_json(&wish, kind, body, r->name, &r->problem) : -1;

    cJSON_Delete(body);
    if (status != 0)
        return -1;
    model_lock();
    status = api_check_match(r, tag(kind, r->name, etag));
    if (status == 0)
        status = r->dry_run ? foresee(r, &wish, rotate) : put_wish(r, &wish, rotate);
    model_unlock();
    return status;
}

static int end(struct request *r, enum token_kind kind)
{
    char buffer[ETAG_MAX];
    const char *etag;
    int status = 0;

    model_lock();
    etag = tag(kind, r->name, buffer);
    if (etag)
        status = api_check_match(r, etag);
    if (status == 0)
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
