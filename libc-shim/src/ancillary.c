/*
 * ancillary.c - sendmsg(), recvmsg() and what they carry beside bytes: descriptors (SCM_RIGHTS), and who has sent them
 * (SCM_CREDENTIALS), which is this process.
 *
 * A message that waits has a reference to each file that it passes on. Sockets that wait in each other would never be
 * freed, so none does: a socket isn't passed on while it has descriptors to receive, nor gets any while it is passed on; and
 * one that listens isn't passed to who waits to be accepted.
 */
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fd_internal.h"
#include "shim.h"
#include "skep/socket.h"
#include "stream.h"
#include "unix_internal.h"

#define FILES_MAX 253u /* in a message, as on Linux */

/* Guarded by skep_unix_lock: how many files messages have. As on Linux there may be as many as descriptors. */
static unsigned files_in_flight;

struct rights {
    struct stream_note note;
    struct unix_name *receiver; /* NULL: none, yet, or not any more */
    unsigned count;
    struct skep_file *files[];
};

static struct rights *of_note(struct stream_note *note)
{
    return (struct rights *)((char *)note - offsetof(struct rights, note));
}

/* They wait no more. */
static void arrive(struct rights *rights)
{
    if (rights->receiver == NULL)
        return;
    skep_mutex_lock(&skep_unix_lock);
    for (unsigned i = 0; i < rights->count; i++) {
        struct unix_name *passed = skep_unix_name_of(rights->files[i]);
        if (passed != NULL)
            passed->in_flight--;
    }
    files_in_flight -= rights->count;
    rights->receiver->holds--;
    skep_mutex_unlock(&skep_unix_lock);
}

/* Gives back the files from `first` on. */
static void rights_free(struct rights *rights, unsigned first)
{
    for (unsigned i = first; i < rights->count; i++) {
        skep_detours_hold(); /* the message's reference is no thread's */
        skep_fd_put(rights->files[i]);
    }
    free(rights);
}

static void drop(struct stream_note *note)
{
    arrive(of_note(note));
    rights_free(of_note(note), 0);
}

/*
 * Sending
 */

/* Whether no circle comes about by it: see above. */
static bool may_pass(const struct unix_name *passed, const struct unix_name *receiver)
{
    return passed == NULL ||
           (passed != receiver && passed->holds == 0 && !(passed->listens && receiver->is_queued));
}

int skep_unix_rights_send(struct stream_note *note, struct unix_name *receiver)
{
    struct rights *rights = of_note(note);
    if (receiver->in_flight != 0 || files_in_flight + rights->count > (unsigned)skep_fd_limit())
        return -ETOOMANYREFS;
    for (unsigned i = 0; i < rights->count; i++)
        if (!may_pass(skep_unix_name_of(rights->files[i]), receiver))
            return -ETOOMANYREFS;
    for (unsigned i = 0; i < rights->count; i++) {
        struct unix_name *passed = skep_unix_name_of(rights->files[i]);
        if (passed != NULL)
            passed->in_flight++;
    }
    files_in_flight += rights->count;
    rights->receiver = receiver;
    receiver->holds++;
    return 0;
}

/* Takes references to the files of one header. */
static int take_files(const struct cmsghdr *header, struct rights *rights)
{
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    if (count > FILES_MAX - rights->count)
        return -EINVAL;
    for (size_t i = 0; i < count; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(header) + i * sizeof(fd), sizeof(fd));
        rights->files[rights->count] = skep_fd_get(fd, NULL);
        if (rights->files[rights->count] == NULL)
            return -EBADF;
        skep_detours_release(); /* the message's now, and the call has the socket */
        rights->count++;
    }
    return 0;
}

/* Nobody can say that somebody else sends it. */
static int check_sender(const struct cmsghdr *header)
{
    struct ucred sender;
    if (header->cmsg_len != CMSG_LEN(sizeof(sender)))
        return -EINVAL;
    memcpy(&sender, CMSG_DATA(header), sizeof(sender));
    bool is_this = sender.pid == getpid() && (sender.uid == getuid() || sender.uid == geteuid()) &&
                   (sender.gid == getgid() || sender.gid == getegid());
    return is_this ? 0 : -EPERM;
}

static int take_header(const struct cmsghdr *header, struct rights *rights)
{
    if (header->cmsg_level != SOL_SOCKET)
        return 0; /* another protocol's */
    return header->cmsg_type == SCM_RIGHTS        ? take_files(header, rights)
           : header->cmsg_type == SCM_CREDENTIALS ? check_sender(header)
                                                  : -EINVAL;
}

/* Of all headers, each of which lies in the message. */
static int take_all(const struct msghdr *message, struct rights *rights)
{
    const char *end = (const char *)message->msg_control + message->msg_controllen;
    for (const struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
         header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_len < CMSG_LEN(0) ||
            header->cmsg_len > (size_t)(end - (const char *)header))
            return -EINVAL;
        int error = take_header(header, rights);
        if (error < 0)
            return error;
    }
    return 0;
}

int skep_unix_rights_take(const struct msghdr *message, struct stream_note **out)
{
    size_t most = message->msg_controllen / sizeof(int);
    if (most > FILES_MAX)
        most = FILES_MAX;
    struct rights *rights = malloc(sizeof(*rights) + most * sizeof(struct skep_file *));
    if (rights == NULL)
        return -ENOMEM;
    *rights = (struct rights){.note.drop = drop};
    int error = take_all(message, rights);
    if (error == 0 && rights->count != 0)
        *out = &rights->note;
    else
        rights_free(rights, 0);
    return error;
}

