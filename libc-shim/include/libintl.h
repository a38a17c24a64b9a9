/*
 * libintl.h - messages in the user's language: there is no catalog, and each is what the program has.
 */
#ifndef _LIBINTL_H
#define _LIBINTL_H

#ifdef __cplusplus
extern "C" {
#endif

/* The message; of two the one for the count, as in English. */
char *gettext(const char *message) __attribute__((format_arg(1)));
char *dgettext(const char *domain, const char *message) __attribute__((format_arg(2)));
char *dcgettext(const char *domain, const char *message, int category)
    __attribute__((format_arg(2)));
char *ngettext(const char *one, const char *many, unsigned long count)
    __attribute__((format_arg(1), format_arg(2)));
char *dngettext(const char *domain, const char *one, const char *many, unsigned long count)
    __attribute__((format_arg(2), format_arg(3)));
char *dcngettext(const char *domain, const char *one, const char *many, unsigned long count,
                 int category) __attribute__((format_arg(2), format_arg(3)));

/* The domain that was named last, "messages" at first. NULL asks, "" goes back. NULL, and ENOMEM: it can't be kept. */
char *textdomain(const char *domain);

/* What would be kept for the domain, which nothing is: `folder`, or where Linux looks; the encoding. NULL: no domain. */
char *bindtextdomain(const char *domain, const char *folder);
char *bind_textdomain_codeset(const char *domain, const char *encoding);

#ifdef __cplusplus
}
#endif

#endif
