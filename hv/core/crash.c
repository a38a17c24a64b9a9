/*
 * crash.c - what the serial log says of a crash; the whole record is the API's.
 */
#include "core/guest_internal.h"
#include "core/log.h"
#include "skep/crash_name.h"

#define BUDGETS      64u
#define BUDGET_LINES 4u /* in BUDGET_NS */
#define BUDGET_NS    10000000000ull

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

/* A guest that is started again and again to crash must not fill the log: names share some budgets. */
static bool may_log(const struct guest *guest)
{
    static struct {
        _Atomic uint64_t since_ns;
        _Atomic uint32_t count;
    } budgets[BUDGETS];
    uint32_t hash = 0;
    for (const char *at = guest->name; *at; at++) {
        hash = hash * 31 + (uint8_t)*at;
    }
    _Atomic uint64_t *since = &budgets[hash % BUDGETS].since_ns;
    _Atomic uint32_t *count = &budgets[hash % BUDGETS].count;
    uint64_t now = arch_clock_ns();
    if (now - atomic_load_explicit(since, memory_order_relaxed) >= BUDGET_NS) {
        atomic_store_explicit(since, now, memory_order_relaxed);
        uint32_t past = atomic_exchange_explicit(count, 0, memory_order_relaxed);
        if (past > BUDGET_LINES) {
            log_line("guest %s: %u crashes of it, or of others, were left out here", guest->name,
                     past - BUDGET_LINES);
        }
    }
    return atomic_fetch_add_explicit(count, 1, memory_order_relaxed) < BUDGET_LINES;
}

void crash_log(const struct guest *guest)
{
    const struct skep_crash *crash = &guest->crash;
    if (!may_log(guest)) {
        return;
    }
    log_line("guest %s: crashed: %s at rip %016lx, address %016lx, error 0x%lx%s%s", guest->name,
             skep_crash_name(crash->reason), (unsigned long)crash->context.rip,
             (unsigned long)crash->address, (unsigned long)crash->error,
             crash->message_bytes ? ": " : "", crash->message);
    if (guest->is_control) {
        registers_log(&crash->context);
        backtrace_log(guest);
    }
}
