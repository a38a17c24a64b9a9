/*
 * stream.c - bytes in order between two ends in the same guest; stream.h is its contract.
 *
 * A stream is a ring. One that is empty begins at its begin again, so that short messages touch little of its memory.
 * Who waits does so for any change: of bytes, room or an end. Records have their length in the ring before them.
 *
 * The program's memory may not be there: a handler of the fault may leave by siglongjmp(), which unlocks the stream. So
 * nothing of it changes before all has been copied.
 */
#include "stream.h"

#include <stdlib.h>
#include <string.h>

#include "shim.h"

#define LENGTH_BYTES ((uint32_t)sizeof(uint32_t))

struct stream *skep_stream_create(uint32_t capacity, bool keeps_records)
{
    capacity += keeps_records ? LENGTH_BYTES : 0;
    struct stream *stream = malloc(sizeof(*stream) + capacity);
    if (stream != NULL)
        *stream = (struct stream){.capacity = capacity, .keeps_records = keeps_records};
    return stream;
}

void skep_stream_connect(struct stream_end *one, struct stream_end *other)
{
    one->out = other->in;
    other->out = one->in;
    atomic_fetch_add_explicit(&one->references, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&other->references, 1, memory_order_relaxed);
    /* Release: pairs with who finds a peer and then looks at in and out. */
    atomic_store_explicit(&one->peer, other, memory_order_release);
    atomic_store_explicit(&other->peer, one, memory_order_release);
}

void skep_stream_end_put(struct stream_end *end)
{
    if (atomic_fetch_sub_explicit(&end->references, 1, memory_order_acq_rel) != 1)
        return;
    free(end->in);
    end->free(end);
}

static struct stream_end *peer_of(struct stream_end *end)
{
    return atomic_load_explicit(&end->peer, memory_order_acquire);
}

/* Wakes who waits for a change of the stream. The caller has released the lock, or never took it. */
static void changed(struct stream *stream)
{
    atomic_fetch_add_explicit(&stream->changes, 1, memory_order_release);
    skep_wake(&stream->changes, SKEP_WAKE_ALL);
}

/* Copies bytes into the ring, or out of it, that are so far behind its begin. The lock is held, here and below. */
static void copy(struct stream *stream, uint32_t offset, char *data, size_t bytes, bool into)
{
    uint32_t at = (stream->begin + offset) % stream->capacity;
    size_t straight = stream->capacity - at;
    if (bytes < straight)
        straight = bytes;
    memcpy(into ? stream->data + at : data, into ? data : stream->data + at, straight);
    if (bytes > straight)
        memcpy(into ? stream->data : data + straight, into ? data + straight : stream->data,
               bytes - straight);
}

/* The same of parts, of which `skip` bytes are left out. How many there were, of `most`. */
static size_t copy_parts(struct stream *stream, uint32_t offset, const struct stream_move *move,
                         size_t skip, size_t most, bool into)
{
    size_t done = 0;
    for (size_t i = 0; i < move->count && done < most; i++) {
        size_t bytes = move->parts[i].iov_len;
        if (skip >= bytes) {
            skip -= bytes;
            continue;
        }
        bytes -= skip;
        if (bytes > most - done)
            bytes = most - done;
        copy(stream, offset + (uint32_t)done, (char *)move->parts[i].iov_base + skip, bytes, into);
        done += bytes;
        skip = 0;
    }
    return done;
}

static void note_put(struct stream *stream, struct stream_move *move, uint32_t held, size_t bytes)
{
    struct stream_note **last = &stream->notes, *note = move->note;
    while (*last != NULL)
        last = &(*last)->next;
    *last = note;
    note->next = NULL;
    note->begin = stream->taken + held;
    note->end = note->begin + (uint32_t)bytes;
    move->note = NULL;
}

