/* client.c - client certificates: ls, add, set, rm. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "commands.h"
#include "stream.h"
#include "table.h"

#define KIND "client-certificates"

static void print_clients(const cJSON *list)
{
    const cJSON *client;
    struct table t;

    table_begin(&t, ACCESS_HEAD "\tFINGERPRINT");
    cJSON_ArrayForEach(client, value_at(list, "items"))
    {
        char *row = access_row(client);
        table_add(&t, "%s\t%s", row, value_text(client, "fingerprint", "?"));
        free(row);
    }
    table_end(&t);
}

int client_list(const struct call *call)
{
    return api_show(call, "/v1/" KIND, print_clients);
}

int client_remove(const struct call *call)
{
    return each_delete(call, KIND);
}

static int add_certificate(const char *path, cJSON *body)
{
    char *pem = file_text(path);
    int result = pem ? EXIT_OK : EXIT_LOCAL;

    if (pem && strstr(pem, "PRIVATE KEY-----"))
        result = fail(EXIT_USAGE,
                      "%s: has a private key, too, which is for nobody else: give a file of the "
                      "certificate alone",
                      path);
    if (result == EXIT_OK)
        cJSON_AddStringToObject(body, "certificate", pem);
    free(pem);
    return result;
}

/* Without a second operand the certificate stays. */
static int put(const struct call *call, const char *taken)
{
    cJSON *body = access_body(call);
    struct answer a = {.json = NULL};
    int result = body ? EXIT_OK : EXIT_USAGE;

    if (result == EXIT_OK && call->operand_count > 1)
        result = add_certificate(call->operands[1], body);
    if (result == EXIT_OK)
        result = access_put(call, KIND, taken, body, &a);
    if (result == EXIT_OK && call->json)
        answer_print(&a);
    else if (result == EXIT_OK)
        printf("client %s: SHA-256 fingerprint %s\n", call->operands[0],
               value_text(a.json, "fingerprint", "?"));
    answer_end(&a);
    cJSON_Delete(body);
    return result;
}

int client_add(const struct call *call)
{
    char *taken =
        text_format("there is a client certificate '%s': set changes it, also for another "
                    "certificate",
                    call->operands[0]);
    int result = put(call, taken);

    free(taken);
    return result;
}

int client_set(const struct call *call)
{
    return put(call, NULL);
}
