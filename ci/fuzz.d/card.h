/*
 * card.h - a network card for harnesses: takes packets, gives them back in any order, hands frames in.
 */
#ifndef FUZZ_CARD_H
#define FUZZ_CARD_H

#include <stdbool.h>
#include <stdint.h>

#define CARD_ROOM 48u

/* Becomes the uplink; before fake_boot(). */
void card_plug(void);

/* How many packets it holds, and how many it will hold at most from now on. */
uint32_t card_count(void);
void card_room_set(uint32_t room);

/* Gives one packet back; harmless when it holds none. */
void card_give_back(uint32_t which);

/* A frame comes in. At most 2048 bytes. */
void card_receive(const uint8_t *header, const uint8_t *frame, uint32_t bytes);

/* A sum of what it was given so far. */
uint64_t card_way(void);

void card_reset(void);

#endif
