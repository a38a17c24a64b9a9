/* api.c - calls of the API. */
#include "api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "interrupt.h"

static int receive(const struct http_request *request, struct answer *a)
{
    int result;

    a->json = NULL;
    result = http_send(request, &a->http);
    if (a->http.body)
        a->json = cJSON_Parse(a->http.body);
    return result;
}

static int try(const char *method, const char *path, const cJSON *body, const char *const *fields,
               struct answer *a)
{
    char *text = body ? cJSON_PrintUnformatted(body) : NULL;
    struct http_request request = {.method = method, .path = path, .json = text, .fields = fields};
    int result = receive(&request, a);

    free(text);
    return result;
}

int api_try(const char *method, const char *path, const cJSON *body, struct answer *a)
{
    return try(method, path, body, NULL, a);
}

int api_check(const struct answer *a)
{
    const char *detail = value_text(a->json, "detail", NULL);
    enum exit_code code = a->http.status >= 500 ? EXIT_SERVER : EXIT_REFUSED;

    if (a->http.status < 400 && a->http.status >= 200)
        return EXIT_OK;
    if (detail)
        return fail(code, "%s", detail);
    return fail(a->http.status < 400 ? EXIT_SERVER : code,
                "the answer is status %ld, and tells no reason", a->http.status);
}

int api_call(const char *method, const char *path, const cJSON *body, struct answer *a)
{
    int result = api_try(method, path, body, a);
    return result == EXIT_OK ? api_check(a) : result;
}

int api_get(const char *path, struct answer *a)
{
    int result = api_call("GET", path, NULL, a);

    if (result == EXIT_OK && !a->json)
        result = fail(EXIT_SERVER, "the answer to %s is no JSON: is this a Skep?", path);
    return result;
}

int api_look(const char *path, struct answer *a, bool *there)
{
    int result = api_try("GET", path, NULL, a);

    *there = result == EXIT_OK && a->http.status == 200;
    return result == EXIT_OK && a->http.status != 404 ? api_check(a) : result;
}

int api_create(const char *path, const cJSON *body, const char *taken, struct answer *a)
{
    static const char *const fields[] = {"If-None-Match: *", NULL};
    int result = try("PUT", path, body, fields, a);

    if (result == EXIT_OK && a->http.status == 412)
        return fail(EXIT_NO, "%s", taken);
    return result == EXIT_OK ? api_check(a) : result;
}

int api_patch(const char *kind, const char *name, const cJSON *patch, struct answer *a)
{
    char *path = api_path(kind, name, "");
    int result = api_call("PATCH", path, patch, a);

    free(path);
    return result;
}

int api_set(const struct call *call, const char *kind, const char *name, const cJSON *patch)
{
    struct answer a;
    int result = api_patch(kind, name, patch, &a);

    if (result == EXIT_OK && call->json)
        answer_print(&a);
    else if (result == EXIT_OK)
        printf("%.*s %s: %s\n", (int)strlen(kind) - 1, kind, name,
               value_text(a.json, "change", "?"));
    answer_end(&a);
    return result;
}

int api_transfer(const struct http_request *request, struct answer *a)
{
    int result = receive(request, a);
    /* What was broken off before its answer began has no status. */
    return result == EXIT_OK && (a->http.status || !interrupt_came()) ? api_check(a) : result;
}

void answer_end(struct answer *a)
{
    http_answer_end(&a->http);
    cJSON_Delete(a->json);
    a->json = NULL;
}

char *api_path(const char *kind, const char *name, const char *rest)
{
    char *escaped = http_escape(name);
    char *path = text_format("/v1/%s/%s%s", kind, escaped, rest);

    free(escaped);
    return path;
}

void answer_print(const struct answer *a)
{
    if (!a->http.body || a->http.bytes == 0)
        return;
    fwrite(a->http.body, 1, a->http.bytes, stdout);
    if (a->http.body[a->http.bytes - 1] != '\n')
        putchar('\n');
}

int api_show(const struct call *call, const char *path, void (*print)(const cJSON *json))
{
    struct answer a;
    int result = api_get(path, &a);

    if (result == EXIT_OK && call->json)
        answer_print(&a);
    else if (result == EXIT_OK)
        print(a.json);
    answer_end(&a);
    return result;
}

int api_show_labelled(const struct call *call, const char *path, void (*print)(const cJSON *json))
{
    char *whole = text_copy(path), *escaped;
    const char *label;
    int at = 0, result;

    while ((label = call_next(call, "label", &at)) != NULL) {
        escaped = http_escape(label);
        whole = text_extend(whole, "%clabel=%s", strchr(whole, '?') ? '&' : '?', escaped);
        free(escaped);
    }
    result = api_show(call, whole, print);
    free(whole);
    return result;
}

const cJSON *value_at(const cJSON *json, const char *path)
{
    char name[64];

    while (json && *path) {
        size_t bytes = strcspn(path, ".");
        snprintf(name, sizeof(name), "%.*s", (int)bytes, path);
        json = cJSON_GetObjectItemCaseSensitive(json, name);
        path += bytes + (path[bytes] == '.');
    }
    return cJSON_IsNull(json) ? NULL : json;
}

const char *value_text(const cJSON *json, const char *path, const char *otherwise)
{
    const cJSON *value = value_at(json, path);
    return cJSON_IsString(value) ? value->valuestring : otherwise;
}

const char *string_of(const cJSON *value)
{
    return cJSON_IsString(value) ? value->valuestring : "?";
}

double value_number(const cJSON *json, const char *path)
{
    const cJSON *value = value_at(json, path);
    return cJSON_IsNumber(value) ? value->valuedouble : 0;
}

const char *moment_text(const cJSON *json, const char *path, char text[32])
{
    const char *moment = value_text(json, path, "-");

    snprintf(text, 32, "%.19s", moment);
    if (strlen(text) > 10 && text[10] == 'T')
        text[10] = ' ';
    return text;
}

/* A string as it is. Returns what follows it. */
static const char *print_string(const char *at)
{
    const char *end = at + 1;

    while (*end && *end != '"')
        end += *end == '\\' && end[1] ? 2 : 1;
    end += *end == '"';
    printf("%.*s", (int)(end - at), at);
    return end;
}

static void print_line(int depth)
{
    printf("\n%*s", 2 * depth, "");
}

void json_print(const char *text)
{
    int depth = 0;

    while (*text) {
        char c = *text;
        if (c == '"') {
            text = print_string(text);
            continue;
        }
        text++;
        if (strchr(" \t\r\n", c))
            continue;
        if ((c == '}' || c == ']') && depth > 0)
            print_line(--depth);
        putchar(c);
        text += strspn(text, " \t\r\n");
        if ((c == '{' && *text == '}') || (c == '[' && *text == ']'))
            putchar(*text++);
        else if (c == '{' || c == '[')
            print_line(++depth);
        else if (c == ',')
            print_line(depth);
        else if (c == ':')
            putchar(' ');
    }
    putchar('\n');
}

void json_print_line(cJSON *json)
{
    char *text = cJSON_PrintUnformatted(json);

    puts(text ? text : "{}");
    free(text);
    cJSON_Delete(json);
}
