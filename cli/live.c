/* live.c - guests while they run: set changes what they may use, vcpus and trace show what they do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "commands.h"
#include "label.h"
#include "spec.h"
#include "table.h"

/*
 * set
 */

static int set(const struct call *call, const char *name)
{
    cJSON *patch = cJSON_CreateObject();
    int result = spec_add_numbers(call, patch);

    if (result == EXIT_OK)
        result = labels_add(call, patch);
    if (result == EXIT_OK && !patch->child)
        result = fail(EXIT_USAGE, "say what is to change: --memory, --vcpus, --weight, --cap, "
                                  "--label, --unlabel, or several of them");
    if (result == EXIT_OK)
        result = api_set(call, "guests", name, patch);
    cJSON_Delete(patch);
    return result;
}

int guest_set(const struct call *call)
{
    return each_operand(call, set);
}

/*
 * vcpus
 */

static void print_vcpus(const cJSON *list)
{
    char run[TEXT_MAX], ready[TEXT_MAX], idle[TEXT_MAX];
    const cJSON *vcpu;
    struct table t;

    table_begin(&t,
                ">VCPU\t*STATE\t>CPU\t>RUN\t>READY\t>IDLE\t>SWITCHES\t>EVENTS\t>UPCALLS\t>FAULTS");
    cJSON_ArrayForEach(vcpu, value_at(list, "items"))
    {
        table_add(&t, "%.0f\t%s\t%.0f\t%s\t%s\t%s\t%.0f\t%.0f\t%.0f\t%.0f",
                  value_number(vcpu, "vcpu"), value_text(vcpu, "state", "?"),
                  value_number(vcpu, "cpu"), duration_text(value_number(vcpu, "run_ns"), run),
                  duration_text(value_number(vcpu, "ready_ns"), ready),
                  duration_text(value_number(vcpu, "idle_ns"), idle),
                  value_number(vcpu, "switches"), value_number(vcpu, "events"),
                  value_number(vcpu, "upcalls"), value_number(vcpu, "page_faults"));
    }
    table_end(&t);
}

/* Of the one guest that the call names. */
static int show(const struct call *call, const char *what, void (*print)(const cJSON *json))
{
    char *path = api_path("guests", call->operands[0], what);
    int result = api_show(call, path, print);

    free(path);
    return result;
}

int guest_vcpus(const struct call *call)
{
    return show(call, "/vcpus", print_vcpus);
}

/*
 * trace
 */

/* What a record says beyond its kind: "call=…, result=…". The caller frees it. */
static char *details_of(const cJSON *record)
{
    static const char *const common[] = {"clock_ns", "cpu", "vcpu", "kind"};
    char *text = text_copy("");
    const cJSON *fields = cJSON_IsObject(record) ? record : NULL, *field;

    cJSON_ArrayForEach(field, fields)
    {
        bool told = false;
        for (size_t i = 0; i < sizeof(common) / sizeof(*common); i++)
            told |= strcmp(field->string, common[i]) == 0;
        if (told)
            continue;
        char *value =
            cJSON_IsString(field) ? text_copy(field->valuestring) : cJSON_PrintUnformatted(field);
        text = text_extend(text, "%s%s=%s", *text ? " " : "", field->string, value);
        free(value);
    }
    return text;
}

static void print_trace(const cJSON *list)
{
    const cJSON *record;
    struct table t;

    table_begin(&t, ">SECONDS\t>CPU\t>VCPU\tKIND\tDETAILS");
    cJSON_ArrayForEach(record, value_at(list, "items"))
    {
        char *details = details_of(record);
        table_add(&t, "%.6f\t%.0f\t%.0f\t%s\t%s", value_number(record, "clock_ns") / 1e9,
                  value_number(record, "cpu"), value_number(record, "vcpu"),
                  value_text(record, "kind", "?"), details);
        free(details);
    }
    table_end(&t);
}

int guest_trace(const struct call *call)
{
    return show(call, "/trace", print_trace);
}
