/*
 * hypercall.h - the hypercalls of <skep/abi.h> as functions. Everything in guestlib goes through
 * here. Results are as the ABI has them: a value >= 0, or a negative SKEP_E… code.
 */
#ifndef SKEP_HYPERCALL_H
#define SKEP_HYPERCALL_H

#include <stdbool.h>
#include <stdint.h>

#include "skep/abi.h"

/* Ring 0 reads and writes guest memory in a call, hence "memory". */
static inline int64_t skep_hypercall(uint64_t number, uint64_t a, uint64_t b, uint64_t c,
                                     uint64_t d, uint64_t e)
{
    register uint64_t r10 __asm__("r10") = d;
    register uint64_t r8 __asm__("r8") = e;
    int64_t result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}

static inline int64_t skep_hypercall0(uint64_t number)
{
    int64_t result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number) : "rcx", "r11", "memory");
    return result;
}

static inline int64_t skep_hypercall1(uint64_t number, uint64_t a)
{
    int64_t result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a) : "rcx", "r11", "memory");
    return result;
}

static inline int64_t skep_hypercall2(uint64_t number, uint64_t a, uint64_t b)
{
    int64_t result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b)
                     : "rcx", "r11", "memory");
    return result;
}

static inline int64_t skep_hypercall3(uint64_t number, uint64_t a, uint64_t b, uint64_t c)
{
    int64_t result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return result;
}

static inline int64_t skep_hc_console_write(const void *data, uint64_t bytes)
{
    return skep_hypercall2(SKEP_HC_CONSOLE_WRITE, (uintptr_t)data, bytes);
}

static inline int64_t skep_hc_console_read(void *data, uint64_t bytes)
{
    return skep_hypercall2(SKEP_HC_CONSOLE_READ, (uintptr_t)data, bytes);
}

_Noreturn static inline void skep_hc_exit(uint32_t code)
{
    skep_hypercall1(SKEP_HC_EXIT, code);
    __builtin_trap();
}

_Noreturn static inline void skep_hc_abort(const char *message, uint64_t bytes)
{
    skep_hypercall2(SKEP_HC_ABORT, (uintptr_t)message, bytes);
    __builtin_trap();
}

static inline int64_t skep_hc_wait(uint64_t deadline_ns)
{
    return skep_hypercall1(SKEP_HC_WAIT, deadline_ns);
}

static inline int64_t skep_hc_yield(void)
{
    return skep_hypercall0(SKEP_HC_YIELD);
}

static inline int64_t skep_hc_timer_set(uint64_t deadline_ns)
{
    return skep_hypercall1(SKEP_HC_TIMER_SET, deadline_ns);
}

static inline int64_t skep_hc_clock_read(void)
{
    return skep_hypercall0(SKEP_HC_CLOCK_READ);
}

_Noreturn static inline void skep_hc_resume(const struct skep_context *context)
{
    skep_hypercall1(SKEP_HC_RESUME, (uintptr_t)context);
    __builtin_trap();
}

/* how: SKEP_PROT_… and SKEP_MAP_…. */
static inline int64_t skep_hc_mem_map(uint64_t va, uint64_t bytes, uint64_t how)
{
    return skep_hypercall3(SKEP_HC_MEM_MAP, va, bytes, how);
}

static inline int64_t skep_hc_mem_protect(uint64_t va, uint64_t bytes, uint64_t prot)
{
    return skep_hypercall3(SKEP_HC_MEM_PROTECT, va, bytes, prot);
}

/* bytes: with SKEP_UNMAP_…, -SKEP_EINVAL before SKEP_UNMAP_ABI_MINOR. */
static inline int64_t skep_hc_mem_unmap(uint64_t va, uint64_t bytes)
{
    return skep_hypercall2(SKEP_HC_MEM_UNMAP, va, bytes);
}

static inline int64_t skep_hc_vcpu_start(uint32_t index, const struct skep_context *context)
{
    return skep_hypercall2(SKEP_HC_VCPU_START, index, (uintptr_t)context);
}

_Noreturn static inline void skep_hc_vcpu_stop(void)
{
    skep_hypercall0(SKEP_HC_VCPU_STOP);
    __builtin_trap();
}

static inline int64_t skep_hc_event_send(uint32_t vcpu, uint32_t event)
{
    return skep_hypercall2(SKEP_HC_EVENT_SEND, vcpu, event);
}

static inline int64_t skep_hc_queue_setup(const struct skep_queue_setup *setup)
{
    return skep_hypercall1(SKEP_HC_QUEUE_SETUP, (uintptr_t)setup);
}

static inline int64_t skep_hc_queue_kick(uint32_t queue)
{
    return skep_hypercall1(SKEP_HC_QUEUE_KICK, queue);
}

/* which: 0 = FS, 1 = GS. */
static inline int64_t skep_hc_base_set(uint32_t which, uint64_t value)
{
    return skep_hypercall2(SKEP_HC_BASE_SET, which, value);
}

/* mac: of a group; its first byte is the lowest. -SKEP_ENOSYS before SKEP_GROUP_ABI_MINOR. */
static inline int64_t skep_hc_net_group(uint32_t device, uint64_t mac, bool join)
{
    return skep_hypercall3(SKEP_HC_NET_GROUP, device, mac, join);
}

#endif
