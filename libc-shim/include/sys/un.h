/*
 * sys/un.h - names of UNIX sockets, which unix_common.c keeps: they are no files.
 */
#ifndef _SYS_UN_H
#define _SYS_UN_H

#include <sys/socket.h>

struct sockaddr_un {
    sa_family_t sun_family;
    char sun_path[108]; /* a path, or a zero and any bytes */
};

#define SUN_LEN(address) (sizeof((address)->sun_family) + __builtin_strlen((address)->sun_path))

#endif
