/* host.c - the machine, and its disks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "commands.h"
#include "prompt.h"
#include "table.h"

static void print_memory(struct table *t, const cJSON *host)
{
    char used[TEXT_MAX], total[TEXT_MAX], promised[TEXT_MAX], promisable[TEXT_MAX];

    table_add(t, "memory\t%s of %s used, %s of %s promised",
              size_text(value_number(host, "memory.used"), used),
              size_text(value_number(host, "memory.total"), total),
              size_text(value_number(host, "memory.promised"), promised),
              size_text(value_number(host, "memory.promisable"), promisable));
}

static void print_storage(struct table *t, const cJSON *host)
{
    char used[TEXT_MAX], bytes[TEXT_MAX];

    table_add(t, "storage\t%s, %s of %s used", value_text(host, "storage.state", "?"),
              size_text(value_number(host, "storage.used_bytes"), used),
              size_text(value_number(host, "storage.bytes"), bytes));
}

/* What is done about each flaw of the CPU. */
static void print_mitigations(struct table *t, const cJSON *host)
{
    char *text = text_copy("");
    const cJSON *flaw;

    cJSON_ArrayForEach(flaw, value_at(host, "mitigations"))
    {
        text = text_extend(text, "%s%s %s", *text ? ", " : "", flaw->string, string_of(flaw));
    }
    table_add(t, "mitigations\t%s", *text ? text : "-");
    free(text);
}

static void print_host(const cJSON *host)
{
    char moment[32], uptime[TEXT_MAX];
    struct table t;

    table_begin(&t, NULL);
    table_add(&t, "version\tSkep %s", value_text(host, "version", "?"));
    table_add(&t, "host name\t%s", value_text(host, "hostname", "?"));
    table_add(&t, "address\t%s", value_text(host, "address", "?"));
    table_add(&t, "power\t%s", value_text(host, "power", "?"));
    table_add(&t, "time\t%s", moment_text(host, "time", moment));
    table_add(&t, "up for\t%s", duration_text(value_number(host, "uptime_ns"), uptime));
    table_add(&t, "cpus\t%.0f, %s", value_number(host, "cpus"), value_text(host, "cpu_model", "?"));
    print_mitigations(&t, host);
    print_memory(&t, host);
    print_storage(&t, host);
    table_add(&t, "guests\t%.0f", value_number(host, "counts.guests"));
    table_add(&t, "images\t%.0f", value_number(host, "counts.images"));
    table_add(&t, "control\t%.0f restarts%s", value_number(host, "control.restarts"),
              cJSON_IsTrue(value_at(host, "control.safe_mode")) ? ", safe mode" : "");
    table_end(&t);
}

int host_show(const struct call *call)
{
    return api_show(call, "/v1/host", print_host);
}

/* What isn't JSON is printed as it is. */
static int print_text(const char *path)
{
    struct answer a;
    int result = api_call("GET", path, NULL, &a);

    if (result == EXIT_OK)
        answer_print(&a);
    answer_end(&a);
    return result;
}

int host_panic(const struct call *call)
{
    return print_text("/v1/host/panic");
}

int metrics_show(const struct call *call)
{
    return print_text("/metrics");
}

/* Reboot or shutdown. */
static int end_host(const struct call *call, const char *path)
{
    unsigned long grace = 0;
    int result = call_number(call, "grace-ms", 0, 3600000, &grace);
    cJSON *body = NULL;
    struct answer a;

    if (result != EXIT_OK)
        return result;
    if (call_value(call, "grace-ms")) {
        body = cJSON_CreateObject();
        cJSON_AddNumberToObject(body, "grace_ms", (double)grace);
    }
    result = api_call("POST", path, body, &a);
    if (result == EXIT_OK && call->json)
        answer_print(&a);
    answer_end(&a);
    cJSON_Delete(body);
    return result;
}

int host_reboot(const struct call *call)
{
    return end_host(call, "/v1/host/reboot");
}

int host_shutdown(const struct call *call)
{
    return end_host(call, "/v1/host/shutdown");
}

static void print_disks(const cJSON *list)
{
    char size[TEXT_MAX], used[TEXT_MAX], capacity[TEXT_MAX];
    const cJSON *disk;
    struct table t;

    table_begin(&t, "ID\t*STATE\t>SIZE\t>USED\t>CAPACITY\t>VOLUMES\tSERIAL\tCONTENT");
    cJSON_ArrayForEach(disk, value_at(list, "items"))
    {
        table_add(&t, "%s\t%s\t%s\t%s\t%s\t%.0f\t%s\t%s", value_text(disk, "id", "?"),
                  value_text(disk, "state", "?"), size_text(value_number(disk, "size_bytes"), size),
                  size_text(value_number(disk, "used_bytes"), used),
                  size_text(value_number(disk, "capacity_bytes"), capacity),
                  value_number(disk, "volumes"), value_text(disk, "serial", ""),
                  value_text(disk, "content", "-"));
    }
    table_end(&t);
}

int disk_list(const struct call *call)
{
    return api_show(call, "/v1/disks", print_disks);
}

static int confirm_format(const struct call *call, const char *id)
{
    char *question;
    bool yes;

    if (call_value(call, "yes"))
        return EXIT_OK;
    if (!prompt_possible())
        return fail(EXIT_USAGE,
                    "nobody can be asked whether all data on disk %s may be lost: say --yes", id);
    question = text_format("All data on disk %s will be lost. Format it?", id);
    yes = prompt_yes(question);
    free(question);
    return yes ? EXIT_OK : fail(EXIT_NO, "disk %s stays as it is", id);
}

int disk_format(const struct call *call)
{
    char *path = api_path("disks", call->operands[0], "");
    int result = confirm_format(call, call->operands[0]);
    struct answer a = {.json = NULL};
    cJSON *body = cJSON_CreateObject();

    cJSON_AddTrueToObject(body, "format");
    if (call_value(call, "force"))
        cJSON_AddTrueToObject(body, "force");
    if (result == EXIT_OK)
        result = api_call("PUT", path, body, &a);
    if (result == EXIT_OK && call->json)
        answer_print(&a);
    answer_end(&a);
    cJSON_Delete(body);
    free(path);
    return result;
}
