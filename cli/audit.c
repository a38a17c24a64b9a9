/* audit.c - what was changed by whom, and what crashed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "commands.h"
#include "guest.h"
#include "table.h"

static void add_record(struct table *t, const cJSON *record)
{
    char moment[32];

    if (value_at(record, "damaged")) {
        table_add(t, "-\t-\t-\t-\t-\t-\tthis record is damaged");
        return;
    }
    table_add(t, "%.0f\t%s\t%.0f\t%s\t%s\t%s\t%s", value_number(record, "id"),
              moment_text(record, "time", moment), value_number(record, "status"),
              value_text(record, "caller", "-"), value_text(record, "method", "-"),
              value_text(record, "path", "-"), value_text(record, "detail", ""));
}

static void print_records(const cJSON *answer)
{
    const cJSON *record;
    struct table t;

    table_begin(&t, ">ID\tTIME\t>STATUS\tCALLER\tMETHOD\tPATH\tDETAIL");
    cJSON_ArrayForEach(record, value_at(answer, "items")) add_record(&t, record);
    table_end(&t);
    printf("\nrecords %.0f to %.0f are kept in %s, the head is %s\n", value_number(answer, "first"),
           value_number(answer, "last"), value_text(answer, "kept", "?"),
           value_text(answer, "head", "-"));
}

int audit_show(const struct call *call)
{
    unsigned long after = 0, limit = 200;
    int result = call_number(call, "after", 0, (1ul << 53), &after);
    struct answer a = {.json = NULL};
    char *path;

    if (result == EXIT_OK)
        result = call_number(call, "limit", 1, 200, &limit);
    path = text_format("/v1/audit?after=%lu&limit=%lu", after, limit);
    if (result == EXIT_OK)
        result = api_get(path, &a);
    if (result == EXIT_OK && call->json)
        answer_print(&a);
    else if (result == EXIT_OK)
        print_records(a.json);
    if (result == EXIT_OK && !cJSON_IsTrue(value_at(a.json, "valid")))
        result = fail(EXIT_NO, "the records are not whole, or don't follow each other");
    answer_end(&a);
    free(path);
    return result;
}

static void print_crashes(const cJSON *list)
{
    const cJSON *crash;
    char moment[32];
    struct table t;

    table_begin(&t, ">ID\tGUEST\tTIME\tREASON");
    cJSON_ArrayForEach(crash, value_at(list, "items"))
    {
        table_add(&t, "%.0f\t%s\t%s\t%s", value_number(crash, "id"),
                  value_text(crash, "guest", "?"), moment_text(crash, "at", moment),
                  value_text(crash, "reason", "?"));
    }
    table_end(&t);
}

static void print_crash(const cJSON *crash)
{
    fputs(value_text(crash, "console", ""), stdout);
    fflush(stdout);
    crash_explain(crash);
}

/* All of them, or one in full. */
int crash_show(const struct call *call)
{
    bool one = call->operand_count > 0;
    char *path = one ? api_path("crashes", call->operands[0], "") : text_copy("/v1/crashes");
    int result = api_show(call, path, one ? print_crash : print_crashes);

    free(path);
    return result;
}
