/* image.c - images: push, ls, rm. */
#include "image.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "commands.h"
#include "label.h"
#include "table.h"

bool image_is_file(const char *text)
{
    size_t bytes = strlen(text);
    return strchr(text, '/') || (bytes > 4 && strcmp(text + bytes - 4, ".elf") == 0);
}

char *image_name_of(const char *file)
{
    const char *base = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;
    size_t bytes = strlen(base);
    char *name;

    if (bytes > 4 && strcmp(base + bytes - 4, ".elf") == 0)
        bytes -= 4;
    name = text_format("%.*s", (int)bytes, base);
    for (char *at = name; *at; at++)
        *at = isalnum((unsigned char)*at) ? (char)tolower((unsigned char)*at) : '-';
    return name;
}

/* Whether it is there by digest, *there; an exit code. */
static int look_for(const char *path, const char *digest, bool *there)
{
    struct answer a;
    int result = api_look(path, &a, there);

    *there = *there && strcmp(value_text(a.json, "digest", ""), digest) == 0;
    answer_end(&a);
    return result;
}

static int upload(const char *path, const char *file, const char *name, bool json)
{
    struct answer a = {.json = NULL};
    struct stream from;
    char *what = text_format("pushing %s", name);
    int result = stream_read(&from, file);

    if (result == EXIT_OK) {
        struct http_request request = {
            .method = "PUT", .path = path, .from = &from, .progress = what};
        result = api_transfer(&request, &a);
        stream_end(&from, true);
    }
    if (result == EXIT_OK && json)
        answer_print(&a);
    answer_end(&a);
    free(what);
    return result;
}

int image_send(const char *file, const char *name, bool json, bool *sent)
{
    char digest[DIGEST_TEXT_MAX], *path = api_path("images", name, "");
    int result = file_digest(file, digest);
    bool there = false;

    if (result == EXIT_OK)
        result = look_for(path, digest, &there);
    *sent = result == EXIT_OK && !there;
    if (*sent)
        result = upload(path, file, name, json);
    free(path);
    return result;
}

int image_push(const struct call *call)
{
    const char *file = call->operands[0];
    char *name = call->operand_count > 1 ? text_copy(call->operands[1]) : image_name_of(file);
    cJSON *labels = cJSON_CreateObject();
    bool sent;
    int result = labels_add(call, labels);

    if (result == EXIT_OK)
        result = image_send(file, name, call->json && !labels->child, &sent);
    if (result == EXIT_OK && !call->json)
        printf("image %s: %s\n", name, sent ? "pushed" : "was there already");
    if (result == EXIT_OK && labels->child)
        result = api_set(call, "images", name, labels);
    cJSON_Delete(labels);
    free(name);
    return result;
}

static void print_images(const cJSON *list)
{
    char size[TEXT_MAX], moment[32];
    const cJSON *image;
    struct table t;

    table_begin(&t, "NAME\t>SIZE\tUPLOADED\tDIGEST");
    cJSON_ArrayForEach(image, value_at(list, "items"))
    {
        table_add(&t, "%s\t%s\t%s\t%.19s…", value_text(image, "name", "?"),
                  size_text(value_number(image, "size"), size),
                  moment_text(image, "uploaded_at", moment), value_text(image, "digest", "?"));
    }
    table_end(&t);
}

int image_list(const struct call *call)
{
    return api_show_labelled(call, "/v1/images", print_images);
}

int image_remove(const struct call *call)
{
    return each_delete(call, "images");
}
