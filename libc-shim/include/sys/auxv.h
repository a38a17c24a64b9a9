/*
 * sys/auxv.h - what Linux' kernel tells a program at its start, as far as there is something to tell.
 */
#ifndef SKEP_SYS_AUXV_H
#define SKEP_SYS_AUXV_H

#ifdef __cplusplus
extern "C" {
#endif

#define AT_PHDR         3 /* the types that have no value are here for programs to ask for */
#define AT_PAGESZ       6
#define AT_UID          11
#define AT_EUID         12
#define AT_GID          13
#define AT_EGID         14
#define AT_PLATFORM     15
#define AT_HWCAP        16
#define AT_CLKTCK       17
#define AT_SECURE       23
#define AT_RANDOM       25
#define AT_HWCAP2       26
#define AT_EXECFN       31
#define AT_SYSINFO_EHDR 33

/* AT_PAGESZ, AT_CLKTCK, AT_UID and its kind (as they are now), AT_SECURE (0), AT_PLATFORM ("x86_64"), AT_EXECFN (the first
 * argument), and AT_RANDOM: 16 random bytes, the same each time. 0 and ENOENT of all others: what the CPU can CPUID tells. */
unsigned long getauxval(unsigned long type);

#ifdef __cplusplus
}
#endif

#endif
