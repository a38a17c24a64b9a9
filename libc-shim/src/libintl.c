/*
 * libintl.c - gettext() and its kind, without catalogs.
 */
#include <libintl.h>
#include <stdlib.h>
#include <string.h>

#include "shim.h"

char *gettext(const char *message)
{
    return (char *)message;
}

char *dgettext(const char *domain, const char *message)
{
    return (char *)message;
}

char *dcgettext(const char *domain, const char *message, int category)
{
    return (char *)message;
}

char *ngettext(const char *one, const char *many, unsigned long count)
{
    return (char *)(count == 1 ? one : many);
}

char *dngettext(const char *domain, const char *one, const char *many, unsigned long count)
{
    return ngettext(one, many, count);
}

char *dcngettext(const char *domain, const char *one, const char *many, unsigned long count,
                 int category)
{
    return ngettext(one, many, count);
}

/* As on Linux what it has told before is gone with the next name. */
char *textdomain(const char *domain)
{
    static char first[] = "messages";
    static char *_Atomic current = first;
    if (domain != NULL) {
        char *next = domain[0] != 0 ? strdup(domain) : first;
        if (next == NULL)
            return NULL;
        char *former = atomic_exchange_explicit(&current, next, memory_order_acq_rel);
        if (former != first)
            free(former);
    }
    return atomic_load_explicit(&current, memory_order_acquire);
}

char *bindtextdomain(const char *domain, const char *folder)
{
    if (domain == NULL || domain[0] == 0)
        return NULL;
    return (char *)(folder != NULL ? folder : "/usr/share/locale");
}

char *bind_textdomain_codeset(const char *domain, const char *encoding)
{
    return domain != NULL && domain[0] != 0 ? (char *)encoding : NULL;
}
