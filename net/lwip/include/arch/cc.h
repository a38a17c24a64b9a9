/*
 * cc.h - what lwIP wants to know of the compiler and the C library.
 */
#ifndef SKEP_LWIP_CC_H
#define SKEP_LWIP_CC_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/time.h>

#define LWIP_ERRNO_STDINCLUDE 1
#ifndef BYTE_ORDER
#define BYTE_ORDER LITTLE_ENDIAN
#endif

/* The backtrace in the crash record and the line say where; the texts would cost every guest 20 KiB. */
_Noreturn void network_assertion_failed(unsigned line);
#define LWIP_PLATFORM_DIAG(message)
#define LWIP_PLATFORM_ASSERT(message) network_assertion_failed(__LINE__)

/* Constants stay constants, and the rest is one instruction. */
#define lwip_htons(host) __builtin_bswap16(host)
#define lwip_htonl(host) __builtin_bswap32(host)

uint32_t network_random(void);
#define LWIP_RAND() network_random()

#endif
