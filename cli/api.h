/* api.h - calls of the API: JSON in, JSON out, and problems told as the API tells them. */
#ifndef CLI_API_H
#define CLI_API_H

#include <cJSON.h>

#include "call.h"
#include "http.h"

struct answer {
    struct http_answer http;
    cJSON *json; /* NULL if the answer has none */
};

/* Sends, and reads the answer's JSON. Statuses of 400 and more are for the caller to look at. */
int api_try(const char *method, const char *path, const cJSON *body, struct answer *a);

/* The same, and a problem is told and has its exit code. The answer has to be ended in any case. */
int api_call(const char *method, const char *path, const cJSON *body, struct answer *a);
int api_get(const char *path, struct answer *a);

/* GETs what may not be there: EXIT_OK, and *there or not. */
int api_look(const char *path, struct answer *a, bool *there);

/* PUTs what must not be there yet: EXIT_NO, with these words told, if it is. */
int api_create(const char *path, const cJSON *body, const char *taken, struct answer *a);

/* PATCHes the guest, volume or image (kind: "guests", "volumes", "images") of this name. */
int api_patch(const char *kind, const char *name, const cJSON *patch, struct answer *a);

/* The same, and tells what came of it. */
int api_set(const struct call *call, const char *kind, const char *name, const cJSON *patch);

void answer_end(struct answer *a);

/* With streams and fields; problems as above. */
int api_transfer(const struct http_request *request, struct answer *a);

/* Tells the answer's problem, if it is one. */
int api_check(const struct answer *a);

/* "/v1/guests/NAME/log": of kind "guests", and rest "/log" or "". The caller frees it. */
char *api_path(const char *kind, const char *name, const char *rest);

/* The answer as it came, and a line's end. */
void answer_print(const struct answer *a);

/* What a GET answers, as it came for --json, else by print; an exit code. */
int api_show(const struct call *call, const char *path, void (*print)(const cJSON *json));

/* The same of a list, or of what of it has each --label. */
int api_show_labelled(const struct call *call, const char *path, void (*print)(const cJSON *json));

/* Members by path, "status.state": NULL, otherwise, or 0 if there is none, or null. */
const cJSON *value_at(const cJSON *json, const char *path);
const char *value_text(const cJSON *json, const char *path, const char *otherwise);
const char *string_of(const cJSON *value); /* "?" if it is none */
double value_number(const cJSON *json, const char *path);

/* "2025-01-31 09:14:10": the API's moment without fractions, "-" for none. */
const char *moment_text(const cJSON *json, const char *path, char text[32]);

/* Indents JSON and leaves its values as they are: numbers beyond a double's precision, too. */
void json_print(const char *text);

/* JSON of our own, in one line; it is deleted. */
void json_print_line(cJSON *json);

#endif
