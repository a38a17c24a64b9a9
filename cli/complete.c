/* complete.c - completes command lines by the table of commands, and names by asking Skep. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "commands.h"
#include "config.h"

static void offer(const char *word, size_t bytes, const char *begun)
{
    if (strncmp(word, begun, strlen(begun)) == 0 && bytes > 0)
        printf("%.*s\n", (int)bytes, word);
}

/* First or second words of commands. Those of a group come once each, as they follow each other. */
static void offer_words(const char *group, const char *begun)
{
    size_t skip = group ? strlen(group) + 1 : 0, last = 0;
    const char *before = "";

    for (const struct command *c = commands; c->words; c++) {
        if (group && (strncmp(c->words, group, skip - 1) != 0 || c->words[skip - 1] != ' '))
            continue;
        const char *word = c->words + skip;
        size_t bytes = strcspn(word, " ");
        if (bytes != last || strncmp(word, before, bytes) != 0)
            offer(word, bytes, begun);
        before = word;
        last = bytes;
    }
}

static void offer_options(const struct command_option *o, const char *begun)
{
    for (; o && o->name; o++) {
        char *word = text_format("--%s", o->name);
        offer(word, strlen(word), begun);
        free(word);
    }
}

static void offer_contexts(const cJSON *config, const char *begun)
{
    const cJSON *context;

    cJSON_ArrayForEach(context, value_at(config, "contexts"))
        offer(context->string, strlen(context->string), begun);
}

/* What Skep has of a kind. */
static void offer_names(const char *list, const char *begun)
{
    struct answer a = {.json = NULL};
    const cJSON *item;

    if (api_get(list, &a) == EXIT_OK)
        cJSON_ArrayForEach(item, value_at(a.json, "items"))
        {
            const char *name = value_text(item, "name", value_text(item, "id", ""));
            offer(name, strlen(name), begun);
        }
    answer_end(&a);
}

static void offer_operands(enum operand_kind kind, const char *context, const char *begun)
{
    static const char *const lists[] = {
        [OPERAND_GUEST] = "/v1/guests?view=basic",
        [OPERAND_IMAGE] = "/v1/images",
        [OPERAND_VOLUME] = "/v1/volumes",
        [OPERAND_DISK] = "/v1/disks",
        [OPERAND_TOKEN] = "/v1/tokens",
        [OPERAND_APP] = "/v1/apps",
        [OPERAND_CONTEXT] = NULL,
        [OPERAND_OPERATION] = "/v1/operations",
        [OPERAND_CLIENT] = "/v1/client-certificates",
    };
    cJSON *config;
    struct target target;

    if (kind == OPERAND_NONE || kind == OPERAND_FILE)
        return;
    config = config_load();
    if (kind == OPERAND_CONTEXT) {
        offer_contexts(config, begun);
    } else if (config && config_target(config, context, &target) == EXIT_OK) {
        http_begin(&target);
        offer_names(lists[kind], begun);
    }
    cJSON_Delete(config);
}

static const struct command *find(const char *first, const char *second)
{
    const struct command *c = commands;
    char *two = text_format("%s %s", first, second ? second : "");

    while (c->words && strcmp(c->words, two) != 0)
        c++;
    if (!c->words)
        for (c = commands; c->words && strcmp(c->words, first) != 0;)
            c++;
    free(two);
    return c->words ? c : NULL;
}

static bool is_context_option(const char *word)
{
    return strcmp(word, "-c") == 0 || strcmp(word, "--context") == 0;
}

/* The operands are the words of a command line behind "skepctl"; the last one, which may be empty, is begun. */
int complete(const struct call *call)
{
    char **words = call->operands;
    int count = call->operand_count;
    const char *begun = count ? words[count - 1] : "", *context = NULL;
    const struct command *c;

    if (!freopen("/dev/null", "w", stderr)) /* nobody wants messages while typing */
        return EXIT_LOCAL;
    for (; count > 2 && is_context_option(words[0]); count -= 2) {
        context = words[1];
        words += 2;
    }
    if (count <= 1) {
        offer_words(NULL, begun);
        return EXIT_OK;
    }
    c = find(words[0], count > 2 ? words[1] : NULL);
    if (count == 2 && command_is_group(words[0]))
        offer_words(words[0], begun);
    if (c && *begun == '-') {
        offer_options(c->options, begun);
        offer_options(command_common_options, begun);
    } else if (is_context_option(words[count - 2])) {
        offer_operands(OPERAND_CONTEXT, NULL, begun);
    } else if (c) {
        offer_operands(c->kind, context, begun);
    }
    return EXIT_OK;
}
