/*
 * strtonum.c - BSD's strtonum(): one call for a number in a range.
 */
#include <stdlib.h>

#include "shim.h"

static const char *look(const char *text, long long least, long long most, long long *number)
{
    char *end;
    errno = 0;
    *number = strtoll(text, &end, 10);
    if (least > most || end == text || *end != 0) {
        errno = EINVAL;
        return "invalid";
    }
    bool is_small = *number < least;
    bool is_large = *number > most;
    if (errno == ERANGE) {
        is_small = *number < 0;
        is_large = !is_small;
    }
    if (is_small || is_large)
        errno = ERANGE;
    return is_small ? "too small" : is_large ? "too large" : NULL;
}

long long strtonum(const char *text, long long least, long long most, const char **problem)
{
    int before = errno;
    long long number;
    const char *wrong = look(text, least, most, &number);
    if (wrong == NULL)
        errno = before;
    if (problem != NULL)
        *problem = wrong;
    return wrong == NULL ? number : 0;
}
