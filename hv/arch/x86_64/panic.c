/*
 * panic.c - the end: registers and a backtrace with names, a record of the log for the next boot, and a reset.
 *
 * The record lies in memory that neither the loader nor the firmware has a reason to touch: a warm reset keeps it.
 */
#include <stdatomic.h>

#include "core/log.h"
#include "entry.h"
#include "internal.h"
#include "symbols.h"
#include "x86.h"

#define BACKTRACE_MAX 32u
#define LINE_BYTES    256

uint64_t __stack_chk_guard = 0x7e5a1c3bd2940000; /* boot.c puts a random one in its place */
_Noreturn void __stack_chk_fail(void);

static _Atomic bool running;
static const struct trap_frame *trap; /* of the exception, if that is the reason */

__attribute__((format(printf, 1, 2))) static void print(const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;

    va_start(arguments, format);
    size_t length = format_text_va(line, sizeof(line), format, arguments);

    va_end(arguments);
    log_panic(line, length);
}

_Noreturn void __stack_chk_fail(void)
{
    panic("stack overrun in ring 0");
}

bool panic_running(void)
{
    return atomic_load_explicit(&running, memory_order_relaxed);
}

/* ---- names ---- */

const char *arch_symbol(uint64_t address, bool control, uint64_t *offset)
{
    const struct symbol_table *table = control ? &symbols_control : &symbols_core;
    uint64_t base = control ? 0 : KERNEL_BASE;
    uint32_t low = 0, high = table->count;

    if (address < base || address - base > UINT32_MAX) {
        return NULL;
    }
    address -= base;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (table->symbols[middle].start <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0 || address - table->symbols[low - 1].start >= table->symbols[low - 1].bytes) {
        return NULL;
    }
    *offset = address - table->symbols[low - 1].start;
    return table->names + table->symbols[low - 1].name;
}

/* A return address may lie behind its function, when the call was the last instruction. */
static void print_place(uint64_t address, uint64_t back)
{
    uint64_t offset = 0;
    const char *name = arch_symbol(address - back, false, &offset);

    print("  %016lx %s+0x%lx\n", address, name ? name : "?", name ? offset + back : 0);
}

/* ---- what there is to say ---- */

static void print_registers(const struct trap_frame *frame)
{
    print("rip %016lx  rsp %016lx  rflags %lx  cs %lx  vector %lu  error %lx\n", frame->rip,
          frame->rsp, frame->rflags, frame->cs, frame->vector, frame->error);
    print("rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx\n", frame->rax, frame->rbx, frame->rcx,
          frame->rdx);
    print("rsi %016lx  rdi %016lx  rbp %016lx  r8  %016lx\n", frame->rsi, frame->rdi, frame->rbp,
          frame->r8);
    print("r9  %016lx  r10 %016lx  r11 %016lx  r12 %016lx\n", frame->r9, frame->r10, frame->r11,
          frame->r12);
    print("r13 %016lx  r14 %016lx  r15 %016lx\n", frame->r13, frame->r14, frame->r15);
    print("cr2 %016lx  cr3 %016lx  cr4 %lx\n", cr2_read(), cr3_read(), cr4_read());
}

/* Frame pointers count only while they go up within the stack that `rsp` is on. */
static void print_backtrace(uint64_t rip, uint64_t rsp, uint64_t rbp, bool returns)
{
    uint64_t lowest = rsp, limit = rsp + CPU_STACK_BYTES;

    print("backtrace:\n");
    print_place(rip, returns ? 1 : 0);
    for (uint32_t i = 0; i < BACKTRACE_MAX; i++) {
        const uint64_t *frame = (const uint64_t *)rbp;

        if (rbp < lowest || (rbp & 7) || rbp >= limit || frame[1] == 0) {
            return;
        }
        print_place(frame[1], 1);
        lowest = rbp + 8;
        rbp = frame[0];
    }
}

