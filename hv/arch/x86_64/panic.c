/*
 * panic.c - the end: registers and a backtrace with names, then nothing.
 */
#include <stdatomic.h>

#include "core/log.h"
#include "entry.h"
#include "internal.h"
#include "symbols.h"
#include "x86.h"

#define BACKTRACE_MAX 32u
#define LINE_BYTES    160

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
    arch_serial_write(line, length);
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

_Noreturn void arch_panic(void)
{
    /* One CPU tells; a second panic, on any CPU, is silent. */
    if (atomic_exchange_explicit(&running, true, memory_order_relaxed)) {
        cpu_halt();
    }
    apic_nmi_others();
    print("on the CPU with local APIC %u, Skep %s\n", apic_id(), SKEP_VERSION);
    if (trap) {
        print_registers(trap);
        print_backtrace(trap->rip, trap->rsp, trap->rbp, false);
    } else {
        const uint64_t *frame = __builtin_frame_address(0);

        print_backtrace(frame[1], (uint64_t)frame, frame[0], true);
    }
    print("This is an error in Skep, not in a guest. Please report it with all lines from\n");
    print("\"PANIC\" on and what the machine was doing. The machine has stopped.\n");
    cpu_halt();
}
