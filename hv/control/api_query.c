/* api_query.c - what requests say behind their path. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "label.h"
#include "spec.h"

/* Whether the list, with ", " in between, has this word. */
static bool has_word(const char *list, const char *word, size_t bytes)
{
    while (*list) {
        size_t length = strcspn(list, ",");
        if (length == bytes && memcmp(list, word, bytes) == 0)
            return true;
        list += length;
        list += strspn(list, ", ");
    }
    return false;
}

static bool is_label(const char *word, size_t bytes)
{
    return bytes == 5 && memcmp(word, "label", bytes) == 0;
}

/* Whether the query has the word in one of the parts from here on. */
static bool comes_again(const char *query, const char *word, size_t bytes)
{
    while (*query) {
        if (strcspn(query, "=&") == bytes && memcmp(query, word, bytes) == 0)
            return true;
        query += strcspn(query, "&");
        query += *query == '&';
    }
    return false;
}

int api_check_query(struct request *r, const char *known)
{
    const char *next = r->http->query;

    while (known && *next) {
        const char *word = next;
        size_t bytes = strcspn(word, "=&");
        next += strcspn(next, "&");
        next += *next == '&';
        if (!has_word(known, word, bytes))
            return problem_set(
                &r->problem, 400, "'%.*s' is no known word of this call's query; there %s%s.",
                bytes < 40 ? (int)bytes : 40, word, *known ? "are " : "are none", known);
        if (!is_label(word, bytes) && comes_again(next, word, bytes))
            return problem_set(&r->problem, 400, "'%.*s' stands in the query twice.", (int)bytes,
                               word);
    }
    return 0;
}

int api_query_number(struct request *r, const char *name, uint64_t min, uint64_t max,
                     uint64_t *value)
{
    char text[32], *end = text;
    int found = http_query_value(r->http->query, name, text, sizeof(text));
    uint64_t number = 0;

    if (found == 0)
        return 0;
    errno = 0;
    if (found > 0 && text[0] >= '0' && text[0] <= '9')
        number = strtoull(text, &end, 10);
    if (end == text || *end || errno || number < min || number > max)
        return problem_set(&r->problem, 400, "%s must be a number, %" PRIu64 " or more.", name,
                           min);
    *value = number;
    return 0;
}

int api_query_bool(struct request *r, const char *name, bool *value)
{
    char text[8] = "";
    int found = http_query_value(r->http->query, name, text, sizeof(text));

    if (found == 0)
        return 0;
    *value = strcmp(text, "true") == 0;
    if (found < 0 || (!*value && strcmp(text, "false") != 0))
        return problem_set(&r->problem, 400, "%s must be true or false.", name);
    return 0;
}

int api_query_page(struct request *r, char after[SKEP_NAME_MAX], uint64_t *limit)
{
    int found = http_query_value(r->http->query, "after", after, SKEP_NAME_MAX);

    if (found < 0 || (found > 0 && !name_valid(after)))
        return problem_set(&r->problem, 400, "after must be a name.");
    return api_query_number(r, "limit", 1, UINT32_MAX, limit);
}

int api_check_labels(struct request *r)
{
    const char *query = r->http->query;
    char text[LABEL_TEXT];
    unsigned count = 0;
    int found;

    while ((found = http_query_next(&query, "label", text, sizeof(text))) != 0)
        if (found < 0 || !strchr(text, '=') || ++count > LABELS_MAX)
            return problem_set(&r->problem, 400,
                               "label must be name=value of a label, and there may be %u of them.",
                               LABELS_MAX);
    return 0;
}
