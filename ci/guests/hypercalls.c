/*
 * hypercalls.c - a guest that passes bad values to every hypercall, in each argument in turn:
 * hypercalls [first case].
 *
 * It prints "case N: <call> argument <n> = <value>" before each and "  -> <result>" after it. A case
 * may end the guest as crashed, which is a right answer too: the test then starts another guest at
 * the case after it. "hypercalls: done" is the end. Calls of the control service are summed up: each
 * must be -EPERM, whatever the arguments.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "skep/control.h"
#include "skep/guest.h"
#include "skep/hypercall.h"
#include "skep/thread.h"

#define ARGUMENTS 5

struct value {
    const char *name;
    uint64_t value;
    bool mapped; /* something of this guest's is there */
};

static char buffer[8192] __attribute__((aligned(4096)));
static uint64_t guard_page;
static long case_number, first_case;

static struct value values[] = {
    {"null", 0, false},
    {"one", 1, false},
    {"unmapped", SKEP_GUEST_VA_MIN + 0x1234000, false},
    {"last-page", SKEP_GUEST_VA_MAX, false},
    {"before-last-page", SKEP_GUEST_VA_MAX - 8, false},
    {"non-canonical", 0x0000800000000000ull, false},
    {"upper-half", 0xffffffff80100000ull, false},
    {"direct-map", 0xffff800000100000ull, false},
    {"wrapping", 0xfffffffffffffff8ull, false},
    {"minus-one", ~0ull, false},
    {"sign-bit", 1ull << 63, false},
    {"four-gib", 1ull << 32, false},
    {"start-info", 0, true},
    {"text", 0, true},
    {"guard-page", 0, false},
    {"end-of-mapping", 0, false},
};

#define VALUES (sizeof(values) / sizeof(*values))

static void set_value(const char *name, uint64_t value)
{
    for (size_t i = 0; i < VALUES; i++)
        if (strcmp(values[i].name, name) == 0)
            values[i].value = value;
}

static void report(int64_t result)
{
    printf("  -> %lld\n", (long long)result);
}

static bool begin_case(const char *call, unsigned argument, const struct value *value)
{
    if (case_number++ < first_case)
        return false;
    printf("case %ld: %s argument %u = %s\n", case_number - 1, call, argument, value->name);
    return true;
}

struct call {
    const char *name;
    uint64_t number;
    unsigned argument_count;
    bool spare_mapped; /* success would take away what this program needs */
    uint64_t good[ARGUMENTS];
};

static int64_t make_call(uint64_t number, const uint64_t *a)
{
    return skep_hypercall(number, a[0], a[1], a[2], a[3], a[4]);
}

static void try_arguments(const struct call *call)
{
    for (unsigned argument = 0; argument < call->argument_count; argument++) {
        for (size_t i = 0; i < VALUES; i++) {
            if (call->spare_mapped && values[i].mapped)
                continue;
            if (!begin_case(call->name, argument, &values[i]))
                continue;
            uint64_t arguments[ARGUMENTS];
            memcpy(arguments, call->good, sizeof(arguments));
            arguments[argument] = values[i].value;
            report(make_call(call->number, arguments));
        }
    }
}

/* Bad addresses inside a structure that is itself all right. */
static void try_queue_parts(void)
{
    static const char *const names[] = {"queue_setup.desc", "queue_setup.avail",
                                        "queue_setup.used"};
    for (unsigned part = 0; part < 3; part++) {
        for (size_t i = 0; i < VALUES; i++) {
            if (!begin_case(names[part], 0, &values[i]))
                continue;
            struct skep_queue_setup setup = {.size = 16,
                                             .desc = (uint64_t)buffer,
                                             .avail = (uint64_t)buffer + 1024,
                                             .used = (uint64_t)buffer + 2048};
            *(part == 0 ? &setup.desc : part == 1 ? &setup.avail : &setup.used) = values[i].value;
            report(skep_hc_queue_setup(&setup));
        }
    }
}

/* Bases that are set stay only until the next case: the program needs its own. */
static void try_bases(void)
{
    uint64_t fs = (uint64_t)skep_thread_self(), gs = skep_start_info()->vcpu_pages;
    for (uint32_t which = 0; which < 3; which++) {
        for (size_t i = 0; i < VALUES; i++) {
            if (!begin_case(which ? "base_set GS" : "base_set FS", 1, &values[i]))
                continue;
            int64_t result = skep_hc_base_set(which, values[i].value);
            skep_hc_base_set(0, fs);
            skep_hc_base_set(1, gs);
            report(result);
        }
    }
}

