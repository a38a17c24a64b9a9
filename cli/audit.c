/* audit.c - what was changed by whom, and what crashed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "commands.h"
#include "guest.h"
#include "table.h"

#define RECORD_HEAD ">ID\tTIME\t>STATUS\tCALLER\tMETHOD\tPATH\tDETAIL"

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

    table_begin(&t, RECORD_HEAD);
    cJSON_ArrayForEach(record, value_at(answer, "items")) add_record(&t, record);
    table_end(&t);
    printf("\nrecords %.0f to %.0f are kept %s, the head is %s\n", value_number(answer, "first"),
           value_number(answer, "last"),
           strcmp(value_text(answer, "kept", "memory"), "disk") == 0 ? "on the disk" : "in memory",
           value_text(answer, "head", "-"));
}

/* JSON in one line, "-" for none. The caller frees it. */
static char *value_of(const cJSON *value)
{
    char *json = value ? cJSON_PrintUnformatted(value) : NULL, *text = text_copy(json ? json : "-");

    free(json);
    return text_clean(text, 0);
}

static void print_member(const cJSON *record, const char *name)
{
    const cJSON *was = cJSON_GetObjectItemCaseSensitive(value_at(record, "before"), name),
                *is = cJSON_GetObjectItemCaseSensitive(value_at(record, "after"), name);
    char *before, *after;

    if (cJSON_Compare(was, is, true))
        return;
    before = value_of(was);
    after = value_of(is);
    printf("  %s: %s -> %s\n", name, before, after);
    free(before);
    free(after);
}

/* What the change changed: members that went or became others, then those that came. */
static void print_change(const cJSON *record)
{
    const cJSON *before = value_at(record, "before"), *after = value_at(record, "after"), *member;

    cJSON_ArrayForEach(member, before) print_member(record, member->string);
    cJSON_ArrayForEach(member, after) if (!cJSON_GetObjectItemCaseSensitive(before, member->string))
        print_member(record, member->string);
    cJSON_ArrayForEach(member, value_at(record, "cut"))
        printf("  %s is too long to be in the record\n", string_of(member));
}

static void print_record(const cJSON *answer)
{
    const cJSON *record = cJSON_GetArrayItem(value_at(answer, "items"), 0);
    struct table t;

    table_begin(&t, RECORD_HEAD);
    add_record(&t, record);
    table_end(&t);
    print_change(record);
}

/* The number of a record, of its operand. */
static int read_id(const char *text, unsigned long *id)
{
    char *end;

    *id = strtoul(text, &end, 10);
    if (*text < '1' || *text > '9' || *end || *id > (1ul << 53))
        return fail(EXIT_USAGE, "'%s' is no record: say the number of one", text);
    return EXIT_OK;
}

/* Which records are asked for: one, or those of the options. */
static int read_range(const struct call *call, unsigned long *after, unsigned long *limit)
{
    int result = call_number(call, "after", 0, (1ul << 53), after);

    if (result == EXIT_OK)
        result = call_number(call, "limit", 1, 200, limit);
    if (result != EXIT_OK || call->operand_count == 0)
        return result;
    *limit = 1;
    result = read_id(call->operands[0], after);
    --*after;
    return result;
}

/* All of them, or one with what it changed. */
int audit_show(const struct call *call)
{
    bool one = call->operand_count > 0;
    unsigned long after = 0, limit = 200;
    int result = read_range(call, &after, &limit);
    struct answer a = {.json = NULL};
    char *path = text_format("/v1/audit?after=%lu&limit=%lu", after, limit);
    const cJSON *first;

    if (result == EXIT_OK)
        result = api_get(path, &a);
    first = cJSON_GetArrayItem(value_at(a.json, "items"), 0);
    if (result == EXIT_OK && one && !value_at(first, "damaged") &&
        value_number(first, "id") != (double)(after + 1))
        result = fail(EXIT_NO, "there is no record %lu (any more)", after + 1);
    if (result == EXIT_OK && call->json)
        answer_print(&a);
    else if (result == EXIT_OK)
        (one ? print_record : print_records)(a.json);
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
