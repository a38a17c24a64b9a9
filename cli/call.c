/* call.c - understands command lines by the table of commands. */
#include "call.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 32 /* of one command, with those that all have */

const struct command_option command_common_options[] = {
    {"context", 'c', "NAME", "the Skep that is meant; without it, the current context"},
    {"output", 'o', "json", "prints the API's JSON instead of a table"},
    {"help", 'h', NULL, "explains the command"},
    {NULL, 0, NULL, NULL},
};

bool command_is_group(const char *word)
{
    size_t bytes = strlen(word);

    for (const struct command *c = commands; c->words; c++)
        if (strncmp(c->words, word, bytes) == 0 && c->words[bytes] == ' ')
            return true;
    return false;
}

/* The command of the first words, and how many these are. */
static const struct command *find_command(int argc, char **argv, int *words)
{
    for (*words = argc < 2 ? argc : 2; *words > 0; --*words) {
        char *name = *words == 2 ? text_format("%s %s", argv[0], argv[1]) : text_copy(argv[0]);
        const struct command *c = commands;
        while (c->words && strcmp(c->words, name) != 0)
            c++;
        free(name);
        if (c->words)
            return c;
    }
    return NULL;
}

/* The options of the command, then the common ones. */
static int collect_options(const struct command *command, const struct command_option *all[])
{
    int count = 0;

    for (const struct command_option *o = command->options; o && o->name; o++)
        all[count++] = o;
    for (const struct command_option *o = command_common_options; o->name; o++)
        all[count++] = o;
    return count;
}

static int take_option(struct call *call, const struct command_option *option, const char *value)
{
    if (strcmp(option->name, "help") == 0) {
        call->help = true;
    } else if (strcmp(option->name, "context") == 0) {
        call->context = value;
    } else if (strcmp(option->name, "output") == 0) {
        if (strcmp(value, "json") != 0)
            return fail(EXIT_USAGE, "--output can be json only");
        call->json = true;
    } else if (call->given_count == CALL_OPTIONS_MAX) {
        return fail(EXIT_USAGE, "there are more than %d options", CALL_OPTIONS_MAX);
    } else {
        call->given[call->given_count].name = option->name;
        call->given[call->given_count++].value = value ? value : "";
    }
    return EXIT_OK;
}

/* What getopt_long has not understood, '?', or what has no value, ':'. */
static int refuse(const struct call *call, int found, char **argv)
{
    char letter[] = {'-', (char)optopt, '\0'};
    /* A word that begins with two dashes is behind us; of letters the place is unknown. */
    bool is_letter = optopt > 0 && optopt < 256;
    const char *word = is_letter ? letter : argv[optind - 1];

    if (found == ':')
        return fail(EXIT_USAGE, "%s needs a value: skepctl %s --help explains it", word,
                    call->command->words);
    return fail(EXIT_USAGE, "%s is no option here: skepctl %s --help has all", word,
                call->command->words);
}

/* Options by getopt_long, whose tables are made of ours. */
static int read_options(struct call *call, int argc, char **argv)
{
    const struct command_option *all[OPTIONS_MAX];
    struct option longs[OPTIONS_MAX + 1] = {{NULL, 0, NULL, 0}};
    char shorts[2 * OPTIONS_MAX + 2] = ":"; /* it says nothing itself */
    int count = collect_options(call->command, all), found, result = EXIT_OK;

    for (int i = 0; i < count; i++) {
        longs[i] = (struct option){all[i]->name, all[i]->value ? required_argument : no_argument,
                                   NULL, 256 + i};
        if (all[i]->letter)
            snprintf(shorts + strlen(shorts), sizeof(shorts) - strlen(shorts), "%c%s",
                     all[i]->letter, all[i]->value ? ":" : "");
    }
    while (result == EXIT_OK && (found = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        int i = found - 256;
        if (found == '?' || found == ':')
            return refuse(call, found, argv);
        for (int k = 0; found < 256 && k < count; k++)
            if (all[k]->letter == found)
                i = k;
        result = take_option(call, all[i], optarg);
    }
    call->operands = argv + optind;
    call->operand_count = argc - optind;
    return result;
}

/* How many of the first arguments are options and their values: those that all commands have may come first. */
static int leading_options(int argc, char **argv)
{
    int n = 0;

    while (n < argc && argv[n][0] == '-') {
        const char *word = argv[n++];
        if (strcmp(word, "-c") == 0 || strcmp(word, "-o") == 0 || strcmp(word, "--context") == 0 ||
            strcmp(word, "--output") == 0)
            n++;
    }
    return n < argc ? n : argc;
}

static int check_operands(const struct call *call)
{
    const struct command *c = call->command;

    if (call->operand_count >= c->least && (c->most < 0 || call->operand_count <= c->most))
        return EXIT_OK;
    return fail(EXIT_USAGE, "%s: say skepctl %s%s%s",
                call->operand_count < c->least ? "too little" : "too much", c->words,
                *c->operands ? " " : "", c->operands);
}

int call_read(struct call *call, int argc, char **argv)
{
    int before = leading_options(argc - 1, argv + 1), words;
    char **rest;
    int result;

    memset(call, 0, sizeof(*call));
    call->command = find_command(argc - 1 - before, argv + 1 + before, &words);
    if (!call->command)
        return fail(EXIT_USAGE, "there is no command '%s': skepctl --help has all",
                    before + 1 < argc ? argv[before + 1] : "");
    /* Options that came first go behind the words, where getopt looks for them. */
    memmove(argv + 1 + words, argv + 1, (size_t)before * sizeof(*argv));
    rest = argv + words;
    rest[0] = argv[0];
    result = read_options(call, argc - words, rest);
    return result == EXIT_OK && !call->help ? check_operands(call) : result;
}

const char *call_next(const struct call *call, const char *option, int *at)
{
    while (*at < call->given_count) {
        int i = (*at)++;
        if (strcmp(call->given[i].name, option) == 0)
            return call->given[i].value;
    }
    return NULL;
}

const char *call_value(const struct call *call, const char *option)
{
    const char *value = NULL, *next;

    for (int at = 0; (next = call_next(call, option, &at));)
        value = next;
    return value;
}

int call_number(const struct call *call, const char *option, unsigned long least,
                unsigned long most, unsigned long *value)
{
    const char *text = call_value(call, option);
    char *end;

    if (!text)
        return EXIT_OK;
    errno = 0;
    *value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || *value < least || *value > most)
        return fail(EXIT_USAGE, "--%s must be a number from %lu to %lu", option, least, most);
    return EXIT_OK;
}
