/*
 * throttle.h - what callers get of the service when there are too many of them: turns at handshakes, and requests a second.
 *
 * All of it is of a fixed size: who comes beyond that takes the place of who was there longest ago. Any thread may call any
 * function.
 */
#ifndef CONTROL_THROTTLE_H
#define CONTROL_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

/* Addresses from which a right token came, the latest THROTTLE_KNOWN_MAX. */
#define THROTTLE_KNOWN_MAX 64u
void throttle_know(uint32_t address);
bool throttle_knows(uint32_t address);

/* Arithmetic of handshakes, by so many threads at a time: a thread waits for its turn, those of known addresses first. */
#define THROTTLE_HANDSHAKES_MAX 4u
void throttle_handshake_begin(bool known);
void throttle_handshake_end(void);
unsigned throttle_handshakes_waiting(void); /* threads */

/* Requests: a principal's, by its name, and those without a right token, by the address that they come from. */
enum throttle_kind { THROTTLE_PRINCIPAL, THROTTLE_ADDRESS, THROTTLE_KINDS };

#define THROTTLE_CALLER_MAX 40u
#define THROTTLE_CALLERS    128u /* of each kind */

#define THROTTLE_PRINCIPAL_RATE  500u /* a second, in the long run */
#define THROTTLE_PRINCIPAL_BURST 2000u
#define THROTTLE_ADDRESS_RATE    50u
#define THROTTLE_ADDRESS_BURST   500u

/* Whether the caller may have one more now; else the seconds after which it is worth another try. */
bool throttle_request(enum throttle_kind kind, const char *caller, uint64_t now_ns,
                      unsigned *seconds);

/* For tests. */
void throttle_forget(void);

#endif