/* Of what is left of the parts, what there is room for; -EAGAIN: not enough. */
static ssize_t put(struct stream *stream, struct stream_move *move, size_t skip, size_t left)
{
    uint32_t held = skep_stream_bytes(stream), room = stream->capacity - held;
    uint32_t before = stream->keeps_records ? LENGTH_BYTES : 0;
    if (room < before + (stream->keeps_records || left <= STREAM_PIECE_BYTES ? left : 1))
        return -EAGAIN;
    if (held == 0)
        stream->begin = 0;
    if (stream->keeps_records) {
        uint32_t length = (uint32_t)left;
        copy(stream, held, (char *)&length, sizeof(length), true);
    }
    size_t bytes = left < room - before ? left : room - before;
    copy_parts(stream, held + before, move, skip, bytes, true);
    stream->records += stream->keeps_records;
    if (move->note != NULL)
        note_put(stream, move, held, before + bytes);
    atomic_store_explicit(&stream->bytes, held + before + (uint32_t)bytes, memory_order_relaxed);
    return (ssize_t)bytes;
}

/* Leaves bytes behind, and who has read them gets their note. */
static void advance(struct stream *stream, struct stream_move *move, uint32_t bytes)
{
    struct stream_note *first = stream->notes;
    if (first != NULL && first->begin - stream->taken < bytes) {
        stream->notes = first->next;
        move->note = first;
    }
    stream->begin = (stream->begin + bytes) % stream->capacity;
    stream->taken += bytes;
    atomic_fetch_sub_explicit(&stream->bytes, bytes, memory_order_relaxed);
}

/* What there is for the parts behind `skip`; not beyond the first note's bytes, nor a record's. */
static size_t take(struct stream *stream, struct stream_move *move, size_t skip)
{
    uint32_t most = skep_stream_bytes(stream), before = 0;
    if (stream->keeps_records) {
        copy(stream, 0, (char *)&most, sizeof(most), false);
        before = LENGTH_BYTES;
    } else if (stream->notes != NULL && stream->notes->end - stream->taken < most)
        most = stream->notes->end - stream->taken;
    size_t bytes = copy_parts(stream, before, move, skip, most, false);
    move->cut = stream->keeps_records ? most - bytes : 0;
    if (move->stays)
        return bytes;
    advance(stream, move, stream->keeps_records ? before + most : (uint32_t)bytes);
    stream->records -= stream->keeps_records;
    return bytes;
}

int skep_stream_wait(_Atomic uint32_t *changes, uint32_t seen, uint64_t deadline_ns,
                     uint64_t *interrupts)
{
    if (deadline_ns == 0)
        return -EAGAIN;
    int result =
        skep_wait_interruptibly(changes, seen, deadline_ns, interrupts,
                                deadline_ns == SKEP_FOREVER ? SKEP_RESTARTS : SKEP_NEVER_RESTARTS);
    return result == -ETIMEDOUT ? -EAGAIN : result == -EINTR ? -EINTR : 0;
}

static size_t room_of(const struct stream_move *move)
{
    size_t bytes = 0;
    for (size_t i = 0; i < move->count; i++)
        bytes += move->parts[i].iov_len;
    return bytes;
}

/* What there was room for, -EAGAIN or -EPIPE. */
static ssize_t write_some(struct stream_end *end, struct stream_move *move, size_t skip,
                          size_t left)
{
    struct stream *stream = end->out;
    __retarget_lock_acquire(&stream->lock);
    ssize_t done = skep_stream_abandoned(stream) || skep_stream_ended(stream)
                       ? -EPIPE
                       : put(stream, move, skip, left);
    __retarget_lock_release(&stream->lock);
    if (done >= 0) {
        changed(stream);
        skep_poll_notify_source(&peer_of(end)->source);
    }
    return done;
}

