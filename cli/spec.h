/* spec.h - specs of guests, as options have them. */
#ifndef CLI_SPEC_H
#define CLI_SPEC_H

#include <cJSON.h>

#include "call.h"

/* These fill an empty spec and return an exit code. What isn't said has the API's default. */
int spec_make(const struct call *call, const char *image, cJSON *spec);
int spec_add_numbers(const struct call *call, cJSON *spec); /* of memory and CPUs alone */

#endif
