/*
 * sys/epoll.h - waiting for many descriptors, as on Linux but for what epoll.c says.
 */
#ifndef _SYS_EPOLL_H
#define _SYS_EPOLL_H

#include <stdint.h>
#include <sys/types.h>

#include <signal.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EPOLL_CLOEXEC 0x40000 /* O_CLOEXEC */

#define EPOLL_CTL_ADD 1
#define EPOLL_CTL_DEL 2
#define EPOLL_CTL_MOD 3

/* The lower ones have poll.h's values. */
enum EPOLL_EVENTS {
    EPOLLIN = 0x001,
    EPOLLPRI = 0x002,
    EPOLLOUT = 0x004,
    EPOLLERR = 0x008,
    EPOLLHUP = 0x010,
    EPOLLRDNORM = 0x040,
    EPOLLRDBAND = 0x080,
    EPOLLWRNORM = 0x100,
    EPOLLWRBAND = 0x200,
    EPOLLRDHUP = 0x2000,
    EPOLLEXCLUSIVE = 1 << 28, /* accepted; other instances hear of the event, too */
    EPOLLWAKEUP = 1 << 29,    /* accepted */
    EPOLLONESHOT = 1 << 30,
    EPOLLET = (int)(1u << 31)
};
#define EPOLLIN        EPOLLIN
#define EPOLLPRI       EPOLLPRI
#define EPOLLOUT       EPOLLOUT
#define EPOLLERR       EPOLLERR
#define EPOLLHUP       EPOLLHUP
#define EPOLLRDNORM    EPOLLRDNORM
#define EPOLLRDBAND    EPOLLRDBAND
#define EPOLLWRNORM    EPOLLWRNORM
#define EPOLLWRBAND    EPOLLWRBAND
#define EPOLLRDHUP     EPOLLRDHUP
#define EPOLLEXCLUSIVE EPOLLEXCLUSIVE
#define EPOLLWAKEUP    EPOLLWAKEUP
#define EPOLLONESHOT   EPOLLONESHOT
#define EPOLLET        EPOLLET

typedef union epoll_data {
    void *ptr;
    int fd;
    uint32_t u32;
    uint64_t u64;
} epoll_data_t;

struct epoll_event {
    uint32_t events;
    epoll_data_t data;
} __attribute__((packed));

int epoll_create(int size);
int epoll_create1(int flags);
int epoll_ctl(int instance, int operation, int fd, struct epoll_event *event);
int epoll_wait(int instance, struct epoll_event *events, int max, int timeout_ms);
int epoll_pwait(int instance, struct epoll_event *events, int max, int timeout_ms,
                const sigset_t *mask);

#ifdef __cplusplus
}
#endif

#endif
