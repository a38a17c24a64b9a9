/*
 * netinet/in_systm.h - BSD's numbers in the network's order of bytes, in headers that are older than uint16_t.
 */
#ifndef SKEP_NETINET_IN_SYSTM_H
#define SKEP_NETINET_IN_SYSTM_H

#include <stdint.h>

typedef uint16_t n_short;
typedef uint32_t n_long, n_time;

#endif
