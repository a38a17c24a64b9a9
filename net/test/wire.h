/*
 * wire.h - the wire at the guest's first device, which the test holds.
 */
#ifndef TEST_WIRE_H
#define TEST_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "skep/abi.h"

enum { RECEIVE = 0, SEND = 1, APART = SKEP_QUEUE_PAYLOAD_0 }; /* its queues */

/* For backend_on_event. */
void on_event(unsigned queue);

/* Waits for a buffer of the guest, since its thread may be about to post one. -1: none came. */
int wait_for_chain(unsigned queue, unsigned milliseconds);

/* Gives the guest a frame, with its header in front. */
void wire_put(const void *frame, size_t bytes);

/* The same of a packet that is longer than a buffer, in as many as it takes: its header says how many. */
void wire_put_long(void *packet, size_t bytes);

/* The same with all behind the headers in the payload queue's next buffer. */
void wire_put_apart(void *packet, size_t headers, size_t bytes);

/* The next frame that the guest sends, 0 and an empty frame of room bytes if none comes. */
size_t wire_get(void *frame, size_t room, unsigned milliseconds);

/* Adds up for the Internet checksum, the slow and certain way. */
uint16_t sum_of(const void *data, size_t bytes, uint32_t sum);

#endif
