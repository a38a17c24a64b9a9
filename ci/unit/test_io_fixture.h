/*
 * test_io_fixture.h - guests with rings in their memory and a network card made of arrays, on the real core and the
 * fake architecture.
 */
#ifndef TEST_IO_FIXTURE_H
#define TEST_IO_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/guest.h"
#include "drivers/nic.h"
#include "io/io.h"

#define RING_SIZE    8u
#define PEER_PAGES   20u
#define PEER_BUFFERS 6u /* first of the pages without a ring */
#define TX_PAGE      (PEER_BUFFERS + 6)

/* A guest's end of one queue. */
struct peer_queue {
    struct skep_vring_desc *desc;
    struct skep_vring_avail *avail;
    struct skep_vring_used *used;
    uint16_t seen; /* of the used ring */
};

struct peer {
    uint64_t handle;
    struct guest *guest;
    struct vcpu *vcpu;
    uint64_t base;             /* address of the first of its pages */
    uint8_t *page[PEER_PAGES]; /* where the test sees them */
    struct peer_queue rx, tx, payload;
};

/* What the card was given. */
struct sent {
    struct skep_net_header header;
    uint8_t frame[4096];
    uint32_t pair, bytes, head_bytes, piece_count;
    void *owner;
    uint32_t cookie;
    paddr_t pieces[NIC_PIECES_MAX];
};

#define SENT_MAX 512u
extern struct nic fake_nic;
extern struct sent sent[SENT_MAX];
extern uint32_t sent_count, sent_room, kick_count, poll_count;
extern uint64_t poll_ns;   /* what a poll takes */
extern bool card_holds;    /* what it was given: it has sent nothing of that */
extern bool card_is_done;  /* when it is kicked: it interrupts */
extern bool card_has_more; /* after a poll */

/* SKEP_QUEUE_… of receive queues that are set up from now on; fixture_begin() clears it. */
extern uint32_t receive_flags;

extern const uint8_t card_mac[6], other_mac[6], everyone[6];

/* Boots once a process; a group's set-up. */
int fixture_boot(void **state);

/* A test's set-up and tear-down: the latter checks that every frame came back. */
int fixture_begin(void **state);
int fixture_end(void **state);

/* An address as the ABI has it. */
uint32_t ip(uint8_t a, uint8_t b, uint8_t c, uint8_t d);

/* Creates a running guest with the MAC 02:00:00:00:00:<number>; both queues are set up and PEER_BUFFERS pages are
 * mapped. `flags` and `address` as in struct skep_net; the first one has no IPv6. */
void peer_create(struct peer *peer, uint8_t number, uint32_t address, uint32_t flags);
void peer_create6(struct peer *peer, uint8_t number, uint32_t address, uint32_t flags,
                  const struct skep_net6 *net6);
/* Sets its payload queue up, in the last of its pages. */
void peer_payload_create(struct peer *peer);
void peer_destroy(struct peer *peer);
struct port *peer_port(struct peer *peer);

/* Makes a chain of one descriptor available, of offset..offset+bytes from the first page. */
void peer_offer(struct peer *peer, struct peer_queue *queue, uint64_t offset, uint32_t bytes,
                uint16_t flags);

/* Posts a receive buffer of half a page. */
void peer_post(struct peer *peer, uint32_t slot);

/* Sends a frame: lays it behind a clean header, offers it, kicks. */
void peer_send(struct peer *peer, const uint8_t *frame, uint32_t bytes);

/* Lays a frame behind a header into TX_PAGE; and sends that, with all the work that it makes. */
void peer_lay(struct peer *peer, const struct skep_net_header *header, const uint8_t *frame,
              uint32_t bytes);
void peer_send_segment(struct peer *peer, const struct skep_net_header *header,
                       const uint8_t *frame, uint32_t bytes);

/* The end of a test with two of them: the card is done with all that it has got. */
int peers_end(void **state, struct peer *one, struct peer *other);

/* Left-over work, as in a trap of its own: whether some is left. */
bool work_in_a_trap(void);

/* How many entries of the used ring are new, and whether the queue's event is pending (it is cleared). */
uint32_t peer_used(struct peer_queue *queue);
bool peer_event(struct peer *peer, uint32_t queue);
struct skep_net_counters peer_counters(struct peer *peer);

/* The card is done with its packet `index`. */
void card_done(uint32_t index);

/* A frame comes in from the wire, with these header flags. */
void card_receive(const uint8_t *frame, uint32_t bytes, uint8_t flags);

/* Frames. Each returns the length. */
uint32_t frame_arp(uint8_t *frame, const uint8_t *to, const uint8_t *from, uint16_t operation,
                   uint32_t sender, uint32_t target);
uint32_t frame_udp(uint8_t *frame, const uint8_t *to, const uint8_t *from, uint32_t source,
                   uint32_t target, uint16_t source_port, uint16_t target_port, uint32_t bytes);
void mac_of(uint8_t mac[6], uint8_t number);
uint32_t get16(const uint8_t *at);
void put16(uint8_t *at, uint32_t value);

#endif
