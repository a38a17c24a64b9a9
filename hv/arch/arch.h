/*
 * arch.h - the door between the portable core and an architecture.
 *
 * hv/arch/x86_64 implements it for the machine; hv/arch/fake for unit tests in Linux user space. The core includes
 * this header and nothing else of an architecture. arch_types.h, found by include path, supplies struct arch_vcpu,
 * struct arch_cpu, struct arch_root and the inline functions listed at the end.
 *
 * Ring 0 always runs with interrupts off and has one stack per CPU. A trap (hypercall, fault, interrupt) saves
 * the interrupted vCPU's registers into its struct, calls one of the core's trap_… functions (trap.h), and then
 * core_resume(), which never returns: it picks what runs next and ends in arch_vcpu_resume() or arch_idle(). An
 * interrupt taken in arch_idle() discards the idle context.
 */
#ifndef ARCH_H
#define ARCH_H

#include "arch_types.h"
#include "core/types.h"

struct cpu;
struct guest;
struct vcpu;

#define CPUS_MAX 32u

/* ---- boot ---- */

#define BOOT_REGIONS_MAX 128

enum boot_region_kind {
    BOOT_REGION_FREE, /* RAM that the core may give out */
    BOOT_REGION_CORE, /* RAM that holds the core, its first page tables or the boot module */
};

struct boot_region {
    uint64_t base, bytes; /* page-aligned */
    enum boot_region_kind kind;
};

/* What the architecture found out before core_main(). Regions ascend and don't overlap; all of them are in the
 * direct map. */
struct boot_info {
    struct boot_region regions[BOOT_REGIONS_MAX];
    uint32_t region_count;
    uint32_t cpu_count;  /* at most CPUS_MAX */
    const char *cmdline; /* NUL-terminated, at most 4095 bytes */
    const void *module;  /* the boot module in the direct map, NULL = none */
    uint64_t module_bytes;
    uint64_t wall_ns; /* UNIX time at arch_clock_ns() == 0; 0 = unknown */
    const char *
        panic_log; /* the end of the log of a panic before the last reset: printable characters and newlines */
    uint64_t panic_log_bytes; /* 0 = none */
};

/* Starts the CPUs 1 to cpu_count - 1, each of which calls core_cpu_main() on its own stack. Called once by the boot
 * CPU, after struct cpu of each exists (cpu_at()). */
void arch_cpus_start(void);

/* Fills the parts of struct skep_host_info that only the architecture knows: cpu_model, clock_source, mitigations,
 * entropy. */
void arch_host_info(struct skep_host_info *info);

/* ---- time and interrupts ---- */

/* Monotonic nanoseconds since boot, the same on all CPUs. */
uint64_t arch_clock_ns(void);

/* Parameters for guests that read the TSC themselves; hz == 0 when it is no clock here. */
void arch_clock_params(struct skep_clock *clock);

/* Arms this CPU's one-shot timer: trap_timer() is called at or soon after the deadline. TIME_NEVER disarms. */
void arch_timer_set(uint64_t deadline_ns);

/* Makes the CPU enter ring 0 soon: trap_ipi() is called there. Harmless if it is there already. */
void arch_ipi_send(uint32_t cpu_index);

/* ---- memory ---- */

/* Prepares an address space's root tables for its first use: ring 0's half is filled in. The frames are zeroed by
 * the caller: ARCH_ROOT_FRAMES of them, pfns[]. */
void arch_root_init(struct arch_root *root, const pfn_t pfns[]);

/* Writes entry `index` (0 to 255, the lower half) of the root, in each copy of it. */
void arch_root_set(struct arch_root *root, uint32_t index, uint64_t entry);

/* Drops this CPU's cached translations of one page, or of the whole lower half. */
void arch_tlb_flush_page(gva_t address);
void arch_tlb_flush_all(void);

/* Maps device registers uncached for ring 0, for good. NULL when out of address space or page tables. */
void *arch_mmio_map(paddr_t base, uint64_t bytes);

/* ---- vCPUs ---- */

/* First state: RIP, RSP and RDI as given, all else clean, fresh extended state. */
void arch_vcpu_init(struct vcpu *vcpu, gva_t entry, gva_t stack, uint64_t argument);

/* Saves what the CPU still holds of this vCPU (extended state, FS/GS bases, debug registers) into its struct, so
 * that any CPU may load it. The vCPU is the one loaded on this CPU. */
void arch_vcpu_save(struct vcpu *vcpu);

/* Loads a vCPU on this CPU: address space, extended state, bases, predictor barriers when the guest differs from
 * the one before. */
void arch_vcpu_load(struct vcpu *vcpu);

/* The CPU has no vCPU's registers any more. It stays on the page tables of that guest, or for NULL it leaves the lower
 * half: it runs on ring 0's own page tables afterwards, holding no guest's translations. */
void arch_vcpu_unload(const struct guest *space);

