/* power.c - what guests are wished to be: start, stop, pause, resume, restart, rm. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "guest.h"

#define WAIT_SECONDS     60
#define WAIT_SECONDS_MAX 86400

static unsigned long seconds_of(const struct call *call)
{
    unsigned long seconds = WAIT_SECONDS;

    /* Checked before the first guest was asked for anything. */
    (void)call_number(call, "timeout", 0, WAIT_SECONDS_MAX, &seconds);
    return seconds;
}

static int each_guest(const struct call *call,
                      int (*act)(const struct call *call, const char *name))
{
    unsigned long seconds;
    int result = call_number(call, "timeout", 0, WAIT_SECONDS_MAX, &seconds);

    return result == EXIT_OK ? each_operand(call, act) : result;
}

static int wish(const struct call *call, const char *name, const char *state)
{
    struct answer a;
    int result = guest_wish(name, state, &a);

    if (result == EXIT_OK && call->json)
        answer_print(&a);
    answer_end(&a);
    return result;
}

static bool is_over(const cJSON *status, void *arg)
{
    return guest_has_ended(value_text(status, "state", ""));
}

static bool is_gone(const cJSON *status, void *arg)
{
    return false; /* it isn't as long as there is a status */
}

static int wait_for(const struct call *call, const char *name, guest_condition *condition)
{
    struct answer a = {.json = NULL};
    int result = EXIT_OK;

    if (!call_value(call, "no-wait"))
        result = guest_wait(name, condition, NULL, seconds_of(call), &a);
    answer_end(&a);
    return result;
}

static int stop(const struct call *call, const char *name)
{
    int result = wish(call, name, "stopped");
    return result == EXIT_OK ? wait_for(call, name, is_over) : result;
}

/* Wished stopped and then running again, a guest gets a new run, whether it ran or had ended: after its grace. */
static int restart(const struct call *call, const char *name)
{
    struct answer a;
    int result = guest_wish(name, "stopped", &a);

    answer_end(&a);
    return result == EXIT_OK ? wish(call, name, "running") : result;
}

/* A guest that ended stays as it is while it is wished running all the time. */
static int start(const struct call *call, const char *name)
{
    struct answer a;
    int result = guest_wish(name, "running", &a);
    bool again = result == EXIT_OK && strcmp(value_text(a.json, "change", ""), "none") == 0 &&
                 guest_has_ended(value_text(a.json, "status.state", ""));

    if (result == EXIT_OK && !again && call->json)
        answer_print(&a);
    answer_end(&a);
    return again ? restart(call, name) : result;
}

static int pause_one(const struct call *call, const char *name)
{
    return wish(call, name, "paused");
}

static int resume(const struct call *call, const char *name)
{
    return wish(call, name, "running");
}

static int remove_one(const struct call *call, const char *name)
{
    char *path = api_path("guests", name, "");
    struct answer a;
    int result = api_call("DELETE", path, NULL, &a);
    bool takes_longer = a.http.status == 202;

    answer_end(&a);
    free(path);
    return result == EXIT_OK && takes_longer ? wait_for(call, name, is_gone) : result;
}

int guest_start(const struct call *call)
{
    return each_operand(call, start);
}

int guest_stop(const struct call *call)
{
    return each_guest(call, stop);
}

int guest_pause(const struct call *call)
{
    return each_operand(call, pause_one);
}

int guest_resume(const struct call *call)
{
    return each_operand(call, resume);
}

int guest_restart(const struct call *call)
{
    return each_operand(call, restart);
}

int guest_remove(const struct call *call)
{
    return each_guest(call, remove_one);
}
