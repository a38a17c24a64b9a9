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

/* Whether a dry run of the change says that something would change; an exit code. */
static int foresee(const char *kind, const char *path, const cJSON *wanted, const cJSON *before,
                   bool *differs)
{
    char *dry = text_format("%s?dry_run=true", path);
    const char *name = wanted->string;
    struct answer a;
    int result = api_try("PUT", dry, wanted, &a);

    *differs = true;
    if (result == EXIT_OK && (a.http.status == 409 || a.http.status == 422))
        print_refusal(kind, name, &a);
    else if (result == EXIT_OK && (result = api_check(&a)) == EXIT_OK)
        *differs = strcmp(value_text(a.json, "change", "?"), "none") != 0;
    if (result == EXIT_OK && a.http.status == 200 && *differs) {
        const cJSON *was = value_at(before, "spec"), *is = value_at(a.json, "spec");
        if (print_changes(kind, name, was ? was : before, is ? is : a.json) == 0)
            printf("~ %s %s: what is secret in files\n", kind, name);
    }
    answer_end(&a);
    free(dry);
    return result;
}

/* The differences of one guest or volume, added to *count; an exit code. */
static int diff_one(const char *part, const cJSON *wanted, unsigned *count)
{
    const char *kind = strcmp(part, "guests") == 0 ? "guest" : "volume";
    char *path = api_path(part, wanted->string, "");
    bool there, differs = true;
    struct answer a;
    int result = api_look(path, &a, &there);

    if (result == EXIT_OK && !there)
        printf("+ %s %s\n", kind, wanted->string);
    else if (result == EXIT_OK)
        result = foresee(kind, path, wanted, a.json, &differs);
    *count += differs;
    answer_end(&a);
    free(path);
    return result;
}

static int diff_image(const struct document *d, const cJSON *image, unsigned *count)
{
    char digest[DIGEST_TEXT_MAX], *file = document_file(d, image),
                                  *path = api_path("images", image->string, "");
    struct answer a = {.json = NULL};
    bool there = false;
    int result = file_digest(file, digest);

    if (result == EXIT_OK)
        result = api_look(path, &a, &there);
    if (result == EXIT_OK && strcmp(value_text(a.json, "digest", ""), digest) != 0) {
        printf("%c image %s: %s\n", there ? '~' : '+', image->string, digest);
        ++*count;
    }
    answer_end(&a);
    free(path);
    free(file);
    return result;
}

int document_diff(const struct call *call)
{
    static const char *const parts[] = {"images", "volumes", "guests"};
    const char *path = call_value(call, "file");
    unsigned count = 0;
    struct document d;
    const cJSON *item;
    int result;

    if (!path)
        return fail(EXIT_USAGE, "say -f FILE, or -f - for standard input");
    result = document_read(&d, path);
    for (int i = 0; i < 3; i++)
        cJSON_ArrayForEach(item, document_part(&d, parts[i]))
        {
            if (result == EXIT_OK)
                result = i == 0 ? diff_image(&d, item, &count) : diff_one(parts[i], item, &count);
        }
    document_end(&d);
    return result != EXIT_OK ? result : count ? EXIT_NO : EXIT_OK;
}
