/*
 * fake.c - the door (arch/arch.h) for Linux user space.
 */
#include "fake.h"

#include <sanitizer/asan_interface.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/control_image.h"
#include "core/frame.h"
#include "core/gmem.h"
#include "core/image.h"
#include "core/trap.h"
#include "io/io.h"

#define CONTROL_PAGES 2u

char *fake_arena;
struct cpu *fake_cpu;
void (*fake_meanwhile)(void);
void (*fake_between)(void);

/* The core's constants lie at the second page of the arena; only the control service's pages are asked for. */
static const char control_pages[CONTROL_PAGES * SKEP_PAGE_SIZE];

const struct control_image control_image = {
    .page_count = CONTROL_PAGES,
    .segment_count = 1,
    .pages = control_pages,
    .segments = {{.page_count = CONTROL_PAGES, .prot = SKEP_PROT_READ | SKEP_PROT_EXEC}},
};

static uint64_t clock_ns = 1000;
size_t fake_serial_room = SIZE_MAX;
void (*fake_serial_sent)(const char *text, size_t bytes);
void (*fake_waiting)(void);
static jmp_buf back;
static struct vcpu *resumed;
static uint64_t random_state = 1;

/* ---- the door ---- */

void fake_deadlock(void)
{
    fprintf(stderr, "fake: CPU %u waits for a lock that nobody will give back\n", fake_cpu->index);
    abort();
}

/* A free frame is nobody's to touch: the sanitizer tells who does. */
void arch_frames_mark(paddr_t base, uint64_t bytes, bool free)
{
    if (free) {
        ASAN_POISON_MEMORY_REGION(arch_direct(base), bytes);
    } else {
        ASAN_UNPOISON_MEMORY_REGION(arch_direct(base), bytes);
    }
}

paddr_t arch_kernel_paddr(const void *data)
{
    return paddr(PAGE_SIZE + (uint64_t)((const char *)data - control_pages));
}

void arch_cpus_start(void)
{
    for (uint32_t i = 1; i < cpu_count(); i++) {
        cpu_at(i)->online = true;
    }
}

void arch_host_info(struct skep_host_info *info)
{
    snprintf(info->cpu_model, sizeof(info->cpu_model), "fake");
    snprintf(info->clock_source, sizeof(info->clock_source), "virtual");
}

uint64_t arch_clock_ns(void)
{
    return clock_ns;
}

void arch_clock_params(struct skep_clock *clock)
{
    memset(clock, 0, sizeof(*clock));
}

void arch_timer_set(uint64_t deadline_ns)
{
    fake_cpu->arch.timer_ns = deadline_ns;
}

void arch_ipi_send(uint32_t cpu_index)
{
    cpu_at(cpu_index)->arch.ipis++;
}

void arch_root_init(struct arch_root *root, const pfn_t pfns[])
{
    root->top = frame_data(pfns[0]);
}

void arch_root_set(struct arch_root *root, uint32_t index, uint64_t entry)
{
    root->top[index] = entry;
}

void arch_tlb_flush_page(gva_t address)
{
    (void)address;
    fake_cpu->arch.flushes++;
}

void arch_tlb_flush_all(void)
{
    fake_cpu->arch.flushes++;
}

/* There is no PCI; a test that plays it has functions of its own for these that are weak. */
__attribute__((weak)) void *arch_mmio_map(paddr_t base, uint64_t bytes)
{
    (void)base;
    (void)bytes;
    return NULL;
}

void arch_vcpu_init(struct vcpu *vcpu, gva_t entry, gva_t stack, uint64_t argument)
{
    memset(&vcpu->arch, 0, sizeof(vcpu->arch));
    vcpu->arch.context.rip = entry.value;
    vcpu->arch.context.rsp = stack.value;
    vcpu->arch.context.rdi = argument;
}

void arch_vcpu_save(struct vcpu *vcpu)
{
    vcpu->arch.saves++;
}

void arch_vcpu_load(struct vcpu *vcpu)
{
    vcpu->arch.loads++;
}

void arch_vcpu_unload(const struct guest *space)
{
    (void)space;
}

void arch_vcpu_resume(struct vcpu *vcpu)
{
    resumed = vcpu;
    longjmp(back, 1);
}

void arch_idle(void)
{
    resumed = NULL;
    longjmp(back, 1);
}

void arch_vcpu_context_get(struct vcpu *vcpu, struct skep_context *context)
{
    *context = vcpu->arch.context;
}

static bool lower_half(uint64_t address)
{
    return address < SKEP_GUEST_VA_MAX;
}

