/*
 * sys/socket.h - POSIX sockets: IPv4 and IPv6 streams, datagrams and raw sockets, and UNIX sockets within the guest.
 *
 * As on Linux with these differences: of ancillary data there is IP_PKTINFO's of received datagrams, and UNIX sockets'; a
 * look at a message (MSG_PEEK) shows no descriptors that come with it.
 * SO_SNDBUF, SO_OOBINLINE, SO_DONTROUTE and of streams SO_RCVBUF are accepted and change nothing. Streams that listen share
 * a port by SO_REUSEPORT, and get their shares of the connections by chance; of datagram sockets that do the last one gets all.
 */
#ifndef _SYS_SOCKET_H
#define _SYS_SOCKET_H

#include <sys/cdefs.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef _SOCKLEN_T_DECLARED
typedef __socklen_t socklen_t;
#define _SOCKLEN_T_DECLARED
#endif
#ifndef _SA_FAMILY_T_DECLARED
typedef unsigned short sa_family_t;
#define _SA_FAMILY_T_DECLARED
#endif

struct sockaddr {
    sa_family_t sa_family;
    char sa_data[14];
};

struct sockaddr_storage {
    sa_family_t ss_family;
    char __ss_padding[118];
    unsigned long __ss_align;
};

struct msghdr {
    void *msg_name;
    socklen_t msg_namelen;
    struct iovec *msg_iov;
    int msg_iovlen;
    void *msg_control;
    socklen_t msg_controllen;
    int msg_flags;
};

struct mmsghdr {
    struct msghdr msg_hdr;
    unsigned msg_len; /* bytes that were moved */
};

struct cmsghdr {
    socklen_t cmsg_len;
    int cmsg_level;
    int cmsg_type;
};
#define SCM_RIGHTS          1 /* descriptors: 253 at most in a message */
#define SCM_CREDENTIALS     2 /* struct ucred; to be received it wants SO_PASSCRED */
#define __CMSG_ALIGN(bytes) (((bytes) + sizeof(long) - 1) & ~(sizeof(long) - 1))
#define CMSG_DATA(cmsg)     ((unsigned char *)(cmsg) + __CMSG_ALIGN(sizeof(struct cmsghdr)))
#define CMSG_SPACE(bytes)   (__CMSG_ALIGN(sizeof(struct cmsghdr)) + __CMSG_ALIGN(bytes))
#define CMSG_LEN(bytes)     (__CMSG_ALIGN(sizeof(struct cmsghdr)) + (bytes))
#define CMSG_FIRSTHDR(message)                           \
    ((message)->msg_controllen >= sizeof(struct cmsghdr) \
         ? (struct cmsghdr *)(message)->msg_control      \
         : (struct cmsghdr *)0)
#define CMSG_NXTHDR(message, cmsg)                                              \
    ((char *)(cmsg) + __CMSG_ALIGN((cmsg)->cmsg_len) + sizeof(struct cmsghdr) > \
             (char *)(message)->msg_control + (message)->msg_controllen         \
         ? (struct cmsghdr *)0                                                  \
         : (struct cmsghdr *)((char *)(cmsg) + __CMSG_ALIGN((cmsg)->cmsg_len)))

struct ucred {
    pid_t pid;
    uid_t uid;
    gid_t gid;
};

struct linger {
    int l_onoff;
    int l_linger; /* seconds */
};

#define SOCK_STREAM    1
#define SOCK_DGRAM     2
#define SOCK_RAW       3
#define SOCK_SEQPACKET 5      /* AF_UNIX; records of 64 KiB at most */
#define SOCK_NONBLOCK  0x4000 /* or-ed to the type */
#define SOCK_CLOEXEC   0x40000

#define AF_UNSPEC 0
#define AF_UNIX   1
#define AF_INET   2
#define AF_INET6  10
#define AF_MAX    46 /* more than any, as on Linux */
#define PF_UNSPEC AF_UNSPEC
#define PF_UNIX   AF_UNIX
#define PF_INET   AF_INET
#define PF_INET6  AF_INET6
#define PF_MAX    AF_MAX
#define AF_LOCAL  AF_UNIX
#define PF_LOCAL  AF_UNIX

