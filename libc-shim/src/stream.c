/*
 * stream.c - bytes in order between two ends in the same guest; stream.h is its contract.
 *
 * A stream is a ring. One that is empty begins at its begin again, so that short messages touch little of its memory.
 * Who waits does so for any change: of bytes, room or an end.
 */
#include "stream.h"

#include <stdlib.h>
#include <string.h>

#include "shim.h"

struct stream *skep_stream_create(uint32_t capacity)
{
    struct stream *stream = malloc(sizeof(*stream) + capacity);
    if (stream != NULL)
        *stream = (struct stream){.capacity = capacity};
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

/* The lock is held. */
static size_t put(struct stream *stream, const char *data, size_t bytes)
{
    uint32_t held = skep_stream_bytes(stream), room = stream->capacity - held;
    if (room < (bytes <= STREAM_PIECE_BYTES ? bytes : 1))
        return 0;
    if (held == 0)
        stream->begin = 0;
    uint32_t at = (stream->begin + held) % stream->capacity, straight = stream->capacity - at;
    if (bytes > room)
        bytes = room;
    memcpy(stream->data + at, data, bytes < straight ? bytes : straight);
    if (bytes > straight)
        memcpy(stream->data, data + straight, bytes - straight);
    atomic_store_explicit(&stream->bytes, held + (uint32_t)bytes, memory_order_relaxed);
    return bytes;
}

/* The lock is held. stays: what is taken is left there. */
static size_t take(struct stream *stream, char *data, size_t bytes, bool stays)
{
    uint32_t held = skep_stream_bytes(stream), straight = stream->capacity - stream->begin;
    if (bytes > held)
        bytes = held;
    memcpy(data, stream->data + stream->begin, bytes < straight ? bytes : straight);
    if (bytes > straight)
        memcpy(data + straight, stream->data, bytes - straight);
    if (!stays) {
        stream->begin = (stream->begin + (uint32_t)bytes) % stream->capacity;
        atomic_store_explicit(&stream->bytes, held - (uint32_t)bytes, memory_order_relaxed);
    }
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

/* What there was room for, or -EPIPE. */
static ssize_t write_some(struct stream_end *end, const char *data, size_t bytes)
{
    struct stream *stream = end->out;
    skep_mutex_lock(&stream->lock);
    ssize_t done = skep_stream_abandoned(stream) || skep_stream_ended(stream)
                       ? -EPIPE
                       : (ssize_t)put(stream, data, bytes);
    skep_mutex_unlock(&stream->lock);
    if (done > 0) {
        changed(stream);
        skep_poll_notify_source(&peer_of(end)->source);
    }
    return done;
}

ssize_t skep_stream_end_write(struct stream_end *end, const void *data, size_t bytes,
                              uint64_t deadline_ns)
{
    size_t done = 0;
    uint64_t interrupts = skep_interrupts_seen();
    while (done < bytes) {
        uint32_t seen = atomic_load_explicit(&end->out->changes, memory_order_acquire);
        ssize_t more = write_some(end, (const char *)data + done, bytes - done);
        if (more == 0)
            more = skep_stream_wait(&end->out->changes, seen, deadline_ns, &interrupts);
        if (more < 0)
            return done != 0 ? (ssize_t)done : more;
        done += (size_t)more;
    }
    return (ssize_t)done;
}

/* -EAGAIN: nothing is there, yet. */
static ssize_t read_some(struct stream_end *end, char *data, size_t bytes, bool stays)
{
    struct stream *stream = end->in;
    skep_mutex_lock(&stream->lock);
    bool had_room = skep_stream_has_room(stream);
    ssize_t done = (ssize_t)take(stream, data, bytes, stays);
    bool ended = skep_stream_ended(stream) || skep_stream_abandoned(stream);
    bool news = !had_room && skep_stream_has_room(stream);
    skep_mutex_unlock(&stream->lock);
    if (done == 0)
        return ended ? 0 : -EAGAIN;
    if (!stays)
        changed(stream);
    if (news)
        skep_poll_notify_source(&peer_of(end)->source);
    return done;
}

ssize_t skep_stream_end_read(struct stream_end *end, void *data, size_t bytes, bool stays,
                             uint64_t deadline_ns)
{
    if (bytes == 0)
        return 0;
    uint64_t interrupts = skep_interrupts_seen();
    for (;;) {
        uint32_t seen = atomic_load_explicit(&end->in->changes, memory_order_acquire);
        ssize_t done = read_some(end, data, bytes, stays);
        if (done != -EAGAIN)
            return done;
        int result = skep_stream_wait(&end->in->changes, seen, deadline_ns, &interrupts);
        if (result < 0)
            return result;
    }
}

static void end_stream(struct stream *stream, _Atomic bool *side)
{
    skep_mutex_lock(&stream->lock);
    atomic_store_explicit(side, true, memory_order_relaxed);
    skep_mutex_unlock(&stream->lock);
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

void skep_stream_end_close(struct stream_end *end)
{
    struct stream_end *peer = peer_of(end);
    if (peer != NULL) {
        if (end->in != NULL)
            skep_stream_end_stop_reading(end);
        if (end->out != NULL)
            skep_stream_end_stop_writing(end);
        skep_stream_end_put(peer);
    }
    skep_stream_end_put(end);
}
