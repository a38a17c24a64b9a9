/*
 * block_fixture.h - guests with block devices, volumes that the control service opens, and two disks of the test's.
 */
#ifndef UNIT_BLOCK_FIXTURE_H
#define UNIT_BLOCK_FIXTURE_H

#include "test.h"

#include "fake_disk.h"
#include "io/block.h"
#include "io/io.h"

#define CHUNK          65536u
#define DISK_BYTES     (8ull << 20)
#define DISK_CHUNKS    112u /* behind the first MiB, which holds no chunk */
#define FIRST_BYTE     (1ull << 20)
#define RIDER_PAGES    80u
#define RIDER_DATA     8u /* first page of data */
#define RIDER_REQUESTS 64u
#define NOT_DONE       0xeeu

/* A guest with a queue for its block device 0. Request i has descriptors 4i to 4i + 3. */
struct rider {
    struct guest *guest;
    struct vcpu *vcpu;
    uint64_t base;
    uint8_t *page[RIDER_PAGES];
    struct skep_vring_desc *desc;
    struct skep_vring_avail *avail;
    struct skep_vring_used *used;
    uint32_t device; /* whose queue is kicked */
    uint32_t next;   /* request */
};

/* 512-byte blocks with everything that a disk can do; 4096-byte blocks with nothing. */
extern struct fake_disk disk_a, disk_b;
extern struct guest *control;

/* Boots once a process; a group's set-up. */
int block_fixture_boot(void **state);

/* A test's set-up, and tear-down with the leak check. Requests that the disks hold are let go first. */
int block_fixture_begin(void **state);
int block_fixture_end(void **state);

/* Control calls with a page of data in or out: at `control_page`. They are carried through up to 1,000 restarts. */
extern uint8_t *control_page;
extern uint64_t control_page_at;
int64_t control_do(uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
                   uint64_t a4);
int64_t volume_set(uint64_t volume, uint32_t what, uint64_t a, uint64_t b, uint64_t c);
int64_t volume_get(uint64_t volume, uint32_t what, uint64_t a, uint64_t b, uint64_t c);

/* A volume of so many chunks on disk_a, whose pool is empty. */
struct skep_volume_spec volume_spec(uint32_t chunks);
uint64_t volume_opened(uint32_t chunks);
uint64_t volume_opened_with(const struct skep_volume_spec *spec);
void volume_closed(uint64_t volume);

/* Gives chunks first, first + 1 and so on to the pool; they are zeroed on the disk. */
void pool_give(uint64_t volume, uint32_t first, uint32_t count);
void map_one(uint64_t volume, uint32_t chunk, uint32_t entry);
uint32_t mapped(uint64_t volume, uint32_t chunk);
struct skep_volume_status status_of(uint64_t volume);

/* Reads the changes: how many; the first is in `change`. */
uint32_t changes(uint64_t volume, struct skep_volume_change *change);
void commit_all(uint64_t volume);

/* Where a chunk is in the disk's memory. */
uint8_t *disk_chunk(struct fake_disk *disk, uint32_t chunk);

/* Takes all notifications: how many said that of this handle. */
uint32_t notified(uint64_t handle, uint32_t reason);

/* A running guest with the volume. `flags` as in struct skep_block_spec; `error`: that its creation has. */
void rider_create(struct rider *rider, uint64_t volume, uint32_t flags);
int64_t rider_refused(uint64_t volume, uint32_t flags);
void rider_queue(struct rider *rider, uint32_t number, uint32_t size);
void rider_destroy(struct rider *rider);

/* Adds a request with `bytes` of data at page RIDER_DATA + `page`, and kicks: its number. */
uint32_t rider_add(struct rider *rider, uint32_t type, uint64_t sector, uint32_t page,
                   uint32_t bytes);

/* DISCARD and WRITE_ZEROES. */
uint32_t rider_range(struct rider *rider, uint32_t type, uint64_t sector, uint32_t sectors);

/* Puts the request's chain, whose descriptors are set, into the queue, and kicks. */
void rider_offer(struct rider *rider, uint32_t request);
void rider_kick(struct rider *rider);
uint8_t rider_status(const struct rider *rider, uint32_t request);
uint8_t *rider_data(const struct rider *rider, uint32_t page);

/* Lets ring 0 work, and the disks finish what they have, until nothing is left to be done; or without the disks. */
void settle(void);
void work(void);

/* The same, one request after the other. */
void write_ok(struct rider *rider, uint64_t sector, uint8_t value, uint32_t bytes);
void read_is(struct rider *rider, uint64_t sector, uint8_t value, uint32_t bytes);

#endif
