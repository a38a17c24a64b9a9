/* spec6.h - IPv6 in a network of a spec. */
#ifndef CONTROL_SPEC6_H
#define CONTROL_SPEC6_H

#include "spec.h"

/* Takes address6, gateway6 or an IPv6 dns of the network at `path`; 0, or -1 and the problem. null = it isn't there. */
int spec_take_net6(const cJSON *item, const char *path, struct spec_net6 *net, struct problem *p);

/* Whether what was taken belongs together; -1 and the problem. */
int spec_check_net6(const char *path, const struct spec_net6 *net, struct problem *p);

/* Adds what there is to the network's JSON. */
void spec_net6_to_json(cJSON *item, const struct spec_net6 *net);

/* Whether it has such an address: one of 16 bytes, all 0 = none. */
bool spec_is_set6(const uint8_t address[16]);

/* The canonical text (RFC 5952). */
#define SPEC_TEXT6_MAX 46 /* with a NUL */
void spec_format6(char text[SPEC_TEXT6_MAX], const uint8_t address[16]);

#endif
