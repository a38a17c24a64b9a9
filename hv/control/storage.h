/*
 * storage.h - the machine's disks and their volumes, as the service runs them: what is on the disk (storage/volumes.h) and
 * what ring 0 has open, and how the one follows the other.
 *
 * Ring 0 opens a volume when a guest needs it. From then on it takes chunks of the volume's pool by itself; a thread reads
 * what it took, makes it durable, commits it, and fills the pool. A volume that no guest has used for a while is closed.
 *
 * Everything is under one lock, which is taken after the model's, and under which disks are waited for. Functions with a
 * problem return 0 or a status, or -1 and the problem.
 */
#ifndef CONTROL_STORAGE_H
#define CONTROL_STORAGE_H

#include <stdbool.h>
#include <stdint.h>

#include <cJSON.h>

#include "core.h"
#include "problem.h"
#include "storage/volumes.h"

enum disk_state {
    DISK_ABSENT,
    DISK_UNFORMATTED, /* none of Skep's: `content` says what is on it */
    DISK_ONLINE,
    DISK_DAMAGED, /* volumes->damage says where; what is whole can be read */
    DISK_FAILED,  /* the device, or ring 0's view of it */
};

/* A volume that ring 0 has open. */
struct open_volume {
    struct open_volume *next;
    struct volume *volume;
    uint64_t handle;
    uint64_t idle_ns;     /* since when no guest has it, 0 = one has */
    uint64_t retry_ns;    /* when its changes are tried again, UINT64_MAX = not */
    uint32_t pool_wanted; /* chunks */
    bool offline;
};

struct disk {
    enum disk_state state;
    enum disk_state told; /* the one that the latest event had */
    struct bdev *dev;
    int content;             /* enum probe_kind, or negative: it can't be read */
    struct volumes *volumes; /* NULL unless it is online or damaged */
    struct open_volume *open;
    bool holds_state; /* Skep's own: it isn't formatted while the service runs */
};

/* Finds the disks, opens those of Skep's, and goes on with what a former service has left open in ring 0. */
void storage_start(void);
/* Ends it all here; ring 0 keeps what it has. For tests of restarts. */
void storage_forget(void);
/* Starts the thread. */
bool storage_serve(void);

/* For the thread that follows ring 0's notifications. */
void storage_notify(const struct skep_notification *note);

/* One round of the thread's work: all open volumes. When the next is due without a notification, core_clock_ns. */
uint64_t storage_step(void);

/* The region for Skep's own state, NULL if no disk was online at the start; and the disk's id. */
struct bdev *storage_system_region(void);
bool storage_system_is_writable(void);
const char *storage_system_id(void);

void storage_lock(void);
void storage_unlock(void);

/*
 * With the lock held
 */

struct disk *storage_disk(uint32_t index); /* NULL if there is none */
uint32_t storage_disk_index(const struct disk *disk);

struct volume *storage_find(const char *name, struct disk **disk);
struct open_volume *storage_find_open(const struct disk *disk, const struct volume *volume);

/* -1 and the problem for one that a copy underway has. */
int storage_check_finished(const struct volume *v, struct problem *p);

int storage_format(struct disk *disk, bool force, struct problem *p);
/* 200, or the problem that formatting would have. */
int storage_foresee_format(struct disk *disk, bool force, struct problem *p);
cJSON *storage_disk_to_json(const struct disk *disk);
cJSON *storage_formatted_to_json(
    const struct disk *disk); /* as it would be, and what it would lose */
const char *storage_state_text(enum disk_state state);

/* Of all chunks of a disk: how many bytes they are, and how many of these volumes have. */
void storage_usage(const struct volumes *vs, uint64_t *capacity_bytes, uint64_t *used_bytes);

/* A volume's state in a word. Its status is ring 0's, or all zeroes while that doesn't have it open. */
const char *storage_look(const struct disk *disk, const struct volume *v,
                         struct skep_volume_status *status, uint64_t *allocated_bytes);

/* What a client wants of a volume. */
struct storage_wish {
    const char *name;
    struct disk *disk;  /* NULL = the only one there is, or the source's */
    const char *source; /* NULL = none */
    bool snapshot;      /* of the source; else a clone */
    bool full;          /* copy of it, which shares nothing (storage_copy.h) */
    bool unfinished;    /* nobody else can have it yet */
    bool overcommit;
    bool has_bytes, has_limits, has_labels;
    uint64_t bytes;
    struct skep_volume_limits limits;
    char labels[FORMAT_LABELS]; /* label.h */
    const uint8_t *uuid;        /* of a new one; NULL = a random one */
    cJSON **foreseen; /* NULL = it is done; else it is only told what the volume would be then */
    struct volumes_needs *before; /* of each disk what would be done before; NULL = nothing */
};

