/*
 * power.h - switching the machine off or starting it anew, after the guests have ended.
 *
 * The wish is retained, so that a service which dies meanwhile goes on with it. Functions are called with the model's
 * lock held, but for power_name().
 */
#ifndef CONTROL_POWER_H
#define CONTROL_POWER_H

#include <stdbool.h>
#include <stdint.h>

#include "problem.h"

#define POWER_GRACE_NONE UINT64_MAX /* each guest's own */

/* Begins it: 0, or -1 and the problem. Guests have their own grace, but at most this one. */
int power_begin(bool reboot, uint64_t grace_ns, struct problem *p);

/* What a former service began. */
void power_resume(void);

/* The machine stays on. For tests of restarts. */
void power_forget(void);

/* "on", "rebooting" or "shutting-down". Any thread may ask. */
const char *power_name(void);
bool power_is_ending(void);

/* Goes on with it, a bounded piece at a time; whether there is more to do at once. When all guests have ended, it
 * doesn't return. */
bool power_step(void);

/* When to call power_step() again at the latest; UINT64_MAX = no need. */
uint64_t power_deadline(void);

#endif