#define SOMAXCONN 1024 /* of a guest with 16 MiB; one for each 16 KiB, but 255 at least */

#define SOL_SOCKET    0xfff
#define SOL_RAW       255 /* ENOPROTOOPT */
#define SO_DEBUG      0x0001
#define SO_ACCEPTCONN 0x0002
#define SO_REUSEADDR  0x0004
#define SO_KEEPALIVE  0x0008
#define SO_DONTROUTE \
    0x0010 /* kept and told: a neighbour is reached as ever, others by their router */
#define SO_BROADCAST    0x0020
#define SO_LINGER       0x0080
#define SO_OOBINLINE    0x0100
#define SO_REUSEPORT    0x0200
#define SO_SNDBUF       0x1001
#define SO_RCVBUF       0x1002
#define SO_SNDLOWAT     0x1003
#define SO_RCVLOWAT     0x1004 /* 1 */
#define SO_SNDTIMEO     0x1005 /* struct timeval */
#define SO_RCVTIMEO     0x1006
#define SO_ERROR        0x1007
#define SO_TYPE         0x1008
#define SO_BINDTODEVICE 0x100b
#define SO_PROTOCOL     0x100c
#define SO_DOMAIN       0x100d
#define SO_PEERCRED     0x100e /* struct ucred, of UNIX sockets */
#define SO_PASSCRED     0x100f /* of UNIX sockets */

#define MSG_PEEK     0x01
#define MSG_WAITALL  0x02
#define MSG_OOB      0x04 /* EOPNOTSUPP */
#define MSG_DONTWAIT 0x08
#define MSG_MORE     0x10
#define MSG_NOSIGNAL 0x20
#define MSG_TRUNC    0x40
#define MSG_CTRUNC   0x80

#define MSG_CMSG_CLOEXEC 0x100  /* descriptors that come have FD_CLOEXEC */
#define MSG_EOR          0x200  /* of no effect */
#define MSG_ERRQUEUE     0x400  /* EAGAIN: there is no IP_RECVERR */
#define MSG_WAITFORONE   0x800  /* of recvmmsg() */
#define MSG_DONTROUTE    0x1000 /* of no effect, as the next one */
#define MSG_CONFIRM      0x2000

#define SHUT_RD   0
#define SHUT_WR   1
#define SHUT_RDWR 2

int socket(int domain, int type, int protocol);
int bind(int fd, const struct sockaddr *address, socklen_t bytes);
int listen(int fd, int backlog);
int accept(int fd, struct sockaddr *address, socklen_t *bytes);
int accept4(int fd, struct sockaddr *address, socklen_t *bytes, int flags);
int connect(int fd, const struct sockaddr *address, socklen_t bytes);
ssize_t send(int fd, const void *data, size_t bytes, int flags);
ssize_t sendto(int fd, const void *data, size_t bytes, int flags, const struct sockaddr *address,
               socklen_t address_bytes);
ssize_t sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t recv(int fd, void *data, size_t bytes, int flags);
ssize_t recvfrom(int fd, void *data, size_t bytes, int flags, struct sockaddr *address,
                 socklen_t *address_bytes);
ssize_t recvmsg(int fd, struct msghdr *message, int flags);

/* How many messages were moved, if there was one. An error that poll() tells behind received ones is the next call's. The
 * time is looked at between messages, as Linux does. */
struct timespec;
int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);
int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout);

int shutdown(int fd, int how);
int sockatmark(int fd); /* 0 of streams */
int getsockopt(int fd, int level, int option, void *value, socklen_t *bytes);
int setsockopt(int fd, int level, int option, const void *value, socklen_t bytes);
int getsockname(int fd, struct sockaddr *address, socklen_t *bytes);
int getpeername(int fd, struct sockaddr *address, socklen_t *bytes);
int socketpair(int domain, int type, int protocol, int fds[2]); /* AF_UNIX */

#ifdef __cplusplus
}
#endif

#endif
