/* problem.c - problem documents. */
#include "problem.h"

#include <stdarg.h>
#include <stdio.h>

#include <cJSON.h>

#include "http.h"
#include "json.h"

int problem_set(struct problem *p, int status, const char *format, ...)
{
    va_list args;

    p->status = status;
    va_start(args, format);
    vsnprintf(p->detail, sizeof(p->detail), format, args);
    va_end(args);
    json_clean_text(p->detail);
    return -1;
}

char *problem_text(const struct problem *p)
{
    cJSON *doc = cJSON_CreateObject();
    char *text;

    cJSON_AddStringToObject(doc, "type", "about:blank");
    cJSON_AddStringToObject(doc, "title", http_status_text(p->status));
    cJSON_AddNumberToObject(doc, "status", p->status);
    cJSON_AddStringToObject(doc, "detail", p->detail);
    if (p->has_oldest)
        json_add_integer(doc, "oldest_offset", p->oldest_offset);
    text = cJSON_PrintUnformatted(doc);
    cJSON_Delete(doc);
    return text;
}
