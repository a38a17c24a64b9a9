/*
 * sys/poll.h - another name of <poll.h>, as on Linux and the BSDs.
 */
#ifndef SKEP_SYS_POLL_H
#define SKEP_SYS_POLL_H

#include <poll.h>

#endif
