/*
 * crash.c - what the serial log says of a crash; the whole record is the API's.
 */
#include "core/guest_internal.h"
#include "core/log.h"
#include "skep/crash_name.h"

static void registers_log(const struct skep_context *c)
{
    const uint64_t values[] = {c->rax, c->rbx, c->rcx, c->rdx, c->rsi, c->rdi, c->rbp, c->rsp,
                               c->r8,  c->r9,  c->r10, c->r11, c->r12, c->r13, c->r14, c->r15};
    static const char *const labels[] = {"ax..dx", "si..sp", "r8..11", "r12..15"};
    for (uint32_t i = 0; i < ARRAY_COUNT(labels); i++) {
        const uint64_t *v = &values[4 * i];
        log_line("control:   %7s %016lx %016lx %016lx %016lx", labels[i], (unsigned long)v[0],
                 (unsigned long)v[1], (unsigned long)v[2], (unsigned long)v[3]);
    }
}

/* The control service's own backtrace has no API to appear in. */
static void backtrace_log(const struct guest *guest)
{
    for (uint32_t i = 0; i < guest->crash.backtrace_count; i++) {
        uint64_t address = guest->crash.backtrace[i];
        uint64_t offset = 0;
        const char *name = arch_symbol(address - guest->image_base, true, &offset);
        log_line("control:   %016lx %s+0x%lx", (unsigned long)address, name ? name : "?",
                 (unsigned long)offset);
    }
}

void crash_log(const struct guest *guest)
{
    const struct skep_crash *crash = &guest->crash;
    log_line("guest %s: crashed: %s at rip %016lx, address %016lx, error 0x%lx%s%s", guest->name,
             skep_crash_name(crash->reason), (unsigned long)crash->context.rip,
             (unsigned long)crash->address, (unsigned long)crash->error,
             crash->message_bytes ? ": " : "", crash->message);
    if (guest->is_control) {
        registers_log(&crash->context);
        backtrace_log(guest);
    }
}