/* Enters ring 3 with the loaded vCPU's registers, sanitized. */
_Noreturn void arch_vcpu_resume(struct vcpu *vcpu);

/* Waits for an interrupt with interrupts on, on a fresh stack. */
_Noreturn void arch_idle(void);

/* The vCPU's complete integer context; the vCPU must be loaded here or saved. */
void arch_vcpu_context_get(struct vcpu *vcpu, struct skep_context *context);

/* Replaces it. -SKEP_EINVAL, and nothing changed, when RIP or a base is not a canonical lower-half address; flags
 * are forced to safe values. */
int arch_vcpu_context_set(struct vcpu *vcpu, const struct skep_context *context);

/* Sets the FS (which = 0) or GS (1) base. -SKEP_EINVAL when it is not in the lower half. */
int arch_vcpu_base_set(struct vcpu *vcpu, uint32_t which, uint64_t value);

/* Bits of SKEP_FEATURE_…, XCR0 and the size of the XSAVE area that guests see. */
void arch_guest_features(uint64_t *features, uint64_t *xcr0, uint32_t *xsave_bytes);

/* ---- devices ---- */

/* Reads or writes PCI configuration space; `address` is bus << 8 | device << 3 | function, `bytes` 1, 2 or 4. A
 * read of what isn't there gives all ones. */
uint32_t arch_pci_read(uint32_t address, uint32_t offset, uint32_t bytes);
void arch_pci_write(uint32_t address, uint32_t offset, uint32_t bytes, uint32_t value);

/* A full fence towards devices, which run beside the CPUs: they see what was stored before it, and what is loaded after it
 * is what they have stored by then. */
void arch_device_fence(void);

/* Allocates an interrupt vector on a CPU for a message-signalled interrupt: handler(argument) is called there, in
 * ring 0. Gives the message's address and data. -SKEP_ENOSPC when none is left. */
int arch_msi_alloc(uint32_t cpu_index, void (*handler)(void *), void *argument, uint64_t *address,
                   uint32_t *data);

/* ---- machine ---- */

/* Writes to the serial console; usable from the first instruction of C on. */
void arch_serial_write(const char *text, size_t bytes);

/* The value of a `name=value` word of the command line, cut to capacity - 1, NUL-terminated. False when there is none. */
bool arch_option(const char *name, char *value, size_t capacity);

/* Gives the serial port as much of the text as it takes without waiting; how much. Where there is none, all of it. */
size_t arch_serial_offer(const char *text, size_t bytes);

/* 64 random bits from the CPU or the platform. False when there is no source. */
bool arch_random(uint64_t *value);

_Noreturn void arch_power_off(void);
_Noreturn void arch_reboot(void);

/* Stops the other CPUs, logs what happened, registers and a symbolised backtrace of ring 0, keeps the end of the log for
 * the next boot (boot_info) and reboots, or stops: `panic=` on the command line says when. */
_Noreturn void arch_panic(const char *what);

/* The name and offset of a ring-0 function, or of the control service's when `control` is true and `address` is an
 * offset from its base. NULL when unknown. */
const char *arch_symbol(uint64_t address, bool control, uint64_t *offset);

/*
 * Inline, in arch_types.h:
 *   struct cpu *arch_cpu(void)                    this CPU
 *   void arch_spin_hint(void)                     a hint inside spin loops
 *   void arch_lock_taken(void), arch_lock_given(void)   after a spin lock was taken, given back: for tests
 *   void arch_frames_mark(paddr_t, uint64_t bytes, bool free)   frames become free, or used: for tests
 *   void *arch_direct(paddr_t)                    the direct map
 *   paddr_t arch_direct_paddr(const void *)       and back (direct-map addresses only)
 *   paddr_t arch_kernel_paddr(const void *)       physical address of the core's own text or data
 *   uint64_t arch_pte_leaf(paddr_t, uint32_t prot)  a lower-half leaf entry with SKEP_PROT_… rights
 *   uint64_t arch_pte_table(paddr_t)              an entry that points at the next level
 *   bool arch_pte_present(uint64_t)
 *   bool arch_pte_usable(uint64_t), arch_pte_writable(uint64_t)  present, and ring 3 may read or write there
 *   paddr_t arch_pte_paddr(uint64_t)
 *   void arch_vcpu_result_set(struct arch_vcpu *, int64_t)    a hypercall's result
 *   void arch_copy(void *, const void *, size_t), arch_fill(void *, uint8_t, size_t)   rep movs/stos; not under
 *       ARCH_HOSTED, which the fake architecture defines (a libc is there)
 *   void arch_vcpu_hypercall_rewind(struct arch_vcpu *, uint64_t number)  makes the vCPU execute its hypercall
 *       instruction again with this number and the same arguments: how long calls are restarted
 * Page tables have four levels of 512 eight-byte entries on every supported architecture.
 * Struct arch_vcpu is the first member of struct vcpu, struct arch_cpu of struct cpu (core/vcpu.h, core/cpu.h).
 */

#endif
