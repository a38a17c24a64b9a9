/* help.c - what --help prints, from the table of commands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "table.h"

static void add_option(struct table *t, const struct command_option *o)
{
    char letter[4] = {'-', o->letter, ',', '\0'};

    table_add(t, "  %s\t--%s%s%s\t%s", o->letter ? letter : "", o->name, o->value ? " " : "",
              o->value ? o->value : "", o->help);
}

void help_command(const struct command *command)
{
    struct table t;

    printf("usage: skepctl %s%s%s [options]\n\n%s\n\n", command->words,
           *command->operands ? " " : "", command->operands, command->summary);
    table_begin(&t, NULL);
    for (const struct command_option *o = command->options; o && o->name; o++)
        add_option(&t, o);
    for (const struct command_option *o = command_common_options; o->name; o++)
        add_option(&t, o);
    table_end(&t);
    printf("\nexample:\n  %s\n", command->example);
}

void help_all(const char *group)
{
    size_t bytes = group ? strlen(group) : 0;
    struct table t;

    printf("usage: skepctl [-c CONTEXT] %s%sCOMMAND …\n\n", group ? group : "", group ? " " : "");
    table_begin(&t, NULL);
    for (const struct command *c = commands; c->words; c++)
        if (!group || (strncmp(c->words, group, bytes) == 0 && c->words[bytes] == ' '))
            table_add(&t, "  %s %s\t%s", c->words, c->operands, c->summary);
    table_end(&t);
    printf("\nskepctl COMMAND --help explains one; man skepctl has all of it.\n");
}
