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
