/* cert.c - the server's certificate: cert, and install, request and renew. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "commands.h"
#include "config.h"
#include "prompt.h"
#include "table.h"

#define PATH "/v1/host/certificate"

static void print_certificate(const cJSON *c)
{
    static const char *const fields[] = {"origin", "fingerprint", "key",      "subject",
                                         "issuer", "not_before",  "not_after"};
    char *names = text_copy("");
    const cJSON *name;
    struct table t;

    table_begin(&t, NULL);
    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
        table_add(&t, "%s\t%s", fields[i], value_text(c, fields[i], "-"));
    cJSON_ArrayForEach(name, value_at(c, "names"))
    {
        names = text_extend(names, "%s%s", *names ? ", " : "", string_of(name));
    }
    table_add(&t, "names\t%s", names);
    table_add(&t, "pin\tsha256//%s", value_text(c, "public_key_pin", "?"));
    table_end(&t);
    free(names);
}

int cert_show(const struct call *call)
{
    struct answer a;
    int result = api_get(PATH, &a);

    if (result == EXIT_OK && call->json)
        answer_print(&a);
    else if (result == EXIT_OK && call_value(call, "pem"))
        fputs(value_text(a.json, "certificate", ""), stdout);
    else if (result == EXIT_OK)
        print_certificate(a.json);
    answer_end(&a);
    return result;
}

/* The answer is of the key that new connections see; it came by one that the former pin stands for. */
static int follow(const struct call *call, const cJSON *c)
{
    char *pin = text_format("sha256//%s", value_text(c, "public_key_pin", ""));
    int result = config_repin(call->context, pin, value_text(c, "fingerprint", "?"));

    free(pin);
    return result;
}

/* Sends the body, which it deletes, and pins what is in force then. */
static int change(const struct call *call, const char *method, const char *path, cJSON *body)
{
    struct answer a;
    int result = api_call(method, path, body, &a);

    if (result == EXIT_OK)
        result = follow(call, a.json);
    if (result == EXIT_OK && call->json)
        answer_print(&a);
    else if (result == EXIT_OK)
        print_certificate(a.json);
    answer_end(&a);
    cJSON_Delete(body);
    return result;
}

static void add_names(const struct call *call, cJSON *body)
{
    cJSON *names = call->operand_count ? cJSON_AddArrayToObject(body, "names") : NULL;

    for (int i = 0; i < call->operand_count; i++)
        cJSON_AddItemToArray(names, cJSON_CreateString(call->operands[i]));
}

int cert_install(const struct call *call)
{
    const char *key = call_value(call, "key");
    char *chain = file_text(call->operands[0]), *secret = key && chain ? file_text(key) : NULL;
    cJSON *body;

    if (!chain || (key && !secret)) {
        free(chain);
        return EXIT_LOCAL;
    }
    body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "certificate", chain);
    free(chain);
    if (secret) {
        cJSON_AddStringToObject(body, "key", secret);
        secret_forget(secret, strlen(secret));
        free(secret);
    }
    return change(call, "PUT", PATH, body);
}

int cert_renew(const struct call *call)
{
    cJSON *body = cJSON_CreateObject();

    add_names(call, body);
    return change(call, "POST", PATH "/renew", body);
}

/* The request is all that is printed, for whoever signs it. */
int cert_request(const struct call *call)
{
    cJSON *body = cJSON_CreateObject();
    struct answer a;
    int result;

    add_names(call, body);
    cJSON_AddStringToObject(body, "key", call_value(call, "new-key") ? "new" : "current");
    result = api_call("POST", PATH "/request", body, &a);
    if (result == EXIT_OK && call->json)
        answer_print(&a);
    else if (result == EXIT_OK)
        fputs(value_text(a.json, "request", ""), stdout);
    answer_end(&a);
    cJSON_Delete(body);
    return result;
}
