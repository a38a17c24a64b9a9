/* label.h - NAME=VALUE options, and labels among them. What fails is an exit code, and told. */
#ifndef CLI_LABEL_H
#define CLI_LABEL_H

#include <cJSON.h>

#include "call.h"

/* Of a repeatable option with NAME=VALUE, an object that the body gets by this name; what is said last of a name counts. */
int pairs_add(const struct call *call, const char *option, const char *field, cJSON *body);

/* The body's `labels` as --label has them, and null for what --unlabel names; nothing if neither is there. */
int labels_add(const struct call *call, cJSON *body);

#endif
