/* operation.c - operations, which copy volumes: ls, wait, cancel. */
#include "operation.h"

#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "commands.h"
#include "progress.h"
#include "table.h"

static void print_operations(const cJSON *list)
{
    char done[TEXT_MAX], total[TEXT_MAX], moment[32];
    const cJSON *operation;
    struct table t;

    table_begin(&t, "ID\t*STATE\tVOLUME\tCOPY OF\t>DONE\tBEGAN\tERROR");
    cJSON_ArrayForEach(operation, value_at(list, "items"))
    {
        bool cancelling = cJSON_IsTrue(value_at(operation, "cancelling"));
        table_add(&t, "%s\t%s\t%s\t%s\t%s / %s\t%s\t%s", value_text(operation, "id", "?"),
                  cancelling ? "cancelling" : value_text(operation, "state", "?"),
                  value_text(operation, "volume", "?"), value_text(operation, "source", "?"),
                  size_text(value_number(operation, "done_bytes"), done),
                  size_text(value_number(operation, "total_bytes"), total),
                  moment_text(operation, "began_at", moment),
                  value_text(operation, "error.detail", "-"));
    }
    table_end(&t);
}

int operation_list(const struct call *call)
{
    return api_show(call, "/v1/operations", print_operations);
}

/* How an operation has ended. */
static int tell_end(const struct call *call, const struct answer *a)
{
    const char *state = value_text(a->json, "state", "?");

    if (call->json)
        answer_print(a);
    if (strcmp(state, "done") == 0)
        return EXIT_OK;
    if (strcmp(state, "cancelled") == 0)
        return fail(EXIT_NO, "the copy was cancelled");
    return fail(EXIT_SERVER, "the copy has failed: %s", value_text(a->json, "error.detail", state));
}

int operation_follow(const struct call *call, const char *id, const char *what)
{
    char *path = api_path("operations", id, "?wait=1");
    struct progress bar;
    struct answer a;
    bool runs = true;
    int result = EXIT_OK;

    progress_begin(&bar, what);
    while (result == EXIT_OK && runs) {
        result = api_get(path, &a);
        runs = result == EXIT_OK && strcmp(value_text(a.json, "state", "?"), "running") == 0;
        if (runs)
            progress_show(&bar, (uint64_t)value_number(a.json, "done_bytes"),
                          (uint64_t)value_number(a.json, "total_bytes"));
        else
            progress_end(&bar);
        if (result == EXIT_OK && !runs)
            result = tell_end(call, &a);
        answer_end(&a);
    }
    free(path);
    return result;
}

int operation_wait(const struct call *call)
{
    return operation_follow(call, call->operands[0], "copying");
}

int operation_cancel(const struct call *call)
{
    return each_delete(call, "operations");
}
