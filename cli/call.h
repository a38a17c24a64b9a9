/* call.h - the table of commands, and a command line that was understood by it. */
#ifndef CLI_CALL_H
#define CLI_CALL_H

#include <stdbool.h>

#include "fail.h"

#define CALL_OPTIONS_MAX 128 /* given on one command line */

/* What a command's operands name: completion asks for these. */
enum operand_kind {
    OPERAND_NONE,
    OPERAND_FILE,
    OPERAND_GUEST,
    OPERAND_IMAGE,
    OPERAND_VOLUME,
    OPERAND_APP,
    OPERAND_OPERATION,
    OPERAND_DISK,
    OPERAND_TOKEN,
    OPERAND_CLIENT,
    OPERAND_CONTEXT,
};

struct command_option {
    const char *name;
    char letter;       /* 0 = it has only its name */
    const char *value; /* what stands for its value in the help; NULL = it has none */
    const char *help;
};

struct call;

struct command {
    const char *words; /* "image push" */
    const char *operands;
    int least, most; /* operands; most = -1: as many as one likes */
    enum operand_kind kind;
    bool offline; /* needs no connection */
    int (*run)(const struct call *call);
    const char *summary, *example;
    const struct command_option *options; /* ends with one without a name; or NULL */
};

struct call {
    const struct command *command;
    int operand_count;
    char **operands;
    int given_count;
    struct {
        const char *name, *value;
    } given[CALL_OPTIONS_MAX];
    const char *context;
    bool json, help;
};

extern const struct command commands[]; /* ends with one without words */
extern const struct command_option command_common_options[];

/* Understands a command line; arguments stay the caller's, and are put into another order. EXIT_OK, or EXIT_USAGE. */
int call_read(struct call *call, int argc, char **argv);

/* The last value of an option ("" if it takes none), or NULL if it wasn't given. */
const char *call_value(const struct call *call, const char *option);

/* The values one after the other; *at begins with 0. NULL = there are no more. */
const char *call_next(const struct call *call, const char *option, int *at);

/* A number of an option from least to most, or otherwise if it wasn't given. */
int call_number(const struct call *call, const char *option, unsigned long least,
                unsigned long most, unsigned long *value);

/* Whether the program's first words are those of a group, such as "image". */
bool command_is_group(const char *word);

void help_command(const struct command *command);
void help_all(const char *group); /* NULL = all commands */

#endif