_Noreturn void panic_trap(const struct trap_frame *frame)
{
    if (!panic_running()) {
        trap = frame;
    }
    panic("exception %lu in ring 0 at %lx, error %lx, address %lx", frame->vector, frame->rip,
          frame->error, cr2_read());
}

/* ---- what the next boot finds ---- */

#define RECORD_MAGIC 0x31434e5050454b53ull /* "SKEPPNC1" */

struct panic_record {
    uint64_t magic, bytes, checksum;
    char text[PANIC_RECORD_BYTES - 24];
};
_Static_assert(sizeof(struct panic_record) == PANIC_RECORD_BYTES, "whole pages");

/* FNV-1a. It tells memory that was kept from memory that wasn't, not from a forgery: nobody but ring 0 writes there. */
static uint64_t checksum(const char *text, uint64_t bytes)
{
    uint64_t sum = 0xcbf29ce484222325;

    for (uint64_t i = 0; i < bytes; i++) {
        sum = (sum ^ (uint8_t)text[i]) * 0x100000001b3;
    }
    return sum;
}

static void record_write(void)
{
    struct panic_record *record = arch_direct(paddr(machine.panic_record));

    if (!machine.panic_record) {
        return;
    }
    record->bytes = log_tail(record->text, sizeof(record->text));
    record->checksum = checksum(record->text, record->bytes);
    record->magic = RECORD_MAGIC;
    __asm__ volatile("wbinvd" ::: "memory"); /* a reset may drop what is in the caches only */
}

/* What is there may be anything: a length is checked before it is used, and so is each character. */
void panic_record_take(struct boot_info *boot)
{
    struct panic_record *record = arch_direct(paddr(machine.panic_record));

    if (!machine.panic_record || record->magic != RECORD_MAGIC) {
        return;
    }
    record->magic = 0;
    if (record->bytes > sizeof(record->text) ||
        record->checksum != checksum(record->text, record->bytes)) {
        return;
    }
    for (uint64_t i = 0; i < record->bytes; i++) {
        char c = record->text[i];

        record->text[i] = c == '\n' || (c >= ' ' && c < 127) ? c : '?';
    }
    boot->panic_log = record->text;
    boot->panic_log_bytes = record->bytes;
}

/* ---- the end ---- */

#define WAIT_SECONDS     10u
#define WAIT_SECONDS_MAX 86400u

/* `panic=reboot` at once, `panic=halt` never, `panic=SECONDS`. */
static void reboot_or_halt(void)
{
    char value[8] = "";
    uint64_t seconds = WAIT_SECONDS;

    if (arch_option("panic", value, sizeof(value))) {
        seconds = 0;
        for (const char *digit = value; *digit >= '0' && *digit <= '9'; digit++) {
            seconds = seconds * 10 + (uint64_t)(*digit - '0');
        }
    }
    if (value[0] == 'h' || seconds > WAIT_SECONDS_MAX) {
        print("The machine has stopped.\n");
        return;
    }
    print("The machine reboots in %lu seconds.\n", seconds);
    clock_wait_unlocked(seconds);
    arch_reboot();
}

_Noreturn void arch_panic(const char *what)
{
    /* One CPU tells; a second panic, on any CPU, is silent. */
    if (atomic_exchange_explicit(&running, true, memory_order_relaxed)) {
        cpu_halt();
    }
    apic_nmi_others();
    print("\nPANIC: %s\n", what);
    print("on the CPU with local APIC %u, Skep %s\n", apic_id(), SKEP_VERSION);
    if (trap) {
        print_registers(trap);
        print_backtrace(trap->rip, trap->rsp, trap->rbp, false);
    } else {
        const uint64_t *frame = __builtin_frame_address(0);

        print_backtrace(frame[1], (uint64_t)frame, frame[0], true);
    }
    print("This is an error in Skep, not in a guest. Please report it with all lines from\n");
    print("\"PANIC\" on and what the machine was doing.\n");
    record_write();
    reboot_or_halt();
    cpu_halt();
}