ssize_t skep_stream_end_write(struct stream_end *end, struct stream_move *move)
{
    size_t done = 0, bytes = room_of(move);
    uint64_t interrupts = skep_interrupts_seen();
    if (end->out->keeps_records && bytes > end->out->capacity - LENGTH_BYTES)
        return -EMSGSIZE;
    if (!end->out->keeps_records && bytes == 0)
        return 0;
    do {
        uint32_t seen = atomic_load_explicit(&end->out->changes, memory_order_acquire);
        ssize_t more = write_some(end, move, done, bytes - done);
        if (more == -EAGAIN) {
            more = skep_stream_wait(&end->out->changes, seen, move->deadline_ns, &interrupts);
            if (more == 0)
                continue;
        }
        if (more < 0)
            return done != 0 ? (ssize_t)done : more;
        done += (size_t)more;
        if (done == bytes)
            return (ssize_t)done;
    } while (true);
}

/* -EAGAIN: nothing is there, yet. */
static ssize_t read_some(struct stream_end *end, struct stream_move *move, size_t skip)
{
    struct stream *stream = end->in;
    ssize_t done = -EAGAIN;
    __retarget_lock_acquire(&stream->lock);
    bool had_room = skep_stream_has_room(stream);
    if (skep_stream_bytes(stream) != 0)
        done = (ssize_t)take(stream, move, skip);
    else if (skep_stream_ended(stream) || skep_stream_abandoned(stream))
        done = 0;
    bool news = !had_room && skep_stream_has_room(stream);
    __retarget_lock_release(&stream->lock);
    if (done >= 0 && !move->stays)
        changed(stream);
    if (news)
        skep_poll_notify_source(&peer_of(end)->source);
    return done;
}

ssize_t skep_stream_end_read(struct stream_end *end, struct stream_move *move)
{
    size_t done = 0, room = room_of(move);
    uint64_t interrupts = skep_interrupts_seen();
    if (room == 0 && !end->in->keeps_records)
        return 0;
    do {
        uint32_t seen = atomic_load_explicit(&end->in->changes, memory_order_acquire);
        ssize_t more = read_some(end, move, done);
        if (more == -EAGAIN) {
            more = skep_stream_wait(&end->in->changes, seen, move->deadline_ns, &interrupts);
            if (more == 0)
                continue;
        }
        if (more <= 0)
            return done != 0 ? (ssize_t)done : more;
        done += (size_t)more;
        if (!move->fills || done == room || move->note != NULL)
            return (ssize_t)done;
    } while (true);
}

uint32_t skep_stream_end_bytes(struct stream_end *end)
{
    struct stream *stream = end->in;
    __retarget_lock_acquire(&stream->lock);
    uint32_t bytes = skep_stream_bytes(stream) - stream->records * LENGTH_BYTES;
    __retarget_lock_release(&stream->lock);
    return bytes;
}

static void end_stream(struct stream *stream, _Atomic bool *side)
{
    __retarget_lock_acquire(&stream->lock);
    atomic_store_explicit(side, true, memory_order_relaxed);
    __retarget_lock_release(&stream->lock);
    changed(stream);
}

void skep_stream_end_stop_reading(struct stream_end *end)
{
    end_stream(end->in, &end->in->reader_ended);
    skep_poll_notify_source(&peer_of(end)->source);
}

void skep_stream_end_stop_writing(struct stream_end *end)
{
    end_stream(end->out, &end->out->writer_ended);
    skep_poll_notify_source(&peer_of(end)->source);
}

/* Nobody reads them any more, nor writes others. */
static void drop_notes(struct stream *stream)
{
    struct stream_note *note;
    while ((note = stream->notes) != NULL) {
        stream->notes = note->next;
        note->drop(note);
    }
}

void skep_stream_end_close(struct stream_end *end)
{
    struct stream_end *peer = peer_of(end);
    if (peer != NULL) {
        if (end->in != NULL) {
            skep_stream_end_stop_reading(end);
            drop_notes(end->in);
        }
        if (end->out != NULL)
            skep_stream_end_stop_writing(end);
        skep_stream_end_put(peer);
    }
    skep_stream_end_put(end);
}
