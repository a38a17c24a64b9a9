/*
 * sys/ioctl.h - the few requests that descriptors here know.
 */
#ifndef _SYS_IOCTL_H
#define _SYS_IOCTL_H

#ifdef __cplusplus
extern "C" {
#endif

#define FIONREAD 0x541b /* int *: bytes that can be read without waiting */
#define FIONBIO  0x5421 /* const int *: not 0 = never wait */
#define FIOASYNC 0x5452 /* ENOTTY: there is no SIGIO */
#define FIOCLEX  0x5451 /* FD_CLOEXEC, and without */
#define FIONCLEX 0x5450

/* Of Internet sockets, int *: bytes to be read, and bytes of a stream that the other side hasn't acknowledged; whether
 * what comes next is urgent, which nothing is. */
#define TIOCINQ    FIONREAD
#define SIOCINQ    FIONREAD
#define TIOCOUTQ   0x5411
#define SIOCOUTQ   TIOCOUTQ
#define SIOCATMARK 0x8905

/* Of Internet sockets: struct ifconf *, and struct ifreq * (net/if.h). */
#define SIOCGIFNAME    0x8910 /* of an ifr_ifindex */
#define SIOCGIFCONF    0x8912
#define SIOCGIFFLAGS   0x8913
#define SIOCGIFADDR    0x8915 /* of IPv4, as the next two */
#define SIOCGIFBRDADDR 0x8919
#define SIOCGIFNETMASK 0x891b
#define SIOCGIFMTU     0x8921
#define SIOCGIFHWADDR  0x8927
#define SIOCGIFINDEX   0x8933

/* struct winsize *: of the console, always 80 x 24, as nothing knows what it is attached to. */
#define TIOCGWINSZ 0x5413

struct winsize {
    unsigned short ws_row;
    unsigned short ws_col;
    unsigned short ws_xpixel;
    unsigned short ws_ypixel;
};

int ioctl(int fd, unsigned long request, ...);

#ifdef __cplusplus
}
#endif

#endif
