/*
 * port.h - what moves frames between a port's queues, other ports and the network card.
 */
#ifndef IO_PORT_H
#define IO_PORT_H

#include "io/switch.h"

/* What one go may cost, in accesses to guests' memory, some 250 instructions each: a frame costs one for each of its
 * pieces on both sides, and a few more. Pages that the pieces are in may have to be supplied, too, some 1,000 each: no
 * go has two frames with as many pieces as there may be. */
#define PORT_KICK_WORK 20u /* of a guest's own kick */
#define PORT_TURN_WORK 14u /* of left-over work, on whichever CPU */

/* Takes frames from the port's transmit queue; goes on by the work list if there are more. `its_turn`: it comes from
 * the work list, and needn't wait for others. True when some are left there. The caller has a reference, or the port's
 * guest is running on this CPU. Holds no lock. */
bool port_send(struct port *port, uint32_t work, bool its_turn);

/* Has it do so by the work list. */
void port_send_later(struct port *port);

/* Copies a frame into the port's next receive buffer: how many pieces that has. The frame lies behind its header. Holds
 * no lock. */
uint32_t port_receive(struct port *port, const struct skep_net_header *header,
                      uint32_t frame_bytes);

/* Gives one port the router's advertisement that the switch keeps; false: all have it. */
bool port_receive_advert(void);

/* A packet of this port came back from the card (nic_client.sent). */
void port_sent(void *port, uint32_t head, const paddr_t *pieces, uint32_t count);

/* A frame for the port was dropped. */
void port_receive_dropped(struct port *port);

/* Tears the queues down and takes the port off the switch; may be called again. True when the card holds none of its
 * packets any more. */
bool port_close(struct port *port);

#endif
