/*
 * audit_value.h - what a record of the audit trail says of something as clients see it: its JSON, bounded.
 *
 * What is too large loses its largest members, one after the other, until the rest fits. Their names are noted, as
 * "after.env" or "before.guests.web".
 */
#ifndef CONTROL_AUDIT_VALUE_H
#define CONTROL_AUDIT_VALUE_H

#include <cJSON.h>

#define AUDIT_VALUE_MAX 1600u
#define AUDIT_CUT_MAX   240u

/* The text of what comes "before" or "after" the change, which the caller frees; NULL if there is none, or that couldn't be
 * had, which is noted then. The JSON is used up. */
char *audit_value_text(cJSON *json, const char *side, char cut[AUDIT_CUT_MAX]);

#endif
