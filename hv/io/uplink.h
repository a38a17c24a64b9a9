/*
 * uplink.h - the network card behind the switch.
 */
#ifndef IO_UPLINK_H
#define IO_UPLINK_H

#include "drivers/nic.h"

/* What the switch has the card's driver call. */
extern const struct nic_client uplink_client;

/* The first card that is given becomes the uplink. */
void uplink_set(struct nic *nic);

/* The uplink, NULL = none. It does not change any more once guests run. */
struct nic *uplink_nic(void);

/* Whether the card asks to be polled. */
bool uplink_wanted(void);

/* Polls the card if it asks for it and no other CPU does; true = it was polled. */
bool uplink_poll(void);

#endif
