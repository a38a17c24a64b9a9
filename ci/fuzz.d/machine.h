/*
 * machine.h - the fake machine of the harnesses that run ring 0: booted once, the same for each input, and empty after
 * each.
 */
#ifndef FUZZ_MACHINE_H
#define FUZZ_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/guest.h"

#define MACHINE_CPUS 3u

/* Boots it, with a card for uplink (card.h). */
void machine_start(void);

/* Puts it back to what it was after the boot. */
void machine_begin(void);

/* Ends and destroys all there is, the control service's guest included, and checks that nothing is left: frames by
 * type, promises, pins, locks, packets. */
void machine_end(void);

/* The control service's guest that runs now, or NULL. */
struct guest *machine_control(void);

#endif
