/*
 * wall.h - keeps UNIX time right by the answers of an SNTP server, if there is one.
 *
 * A small error is slewed: clocks of guests never jump for it, and go on in order. A large one is stepped.
 */
#ifndef CONTROL_WALL_H
#define CONTROL_WALL_H

#include <stdint.h>

#include <cJSON.h>

#include "config.h"

/* Asks the configured server, else the one that DHCP named, if any. */
void wall_start(const struct config *config);

/* What an answer says is the time now. Any thread may tell. */
void wall_measured(uint64_t unix_ns);

/* Corrects the time as far as is due; and when it wants to do more, UINT64_MAX = not by itself. For one thread. */
void wall_step(void);
uint64_t wall_deadline(void);

void wall_to_json(cJSON *json);

#endif
