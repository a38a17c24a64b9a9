/*
 * getopt.c - options of command lines, short and long, with operands between them as GNU has it. newlib's loses operands
 * that stand before "--", and doesn't say in optopt which option is wrong.
 *
 * An element of options is moved to optind, before the operands that were passed over; the argument that it may have
 * follows these, and is then moved, too.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *optarg;
int optind = 1, opterr = 1, optopt = '?';

/* What is left of an element with short options, and the operands that it was moved before. */
static const char *rest;
static int passed;

struct call {
    int count;
    char **words;
    const char *letters;
    char order; /* operands '+': end the options, '-': are told as options, 0: are passed over */
    bool only;  /* "-name", too, is a long option */
    bool tells; /* errors, on standard error */
    bool colon; /* ':' says that an argument is missing */
};

enum { OPTIONS_END = -1, OPERAND = 1 };

static int wrong(const struct call *call, int option, const char *name, const char *what)
{
    optopt = option;
    if (call->tells)
        fprintf(stderr, "%s: option '%s' %s\n", call->words[0], name, what);
    return '?';
}

static int missing(const struct call *call, int option, const char *name)
{
    wrong(call, option, name, "needs an argument");
    return call->colon ? ':' : '?';
}

/* Moves the word behind the operands that were passed over to optind, and goes on after it. */
static char *take_word(const struct call *call)
{
    char *word = call->words[optind + passed];
    memmove(&call->words[optind + 1], &call->words[optind], (size_t)passed * sizeof(char *));
    call->words[optind++] = word;
    return word;
}

static bool has_more(const struct call *call)
{
    return optind + passed < call->count && call->words[optind + passed] != NULL;
}

/*
 * Long options
 */

/* The option of this name, or the only one that begins with it, or several that are the same. NULL: none, or several
 * others (*is_ambiguous). */
static const struct option *long_find(const struct call *call, const struct option *options,
                                      const char *name, size_t bytes, bool *is_ambiguous)
{
    const struct option *found = NULL;
    *is_ambiguous = false;
    for (const struct option *option = options; option->name != NULL; option++) {
        if (strncmp(option->name, name, bytes) != 0)
            continue;
        if (option->name[bytes] == '\0') {
            *is_ambiguous = false;
            return option;
        }
        *is_ambiguous |=
            found != NULL && (call->only || found->has_arg != option->has_arg ||
                              found->flag != option->flag || found->val != option->val);
        found = found != NULL ? found : option;
    }
    return *is_ambiguous ? NULL : found;
}

/* word: as it was written; name: without what it begins with. */
static int long_option(const struct call *call, const struct option *options, int *index,
                       const char *word, const char *name)
{
    size_t bytes = strcspn(name, "=");
    bool has_value = name[bytes] == '=', is_ambiguous;
    const struct option *option = long_find(call, options, name, bytes, &is_ambiguous);
    if (option == NULL)
        return wrong(call, 0, word, is_ambiguous ? "is ambiguous" : "is unknown");
    if (has_value && option->has_arg == no_argument)
        return wrong(call, option->val, word, "takes no argument");
    if (has_value)
        optarg = (char *)&name[bytes + 1];
    else if (option->has_arg == required_argument) {
        if (!has_more(call))
            return missing(call, option->val, word);
        optarg = take_word(call);
    }
    if (index != NULL)
        *index = (int)(option - options);
    if (option->flag == NULL)
        return option->val;
    *option->flag = option->val;
    return 0;
}

/*
 * Short options
 */

static int short_option(const struct call *call)
{
    char option = *rest++, name[] = {'-', option, '\0'};
    const char *letter = option != ':' && option != ';' ? strchr(call->letters, option) : NULL;
    if (letter == NULL)
        return wrong(call, option, name, "is unknown");
    if (letter[1] != ':')
        return option;
    if (*rest != '\0')
        optarg = (char *)rest;
    else if (letter[2] != ':') {
        if (!has_more(call))
            return missing(call, option, name);
        optarg = take_word(call);
    }
    rest = NULL;
    return option;
}

/*
 * Elements
 */

/* GNU's "W;" among the letters: "-W name" is a long option. */
static int letter_or_long(const struct call *call, const struct option *options, int *index)
{
    const char *name = &rest[1];
    if (options == NULL || *rest != 'W' || strstr(call->letters, "W;") == NULL)
        return short_option(call);
    rest = NULL;
    if (*name == '\0') {
        if (!has_more(call))
            return missing(call, 'W', "-W");
        name = take_word(call);
    }
    return long_option(call, options, index, name, name);
}

static bool is_operand(const char *word)
{
    return word[0] != '-' || word[1] == '\0';
}

/* Of "-name", where that could be letters, too. */
static bool is_long(const struct call *call, const struct option *options, const char *word)
{
    bool is_ambiguous, is_letter = strchr(call->letters, word[1]) != NULL;
    if (word[2] == '\0')
        return !is_letter;
    const struct option *option =
        long_find(call, options, &word[1], strcspn(&word[1], "="), &is_ambiguous);
    return !is_letter || option != NULL || is_ambiguous;
}

static int next_option(const struct call *call, const struct option *options, int *index)
{
    optarg = NULL;
    if (rest != NULL && *rest != '\0')
        return letter_or_long(call, options, index);
    for (passed = 0; has_more(call) && is_operand(call->words[optind + passed]); passed++) {
        if (call->order == '+')
            return OPTIONS_END;
        if (call->order == '-') {
            optarg = call->words[optind++];
            return OPERAND;
        }
    }
    if (!has_more(call))
        return OPTIONS_END;
    char *word = take_word(call);
    if (strcmp(word, "--") == 0)
        return OPTIONS_END;
    if (options != NULL && word[1] == '-')
        return long_option(call, options, index, word, &word[2]);
    if (call->only && is_long(call, options, word))
        return long_option(call, options, index, word, &word[1]);
    rest = &word[1];
    return letter_or_long(call, options, index);
}

static int begin(int count, char *const words[], const char *letters, const struct option *options,
                 int *index, bool only)
{
    struct call call = {.count = count,
                        .words = (char **)words,
                        .letters = letters,
                        .only = only && options != NULL};
    if (optind == 0) {
        optind = 1;
        rest = NULL;
    }
    if (*call.letters == '+' || *call.letters == '-')
        call.order = *call.letters++;
    else if (getenv("POSIXLY_CORRECT") != NULL)
        call.order = '+';
    call.colon = *call.letters == ':';
    call.tells = opterr != 0 && !call.colon;
    return next_option(&call, options, index);
}

int getopt(int count, char *const words[], const char *letters)
{
    return begin(count, words, letters, NULL, NULL, false);
}

int getopt_long(int count, char *const words[], const char *letters, const struct option *options,
                int *index)
{
    return begin(count, words, letters, options, index, false);
}

int getopt_long_only(int count, char *const words[], const char *letters,
                     const struct option *options, int *index)
{
    return begin(count, words, letters, options, index, true);
}
