/*
 * pipe.c - pipe() and pipe2(), as on Linux.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd_internal.h"
#include "shim.h"
#include "stream.h"

#define PIPE_BYTES 65536u

static uint64_t deadline_of(struct skep_file *file)
{
    bool waits = !(atomic_load_explicit(&file->flags, memory_order_relaxed) & O_NONBLOCK);
    return waits ? SKEP_FOREVER : 0;
}

static ssize_t pipe_read(struct skep_file *file, void *data, size_t bytes)
{
    const struct iovec part = {data, bytes};
    struct stream_move move = {.parts = &part, .count = 1, .deadline_ns = deadline_of(file)};
    return skep_stream_end_read(file->object, &move);
}

static ssize_t pipe_write(struct skep_file *file, const void *data, size_t bytes)
{
    const struct iovec part = {(void *)(uintptr_t)data, bytes};
    struct stream_move move = {.parts = &part, .count = 1, .deadline_ns = deadline_of(file)};
    return skep_stream_end_write(file->object, &move);
}

static void pipe_close(struct skep_file *file)
{
    skep_stream_end_close(file->object);
}

static int pipe_stat(struct skep_file *file, struct stat *out)
{
    (void)file;
    memset(out, 0, sizeof(*out));
    out->st_mode = S_IFIFO | 0600;
    out->st_blksize = STREAM_PIECE_BYTES;
    return 0;
}

static int pipe_ioctl(struct skep_file *file, unsigned long request, void *argument)
{
    struct stream_end *end = file->object;
    if (request != FIONREAD)
        return -ENOTTY;
    *(int *)argument = (int)skep_stream_bytes(end->in != NULL ? end->in : end->out);
    return 0;
}

static short pipe_poll(struct skep_file *file)
{
    struct stream_end *end = file->object;
    if (end->in != NULL)
        return (short)((skep_stream_bytes(end->in) != 0 ? POLLIN : 0) |
                       (skep_stream_ended(end->in) ? POLLHUP : 0));
    return (short)((skep_stream_has_room(end->out) ? POLLOUT : 0) |
                   (skep_stream_abandoned(end->out) ? POLLERR : 0));
}

static struct skep_poll_source *pipe_source(struct skep_file *file)
{
    struct stream_end *end = file->object;
    return &end->source;
}

static const struct skep_fd_ops pipe_ops = {
    .read = pipe_read,
    .write = pipe_write,
    .close = pipe_close,
    .stat = pipe_stat,
    .ioctl = pipe_ioctl,
    .poll = pipe_poll,
    .source = pipe_source,
};

static void end_free(struct stream_end *end)
{
    free(end);
}

static struct stream_end *end_create(struct stream *in)
{
    struct stream_end *end = calloc(1, sizeof(*end));
    if (end == NULL)
        return NULL;
    end->in = in;
    end->free = end_free;
    atomic_init(&end->references, 1);
    return end;
}

/* Both descriptors, or none and the ends are gone. */
static int open_both(int fds[2], struct stream_end *reader, struct stream_end *writer, int flags)
{
    fds[0] = skep_fd_open(&pipe_ops, reader, O_RDONLY | flags);
    if (fds[0] >= 0) {
        fds[1] = skep_fd_open(&pipe_ops, writer, O_WRONLY | flags);
        if (fds[1] >= 0)
            return 0;
        skep_posix_fd_close(fds[0]);
        skep_stream_end_close(writer);
        return fds[1];
    }
    skep_stream_end_close(reader);
    skep_stream_end_close(writer);
    return fds[0];
}

int pipe2(int fds[2], int flags)
{
    if ((flags & ~(O_NONBLOCK | O_CLOEXEC)) != 0)
        return (int)skep_posix_result(-EINVAL);
    struct stream *stream = skep_stream_create(PIPE_BYTES, false);
    struct stream_end *reader = stream != NULL ? end_create(stream) : NULL;
    struct stream_end *writer = reader != NULL ? end_create(NULL) : NULL;
    if (writer == NULL) {
        free(reader);
        free(stream);
        return (int)skep_posix_result(-ENOMEM);
    }
    skep_stream_connect(reader, writer);
    int numbers[2];
    int result = open_both(numbers, reader, writer, flags);
    if (result == 0)
        memcpy(fds, numbers, sizeof(numbers));
    return (int)skep_posix_result(result);
}

int pipe(int fds[2])
{
    return pipe2(fds, 0);
}
