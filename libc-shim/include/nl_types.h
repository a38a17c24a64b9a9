/*
 * nl_types.h - catalogs of messages, of which there are none.
 */
#ifndef _NL_TYPES_H
#define _NL_TYPES_H

#ifdef __cplusplus
extern "C" {
#endif

typedef void *nl_catd;
typedef int nl_item;

#define NL_SETD       1
#define NL_CAT_LOCALE 1

nl_catd catopen(const char *name, int flag); /* (nl_catd)-1, and ENOENT */
char *catgets(nl_catd catalog, int set, int number, const char *message); /* message; EBADF */
int catclose(nl_catd catalog);                                            /* -1, and EBADF */

#ifdef __cplusplus
}
#endif

#endif
