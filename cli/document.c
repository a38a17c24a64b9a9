/* document.c - reads documents, and applies them. */
#include "document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "commands.h"
#include "image.h"

const char *const document_parts[DOCUMENT_PARTS] = {"images", "volumes", "guests", "apps"};

static int line_of(const char *text, const char *place)
{
    int line = 1;

    for (; text < place && *text; text++)
        line += *text == '\n';
    return line;
}

/* Objects of objects, but images, which are files. */
static int check_part(const cJSON *part, const char *path)
{
    bool images = strcmp(part->string, "images") == 0;
    const cJSON *item;
    size_t i = 0;

    while (i < DOCUMENT_PARTS && strcmp(document_parts[i], part->string) != 0)
        i++;
    if (i == DOCUMENT_PARTS)
        return fail(EXIT_USAGE,
                    "%s: '%s' is no known part; there are images, volumes, guests, apps", path,
                    part->string);
    if (!cJSON_IsObject(part))
        return fail(EXIT_USAGE, "%s: %s must be an object", path, part->string);
    cJSON_ArrayForEach(item, part)
    {
        if (images ? !cJSON_IsString(item) : !cJSON_IsObject(item))
            return fail(EXIT_USAGE, "%s: %s.%s must be %s", path, part->string, item->string,
                        images ? "a file's name" : "an object");
        if (cJSON_GetObjectItemCaseSensitive(part, item->string) != item)
            return fail(EXIT_USAGE, "%s: %s.%s is there twice", path, part->string, item->string);
    }
    return EXIT_OK;
}

static int check_document(const cJSON *json, const char *path)
{
    const cJSON *part;
    int result = EXIT_OK;

    if (!cJSON_IsObject(json))
        return fail(EXIT_USAGE, "%s: must be a JSON object", path);
    cJSON_ArrayForEach(part, json)
    {
        result = check_part(part, path);
        if (result != EXIT_OK)
            break;
    }
    return result;
}

int document_read(struct document *d, const char *path)
{
    const char *slash = strrchr(path, '/'), *end = NULL;
    char *text;
    int result;

    d->json = NULL;
    d->folder = slash ? text_format("%.*s", (int)(slash - path + 1), path) : text_copy("");
    text = file_text(path);
    if (!text)
        return EXIT_LOCAL;
    d->json = cJSON_ParseWithOpts(text, &end, true);
    result = d->json ? check_document(d->json, path)
                     : fail(EXIT_USAGE, "%s: is no JSON, at line %d", path, line_of(text, end));
    free(text);
    return result;
}

void document_end(struct document *d)
{
    cJSON_Delete(d->json);
    free(d->folder);
}

const cJSON *document_part(const struct document *d, const char *part)
{
    return cJSON_GetObjectItemCaseSensitive(d->json, part);
}

char *document_file(const struct document *d, const cJSON *image)
{
    const char *file = image->valuestring;
    return text_format("%s%s", *file == '/' ? "" : d->folder, file);
}

/*
 * apply
 */

static int apply_image(const struct call *call, const struct document *d, const cJSON *image)
{
    char *file = document_file(d, image);
    bool sent;
    int result = image_send(file, image->string, call->json, &sent);

    if (result == EXIT_OK && !call->json)
        printf("image %s: %s\n", image->string, sent ? "pushed" : "none");
    free(file);
    return result;
}

static int apply_one(const struct call *call, const char *part, const cJSON *wanted)
{
    char *path = api_path(part, wanted->string, "");
    struct answer a;
    int result = api_call("PUT", path, wanted, &a);

    if (result == EXIT_OK && call->json)
        answer_print(&a);
    else if (result == EXIT_OK)
        printf("%.*s %s: %s\n", DOCUMENT_KIND(part), wanted->string,
               value_text(a.json, "change", "?"));
    if (result == EXIT_OK && !call->json && a.http.status == 202)
        printf("%.*s %s: not all is done yet: %s\n", DOCUMENT_KIND(part), wanted->string,
               value_text(a.json, "status.error", "guests take their time to end"));
    answer_end(&a);
    free(path);
    return result;
}

/* In this order, so that what guests name is there. Ends at the first that is refused. */
int document_apply(const struct call *call)
{
    const char *path = call_value(call, "file");
    struct document d;
    const cJSON *item;
    int result;

    if (!path)
        return fail(EXIT_USAGE, "say -f FILE, or -f - for standard input");
    result = document_read(&d, path);
    for (size_t i = 0; i < DOCUMENT_PARTS; i++)
        cJSON_ArrayForEach(item, document_part(&d, document_parts[i]))
        {
            if (result == EXIT_OK)
                result =
                    i == 0 ? apply_image(call, &d, item) : apply_one(call, document_parts[i], item);
            if (result != EXIT_OK)
                break;
        }
    document_end(&d);
    return result;
}
