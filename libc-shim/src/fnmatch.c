/*
 * fnmatch.c - fnmatch(): whether a text is as a pattern of the shell says. What is matched by "?" and by brackets are the
 * locale's characters; classes ([:alpha:]) and FNM_CASEFOLD know ASCII's letters.
 */
#include <ctype.h>
#include <fnmatch.h>
#include <limits.h>
#include <string.h>
#include <wchar.h>

#include "shim.h"

struct match {
    int flags;
    const char *begin; /* of the text */
};

/* The character that is next; what is none is a byte. Not at the end. */
static wchar_t next(const char **text)
{
    mbstate_t state = {0};
    wchar_t character;
    size_t bytes = mbrtowc(&character, *text, MB_LEN_MAX, &state);
    if (bytes == 0 || bytes > MB_LEN_MAX) {
        bytes = 1;
        character = (unsigned char)**text;
    }
    *text += bytes;
    return character;
}

static wchar_t fold(wchar_t character)
{
    return character >= 'A' && character <= 'Z' ? character - 'A' + 'a' : character;
}

static bool is_in_class(wchar_t character, const char *name, size_t bytes)
{
    static const struct {
        const char *name;
        int (*is)(int character);
    } classes[] = {
        {"alnum", isalnum}, {"alpha", isalpha}, {"blank", isblank}, {"cntrl", iscntrl},
        {"digit", isdigit}, {"graph", isgraph}, {"lower", islower}, {"print", isprint},
        {"punct", ispunct}, {"space", isspace}, {"upper", isupper}, {"xdigit", isxdigit},
    };
    for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++)
        if (strlen(classes[i].name) == bytes && memcmp(classes[i].name, name, bytes) == 0)
            return character >= 0 && character < 128 && classes[i].is((int)character);
    return false;
}

/* The end of "[:alpha:]", "[.-.]" or "[=a=]", behind its first bracket, or NULL. */
static const char *find_end(const char *pattern)
{
    const char end[] = {pattern[0], ']', 0};
    return pattern[0] != '\0' && strchr(":.=", pattern[0]) ? strstr(pattern + 1, end) : NULL;
}

/* A character of a bracket expression. */
static wchar_t next_member(const struct match *match, const char **pattern)
{
    const char *end = (*pattern)[0] == '[' ? find_end(*pattern + 1) : NULL;
    if (end != NULL) {
        *pattern += 2;
        wchar_t member = next(pattern);
        *pattern = end + 2;
        return member;
    }
    if ((*pattern)[0] == '\\' && (*pattern)[1] != '\0' && !(match->flags & FNM_NOESCAPE))
        (*pattern)++;
    return next(pattern);
}

static bool is_between(const struct match *match, wchar_t character, wchar_t first, wchar_t last)
{
    if (character >= first && character <= last)
        return true;
    return match->flags & FNM_CASEFOLD && fold(character) >= fold(first) &&
           fold(character) <= fold(last);
}

/* One or more characters of the expression, which are taken off. */
static bool has_member(const struct match *match, const char **pattern, wchar_t character)
{
    const char *name = *pattern + 2;
    const char *end = strncmp(*pattern, "[:", 2) == 0 ? find_end(*pattern + 1) : NULL;
    if (end != NULL) {
        *pattern = end + 2;
        return is_in_class(character, name, (size_t)(end - name));
    }
    wchar_t first = next_member(match, pattern), last = first;
    if ((*pattern)[0] == '-' && (*pattern)[1] != ']' && (*pattern)[1] != '\0') {
        (*pattern)++;
        last = next_member(match, pattern);
    }
    return is_between(match, character, first, last);
}

/* Takes a bracket expression off, behind its "[": whether it has the character, or -1: it is none. */
static int match_bracket(const struct match *match, const char **pattern, wchar_t character)
{
    const char *at = *pattern;
    bool is_negated = *at == '!' || *at == '^', has = false;
    at += is_negated;
    for (bool is_first = true; is_first || *at != ']'; is_first = false) {
        if (*at == '\0' || (*at == '/' && match->flags & FNM_PATHNAME))
            return -1;
        has |= has_member(match, &at, character);
    }
    *pattern = at + 1;
    return has != is_negated;
}

/* Whether it is a period that only a period matches. */
static bool is_hidden(const struct match *match, const char *text)
{
    return match->flags & FNM_PERIOD && *text == '.' &&
           (text == match->begin || (match->flags & FNM_PATHNAME && text[-1] == '/'));
}

/* A character of the text by what the pattern has for it; both are taken off if it matches. Not at the end of either. */
static bool match_one(const struct match *match, const char **pattern, const char **text)
{
    const char *p = *pattern, *t = *text;
    bool is_special =
        !is_hidden(match, t) && !(*t == '/' && match->flags & FNM_PATHNAME); /* can be "?" */
    wchar_t character = next(&t), wanted = next(&p);
    int matches = -1;
    if (wanted == '?')
        matches = is_special;
    else if (wanted == '[')
        matches = match_bracket(match, &p, character);
    if (wanted == '[' && matches > 0)
        matches = is_special;
    if (wanted == '\\' && *p != '\0' && !(match->flags & FNM_NOESCAPE))
        wanted = next(&p);
    if (matches < 0)
        matches = is_between(match, character, wanted, wanted);
    if (matches) {
        *pattern = p;
        *text = t;
    }
    return matches;
}

/* What doesn't match gives the last "*" a character more. One before that needs none: it stops where the last began. */
int fnmatch(const char *pattern, const char *text, int flags)
{
    const struct match match = {flags, text};
    const char *star = NULL, *star_end = NULL; /* the pattern behind it, and where its text ends */
    for (;;) {
        if (*pattern == '*') {
            if (is_hidden(&match, text))
                return FNM_NOMATCH;
            star = ++pattern;
            star_end = text;
            continue;
        }
        if (*pattern == '\0' && (*text == '\0' || (*text == '/' && flags & FNM_LEADING_DIR)))
            return 0;
        if (*pattern != '\0' && *text != '\0' && match_one(&match, &pattern, &text))
            continue;
        if (star == NULL || *star_end == '\0' || (*star_end == '/' && flags & FNM_PATHNAME))
            return FNM_NOMATCH;
        next(&star_end);
        pattern = star;
        text = star_end;
    }
}