int arch_vcpu_context_set(struct vcpu *vcpu, const struct skep_context *context)
{
    if (!lower_half(context->rip) || !lower_half(context->fs_base) ||
        !lower_half(context->gs_base)) {
        return -SKEP_EINVAL;
    }
    vcpu->arch.context = *context;
    return 0;
}

int arch_vcpu_base_set(struct vcpu *vcpu, uint32_t which, uint64_t value)
{
    if (!lower_half(value)) {
        return -SKEP_EINVAL;
    }
    *(which ? &vcpu->arch.context.gs_base : &vcpu->arch.context.fs_base) = value;
    return 0;
}

void arch_guest_features(uint64_t *features, uint64_t *xcr0, uint32_t *xsave_bytes)
{
    *features = *xcr0 = *xsave_bytes = 0;
}

void (*fake_device_runs)(void);

void arch_device_fence(void)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (fake_device_runs != NULL) {
        fake_device_runs();
    }
}

__attribute__((weak)) uint32_t arch_pci_read(uint32_t address, uint32_t offset, uint32_t bytes)
{
    (void)address;
    (void)offset;
    return bytes == 4 ? UINT32_MAX : (1u << (8 * bytes)) - 1;
}

__attribute__((weak)) void arch_pci_write(uint32_t address, uint32_t offset, uint32_t bytes,
                                          uint32_t value)
{
    (void)address;
    (void)offset;
    (void)bytes;
    (void)value;
}

__attribute__((weak)) int arch_msi_alloc(uint32_t cpu_index, void (*handler)(void *),
                                         void *argument, uint64_t *address, uint32_t *data)
{
    (void)cpu_index;
    (void)handler;
    (void)argument;
    (void)address;
    (void)data;
    return -SKEP_ENOSPC;
}

void arch_serial_write(const char *text, size_t bytes)
{
    if (fake_serial_sent) {
        fake_serial_sent(text, bytes);
    }
    if (getenv("SKEP_TEST_LOG")) {
        fwrite(text, 1, bytes, stderr);
    }
}

size_t arch_serial_offer(const char *text, size_t bytes)
{
    size_t part = bytes < fake_serial_room ? bytes : fake_serial_room;
    fake_serial_room -= fake_serial_room == SIZE_MAX ? 0 : part;
    arch_serial_write(text, part);
    return part;
}

/* xorshift64*, so that a run is repeatable. */
bool arch_random(uint64_t *value)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    *value = random_state * 0x2545f4914f6cdd1dull;
    return true;
}

bool arch_option(const char *name, char *value, size_t capacity)
{
    (void)name;
    (void)value;
    (void)capacity;
    return false;
}

void arch_power_off(void)
{
    exit(0);
}

void arch_reboot(void)
{
    exit(0);
}

void arch_panic(const char *what)
{
    fprintf(stderr, "panic: %s\n", what);
    abort();
}

const char *arch_symbol(uint64_t address, bool control, uint64_t *offset)
{
    (void)address;
    (void)control;
    *offset = 0;
    return NULL;
}

/* ---- driving it ---- */

/* A writable page of the control service's memory. */
static uint64_t buffer_of(const struct guest *control)
{
    return control->aspace.ranges.at[control->aspace.ranges.count - 1].start;
}

void fake_boot(uint64_t ram_bytes, uint32_t cpus)
{
    static struct boot_info boot;
    if (!fake_arena) {
        fake_arena = aligned_alloc(SKEP_PAGE_SIZE << FRAME_ORDER_MAX, ram_bytes);
    }
    uint64_t used = PAGE_SIZE * (1 + CONTROL_PAGES);
    boot.regions[0] = (struct boot_region){0, used, BOOT_REGION_CORE};
    boot.regions[1] = (struct boot_region){used, ram_bytes - used, BOOT_REGION_FREE};
    boot.region_count = 2;
    boot.cpu_count = cpus;
    boot.cmdline = "token=test";
    fake_cpu_set(0);
    if (!setjmp(back)) {
        core_main(&boot);
    }
    /* The buffer of fake_image(), so that it counts as taken from the start. */
    struct guest *control = fake_find(1ull << 32 | 1);
    gmem_copy_out(control, gva(buffer_of(control)), "", 1);
}

struct cpu *fake_cpu_set(uint32_t index)
{
    fake_cpu = cpu_at(index);
    return fake_cpu;
}

/* May be called while another CPU is on its way back (fake_between), which then goes on as before. */
struct vcpu *fake_resume(void)
{
    jmp_buf outer;
    memcpy(outer, back, sizeof(outer));
    if (!setjmp(back)) {
        core_resume();
    }
    memcpy(back, outer, sizeof(outer));
    return resumed;
}

