/* volume.c - volumes: create, ls, rm, resize, snapshot, clone, copy, export, import. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "commands.h"
#include "label.h"
#include "operation.h"
#include "table.h"

#define BLOCK 4096u

static void print_volumes(const cJSON *list)
{
    char size[TEXT_MAX], allocated[TEXT_MAX], moment[32];
    const cJSON *volume;
    struct table t;

    table_begin(&t, "NAME\tKIND\t*STATE\t>SIZE\t>ALLOCATED\t>GUESTS\tDISK\tCOPY OF\tCREATED");
    cJSON_ArrayForEach(volume, value_at(list, "items"))
    {
        table_add(&t, "%s\t%s\t%s\t%s\t%s\t%.0f\t%s\t%s\t%s", value_text(volume, "name", "?"),
                  value_text(volume, "kind", "?"), value_text(volume, "status.state", "?"),
                  size_text(value_number(volume, "size_bytes"), size),
                  size_text(value_number(volume, "status.allocated_bytes"), allocated),
                  value_number(volume, "status.guests"), value_text(volume, "disk", "?"),
                  value_text(volume, "copy_of", "-"), moment_text(volume, "created_at", moment));
    }
    table_end(&t);
}

int volume_list(const struct call *call)
{
    return api_show_labelled(call, "/v1/volumes", print_volumes);
}

int volume_remove(const struct call *call)
{
    return each_delete(call, "volumes");
}

static int patch(const char *name, const cJSON *body, struct answer *a)
{
    return api_patch("volumes", name, body, a);
}

/* A new volume of this name must not be one that is there. */
static int create(const char *name, const cJSON *body, struct answer *a)
{
    char *path = api_path("volumes", name, ""),
         *taken = text_format("there is a volume '%s'", name);
    int result = api_create(path, body, taken, a);

    free(taken);
    free(path);
    return result;
}

/* Sends the body, which it deletes. */
static int send(const struct call *call, int (*act)(const char *, const cJSON *, struct answer *),
                const char *name, cJSON *body)
{
    struct answer a;
    int result = act(name, body, &a);

    if (result == EXIT_OK && call->json)
        answer_print(&a);
    answer_end(&a);
    cJSON_Delete(body);
    return result;
}

/* The options of limits, if there are any. */
static int add_limits(const struct call *call, cJSON *body)
{
    const char *rate = call_value(call, "bytes-per-second");
    unsigned long iops = 0;
    uint64_t bytes;
    cJSON *limits;

    if (call_number(call, "iops", 0, UINT32_MAX, &iops) != EXIT_OK ||
        (rate && size_read(rate, &bytes) != EXIT_OK))
        return EXIT_USAGE;
    if (!rate && !call_value(call, "iops"))
        return EXIT_OK;
    limits = cJSON_AddObjectToObject(body, "limits");
    if (call_value(call, "iops"))
        cJSON_AddNumberToObject(limits, "iops", (double)iops);
    if (rate)
        cJSON_AddNumberToObject(limits, "bytes_per_second", (double)bytes);
    return EXIT_OK;
}

/* A body with what options say; NULL, with the reason told. */
static cJSON *with_options(const struct call *call)
{
    cJSON *body = cJSON_CreateObject();

    if (add_limits(call, body) != EXIT_OK || labels_add(call, body) != EXIT_OK) {
        cJSON_Delete(body);
        return NULL;
    }
    if (call_value(call, "disk"))
        cJSON_AddStringToObject(body, "disk", call_value(call, "disk"));
    if (call_value(call, "overcommit"))
        cJSON_AddTrueToObject(body, "overcommit");
    return body;
}

/* The same, and this size. */
static cJSON *sized(const struct call *call, const char *size)
{
    uint64_t bytes = 0;
    cJSON *body = size_read(size, &bytes) == EXIT_OK ? with_options(call) : NULL;

    if (body)
        cJSON_AddNumberToObject(body, "size_bytes", (double)bytes);
    return body;
}

