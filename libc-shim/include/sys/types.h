/*
 * sys/types.h - newlib's, with the sets of select() after all types. newlib has them in the middle: who replaces
 * <sys/select.h>, as gnulib does, and includes other headers there, would find half of the types.
 */
#ifndef SKEP_SYS_TYPES_H
#define SKEP_SYS_TYPES_H

#include <sys/features.h>

#pragma push_macro("__BSD_VISIBLE")
#undef __BSD_VISIBLE
#define __BSD_VISIBLE 0
#include_next <sys/types.h>
#pragma pop_macro("__BSD_VISIBLE")

#if __BSD_VISIBLE
#include <machine/endian.h>
#include <sys/select.h>

#ifndef _IN_ADDR_T_DECLARED
typedef __uint32_t in_addr_t;
#define _IN_ADDR_T_DECLARED
#endif

#ifndef _IN_PORT_T_DECLARED
typedef __uint16_t in_port_t;
#define _IN_PORT_T_DECLARED
#endif

typedef __uintptr_t u_register_t;
#endif

#endif
