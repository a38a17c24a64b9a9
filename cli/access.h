/* access.h - what tokens and client certificates have in common: what their owners may do. */
#ifndef CLI_ACCESS_H
#define CLI_ACCESS_H

#include "api.h"

#define ACCESS_HEAD "NAME\tROLE\tPREFIX\tMADE\tEXPIRES\tLAST USED\tQUOTAS"

/* A row of a table below that head. The caller frees it. */
char *access_row(const cJSON *one);

/* "3 guests, 256 MiB of memory": the quotas that there are. The caller frees it. */
char *access_quotas(const cJSON *one);

/* What options say. NULL, with the reason told. */
cJSON *access_body(const struct call *call);

/* PUTs the one of the first operand. It must not be there, or EXIT_NO with `taken` told; for NULL it must be there. */
int access_put(const struct call *call, const char *kind, const char *taken, const cJSON *body,
               struct answer *a);

#endif