/* Memory that was writable must never become executable. */
static void try_protections(void)
{
    static const struct value bad[] = {
        {"write-exec", SKEP_PROT_READ | SKEP_PROT_WRITE | SKEP_PROT_EXEC, false},
        {"exec-after-write", SKEP_PROT_READ | SKEP_PROT_EXEC, false},
        {"unknown-bits", 0x100 | SKEP_PROT_READ, false},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (begin_case("mem_protect", 2, &bad[i]))
            report(skep_hc_mem_protect((uint64_t)buffer, 4096, bad[i].value));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (begin_case("mem_map", 2, &bad[i]))
            report(skep_hc_mem_map(0, 4096, bad[i].value));
}

static void try_control_calls(void)
{
    uint64_t arguments[ARGUMENTS] = {(uint64_t)buffer, (uint64_t)buffer, (uint64_t)buffer,
                                     (uint64_t)buffer, (uint64_t)buffer};
    for (uint64_t number = SKEP_HC_CONTROL_FIRST; number < SKEP_CTL_END; number++) {
        unsigned refused = 0;
        for (size_t i = 0; i < VALUES; i++) {
            arguments[0] = arguments[1] = values[i].value;
            refused += make_call(number, arguments) == -SKEP_EPERM;
        }
        printf("control call %llu: %s\n", (unsigned long long)number,
               refused == VALUES ? "refused" : "NOT REFUSED");
    }
}

static void try_unknown_numbers(void)
{
    static const uint64_t numbers[] = {SKEP_HC_GUEST_COUNT, 63,         SKEP_CTL_END, 1000,
                                       1ull << 31,          1ull << 32, ~0ull};
    uint64_t arguments[ARGUMENTS] = {0};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        printf("unknown call %llx: %lld\n", (unsigned long long)numbers[i],
               (long long)make_call(numbers[i], arguments));
}

int main(int argc, char **argv)
{
    first_case = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
    int64_t mapping = skep_mem_map(2 * 4096, SKEP_PROT_READ | SKEP_PROT_WRITE);
    skep_mem_protect((void *)(mapping + 4096), 4096, SKEP_PROT_NONE);
    guard_page = (uint64_t)mapping + 4096;
    set_value("guard-page", guard_page);
    set_value("end-of-mapping", guard_page - 4);
    set_value("start-info", (uint64_t)skep_start_info());
    set_value("text", (uint64_t)&main & ~4095ull);

    const uint64_t b = (uint64_t)buffer, rw = SKEP_PROT_READ | SKEP_PROT_WRITE;
    const struct call calls[] = {
        {"console_write", SKEP_HC_CONSOLE_WRITE, 2, false, {b, 16}},
        {"console_read", SKEP_HC_CONSOLE_READ, 2, false, {b, 16}},
        {"yield", SKEP_HC_YIELD, 1, false, {0}},
        {"clock_read", SKEP_HC_CLOCK_READ, 1, false, {0}},
        {"mem_map", SKEP_HC_MEM_MAP, 3, false, {0, 4096, rw}},
        {"mem_protect", SKEP_HC_MEM_PROTECT, 3, true, {b, 4096, rw}},
        {"mem_unmap", SKEP_HC_MEM_UNMAP, 2, true, {b + 4096, 0}},
        {"vcpu_start", SKEP_HC_VCPU_START, 2, false, {0, b}},
        {"event_send", SKEP_HC_EVENT_SEND, 2, false, {0, SKEP_EVENT_IPI}},
        {"queue_setup", SKEP_HC_QUEUE_SETUP, 1, false, {b}},
        {"queue_kick", SKEP_HC_QUEUE_KICK, 1, false, {0}},
        {"abort", SKEP_HC_ABORT, 2, false, {b, 16}},
        {"resume", SKEP_HC_RESUME, 1, false, {b}},
    };
    try_unknown_numbers();
    try_control_calls();
    try_protections();
    try_bases();
    try_queue_parts();
    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
        try_arguments(&calls[i]);
    printf("hypercalls: done\n");
    return 0;
}
