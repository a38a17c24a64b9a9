/*
 * diff.c - what applying a document would change.
 *
 * Skep itself is asked, by a dry run: it knows its defaults, what counts as the same, and contents of secrets.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "commands.h"
#include "document.h"
#include "stream.h"

static void print_change(const char *kind, const char *name, const cJSON *from, const cJSON *to)
{
    char *before = cJSON_PrintUnformatted(from), *after = cJSON_PrintUnformatted(to);

    printf("~ %s %s: %s %s -> %s\n", kind, name, to->string, before ? before : "nothing", after);
    free(before);
    free(after);
}

/* What differs of two objects, but for what isn't wished; how much it is. */
static unsigned print_changes(const char *kind, const char *name, const cJSON *before,
                              const cJSON *after)
{
    const cJSON *field, *former;
    unsigned count = 0;

    cJSON_ArrayForEach(field, after)
    {
        if (!field->string || strcmp(field->string, "status") == 0 ||
            strcmp(field->string, "change") == 0)
            continue;
        former = cJSON_GetObjectItemCaseSensitive(before, field->string);
        if (cJSON_Compare(former, field, true))
            continue;
        print_change(kind, name, former, field);
        count++;
    }
    return count;
}

/* By what there is now: what the document makes before may change that. */
static void print_refusal(const char *kind, const char *name, const struct answer *a)
{
    char *detail = text_clean(text_copy(value_text(a->json, "detail", "?")), 0);

    printf("! %s %s: as things are, this is refused: %s\n", kind, name, detail);
    free(detail);
}

/* What becomes of an app's members; how many of them change. */
static unsigned print_members(const char *name, const cJSON *changes)
{
    const cJSON *part, *member;
    unsigned count = 0;

    cJSON_ArrayForEach(part, changes) cJSON_ArrayForEach(member, part)
    {
        if (strcmp(cJSON_GetStringValue(member), "none") == 0)
            continue;
        printf("~ app %s: %.*s %s %s\n", name, DOCUMENT_KIND(part->string), member->string,
               member->valuestring);
        count++;
    }
    return count;
}

static void print_differences(const char *kind, const char *name, const cJSON *before,
                              const cJSON *after)
{
    const cJSON *was = value_at(before, "spec"), *is = value_at(after, "spec"),
                *changes = value_at(after, "changes");

    if (changes ? print_members(name, changes) > 0
                : print_changes(kind, name, was ? was : before, is ? is : after) > 0)
        return;
    printf("~ %s %s: %s\n", kind, name,
           changes ? "labels, what it keeps, or what it hasn't finished"
                   : "what is secret in files");
}

/* Asks for a dry run. Whether it is refused by what there is, or says that something would change; an exit code. */
static int foresee(const char *path, const cJSON *wanted, struct answer *a, bool *refused,
                   bool *differs)
{
    char *dry = text_format("%s?dry_run=true", path);
    int result = api_try("PUT", dry, wanted, a);

    *refused = result == EXIT_OK && (a->http.status == 409 || a->http.status == 422);
    *differs = true;
    if (result == EXIT_OK && !*refused && (result = api_check(a)) == EXIT_OK)
        *differs = strcmp(value_text(a->json, "change", "?"), "none") != 0;
    free(dry);
    return result;
}

/* The differences of one guest, volume or app, added to *count; an exit code. */
static int diff_one(const struct call *call, const char *part, const cJSON *wanted, unsigned *count)
{
    char *kind = text_format("%.*s", DOCUMENT_KIND(part));
    char *path = api_path(part, wanted->string, "");
    bool there, refused = false, differs = true;
    struct answer a, dry = {.json = NULL};
    int result = api_look(path, &a, &there);

    if (result == EXIT_OK && (there || call->json))
        result = foresee(path, wanted, &dry, &refused, &differs);
    if (result == EXIT_OK && differs && call->json)
        answer_print(&dry);
    else if (result == EXIT_OK && !there)
        printf("+ %s %s\n", kind, wanted->string);
    else if (result == EXIT_OK && refused)
        print_refusal(kind, wanted->string, &dry);
    else if (result == EXIT_OK && differs)
        print_differences(kind, wanted->string, a.json, dry.json);
    *count += differs;
    answer_end(&dry);
    answer_end(&a);
    free(path);
    free(kind);
    return result;
}

static void print_image(const struct call *call, char mark, const char *name, const char *digest)
{
    cJSON *json;

    if (!call->json) {
        printf("%c image %s: %s\n", mark, name, digest);
        return;
    }
    json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "name", name);
    cJSON_AddStringToObject(json, "digest", digest);
    json_print_line(json);
}

static int diff_image(const struct call *call, const struct document *d, const cJSON *image,
                      unsigned *count)
{
    char digest[DIGEST_TEXT_MAX], *file = document_file(d, image),
                                  *path = api_path("images", image->string, "");
    struct answer a = {.json = NULL};
    bool there = false;
    int result = file_digest(file, digest);

    if (result == EXIT_OK)
        result = api_look(path, &a, &there);
    if (result == EXIT_OK && strcmp(value_text(a.json, "digest", ""), digest) != 0) {
        print_image(call, there ? '~' : '+', image->string, digest);
        ++*count;
    }
    answer_end(&a);
    free(path);
    free(file);
    return result;
}

int document_diff(const struct call *call)
{
    const char *path = call_value(call, "file");
    unsigned count = 0;
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
                result = i == 0 ? diff_image(call, &d, item, &count)
                                : diff_one(call, document_parts[i], item, &count);
        }
    document_end(&d);
    return result != EXIT_OK ? result : count ? EXIT_NO : EXIT_OK;
}
