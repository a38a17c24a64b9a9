/* host.h - what the service knows of the machine and of itself. */
#ifndef CONTROL_HOST_H
#define CONTROL_HOST_H

#include <stdint.h>

#include <cJSON.h>

#include "config.h"

/* Set once at the start. */
void host_set(const char *hostname, const struct core_net *net);
const struct core_net *host_net(void);

/* UNIX time of a moment of the core's clock; 0 for 0 or when it isn't known. */
uint64_t host_wall_ns(uint64_t clock_ns);

cJSON *host_to_json(void);

#endif