/* From the body of a request (api_volume.c): of one that creates, or changes. */
int volume_wish_read(struct storage_wish *wish, const cJSON *body, bool create, struct problem *p);

/* What PUT of a volume does with a body that asks for no snapshot nor copy. A new one gets the uuid, unless that is NULL. */
int volume_put(const char *name, const cJSON *body, const uint8_t *uuid, struct problem *p);

/* What that would do, and *json what the volume would be then. before: of each disk what would be done before, to which what
 * this needs is added. */
int volume_foresee(const char *name, const cJSON *body, struct volumes_needs before[SKEP_DISKS_MAX],
                   cJSON **json, struct problem *p);

int storage_create(const struct storage_wish *wish, struct problem *p);
int storage_change(struct disk *disk, struct volume *v, const struct storage_wish *wish,
                   struct problem *p);
int storage_delete(struct disk *disk, struct volume *v, struct problem *p);
#define STORAGE_UUID_TEXT 37u
int storage_make_uuid(uint8_t uuid[16], struct problem *p);
void storage_uuid_text(const uint8_t uuid[16], char text[STORAGE_UUID_TEXT]);
bool storage_uuid_read(const char *text, uint8_t uuid[16]); /* false if it is none */
cJSON *storage_volume_to_json(const struct disk *disk, struct volume *v);
cJSON *storage_new_to_json(const struct disk *disk,
                           struct volume *v); /* without what it would be given */
cJSON *storage_changed_to_json(const struct disk *disk, struct volume *v,
                               const struct storage_wish *wish);

/* The handle of a volume for a guest, opened if need be; or a negative SKEP_E… code: -SKEP_ENOENT, there is none;
 * -SKEP_EIO, its disk is not well; -SKEP_ENOMEM. */
int64_t storage_open(const char *name);

/*
 * Whole volumes, read and written by clients (storage_data.c); these take the lock themselves. No guest can have the volume
 * meanwhile, but for a snapshot that is read.
 */

struct storage_stream {
    struct disk *disk;
    struct volume *volume;
    uint64_t bytes;       /* of the volume */
    uint32_t chunk_bytes; /* a part, but for the last one */
    bool writes;
    struct skep_volume_change *changes; /* of what was written, not durable yet */
    uint32_t change_count;
};

int storage_stream_begin(struct storage_stream *s, const char *name, bool writes,
                         struct problem *p);
/* What there is to know for writing so many parts that aren't all zeroes, or the problem that this would have; nothing is
 * begun. What the disk's other volumes take until then isn't foreseen. */
int storage_stream_foresee(struct storage_stream *s, const char *name, uint32_t parts,
                           struct problem *p);
bool storage_is_zero(const uint8_t *data, size_t bytes);
/* Part n, of chunk_bytes. 0 or a negative SKEP_E… code. */
int storage_stream_read(struct storage_stream *s, uint32_t n, void *data);
int storage_stream_write(struct storage_stream *s, uint32_t n, const void *data);
/* What was written is durable then, if the result is 0. */
int storage_stream_end(struct storage_stream *s);
/* Begin and end with the lock held, of a volume that may be unfinished. */
int storage_stream_open(struct storage_stream *s, const char *name, bool writes, struct problem *p);
int storage_stream_close(struct storage_stream *s);

/*
 * Ring 0's side (storage_core.c)
 */

int64_t storage_core_open(struct disk *disk, struct volume *v, struct open_volume **opened);
/* Makes durable what ring 0 did, and fills its pool. */
void storage_core_serve(struct disk *disk, struct open_volume *o);
/* -SKEP_EBUSY while a guest uses it. */
int64_t storage_core_close(struct disk *disk, struct open_volume *o);
bool storage_core_in_use(const struct open_volume *o);
void storage_core_offline(struct disk *disk, struct open_volume *o, const char *why);
/* All that is mapped is shared from now on, and the durable map is what it was at that moment. */
int64_t storage_core_freeze(struct disk *disk, struct open_volume *o);
void storage_core_adopt(void);

#endif
