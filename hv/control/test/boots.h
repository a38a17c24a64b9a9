/* boots.h - the service's starts and ends on the fake machine, for tests of what is kept. */
#ifndef CONTROL_BOOTS_H
#define CONTROL_BOOTS_H

#include <stdbool.h>
#include <stddef.h>

#include "problem.h"

void boots_end(void);
void boots_begin(bool safe_mode, bool first);

/* The power goes and comes again. */
void boots_cold(void);

/* An image; files of different versions differ. */
int boots_upload(const char *name, size_t version, struct problem *p);

/* A guest, of its spec as JSON. */
int boots_put_text(const char *name, const char *text, struct problem *p);
int boots_put(const char *name, const char *text);

/* All that clients see of what was wished; the caller frees it. */
char *boots_snapshot(void);

#endif
