/*
 * stream.h - bytes in order between two ends in the same guest: what pipes and UNIX sockets are made of.
 *
 * An end is a part of a descriptor's object. It lives until its descriptor is closed and its peer is, too: each may be
 * notified by the other until then. Errors are negative errno values.
 */
#ifndef LIBC_SHIM_STREAM_H
#define LIBC_SHIM_STREAM_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "locks.h"
#include "skep/fd.h"
#include "skep/thread.h"

/* As many bytes at most are written in one piece, whatever others write (PIPE_BUF). */
#define STREAM_PIECE_BYTES 4096u

/* What goes with bytes of a stream that were written at once, and isn't bytes itself: who reads one of them gets it, and
 * nothing beyond the last of them. */
struct stream_note {
    struct stream_note *next;
    uint32_t begin, end; /* as `taken` counts bytes */
    void (*drop)(struct stream_note *note);
};

struct stream {
    struct __lock lock;        /* guards what has no other guard, and changes of the fields below */
    _Atomic uint32_t changes;  /* counts them; who waits for bytes or room waits on it */
    _Atomic uint32_t bytes;    /* that are in it */
    _Atomic bool reader_ended; /* it takes no more */
    _Atomic bool writer_ended;
    bool keeps_records; /* what is written at once is read at once */
    uint32_t begin;
    uint32_t records; /* that are in it, each with its length before it */
    uint32_t taken;   /* all bytes ever; it wraps around */
    uint32_t capacity;
    struct stream_note *notes; /* the first of them first */
    char data[];
};

struct stream_end {
    struct skep_poll_source source;
    struct stream *in;               /* NULL: a pipe's end for writing */
    struct stream *out;              /* the peer's in */
    struct stream_end *_Atomic peer; /* NULL: not connected, and then neither is in nor out */
    _Atomic uint32_t references;     /* the descriptor's and the peer's */
    void (*free)(struct stream_end *end);
};

/* What a call moves. */
struct stream_move {
    const struct iovec *parts;
    size_t count;
    uint64_t deadline_ns;     /* 0: nothing is waited for */
    bool stays;               /* what is read is left there, and its note with it */
    bool fills;               /* a read waits until there is no room left in the parts */
    size_t cut;               /* how much of a record that was read the parts had no room for */
    struct stream_note *note; /* to be written with the first byte, or read: the caller's */
};

/* The stream that an end reads, with room for so many bytes, or for a record of them. NULL: no memory. */
struct stream *skep_stream_create(uint32_t capacity, bool keeps_records);

/* Makes two ends each other's peers. Their in is set, or NULL; both have references = 1. */
void skep_stream_connect(struct stream_end *one, struct stream_end *other);

/* Gives back the descriptor's reference; the peer sees the end of what it reads and writes. */
void skep_stream_end_close(struct stream_end *end);
void skep_stream_end_put(struct stream_end *end);

/* Waits for a change, of a stream or of a listener's queue: 0 (perhaps there is one); -EAGAIN: none came by the deadline;
 * -EINTR. *interrupts: what skep_interrupts_seen() said when the call began. With a deadline no call goes on after a
 * handler, as on Linux. */
int skep_stream_wait(_Atomic uint32_t *changes, uint32_t seen, uint64_t deadline_ns,
                     uint64_t *interrupts);

/* What was moved, at least a byte, which is awaited by the deadline (then -EAGAIN). write moves all unless the deadline
 * comes first, and records as a whole or not at all (-EMSGSIZE: too long); a note that it has moved is NULL. 0 at the end;
 * -EPIPE if nobody reads. */
ssize_t skep_stream_end_read(struct stream_end *end, struct stream_move *move);
ssize_t skep_stream_end_write(struct stream_end *end, struct stream_move *move);

/* How much there is to be read, without the lengths of records. */
uint32_t skep_stream_end_bytes(struct stream_end *end);

/* Nothing more is read, or written, at this end. */
void skep_stream_end_stop_reading(struct stream_end *end);
void skep_stream_end_stop_writing(struct stream_end *end);

static inline uint32_t skep_stream_bytes(const struct stream *stream)
{
    return atomic_load_explicit(&stream->bytes, memory_order_relaxed);
}

/* Whether a piece has room. */
static inline bool skep_stream_has_room(const struct stream *stream)
{
    return stream->capacity - skep_stream_bytes(stream) >= STREAM_PIECE_BYTES;
}

static inline bool skep_stream_ended(const struct stream *stream)
{
    return atomic_load_explicit(&stream->writer_ended, memory_order_relaxed);
}

static inline bool skep_stream_abandoned(const struct stream *stream)
{
    return atomic_load_explicit(&stream->reader_ended, memory_order_relaxed);
}

#endif
