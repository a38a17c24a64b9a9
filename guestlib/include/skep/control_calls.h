/*
 * control_calls.h - the hypercalls of <skep/control.h> as functions, for the control service. Any
 * other guest gets -SKEP_EPERM from each. Results are as the ABI has them.
 */
#ifndef SKEP_CONTROL_CALLS_H
#define SKEP_CONTROL_CALLS_H

#include "skep/control.h"
#include "skep/hypercall.h"

static inline int64_t skep_ctl_host_info(struct skep_host_info *out)
{
    return skep_hypercall1(SKEP_CTL_HOST_INFO, (uintptr_t)out);
}

static inline int64_t skep_ctl_cpu_info(uint32_t cpu, struct skep_cpu_info *out)
{
    return skep_hypercall2(SKEP_CTL_CPU_INFO, cpu, (uintptr_t)out);
}

static inline int64_t skep_ctl_log_write(const char *line, uint64_t bytes)
{
    return skep_hypercall2(SKEP_CTL_LOG_WRITE, (uintptr_t)line, bytes);
}

/* what: SKEP_BOOT_… */
static inline int64_t skep_ctl_boot_read(uint32_t what, uint64_t offset, void *data, uint64_t bytes)
{
    return skep_hypercall(SKEP_CTL_BOOT_READ, what, offset, (uintptr_t)data, bytes, 0);
}

static inline int64_t skep_ctl_retain_read(uint32_t record, void *page)
{
    return skep_hypercall2(SKEP_CTL_RETAIN_READ, record, (uintptr_t)page);
}

/* A page of NULL erases the record. */
static inline int64_t skep_ctl_retain_write(uint32_t record, const void *page)
{
    return skep_hypercall2(SKEP_CTL_RETAIN_WRITE, record, (uintptr_t)page);
}

static inline int64_t skep_ctl_notify_read(struct skep_notification *out, uint64_t count)
{
    return skep_hypercall2(SKEP_CTL_NOTIFY_READ, (uintptr_t)out, count);
}

static inline int64_t skep_ctl_image_create(const struct skep_image_spec *spec)
{
    return skep_hypercall1(SKEP_CTL_IMAGE_CREATE, (uintptr_t)spec);
}

static inline int64_t skep_ctl_image_write(uint64_t image, uint64_t page_index, const void *data,
                                           uint64_t bytes)
{
    return skep_hypercall(SKEP_CTL_IMAGE_WRITE, image, page_index, (uintptr_t)data, bytes, 0);
}

static inline int64_t skep_ctl_image_read(uint64_t image, uint64_t page_index, void *data,
                                          uint64_t bytes)
{
    return skep_hypercall(SKEP_CTL_IMAGE_READ, image, page_index, (uintptr_t)data, bytes, 0);
}

static inline int64_t skep_ctl_image_seal(uint64_t image)
{
    return skep_hypercall1(SKEP_CTL_IMAGE_SEAL, image);
}

static inline int64_t skep_ctl_image_destroy(uint64_t image)
{
    return skep_hypercall1(SKEP_CTL_IMAGE_DESTROY, image);
}

static inline int64_t skep_ctl_image_next(uint64_t image, struct skep_image_info *out)
{
    return skep_hypercall2(SKEP_CTL_IMAGE_NEXT, image, (uintptr_t)out);
}

static inline int64_t skep_ctl_guest_create(const struct skep_guest_spec *spec)
{
    return skep_hypercall1(SKEP_CTL_GUEST_CREATE, (uintptr_t)spec);
}

static inline int64_t skep_ctl_guest_start(uint64_t guest)
{
    return skep_hypercall1(SKEP_CTL_GUEST_START, guest);
}

static inline int64_t skep_ctl_guest_pause(uint64_t guest)
{
    return skep_hypercall1(SKEP_CTL_GUEST_PAUSE, guest);
}

/* how: 0 = send the shutdown event, 1 = end it now. */
static inline int64_t skep_ctl_guest_stop(uint64_t guest, uint32_t how)
{
    return skep_hypercall2(SKEP_CTL_GUEST_STOP, guest, how);
}

static inline int64_t skep_ctl_guest_destroy(uint64_t guest)
{
    return skep_hypercall1(SKEP_CTL_GUEST_DESTROY, guest);
}

/* bytes: sizeof(*out), or SKEP_GUEST_BRIEF_BYTES. */
static inline int64_t skep_ctl_guest_status(uint64_t guest, struct skep_guest_status *out,
                                            uint64_t bytes)
{
    return skep_hypercall3(SKEP_CTL_GUEST_STATUS, guest, (uintptr_t)out, bytes);
}

static inline int64_t skep_ctl_guest_next(uint64_t guest)
{
    return skep_hypercall1(SKEP_CTL_GUEST_NEXT, guest);
}

static inline int64_t skep_ctl_console_read(uint64_t guest, uint64_t offset, void *data,
                                            uint64_t bytes)
{
    return skep_hypercall(SKEP_CTL_CONSOLE_READ, guest, offset, (uintptr_t)data, bytes, 0);
}

static inline int64_t skep_ctl_console_write(uint64_t guest, const void *data, uint64_t bytes)
{
    return skep_hypercall3(SKEP_CTL_CONSOLE_WRITE, guest, (uintptr_t)data, bytes);
}

/* Big-endian. */
static inline int64_t skep_ctl_net_set(uint32_t address, uint32_t netmask)
{
    return skep_hypercall3(SKEP_CTL_HOST_SET, SKEP_HOST_NET, address, netmask);
}

static inline int64_t skep_ctl_wall_set(uint64_t wall_ns)
{
    return skep_hypercall2(SKEP_CTL_HOST_SET, SKEP_HOST_WALL, wall_ns);
}

static inline int64_t skep_ctl_guest_set(uint64_t guest, const struct skep_guest_change *change)
{
    return skep_hypercall2(SKEP_CTL_GUEST_SET, guest, (uintptr_t)change);
}

static inline int64_t skep_ctl_vcpu_status(uint64_t guest, uint32_t index,
                                           struct skep_vcpu_status *out)
{
    return skep_hypercall3(SKEP_CTL_VCPU_STATUS, guest, index, (uintptr_t)out);
}

static inline int64_t skep_ctl_guest_stats(uint64_t guest, struct skep_stat out[SKEP_STATS_MAX])
{
    return skep_hypercall3(SKEP_CTL_VCPU_STATUS, guest, SKEP_VCPU_STATS, (uintptr_t)out);
}

/* One CPU's records of the guest; the order over all CPUs is that of their times. */
static inline int64_t skep_ctl_trace_read(uint64_t guest, uint32_t cpu,
                                          struct skep_trace_record *out, uint64_t count)
{
    return skep_hypercall(SKEP_CTL_TRACE_READ, guest, cpu, (uintptr_t)out, count, 0);
}

/* action: 0 = off, 1 = reboot. */
static inline int64_t skep_ctl_power(uint32_t action)
{
    return skep_hypercall1(SKEP_CTL_POWER, action);
}

#endif