int volume_create(const struct call *call)
{
    cJSON *body = sized(call, call->operands[1]);
    return body ? send(call, create, call->operands[0], body) : EXIT_USAGE;
}

int volume_resize(const struct call *call)
{
    cJSON *body = sized(call, call->operands[1]);
    return body ? send(call, patch, call->operands[0], body) : EXIT_USAGE;
}

static int copy(const struct call *call, const char *field)
{
    cJSON *body = with_options(call);

    if (!body)
        return EXIT_USAGE;
    cJSON_AddStringToObject(body, field, call->operands[0]);
    return send(call, create, call->operands[1], body);
}

int volume_snapshot(const struct call *call)
{
    return copy(call, "snapshot_of");
}

int volume_clone(const struct call *call)
{
    return copy(call, "clone_of");
}

/*
 * Full copies
 */

/* Begins a copy with this body, and follows it. */
static int copy_in_full(const struct call *call, const char *name, const cJSON *body)
{
    char *what = text_format("copying to %s", name);
    struct answer a;
    int result = create(name, body, &a);

    if (result == EXIT_OK)
        result = operation_follow(call, value_text(a.json, "id", "?"), what);
    answer_end(&a);
    free(what);
    return result;
}

int volume_copy(const struct call *call)
{
    cJSON *body = with_options(call);
    int result;

    if (!body)
        return EXIT_USAGE;
    cJSON_AddStringToObject(body, "copy_of", call->operands[0]);
    result = copy_in_full(call, call->operands[1], body);
    cJSON_Delete(body);
    return result;
}

/*
 * Data
 */

/* What came or went must be what Skep says that it sent or got. */
static int check_digest(struct stream *s, const char *told)
{
    char digest[DIGEST_TEXT_MAX];

    stream_digest(s, digest);
    if (strcmp(digest, told) == 0)
        return EXIT_OK;
    return fail(EXIT_SERVER, "%s: the data have %s, and Skep says %s", s->path, digest,
                *told ? told : "nothing");
}

int volume_export(const struct call *call)
{
    char *path = api_path("volumes", call->operands[0], "/data");
    char *what = text_format("exporting %s", call->operands[0]);
    struct answer a = {.json = NULL};
    struct stream to;
    int result = stream_write(&to, call->operands[1]), end;

    if (result == EXIT_OK) {
        struct http_request request = {.method = "GET", .path = path, .to = &to, .progress = what};
        result = api_transfer(&request, &a);
        if (result == EXIT_OK)
            result = check_digest(&to, a.http.digest);
        end = stream_end(&to, result == EXIT_OK);
        result = result == EXIT_OK ? end : result;
    }
    answer_end(&a);
    free(what);
    free(path);
    return result;
}

static int send_data(const struct call *call, const char *name, struct stream *from)
{
    char *path = api_path("volumes", name, "/data"), *what = text_format("importing %s", name);
    struct http_request request = {.method = "PUT", .path = path, .from = from, .progress = what};
    struct answer a;
    int result = api_transfer(&request, &a);

    if (result == EXIT_OK)
        result = check_digest(from, value_text(a.json, "digest", ""));
    if (result == EXIT_OK && call->json)
        answer_print(&a);
    answer_end(&a);
    free(what);
    free(path);
    return result;
}

int volume_import(const struct call *call)
{
    const char *name = call->operands[0];
    struct stream from;
    int result = stream_read(&from, call->operands[1]);
    cJSON *body;

    if (result != EXIT_OK)
        return result;
    if (call_value(call, "create")) {
        if (from.bytes == 0 || from.bytes % BLOCK != 0) {
            result = fail(EXIT_LOCAL,
                          "%s: a volume has a multiple of %u bytes; truncate -s %%%u makes it one",
                          call->operands[1], BLOCK, BLOCK);
        } else {
            body = cJSON_CreateObject();
            cJSON_AddNumberToObject(body, "size_bytes", (double)from.bytes);
            result = send(call, create, name, body);
        }
    }
    if (result == EXIT_OK)
        result = send_data(call, name, &from);
    stream_end(&from, true);
    return result;
}
