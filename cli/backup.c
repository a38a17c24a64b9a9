/* backup.c - the configuration in one sealed file, out and in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "commands.h"
#include "prompt.h"

#define PASSPHRASE_MAX 260 /* the API takes 256 characters */

/* By file, or asked for; twice when a slip would make the file useless. */
static int read_passphrase(const struct call *call, bool twice, char words[PASSPHRASE_MAX])
{
    const char *file = call_value(call, "passphrase-file");
    char again[PASSPHRASE_MAX];
    int result;

    if (file)
        return secret_from_file(file, words, PASSPHRASE_MAX);
    result = prompt_secret("Passphrase", words, PASSPHRASE_MAX);
    if (result == EXIT_OK && twice) {
        result = prompt_secret("Again", again, sizeof(again));
        if (result == EXIT_OK && strcmp(words, again) != 0)
            result = fail(EXIT_NO, "these were not the same");
        secret_forget(again, sizeof(again));
    }
    return result;
}

/* The field with the passphrase. */
static int read_field(const struct call *call, bool twice, char field[PASSPHRASE_MAX + 32])
{
    char words[PASSPHRASE_MAX] = "";
    int result = read_passphrase(call, twice, words);

    snprintf(field, PASSPHRASE_MAX + 32, "Skep-Passphrase: %s", words);
    secret_forget(words, sizeof(words));
    return result;
}

int backup_save(const struct call *call)
{
    const char *path = call_value(call, "images") ? "/v1/backup?images=true" : "/v1/backup";
    char field[PASSPHRASE_MAX + 32];
    const char *const fields[] = {field, NULL};
    struct answer a = {.json = NULL};
    struct stream to;
    int result = read_field(call, true, field), end;

    if (result == EXIT_OK)
        result = stream_write(&to, call->operands[0]);
    if (result == EXIT_OK) {
        struct http_request request = {
            .method = "GET", .path = path, .to = &to, .fields = fields, .progress = "saving"};
        result = api_transfer(&request, &a);
        end = stream_end(&to, result == EXIT_OK);
        result = result == EXIT_OK ? end : result;
    }
    secret_forget(field, sizeof(field));
    answer_end(&a);
    return result;
}

static void print_missing(const cJSON *restored, const char *kind)
{
    const cJSON *list = value_at(value_at(restored, "missing"), kind), *one;

    cJSON_ArrayForEach(one, list)
    {
        printf("missing from %s: %s %s\n", kind, value_text(one, "name", "?"),
               value_text(one, "why", value_text(one, "digest", "")));
    }
}

static void print_restored(const cJSON *restored)
{
    const cJSON *volume;

    printf("%.0f guests, restored %s; the identity is %s; the machine is %s\n",
           value_number(restored, "guests"), value_text(restored, "restored", "?"),
           value_text(restored, "identity", "?"), value_text(restored, "power", "?"));
    cJSON_ArrayForEach(volume, value_at(restored, "made_volumes"))
        printf("made empty: volume %s\n", string_of(volume));
    print_missing(restored, "images");
    print_missing(restored, "volumes");
}

int backup_restore(const struct call *call)
{
    char field[PASSPHRASE_MAX + 32];
    const char *const fields[] = {field, NULL};
    char *path = text_format("/v1/backup?replace=%s&identity=%s",
                             call_value(call, "replace") ? "true" : "false",
                             call_value(call, "identity") ? "true" : "false");
    struct answer a = {.json = NULL};
    struct stream from;
    int result = read_field(call, false, field);

    if (result == EXIT_OK)
        result = stream_read(&from, call->operands[0]);
    if (result == EXIT_OK) {
        struct http_request request = {.method = "PUT",
                                       .path = path,
                                       .from = &from,
                                       .fields = fields,
                                       .progress = "restoring"};
        result = api_transfer(&request, &a);
        stream_end(&from, true);
    }
    if (result == EXIT_OK && call->json)
        answer_print(&a);
    else if (result == EXIT_OK)
        print_restored(a.json);
    secret_forget(field, sizeof(field));
    answer_end(&a);
    free(path);
    return result;
}
