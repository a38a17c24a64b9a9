/*
 * sendfile.c - sendfile(): piece by piece, through the stack.
 */
#include <stdint.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "shim.h"

enum { PIECE_BYTES = 8192 };

/* Bytes written, fewer than asked for at the file's end or if there is no room for more; -1 and errno. */
static ssize_t send_piece(int out, int in, off_t at, size_t count)
{
    char piece[PIECE_BYTES];
    ssize_t got = pread(in, piece, count < sizeof(piece) ? count : sizeof(piece), at);
    return got > 0 ? write(out, piece, (size_t)got) : got;
}

static ssize_t send_from(int out, int in, off_t at, size_t count)
{
    size_t sent = 0;
    while (sent < count) {
        size_t wanted = count - sent < PIECE_BYTES ? count - sent : PIECE_BYTES;
        ssize_t result = send_piece(out, in, at + (off_t)sent, wanted);
        if (result < 0 && sent == 0)
            return -1;
        if (result <= 0)
            break;
        sent += (size_t)result;
        if ((size_t)result < wanted)
            break;
    }
    return (ssize_t)sent;
}

ssize_t sendfile(int out, int in, off_t *offset, size_t count)
{
    off_t at = lseek(in, 0, SEEK_CUR);
    if (at < 0)
        return errno == ESPIPE ? skep_posix_result(-EINVAL) : -1;
    if (offset != NULL)
        at = *offset;
    ssize_t sent = send_from(out, in, at, count < PTRDIFF_MAX ? count : PTRDIFF_MAX);
    if (sent <= 0)
        return sent;
    if (offset != NULL)
        *offset = at + sent;
    else
        lseek(in, at + sent, SEEK_SET);
    return sent;
}
