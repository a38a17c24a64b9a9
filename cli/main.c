/*
 * main.c - skepctl, Skep's command line.
 *
 * The table of commands (commands.c) says what there is; call.c reads a command line by it. A command talks to the API
 * by api.c, which talks HTTPS by http.c, to the Skep that config.c finds. There is nothing here that a client of the
 * API couldn't do.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "config.h"
#include "http.h"

static int run(const struct call *call)
{
    cJSON *config = call->command->offline ? NULL : config_load();
    struct target target;
    int result = EXIT_OK;

    if (!call->command->offline) {
        result = config ? config_target(config, call->context, &target) : EXIT_USAGE;
        if (result == EXIT_OK)
            http_begin(&target);
    }
    if (result == EXIT_OK)
        result = call->command->run(call);
    http_end();
    cJSON_Delete(config);
    return result;
}

/* Whether it is a command without a second word. */
static bool command_is_alone(const char *word)
{
    const struct command *c = commands;

    while (c->words && strcmp(c->words, word) != 0)
        c++;
    return c->words;
}

/* --help and --version without a command, and groups without their second word. */
static bool answer_alone(int argc, char **argv, int *result)
{
    const char *word = argc > 1 ? argv[1] : "";
    bool help = strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
    bool second = argc > 2 && strcmp(argv[2], "--help") != 0 && strcmp(argv[2], "-h") != 0;
    bool group = argc > 1 && command_is_group(word) && !command_is_alone(word) && !second;

    *result = help || argc > 2 ? EXIT_OK : EXIT_USAGE;
    if (strcmp(word, "--version") == 0) {
        puts("skepctl " SKEP_VERSION);
        *result = EXIT_OK;
    } else if (argc < 2 || help || group) {
        help_all(group ? word : NULL);
    } else {
        return false;
    }
    return true;
}

/* What couldn't be written wasn't said. */
static int flush(int result)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return result;
    return result == EXIT_OK ? fail(EXIT_LOCAL, "standard output can't be written") : result;
}

int main(int argc, char **argv)
{
    struct call call;
    int result;

    if (answer_alone(argc, argv, &result))
        return flush(result);
    result = call_read(&call, argc, argv);
    if (result == EXIT_OK && call.help)
        help_command(call.command);
    else if (result == EXIT_OK)
        result = run(&call);
    return flush(result);
}
