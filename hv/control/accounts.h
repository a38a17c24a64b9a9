/* accounts.h - what ring 0 counts and traces, as JSON. */
#ifndef CONTROL_ACCOUNTS_H
#define CONTROL_ACCOUNTS_H

#include <stdint.h>

#include <cJSON.h>

#include "problem.h"
#include "skep/control.h"

#define TRACE_READ_MAX 512u /* records of one answer, the latest */

/* Oldest first. */
cJSON *trace_to_json(const struct skep_trace_record *records, uint32_t count);

/* What a guest has used so far. */
cJSON *counters_to_json(const struct skep_guest_status *status);

/* One member for each device. */
void networks_to_json(cJSON *list, const struct skep_guest_status *status);

/* {"items": […]} of all vCPUs of a guest, or of its latest trace records; NULL and the problem. */
cJSON *vcpus_of_guest(uint64_t handle, uint32_t count, struct problem *p);
cJSON *trace_of_guest(uint64_t handle, uint32_t cpus, struct problem *p);

/* How each CPU has spent its time. */
cJSON *cpus_to_json(uint32_t count);

const char *guest_state_name(uint32_t state); /* of enum skep_guest_state */

#endif
