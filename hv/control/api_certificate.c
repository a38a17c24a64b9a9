/* api_certificate.c - handlers for the server's certificate. */
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "certificate.h"

struct names {
    const char *list[TLS_NAMES_MAX];
    unsigned count;
};

/* The body as an object of no other fields than these, which a NULL ends; NULL and the problem. */
static cJSON *read_object(struct request *r, const char *const *fields)
{
    cJSON *body = api_read_json(r);
    const cJSON *item;

    if (!body)
        return NULL;
    if (!cJSON_IsObject(body))
        problem_set(&r->problem, 422, "The body must be a JSON object.");
    cJSON_ArrayForEach(item, body)
    {
        const char *const *field = fields;
        while (item->string && *field && strcmp(*field, item->string) != 0)
            field++;
        if (item->string && !*field)
            problem_set(&r->problem, 422, "There is no field '%.60s' here.", item->string);
    }
    if (!r->problem.status)
        return body;
    cJSON_Delete(body);
    return NULL;
}

static int read_names(struct names *names, const cJSON *list, struct problem *p)
{
    const cJSON *item;

    names->count = 0;
    if (!cJSON_IsArray(list) || !list->child)
        return problem_set(p, 422, "names must be an array of 1 to %d names.", TLS_NAMES_MAX);
    cJSON_ArrayForEach(item, list)
    {
        if (names->count == TLS_NAMES_MAX)
            return problem_set(p, 422, "names has more than %d names.", TLS_NAMES_MAX);
        if (!cJSON_IsString(item) || !certificate_name_valid(item->valuestring))
            return problem_set(p, 422,
                               "names[%u] must be the name of a host, as \"skep.example\" or "
                               "\"*.skep.example\", or an IPv4 address.",
                               names->count);
        names->list[names->count++] = item->valuestring;
    }
    return 0;
}

int api_certificate_get(struct request *r)
{
    r->json = certificate_to_json();
    if (!r->json)
        return problem_set(&r->problem, 503, "There is no memory for the request now; try again.");
    return 200;
}

/* A string of the body, NULL if it isn't there. */
static int read_string(const cJSON *body, const char *name, const char **value, struct problem *p)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(body, name);

    *value = cJSON_GetStringValue(item);
    if (item && !*value)
        return problem_set(p, 422, "%s must be a string.", name);
    return 0;
}

/* The answer of a dry run is there then. */
static int install(struct request *r, const cJSON *body)
{
    struct problem *p = &r->problem;
    const char *chain, *key;

    if (read_string(body, "certificate", &chain, p) != 0 || read_string(body, "key", &key, p) != 0)
        return -1;
    if (!chain)
        return problem_set(p, 422, "certificate is missing: PEM, the server's own first.");
    if (!r->dry_run)
        return certificate_install(chain, key, p);
    r->json = certificate_foresee(chain, key, p);
    return r->json ? 0 : -1;
}

int api_certificate_put(struct request *r)
{
    static const char *const fields[] = {"certificate", "key", NULL};
    cJSON *body = read_object(r, fields);
    int result;

    if (!body)
        return -1;
    result = install(r, body);
    cJSON_Delete(body);
    if (result != 0)
        return -1;
    return r->json ? 200 : api_certificate_get(r);
}

static char *request(const cJSON *body, struct problem *p)
{
    struct names names;
    const char *key;

    if (read_names(&names, cJSON_GetObjectItemCaseSensitive(body, "names"), p) != 0 ||
        read_string(body, "key", &key, p) != 0)
        return NULL;
    if (key && strcmp(key, "current") != 0 && strcmp(key, "new") != 0) {
        problem_set(p, 422, "key must be \"current\" or \"new\".");
        return NULL;
    }
    return certificate_request(names.list, names.count, key && strcmp(key, "new") == 0, p);
}

int api_certificate_request(struct request *r)
{
    static const char *const fields[] = {"names", "key", NULL};
    cJSON *body = read_object(r, fields);
    char *text;

    if (!body)
        return -1;
    text = request(body, &r->problem);
    cJSON_Delete(body);
    if (!text)
        return -1;
    r->json = cJSON_CreateObject();
    cJSON_AddStringToObject(r->json, "request", text);
    free(text);
    return 200;
}

int api_certificate_renew(struct request *r)
{
    static const char *const fields[] = {"names", NULL};
    struct names names = {.count = 0};
    cJSON *body = NULL, *list = NULL;
    int result = 0;

    if (api_has_body(r)) {
        if ((body = read_object(r, fields)) == NULL)
            return -1;
        list = cJSON_GetObjectItemCaseSensitive(body, "names");
    }
    if (list)
        result = read_names(&names, list, &r->problem);
    if (result == 0)
        result = certificate_renew(names.list, names.count, &r->problem);
    cJSON_Delete(body);
    return result ? result : api_certificate_get(r);
}
