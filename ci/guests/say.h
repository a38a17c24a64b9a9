/*
 * say.h - how guest programs print what they find so that Linux prints the same: errors by name, whose numbers differ.
 */
#ifndef SAY_H
#define SAY_H

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "check.h"

#define SAY_ERROR(name) \
    {                   \
        name, #name     \
    }

static inline const char *error_name(void)
{
    static const struct {
        int number;
        const char *name;
    } errors[] = {
        SAY_ERROR(EACCES),   SAY_ERROR(EADDRINUSE), SAY_ERROR(EAGAIN),
        SAY_ERROR(EBADF),    SAY_ERROR(ECHILD),     SAY_ERROR(ECONNREFUSED),
        SAY_ERROR(EEXIST),   SAY_ERROR(EINVAL),     SAY_ERROR(EISCONN),
        SAY_ERROR(ENODEV),   SAY_ERROR(ENOENT),     SAY_ERROR(ENOMEM),
        SAY_ERROR(ENOTCONN), SAY_ERROR(ENOTSOCK),   SAY_ERROR(EOPNOTSUPP),
        SAY_ERROR(EPERM),    SAY_ERROR(EPIPE),      SAY_ERROR(ESPIPE),
        SAY_ERROR(ESRCH),    SAY_ERROR(EILSEQ),     SAY_ERROR(EBUSY),
        SAY_ERROR(EDEADLK),  SAY_ERROR(EOWNERDEAD), SAY_ERROR(ENOTRECOVERABLE),
        SAY_ERROR(EINTR),    SAY_ERROR(ETIMEDOUT),
    };
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (errors[i].number == errno)
            return errors[i].name;
    return strerror(errno);
}

/* What a call returned. */
static inline void say(const char *what, long result)
{
    if (result < 0)
        printf("%s: %s\n", what, error_name());
    else
        printf("%s: %ld\n", what, result);
}

/* What poll() says of a descriptor, by name, as numbers of events differ, too. */
static inline void say_events(const char *what, int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};
    CHECK(poll(&one, 1, 0) >= 0);
    printf("%s:%s%s%s%s\n", what, one.revents & POLLIN ? " in" : "",
           one.revents & POLLOUT ? " out" : "", one.revents & POLLRDHUP ? " rdhup" : "",
           one.revents & POLLHUP ? " hup" : "");
}

#endif
