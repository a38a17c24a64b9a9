/*
 * core.h - what the control service asks of ring 0, one function a hypercall of <skep/control.h>.
 *
 * There are two implementations, chosen by file: core_hypercall.c, and core_fake.c, an in-process
 * model with which the whole service runs as an ordinary program for tests. Results are the ABI's: 0,
 * a handle or a count, or a negative SKEP_E… code. Any thread may call any function.
 */
#ifndef CONTROL_CORE_H
#define CONTROL_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "skep/control.h"

struct bdev;

int64_t core_host_info(struct skep_host_info *out);
uint64_t core_own_cpu_ns(void); /* CPU time of this service, as of when it was last put on a CPU */
uint64_t core_own_heap_bytes(void); /* what it has of malloc(), 0 where a sanitizer has the heap */
int64_t core_cpu_info(uint32_t cpu, struct skep_cpu_info *out);
int64_t core_power(bool reboot);              /* returns only if it can't */
int64_t core_wall_set(uint64_t wall_base_ns); /* for all guests */
uint64_t core_clock_ns(void);                 /* since boot, the clock of statuses */
uint64_t core_wall_base_ns(void);             /* UNIX time at clock 0, 0 = unknown */
void core_log(const char *line, size_t bytes);

static inline uint64_t core_wall_ns(void) /* UNIX time, 0 = unknown */
{
    uint64_t base = core_wall_base_ns();
    return base ? base + core_clock_ns() : 0;
}

int64_t core_boot_read(unsigned what, uint64_t offset, void *data, size_t bytes);
int64_t core_retain_read(unsigned record, void *page);
int64_t core_retain_write(unsigned record, const void *page);

/* Waits until there are notifications, at most until the deadline (core_clock_ns), or until
 * core_notify_kick(); how many were stored, 0 if none. For one thread only. */
int core_notify_wait(struct skep_notification *list, unsigned count, uint64_t deadline_ns);
void core_notify_kick(void);

int64_t core_image_create(const struct skep_image_spec *spec);
int64_t core_image_write(uint64_t image, uint32_t page, const void *data, size_t bytes);
int64_t core_image_read(uint64_t image, uint32_t page, void *data, size_t bytes);
int64_t core_image_seal(uint64_t image);
int64_t core_image_destroy(uint64_t image);
int64_t core_image_next(uint64_t image, struct skep_image_info *out);

int64_t core_guest_create(const struct skep_guest_spec *spec);
int64_t core_guest_start(uint64_t guest);
int64_t core_guest_pause(uint64_t guest);
int64_t core_guest_stop(uint64_t guest, bool now);
int64_t core_guest_destroy(uint64_t guest);
int64_t core_guest_status(uint64_t guest, struct skep_guest_status *out);
int64_t core_guest_status_brief(uint64_t guest,
                                struct skep_guest_status *out); /* the first of it */
int64_t core_guest_next(uint64_t guest);
int64_t core_guest_set(uint64_t guest, const struct skep_guest_change *change);
int64_t core_vcpu_status(uint64_t guest, uint32_t index, struct skep_vcpu_status *out);
/* What the guest says of itself: not to be trusted. */
int64_t core_guest_stats(uint64_t guest, struct skep_stat out[SKEP_STATS_MAX]);
/* Those of one CPU, oldest first; SKEP_TRACE_CPU_MAX are always all. */
int64_t core_trace_read(uint64_t guest, uint32_t cpu, struct skep_trace_record *out,
                        uint32_t count);
int64_t core_console_read(uint64_t guest, uint64_t offset, void *data, size_t bytes);
int64_t core_console_write(uint64_t guest, const void *data, size_t bytes); /* bytes taken */

/* Disks by index; -SKEP_ENOENT = there are no more. */
int64_t core_disk_info(uint32_t disk, struct skep_disk_info *out);
/* The whole disk; NULL if there is no such. It stays where it is. */
struct bdev *core_disk_bdev(uint32_t disk);

/* `what` and the arguments a, b and c as for SKEP_CTL_VOLUME_SET and _READ; addresses are passed as numbers. */
int64_t core_volume_open(const struct skep_volume_spec *spec);
int64_t core_volume_set(uint64_t volume, enum skep_volume_set what, uint64_t a, uint64_t b,
                        uint64_t c);
int64_t core_volume_read(uint64_t volume, enum skep_volume_read what, uint64_t a, uint64_t b,
                         uint64_t c);

/* Network order. The network is configured by core_net_start: an address of 0 means DHCP. It waits
 * for the address, tells the switch, and stores it; false when there is none by the deadline. */
struct core_net {
    uint32_t address, netmask, gateway, dns;
    uint32_t ntp; /* OUT: a time server that DHCP named, 0 = none */
};
bool core_net_start(struct core_net *net, const char *hostname, uint64_t deadline_ns);

/* Asks this server for the time, again and again; its answers go to wall_measured(). The network runs. */
void core_sntp_start(uint32_t server, uint16_t port);

/* Ends the service at once, as a crash would; ring 0 starts it anew. */
_Noreturn void core_crash(const char *why);

#endif