struct vcpu *fake_interrupts(void)
{
    if (fake_cpu->arch.ipis) {
        fake_cpu->arch.ipis = 0;
        trap_ipi();
    }
    if (fake_cpu->arch.timer_ns <= clock_ns) {
        fake_cpu->arch.timer_ns = TIME_NEVER;
        trap_timer();
    }
    return fake_resume();
}

void fake_clock_advance(uint64_t ns)
{
    clock_ns += ns;
}

/* A call that is restarted may wait for others to flush: their interrupts come. */
static void others_interrupted(void)
{
    struct cpu *here = fake_cpu;
    for (uint32_t i = 0; i < cpu_count(); i++) {
        if (cpu_at(i) != here && cpu_at(i)->arch.ipis) {
            fake_cpu_set(i)->arch.ipis = 0;
            trap_ipi();
        }
    }
    fake_cpu = here;
}

int64_t fake_hypercall(struct vcpu *vcpu, uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2)
{
    uint64_t arguments[5] = {a0, a1, a2};
    uint64_t rip = vcpu->arch.context.rip;
    while (!hypercall_entry(vcpu, number, arguments)) {
        if (number == SKEP_HC_RESUME || vcpu->hold || vcpu->state != VCPU_RUNNING) {
            return INT64_MIN;
        }
        if (vcpu->arch.context.rip == rip) {
            break;
        }
        vcpu->arch.context.rip = rip;
        number = vcpu->arch.context.rax;
        others_interrupted();
    }
    return (int64_t)vcpu->arch.context.rax;
}

bool fake_touch(struct vcpu *vcpu, uint64_t address, uint32_t access)
{
    trap_page_fault(vcpu, gva(address), access);
    return vcpu->guest->state == SKEP_GUEST_RUNNING;
}

static void image_fill(struct guest *control, uint64_t handle, uint64_t buffer)
{
    for (uint32_t i = 0; i < FAKE_IMAGE_PAGES; i++) {
        char page[64];
        memset(page, 'a' + (int)i, sizeof(page));
        gmem_copy_out(control, gva(buffer), page, sizeof(page));
        image_write(control, handle, i, gva(buffer), sizeof(page));
    }
}

uint64_t fake_image(void)
{
    struct skep_image_spec spec = {
        .page_count = FAKE_IMAGE_PAGES,
        .segment_count = 2,
        .segments = {{.page_count = 1, .prot = SKEP_PROT_READ | SKEP_PROT_EXEC},
                     {.va_offset = 0x1000,
                      .first_page = 1,
                      .page_count = 2,
                      .zero_pages = 1,
                      .prot = SKEP_PROT_READ | SKEP_PROT_WRITE}},
        .name = "test",
    };
    int64_t handle = image_create(&spec);
    struct guest *control = fake_find(1ull << 32 | 1);
    image_fill(control, (uint64_t)handle, buffer_of(control));
    return image_seal((uint64_t)handle) ? 0 : (uint64_t)handle;
}

uint64_t fake_guest(uint64_t image, uint64_t memory_bytes, uint32_t vcpus)
{
    struct skep_guest_spec spec = {
        .image = image,
        .memory_bytes = memory_bytes,
        .stack_bytes = 16384,
        .vcpu_count = vcpus,
        .vcpu_max = vcpus,
        .weight = 100,
        .console_bytes = 4096,
        .name = "guest",
    };
    int64_t handle = guest_create(fake_find(1ull << 32 | 1), &spec);
    return handle < 0 ? 0 : (uint64_t)handle;
}

struct guest *fake_find(uint64_t handle)
{
    struct guest *guest = guest_find(handle);
    if (guest) {
        guest_release(guest);
    }
    return guest;
}

void fake_settle(void)
{
    uint32_t here = fake_cpu->index;
    for (int round = 0; round < 200; round++) {
        for (uint32_t i = 0; i < cpu_count(); i++) {
            fake_cpu_set(i);
            fake_interrupts();
        }
    }
    fake_cpu_set(here);
}

void *fake_at(struct guest *guest, uint64_t address)
{
    uint64_t *table = guest->aspace.tables.root.top;
    for (int level = 3; level >= 0; level--) {
        uint64_t entry = table[address >> (12 + 9 * level) & 511];
        if (!arch_pte_present(entry)) {
            return NULL;
        }
        table = arch_direct(arch_pte_paddr(entry));
    }
    return (char *)table + (address & PAGE_MASK);
}
