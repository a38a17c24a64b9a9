/*
 * sys/sysinfo.h - how many CPUs and how much memory the guest has, as Linux tells it.
 */
#ifndef SKEP_SYS_SYSINFO_H
#define SKEP_SYS_SYSINFO_H

#ifdef __cplusplus
extern "C" {
#endif

#define SI_LOAD_SHIFT 16

/* Sizes are in units of mem_unit bytes, which is 1. What nobody counts is 0. */
struct sysinfo {
    long uptime; /* seconds since the guest began, rounded up */
    unsigned long loads[3];
    unsigned long totalram; /* the guest's promise */
    unsigned long freeram;  /* the same, as sysconf(_SC_AVPHYS_PAGES) says */
    unsigned long sharedram;
    unsigned long bufferram;
    unsigned long totalswap;
    unsigned long freeswap;
    unsigned short procs; /* 1 */
    unsigned short pad;
    unsigned long totalhigh;
    unsigned long freehigh;
    unsigned mem_unit;
};

int sysinfo(struct sysinfo *out); /* 0 */

/* CPUs: those that the guest has now, and may have. */
int get_nprocs(void);
int get_nprocs_conf(void);

/* Pages of the promise. How many of them are free isn't counted: both are the same. */
long get_phys_pages(void);
long get_avphys_pages(void);

#ifdef __cplusplus
}
#endif

#endif