/*
 * Receiving
 */

/* What there is room for behind the headers that a message has. */
static void append(struct msghdr *message, size_t room, int type, const void *data, size_t bytes)
{
    const struct cmsghdr header = {(socklen_t)CMSG_LEN(bytes), SOL_SOCKET, type};
    size_t left = room - message->msg_controllen;
    char *at = (char *)message->msg_control + message->msg_controllen;
    if (message->msg_control == NULL || left < header.cmsg_len) {
        message->msg_flags |= MSG_CTRUNC;
        return;
    }
    memcpy(at, &header, sizeof(header));
    memcpy(CMSG_DATA(at), data, bytes);
    message->msg_controllen += (socklen_t)(left < CMSG_SPACE(bytes) ? left : CMSG_SPACE(bytes));
}

/* As many as there is room for in the message, and in the table of descriptors. */
static void tell_rights(struct msghdr *message, size_t room, struct rights *rights)
{
    int fds[FILES_MAX];
    size_t left = room - message->msg_controllen;
    size_t most = left < CMSG_LEN(0) ? 0 : (left - CMSG_LEN(0)) / sizeof(int);
    unsigned count = 0;
    bool closes = (message->msg_flags & MSG_CMSG_CLOEXEC) != 0;
    while (count < rights->count && count < most &&
           (fds[count] = skep_posix_fd_give(rights->files[count], closes)) >= 0)
        count++;
    if (count != 0)
        append(message, room, SCM_RIGHTS, fds, count * sizeof(int));
    if (count < rights->count)
        message->msg_flags |= MSG_CTRUNC;
    rights_free(rights, count);
}

void skep_unix_ancillary_tell(struct msghdr *message, size_t room, struct stream_note *note,
                              bool tells_sender)
{
    if (message->msg_control == NULL)
        room = 0;
    if (tells_sender) {
        const struct ucred sender = {getpid(), getuid(), getgid()};
        append(message, room, SCM_CREDENTIALS, &sender, sizeof(sender));
    }
    if (note != NULL) {
        arrive(of_note(note));
        tell_rights(message, room, of_note(note));
    }
}

/*
 * The calls
 */

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    ssize_t result;
    do {
        struct skep_file *file = skep_posix_socket_get(fd);
        if (file == NULL)
            return -1;
        result = (flags & MSG_OOB) != 0 ? -EOPNOTSUPP
                 : message->msg_iovlen < 0 || message->msg_iovlen > IOV_MAX
                     ? -EMSGSIZE
                     : file->ops->socket->send_message(file, message, flags);
        skep_posix_written(file, result, flags);
    } while (skep_posix_goes_on(result));
    return skep_posix_result(result);
}

static ssize_t receive(struct skep_file *file, struct msghdr *message, int flags)
{
    int error = skep_posix_receive_check(flags);
    if (error == 0 && (message->msg_iovlen < 0 || message->msg_iovlen > IOV_MAX))
        error = -EMSGSIZE;
    return error < 0 ? error : file->ops->socket->receive_message(file, message, flags);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    ssize_t result;
    do {
        struct skep_file *file = skep_posix_socket_get(fd);
        if (file == NULL)
            return -1;
        result = receive(file, message, flags);
        skep_fd_put(file);
    } while (skep_posix_goes_on(result));
    return skep_posix_result(result);
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    unsigned done = 0;
    for (; done < count && done < IOV_MAX; done++) {
        ssize_t bytes = sendmsg(fd, &messages[done].msg_hdr, flags);
        if (bytes < 0)
            return done != 0 ? (int)done : -1;
        messages[done].msg_len = (unsigned)bytes;
    }
    return (int)done;
}

static bool has_failed(struct skep_file *file)
{
    return file->ops->poll != NULL && (file->ops->poll(file) & POLLERR) != 0;
}

/* Without an error or the time's end, which is looked at between messages. */
static unsigned receive_all(struct skep_file *file, struct mmsghdr *messages, unsigned count,
                            int flags, uint64_t deadline_ns, ssize_t *result)
{
    unsigned done = 0;
    while (done < count && (done == 0 || !has_failed(file))) {
        *result = receive(file, &messages[done].msg_hdr, flags & ~MSG_WAITFORONE);
        if (*result < 0)
            break;
        messages[done++].msg_len = (unsigned)*result;
        if (flags & MSG_WAITFORONE)
            flags |= MSG_DONTWAIT;
        if (skep_clock_ns() >= deadline_ns)
            break;
    }
    return done;
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
    uint64_t deadline_ns = SKEP_FOREVER, span_ns;
    ssize_t result = 0;
    if (timeout != NULL && !skep_posix_span(timeout, &span_ns))
        return (int)skep_posix_result(-EINVAL);
    if (timeout != NULL)
        deadline_ns = skep_posix_deadline_in(span_ns);
    unsigned done;
    do {
        struct skep_file *file = skep_posix_socket_get(fd);
        if (file == NULL)
            return -1;
        done = receive_all(file, messages, count, flags, deadline_ns, &result);
        skep_fd_put(file);
    } while (skep_posix_goes_on(result) && done == 0);
    return done != 0 ? (int)done : (int)skep_posix_result(result);
}
