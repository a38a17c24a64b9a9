/* run.c - run: an image or file becomes a guest, and what becomes of that is told. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "guest.h"
#include "image.h"
#include "interrupt.h"
#include "spec.h"

#define UP_SECONDS 60
#define SETTLE_MS  1000 /* a guest that ends within its first second didn't come up */
#define LOG_SHOWN  2048 /* bytes of its end */

/*
 * What becomes of it
 */

/* Whether there is a crash that wasn't there before the guest was replaced. */
static bool has_crashed(const cJSON *status, const double *old_crash)
{
    return value_at(status, "crash") && value_number(status, "crash.id") != *old_crash;
}

/* Up, or over: it has all its addresses, or it ended at least once. */
static bool came_up_or_ended(const cJSON *status, void *arg)
{
    const double *old_crash = arg;
    const char *state = value_text(status, "state", "");
    const cJSON *addresses = value_at(status, "addresses"),
                *networks = value_at(status, "networks");

    if (guest_has_ended(state) || has_crashed(status, old_crash) ||
        value_number(status, "restarts") > 0)
        return strcmp(state, "dying") != 0;
    return strcmp(state, "running") == 0 &&
           cJSON_GetArraySize(addresses) >= cJSON_GetArraySize(networks);
}

static bool has_ended(const cJSON *status, void *arg)
{
    return guest_has_ended(value_text(status, "state", ""));
}

/* The end of what it printed. */
static void show_log(const char *name, const cJSON *status)
{
    double end = value_number(status, "log_end"), first = value_number(status, "log_first");
    double from = end - first > LOG_SHOWN ? end - LOG_SHOWN : first;

    if (end > from)
        (void)guest_log(name, (uint64_t)from, false);
}

/* Tells how a guest ended; EXIT_OK for exit code 0. The log is shown unless it was followed. */
static int explain_end(const char *name, const cJSON *status, bool with_log)
{
    const cJSON *code = value_at(status, "exit_code"), *crash = value_at(status, "crash");

    if (with_log)
        show_log(name, status);
    if (crash)
        crash_explain(crash);
    if (crash && strcmp(value_text(status, "state", ""), "exited") != 0)
        return fail(EXIT_NO, "guest %s crashed: %s", name, value_text(crash, "reason", "?"));
    if (!code)
        return fail(EXIT_NO, "guest %s is %s", name, value_text(status, "state", "?"));
    if (value_number(status, "exit_code") != 0)
        return fail(EXIT_NO, "guest %s exited with code %.0f", name,
                    value_number(status, "exit_code"));
    note("guest %s exited with code 0", name);
    return EXIT_OK;
}

static void tell_where(const char *name, const cJSON *status)
{
    const cJSON *address;

    printf("guest %s is running", name);
    cJSON_ArrayForEach(address, value_at(status, "addresses"))
    {
        printf("%s%s", address == value_at(status, "addresses")->child ? " at " : ", ",
               string_of(address));
    }
    putchar('\n');
}

/* Whether it still runs after its first moments; the answer tells. */
static int settle(const char *name, double *old_crash, struct answer *a)
{
    unsigned left = SETTLE_MS / 100;
    int result = EXIT_OK;

    while (left-- > 0 && result == EXIT_OK && a->json &&
           strcmp(value_text(a->json, "status.state", ""), "running") == 0 &&
           interrupt_sleep(100)) {
        answer_end(a);
        result = guest_wait(name, came_up_or_ended, old_crash, UP_SECONDS, a);
    }
    return result;
}

/* Waits until it is up, or has ended, and tells that. */
static int watch(const struct call *call, const char *name, double old_crash)
{
    struct answer a;
    const cJSON *status;
    int result = guest_wait(name, came_up_or_ended, &old_crash, UP_SECONDS, &a);

    if (result == EXIT_OK)
        result = settle(name, &old_crash, &a);
    status = value_at(a.json, "status");
    if (result == EXIT_OK && a.http.status == 404)
        result = fail(EXIT_NO, "guest %s was deleted meanwhile", name);
    else if (result == EXIT_OK && strcmp(value_text(status, "state", ""), "running") == 0 &&
             !has_crashed(status, &old_crash))
        call->json ? answer_print(&a) : tell_where(name, status);
    else if (result == EXIT_OK)
        result = explain_end(name, status, true);
    answer_end(&a);
    return result;
}

/* Shows what it prints until it ends. */
static int follow(const char *name)
{
    struct answer a = {.json = NULL};
    int result;

    interrupt_catch();
    result = guest_log(name, UINT64_MAX, true);
    if (result == EXIT_OK && !interrupt_came())
        result = guest_wait(name, has_ended, NULL, UP_SECONDS, &a);
    if (result == EXIT_OK && a.json)
        result = explain_end(name, value_at(a.json, "status"), false);
    answer_end(&a);
    return result;
}

static char *taken(const char *name)
{
    return text_format("there is a guest '%s': take another --name, or --replace it", name);
}

/* A guest of this name that is there stays as it is, unless it is to be replaced. */
static int check_free(const struct call *call, const char *path, const char *name,
                      double *old_crash)
{
    struct answer a;
    bool there;
    int result = api_look(path, &a, &there);

    *old_crash = value_number(a.json, "status.crash.id");
    if (result == EXIT_OK && there && !call_value(call, "replace")) {
        char *text = taken(name);
        result = fail(EXIT_NO, "%s", text);
        free(text);
    }
    answer_end(&a);
    return result;
}

/* Pushes the file if there is one, and creates the guest: one that has come meanwhile isn't replaced, either. */
static int create(const struct call *call, const char *path, const char *name, const char *image,
                  const cJSON *spec)
{
    char *text = taken(name);
    struct answer a = {.json = NULL};
    bool sent = false;
    int result = EXIT_OK;

    if (image_is_file(call->operands[0]))
        result = image_send(call->operands[0], image, false, &sent);
    if (result == EXIT_OK && sent)
        note("image %s: pushed", image);
    if (result == EXIT_OK)
        result = call_value(call, "replace") ? api_call("PUT", path, spec, &a)
                                             : api_create(path, spec, text, &a);
    answer_end(&a);
    free(text);
    return result;
}

int guest_run(const struct call *call)
{
    const char *what = call->operands[0], *given = call_value(call, "name");
    char *image = image_is_file(what) ? image_name_of(what) : text_copy(what);
    const char *name = given ? given : image;
    char *path = api_path("guests", name, "");
    cJSON *spec = cJSON_CreateObject();
    double old_crash = 0;
    int result = spec_make(call, image, spec);

    if (result == EXIT_OK)
        result = check_free(call, path, name, &old_crash);
    if (result == EXIT_OK)
        result = create(call, path, name, image, spec);
    if (result == EXIT_OK && call_value(call, "follow"))
        result = follow(name);
    else if (result == EXIT_OK && !call_value(call, "no-wait"))
        result = watch(call, name, old_crash);
    cJSON_Delete(spec);
    free(path);
    free(image);
    return result;
}
