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

int ioctl(int fd, unsigned long request, ...);

#ifdef __cplusplus
}
#endif

#endif
