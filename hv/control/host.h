/* host.h - what the service knows of the machine and of itself. */
#ifndef CONTROL_HOST_H
#define CONTROL_HOST_H

#include <stdint.h>

#include <cJSON.h>

#include "config.h"

/* Set once at the start. */
void host_set(const char *hostname, const struct core_net *net);
void host_set_cpus(uint32_t count);
uint32_t host_cpu_count(void);
const struct core_net *host_net(void);

/* UNIX time of a moment of the core's clock; 0 for 0 or when it isn't known. */
uint64_t host_wall_ns(uint64_t clock_ns);

/* From now to a moment of the core's clock; 0 if it has passed. */
uint64_t host_until_ns(uint64_t clock_ns);

const char *host_frame_name(unsigned type); /* of enum skep_frame_type; NULL = it has none */
cJSON *host_to_json(void);
void host_name_to_json(cJSON *json); /* version, host name and address */

/* What a panic before the last warm reset left behind: the caller frees it. NULL if there is nothing. */
char *host_panic_text(void);

#endif
