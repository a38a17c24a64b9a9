/* events.c - what changes, as it does: Skep's stream of server-sent events. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "commands.h"
#include "interrupt.h"

#define ID_MAX 64

struct events {
    bool json;
    unsigned long left; /* events that are wanted still; 0 = all there are */
    char last[ID_MAX];  /* the id that the stream has come to */
};

/* "a=1 b=text", of the members that are no objects. */
static void print_change(const cJSON *change)
{
    const cJSON *one;

    cJSON_ArrayForEach(one, change)
    {
        char *value =
            cJSON_IsString(one) ? text_copy(one->valuestring) : cJSON_PrintUnformatted(one);
        printf(" %s=%s", one->string, value ? text_clean(value, 0) : "?");
        free(value);
    }
}

/* Its texts come from Skep, and may be anything. */
static void print_event(const cJSON *event)
{
    char moment[32], *head;

    head = text_format("%s  %s %s  %s", moment_text(event, "time", moment),
                       value_text(event, "kind", "?"), value_text(event, "name", "-"),
                       value_text(event, "type", "?"));
    fputs(text_clean(head, 0), stdout);
    free(head);
    print_change(value_at(event, "change"));
    if (value_at(event, "caller")) {
        head = text_copy(value_text(event, "caller", "?"));
        printf("  (%s)", text_clean(head, 0));
        free(head);
    }
    putchar('\n');
}

/* Of the fields that a line may have, the id and the data count: data has its type, too, and is one line. */
static bool take_line(void *arg, const char *line)
{
    struct events *e = arg;
    cJSON *event;

    if (strncmp(line, "id: ", 4) == 0)
        snprintf(e->last, sizeof(e->last), "%s", line + 4);
    if (strncmp(line, "data: ", 6) != 0)
        return true;
    event = cJSON_Parse(line + 6);
    if (e->json)
        puts(line + 6);
    else if (event)
        print_event(event);
    cJSON_Delete(event);
    return e->left == 0 || --e->left > 0;
}

/* The path with what options say. The caller frees it. */
static char *make_path(const struct call *call)
{
    static const char *const names[] = {"kind", "name", "prefix", "after"};
    char *path = text_copy("/v1/events");
    const char *separator = "?";

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const char *value = call_value(call, names[i]);
        char *escaped = value ? http_escape(value) : NULL;
        if (!escaped)
            continue;
        path = text_extend(path, "%s%s=%s", separator, names[i], escaped);
        separator = "&";
        free(escaped);
    }
    return path;
}

int events_show(const struct call *call)
{
    struct events events = {.json = call->json};
    int result = call_number(call, "count", 1, 1000000000, &events.left);
    unsigned long wanted = events.left;
    struct answer a = {.json = NULL};
    char *path;

    if (result != EXIT_OK)
        return result;
    interrupt_catch();
    path = make_path(call);
    struct http_request request = {
        .method = "GET", .path = path, .line = take_line, .line_arg = &events, .endless = true};
    result = api_transfer(&request, &a);
    if (result == EXIT_OK && !interrupt_came() && (wanted == 0 || events.left > 0))
        result = fail(EXIT_CONNECTION, "Skep ended the stream; go on with --after %s", events.last);
    answer_end(&a);
    free(path);
    return result;
}
