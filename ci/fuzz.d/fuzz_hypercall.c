/*
 * fuzz_hypercall.c - a program of operations drives guests, vCPUs and the control service through the hypercall layer.
 *
 * An operation is 12 bytes: what, on which CPU, and arguments, each made of a base (an edge of the address space, a
 * place of the guest's own, a handle, a small number) and a displacement, so that few bytes reach the edges. The vCPU
 * that runs on the CPU makes the call: what the machine would not let happen doesn't happen here. Another CPU may be
 * told to act in the midst of a call, wherever a lock has been given back.
 */
#include <string.h>

#include "card.h"
#include "core/frame.h"
#include "core/image.h"
#include "core/trap.h"
#include "fake.h"
#include "harness.h"
#include "machine.h"

#define OPERATIONS_MAX 600u
#define CALL_PARTS_MAX 20000u
#define HANDLES        8u

enum code {
    OP_CALL,
    OP_RAW,
    OP_TOUCH,
    OP_STORE,
    OP_QUEUE_SETUP,
    OP_VCPU_START,
    OP_VCPU_PAGE,
    OP_RESUME,
    OP_FAULT,
    OP_MAP,
    OP_UNMAP,
    OP_PROTECT,
    OP_CONTROL,
    OP_IMAGE,
    OP_GUEST,
    OP_CHANGE,
    OP_LIFE,
    OP_TIME,
    OP_INTERRUPTS,
    OP_CARD,
    OP_WIRE,
    OP_CHAIN,
    OP_BETWEEN,
    OP_MEANWHILE,
    OP_CODES
};

struct operation {
    uint8_t code, cpu;
    uint8_t pick[4];
    uint16_t small;
    uint32_t value;
};
_Static_assert(sizeof(struct operation) == 12, "seeds are made of these");

/* What an input has come to so far. */
static struct {
    struct input input;
    uint64_t way;
    uint64_t images[HANDLES], guests[HANDLES];
    uint32_t image_count, guest_count;
    uint64_t mapped, mapped_bytes; /* by the latest OP_MAP */
    uint32_t busy;                 /* CPUs in the midst of something, a bit each */
    uint32_t releases;             /* until the CPU of `between` acts, 0 = it doesn't */
    uint16_t ring_next[2];         /* of OP_CHAIN */
} run;

/* ---- arguments ---- */

static const struct skep_start_info *info_of(const struct guest *guest)
{
    return guest->start_info[0] ? frame_data(guest->start_info[0]) : NULL;
}

/* A page that guests and the control service have for their structures: the last but one of the stack. */
static uint64_t buffer_of(const struct guest *guest)
{
    const struct skep_start_info *info = info_of(guest);
    return info ? info->stack_base + info->stack_bytes - 2 * PAGE_SIZE : 0;
}

static uint64_t base_of(const struct guest *guest, uint32_t which, const struct operation *op)
{
    const struct skep_start_info *info = info_of(guest);
    switch (which) {
    case 1:
        return op->small;
    case 2:
        return op->value;
    case 3:
        return buffer_of(guest);
    case 4:
        return info ? info->heap_base : 0;
    case 5:
        return info ? info->image_base : 0;
    case 6:
        return guest->vcpus[0] ? guest->vcpus[0]->arch.context.rdi : 0;
    case 7:
        return info ? info->vcpu_pages : 0;
    case 8:
        return run.mapped;
    case 9:
        return 0xffff800000000000ull;
    case 10:
        return SKEP_GUEST_VA_MAX;
    case 11:
        return UINT64_MAX;
    case 12:
        return run.guests[op->small % HANDLES];
    case 13:
        return run.images[op->small % HANDLES];
    case 14:
        return (uint64_t)op->value << 32 | op->small;
    case 15:
        return arch_clock_ns();
    default:
        return 0;
    }
}

static uint64_t displaced(uint64_t base, uint32_t how, const struct operation *op)
{
    switch (how) {
    case 1:
        return base + op->small;
    case 2:
        return base + op->small * PAGE_SIZE;
    case 3:
        return base - 1;
    case 4:
        return base + PAGE_SIZE - 1;
    case 5:
        return base + op->value;
    case 6:
        return base - op->small;
    case 7:
        return base - PAGE_SIZE;
    case 8:
        return base + op->value * PAGE_SIZE;
    case 9:
        return base * PAGE_SIZE;
    case 10:
        return base + 8;
    case 11:
        return base << (op->small & 63);
    case 12:
        return page_align_down(base);
    case 13:
        return base + (1u << 20);
    case 14:
        return base + (2u << 20) - PAGE_SIZE;
    case 15:
        return base ^ (uint64_t)op->value << 32;
    default:
        return base;
    }
}

static uint64_t argument(const struct guest *guest, const struct operation *op, uint32_t i)
{
    return displaced(base_of(guest, op->pick[i] & 15, op), op->pick[i] >> 4, op);
}

/* ---- CPUs ---- */

static bool is_free(uint32_t cpu)
{
    return !(run.busy & 1u << cpu);
}

static bool runs(uint32_t cpu, bool control)
{
    struct vcpu *vcpu = cpu_at(cpu)->current;
    return is_free(cpu) && vcpu && vcpu->guest->is_control == control;
}

/* Interrupts of all CPUs that are free, in turn. */
static void go_round(void)
{
    uint32_t here = fake_cpu->index;
    for (uint32_t i = 0; i < MACHINE_CPUS; i++) {
        if (is_free(i)) {
            fake_cpu_set(i);
            fake_interrupts();
        }
    }
    fake_cpu_set(here);
}

/* The vCPU that makes the call: that of the CPU asked for, else of one that runs the like, after a while perhaps. */
static struct vcpu *caller(const struct operation *op, bool control)
{
    for (uint32_t try = 0; try < 6; try++) {
        for (uint32_t i = 0; i < MACHINE_CPUS; i++) {
            uint32_t cpu = (op->cpu + i) % MACHINE_CPUS;
            if (runs(cpu, control)) {
                return fake_cpu_set(cpu)->current;
            }
        }
        fake_clock_advance(try < 2 ? 0 : 6000000);
        go_round();
    }
    return NULL;
}

static bool goes_on(const struct vcpu *vcpu)
{
    return fake_cpu->current == vcpu && !vcpu->hold;
}

/* A hypercall, in as many parts as it takes, if the vCPU comes to make them. */
static int64_t call(struct vcpu *vcpu, uint64_t number, const uint64_t arguments[5])
{
    uint32_t cpu = fake_cpu->index;
    int64_t result = INT64_MIN;
    run.busy |= 1u << cpu;
    for (uint32_t i = 0; i < CALL_PARTS_MAX; i++) {
        uint64_t rip = vcpu->arch.context.rip;
        bool again = false;
        if (hypercall_entry(vcpu, number, arguments)) {
            result = (int64_t)vcpu->arch.context.rax;
        } else {
            again = vcpu->guest->state == SKEP_GUEST_RUNNING && goes_on(vcpu) &&
                    vcpu->arch.context.rip == rip - 2;
            result = goes_on(vcpu) && !again ? (int64_t)vcpu->arch.context.rax : INT64_MIN;
            number = vcpu->arch.context.rax;
            if (fake_resume() != vcpu) {
                again = false;
            }
        }
        if (!again) {
            break;
        }
        vcpu->arch.context.rip = rip;
    }
    FUZZ_CHECK(fake_cpu->index == cpu && fake_cpu->arch.locks == 0);
    run.busy &= ~(1u << cpu);
    run.way = way_add(run.way, number ^ (uint64_t)result);
    return result;
}

/* ---- stores of ring 3 ---- */

static bool touch(struct vcpu *vcpu, uint64_t address, uint32_t access)
{
    uint32_t cpu = fake_cpu->index;
    run.busy |= 1u << cpu;
    atomic_store(&vcpu->page->fault_reason, 0);
    trap_page_fault(vcpu, gva(address), access);
    bool still = fake_resume() == vcpu && !atomic_load(&vcpu->page->fault_reason);
    run.busy &= ~(1u << cpu);
    return still;
}

/* What ring 3 writes: a fault for each page, then the bytes. */
static bool store(struct vcpu *vcpu, uint64_t address, const void *from, uint32_t bytes)
{
    for (uint32_t done = 0; done < bytes;) {
        uint32_t part = SKEP_PAGE_SIZE - (uint32_t)((address + done) & PAGE_MASK);
        part = part < bytes - done ? part : bytes - done;
        if (!touch(vcpu, address + done, SKEP_FAULT_WRITE)) {
            return false;
        }
        void *to = fake_at(vcpu->guest, address + done);
        if (!to) {
            return false; /* another CPU has unmapped it by now */
        }
        memcpy(to, (const char *)from + done, part);
        done += part;
    }
    return true;
}

/* Stores a structure and makes a call of it: the argument `at` of the call is its address. */
static int64_t call_with(struct vcpu *vcpu, uint64_t number, const void *structure, uint32_t bytes,
                         uint64_t first, bool is_second)
{
    uint64_t address = page_align_down(buffer_of(vcpu->guest));
    if (!address || !store(vcpu, address, structure, bytes)) {
        return INT64_MIN;
    }
    uint64_t arguments[5] = {is_second ? first : address, is_second ? address : first};
    return call(vcpu, number, arguments);
}

/* ---- guests' operations ---- */

static void op_call(struct vcpu *vcpu, const struct operation *op, uint64_t number)
{
    uint64_t arguments[5];
    for (uint32_t i = 0; i < 4; i++) {
        arguments[i] = argument(vcpu->guest, op, i);
    }
    arguments[4] = op->value;
    call(vcpu, number, arguments);
}

static void op_queue_setup(struct vcpu *vcpu, const struct operation *op)
{
    uint64_t place = argument(vcpu->guest, op, 0);
    struct skep_queue_setup setup = {
        .queue = op->small & 15,
        .size = op->pick[1] & 15 ? 2u << (op->pick[1] & 7) : op->value,
        .desc = place,
        .avail = place + (op->pick[3] & 1 ? PAGE_SIZE : 0x800),
        .used = place + (op->pick[3] & 2 ? 2 * PAGE_SIZE : 0xc00),
        .vcpu = op->pick[2] & 31,
    };
    call_with(vcpu, SKEP_HC_QUEUE_SETUP, &setup, sizeof(setup), 0, false);
}

static struct skep_context context_of(struct vcpu *vcpu, const struct operation *op)
{
    struct skep_context context = vcpu->arch.context;
    context.rip = argument(vcpu->guest, op, 0);
    context.rsp = argument(vcpu->guest, op, 1);
    context.rbp = argument(vcpu->guest, op, 2);
    context.fs_base = argument(vcpu->guest, op, 3);
    context.rflags = op->value;
    return context;
}

static void op_vcpu_start(struct vcpu *vcpu, const struct operation *op)
{
    struct skep_context context = context_of(vcpu, op);
    call_with(vcpu, SKEP_HC_VCPU_START, &context, sizeof(context), op->small, true);
}

static void op_resume(struct vcpu *vcpu, const struct operation *op)
{
    struct skep_context context = context_of(vcpu, op);
    call_with(vcpu, SKEP_HC_RESUME, &context, sizeof(context), 0, false);
}

static void op_vcpu_page(struct vcpu *vcpu, const struct operation *op)
{
    struct skep_vcpu_page *page = vcpu->page;
    uint64_t value = argument(vcpu->guest, op, 0);
    bool of_faults = op->small & 64;
    switch (op->small % 6) {
    case 0:
        atomic_store(&page->pending, value);
        break;
    case 1:
        atomic_store(&page->mask, value);
        break;
    case 2:
        atomic_store(of_faults ? &page->fault_reason : &page->upcall_masked, (uint32_t)value);
        break;
    case 3:
        *(of_faults ? &page->fault_entry : &page->upcall_entry) = value;
        break;
    case 4:
        page->upcall_stack = value;
        break;
    default: /* as guestlib does it */
        page->upcall_entry = info_of(vcpu->guest)->image_base;
        page->upcall_stack = buffer_of(vcpu->guest);
        page->fault_entry = of_faults ? info_of(vcpu->guest)->image_base + 64 : 0;
        atomic_store(&page->mask, 0);
        break;
    }
}

static void op_fault(struct vcpu *vcpu, const struct operation *op)
{
    run.busy |= 1u << fake_cpu->index;
    trap_fault(vcpu, SKEP_CRASH_DIVIDE + op->small % (SKEP_CRASH_SIMD - SKEP_CRASH_DIVIDE),
               argument(vcpu->guest, op, 0), op->value);
    fake_resume();
    run.busy &= ~(1u << fake_cpu->index);
}

static void op_map(struct vcpu *vcpu, const struct operation *op)
{
    uint64_t bytes = (1 + op->small % 600) * PAGE_SIZE;
    uint64_t at = op->pick[0] ? argument(vcpu->guest, op, 0) : 0;
    uint64_t flags = SKEP_MAP_RESERVE | SKEP_MAP_STACK;
    uint64_t arguments[5] = {at, bytes, op->value & (3 | flags)};
    int64_t result = call(vcpu, SKEP_HC_MEM_MAP, arguments);
    if (result > 0) {
        run.mapped = (uint64_t)result;
        run.mapped_bytes = bytes;
        for (uint64_t i = 0; i < (op->pick[1] & 127) && i * PAGE_SIZE < bytes; i++) {
            if (!touch(vcpu, run.mapped + i * PAGE_SIZE, op->pick[2] & SKEP_FAULT_WRITE)) {
                break;
            }
        }
    }
}

/* A part of what was mapped last, or all of it. */
static void op_span(struct vcpu *vcpu, const struct operation *op, uint64_t number)
{
    uint64_t pages = run.mapped_bytes / PAGE_SIZE;
    uint64_t first = pages ? op->pick[0] % (pages + 1) : 0;
    uint64_t count = op->pick[1] ? op->pick[1] : pages - first;
    uint64_t arguments[5] = {run.mapped + first * PAGE_SIZE, count * PAGE_SIZE, op->value & 7};
    call(vcpu, number, arguments);
}

/* Puts a chain into a queue whose parts lie in one page at the start of the buffer, and kicks. */
static void op_chain(struct vcpu *vcpu, const struct operation *op)
{
    uint64_t place = argument(vcpu->guest, op, 0);
    uint32_t queue = op->small & 1;
    struct skep_vring_desc desc = {
        .addr = argument(vcpu->guest, op, 1),
        .len = op->pick[2] & 128 ? op->value : 76,
        .flags = (uint16_t)((queue ? 0 : SKEP_VRING_DESC_WRITE) ^ (op->pick[3] >> 6)),
        .next = op->pick[3] & 7,
    };
    uint16_t slot = run.ring_next[queue]++ & 1;
    uint16_t index = run.ring_next[queue];
    const struct skep_start_info *info = info_of(vcpu->guest);
    uint8_t frame[12 + 64] = {0};
    memset(frame + 12, 255, 6);
    memcpy(frame + 18, info->net[queue].mac, 6);
    frame[24] = 8;
    frame[25] = 6; /* an ARP request */
    memcpy(frame + 26, (const uint8_t[8]){0, 1, 8, 0, 6, 4, 0, 1}, 8);
    memcpy(frame + 34, info->net[0].mac, 6);
    memcpy(frame + 50, &op->value, 4);
    if (store(vcpu, place + slot * sizeof(desc), &desc, sizeof(desc)) &&
        store(vcpu, place + 0x804 + 2 * slot, &slot, 2) && store(vcpu, place + 0x802, &index, 2) &&
        (!queue || store(vcpu, desc.addr, frame, sizeof(frame)))) {
        uint64_t arguments[5] = {op->small & 15};
        call(vcpu, SKEP_HC_QUEUE_KICK, arguments);
    }
}

/* ---- the control service's operations ---- */

static void op_control(struct vcpu *vcpu, const struct operation *op)
{
    uint64_t number =
        SKEP_HC_CONTROL_FIRST + op->small % (SKEP_CTL_END - SKEP_HC_CONTROL_FIRST + 1);
    if (number == SKEP_CTL_POWER && argument(vcpu->guest, op, 0) <= 1) {
        return; /* that would be the end of the process */
    }
    op_call(vcpu, op, number);
}

/* Keeps a handle among those that arguments are made of. */
static void handle_keep(uint64_t handles[HANDLES], uint32_t *count, int64_t handle)
{
    if (handle > 0) {
        handles[(*count)++ % HANDLES] = (uint64_t)handle;
    }
}

static void image_distort(struct skep_image_spec *spec, const struct operation *op, uint64_t value)
{
    struct skep_image_segment *segment = &spec->segments[op->pick[1] & 1];
    switch (op->pick[3]) {
    case 1:
        spec->entry_offset = value;
        break;
    case 2:
        spec->page_count = (uint32_t)value;
        break;
    case 3:
        spec->segment_count = (uint32_t)value;
        break;
    case 4:
        segment->va_offset = value;
        break;
    case 5:
        segment->first_page = (uint32_t)value;
        break;
    case 6:
        segment->page_count = (uint32_t)value;
        break;
    case 7:
        segment->zero_pages = (uint32_t)value;
        break;
    case 8:
        segment->prot = (uint32_t)value;
        break;
    case 9:
        memset(spec->name, 'x', sizeof(spec->name));
        break;
    default:
        break;
    }
}

static void op_image(struct vcpu *vcpu, const struct operation *op)
{
    uint32_t pages = 2 + op->small % 80;
    struct skep_image_spec spec = {
        .page_count = pages,
        .segment_count = 2,
        .segments = {{.page_count = 1, .prot = SKEP_PROT_READ | SKEP_PROT_EXEC},
                     {.va_offset = 0x1000,
                      .first_page = 1,
                      .page_count = pages - 1,
                      .zero_pages = op->pick[2],
                      .prot = SKEP_PROT_READ | SKEP_PROT_WRITE}},
        .name = "fuzz",
    };
    image_distort(&spec, op, argument(vcpu->guest, op, 0));
    int64_t handle = call_with(vcpu, SKEP_CTL_IMAGE_CREATE, &spec, sizeof(spec), 0, false);
    handle_keep(run.images, &run.image_count, handle);
    for (uint32_t page = 0; handle > 0 && page < pages && !(op->pick[1] & 2); page++) {
        uint64_t arguments[5] = {(uint64_t)handle, page, buffer_of(vcpu->guest), PAGE_SIZE};
        if (!goes_on(vcpu)) {
            return;
        }
        call(vcpu, SKEP_CTL_IMAGE_WRITE, arguments);
    }
    uint64_t arguments[5] = {(uint64_t)handle};
    if (handle > 0 && goes_on(vcpu) && !(op->pick[1] & 4)) {
        call(vcpu, SKEP_CTL_IMAGE_SEAL, arguments);
    }
}

static void guest_distort(struct skep_guest_spec *spec, const struct operation *op, uint64_t value)
{
    switch (op->pick[3]) {
    case 1:
        spec->memory_bytes = value;
        break;
    case 2:
        spec->stack_bytes = value;
        break;
    case 3:
        spec->vcpu_count = (uint32_t)value;
        break;
    case 4:
        spec->vcpu_max = (uint32_t)value;
        break;
    case 5:
        spec->weight = (uint32_t)value;
        break;
    case 6:
        spec->cpu_cap = (uint32_t)value;
        break;
    case 7:
        spec->cpu_affinity = value;
        break;
    case 8:
        spec->console_bytes = (uint32_t)value;
        break;
    case 9:
        spec->net_count = (uint32_t)value;
        break;
    case 10:
        spec->argc = (uint32_t)value;
        break;
    case 11:
        spec->strings_bytes = (uint32_t)value;
        break;
    case 12:
        spec->strings = value;
        break;
    case 13:
        memcpy(spec->net[0].mac, &value, 6);
        break;
    case 14:
        spec->net[0].address = (uint32_t)value;
        break;
    case 15:
        spec->net[0].mtu = (uint16_t)value;
        break;
    case 16:
        memset(spec->name, 'x', sizeof(spec->name));
        break;
    case 17:
        spec->image = value;
        break;
    case 18:
        spec->envc = (uint32_t)value;
        break;
    case 19:
        spec->files = value;
        break;
    case 20:
        spec->flags = (uint32_t)value;
        break;
    case 21:
        spec->flags = SKEP_GUEST_STACK_RESERVED;
        break;
    default:
        break;
    }
}

static struct skep_guest_spec guest_spec(uint64_t image, uint32_t memory_kib, uint32_t vcpus,
                                         uint32_t nets, uint32_t number)
{
    struct skep_guest_spec spec = {
        .image = image,
        .memory_bytes = (uint64_t)memory_kib << 10,
        .stack_bytes = 32768,
        .vcpu_count = vcpus,
        .vcpu_max = vcpus + (vcpus > 1),
        .weight = 100,
        .console_bytes = 4096,
        .net_count = nets,
        .name = "fuzz",
    };
    for (uint32_t i = 0; i < nets; i++) {
        memcpy(spec.net[i].mac, (uint8_t[6]){2, 0, 0, 0, (uint8_t)number, (uint8_t)i}, 6);
        spec.net[i].address = 0x0000000a | (number * 16 + i) << 24;
        spec.net[i].flags = i & 1 ? SKEP_NET_DHCP : 0;
        spec.net6[i].flags = i & 1 ? SKEP_NET6_ON | SKEP_NET6_AUTO : 0;
    }
    return spec;
}

static void op_guest(struct vcpu *vcpu, const struct operation *op)
{
    uint64_t image = run.images[op->pick[1] % HANDLES];
    struct skep_guest_spec spec =
        guest_spec(image, 256 + op->small % 4096, 1 + op->pick[2] % 4, op->pick[2] >> 6, op->cpu);
    if (op->pick[1] & 64) { /* empty strings, of the zeroes at the stack's far end */
        spec.argc = spec.envc = 4;
        spec.strings_bytes = 8;
        spec.strings = info_of(vcpu->guest)->stack_base;
    }
    guest_distort(&spec, op, argument(vcpu->guest, op, 0));
    int64_t handle = call_with(vcpu, SKEP_CTL_GUEST_CREATE, &spec, sizeof(spec), 0, false);
    handle_keep(run.guests, &run.guest_count, handle);
    uint64_t arguments[5] = {(uint64_t)handle};
    if (handle > 0 && goes_on(vcpu) && op->cpu < 128) {
        call(vcpu, SKEP_CTL_GUEST_START, arguments);
    }
}

static void op_change(struct vcpu *vcpu, const struct operation *op)
{
    struct skep_guest_change change = {
        .changes = op->pick[3],
        .weight = op->pick[1],
        .cpu_cap = op->pick[2],
        .vcpu_count = op->value & 7,
        .cpu_affinity = op->value >> 8,
        .memory_bytes = argument(vcpu->guest, op, 0),
    };
    call_with(vcpu, SKEP_CTL_GUEST_SET, &change, sizeof(change), run.guests[op->small % HANDLES],
              true);
}

static void op_life(struct vcpu *vcpu, const struct operation *op)
{
    static const uint64_t numbers[] = {
        SKEP_CTL_GUEST_START,   SKEP_CTL_GUEST_PAUSE,   SKEP_CTL_GUEST_STOP,
        SKEP_CTL_GUEST_DESTROY, SKEP_CTL_GUEST_STATUS,  SKEP_CTL_CONSOLE_READ,
        SKEP_CTL_CONSOLE_WRITE, SKEP_CTL_IMAGE_DESTROY, SKEP_CTL_VCPU_STATUS,
        SKEP_CTL_TRACE_READ,    SKEP_CTL_IMAGE_READ,
    };
    uint64_t number = numbers[op->pick[0] % ARRAY_COUNT(numbers)];
    uint64_t handle = run.guests[op->small % HANDLES];
    uint64_t buffer = buffer_of(vcpu->guest) - (op->pick[2] & 1 ? 0 : PAGE_SIZE);
    uint64_t arguments[5] = {handle, buffer, op->pick[1], op->value};
    if (number == SKEP_CTL_GUEST_STOP) {
        arguments[1] = op->pick[1] & 1;
    } else if (number == SKEP_CTL_GUEST_STATUS && op->pick[1] % 4) {
        arguments[2] = op->pick[1] % 2 ? SKEP_GUEST_BRIEF_BYTES : sizeof(struct skep_guest_status);
    } else if (number == SKEP_CTL_CONSOLE_READ) {
        arguments[1] = op->value;
        arguments[2] = buffer;
        arguments[3] = op->pick[1] * 32u;
    } else if (number == SKEP_CTL_IMAGE_DESTROY) {
        arguments[0] = run.images[op->small % HANDLES];
    } else if (number == SKEP_CTL_IMAGE_READ) {
        arguments[0] = run.images[op->small % HANDLES];
        arguments[1] = op->pick[1];
        arguments[2] = buffer;
        arguments[3] = op->value;
    } else if (number == SKEP_CTL_VCPU_STATUS || number == SKEP_CTL_TRACE_READ) {
        arguments[1] = op->pick[1] & 3;
        arguments[2] = buffer;
    }
    call(vcpu, number, arguments);
}

/* ---- the world's operations ---- */

static void op_wire(const struct operation *op)
{
    uint8_t frame[128] = {0};
    uint8_t header[12] = {op->pick[0] & 3};
    const uint8_t mac[6] = {2, 0, 0, 0, op->cpu, op->pick[1] & 3};
    static const uint8_t everyone[6] = {255, 255, 255, 255, 255, 255};
    static const uint8_t other[6] = {0x52, 0x54, 0, 0, 0, 2};
    memcpy(frame, op->pick[1] & 128 ? everyone : mac, 6);
    memcpy(frame + 6, other, 6);
    frame[12] = 8;
    frame[13] = op->pick[2] & 1 ? 6 : 0;
    frame[14] = 0x45;
    frame[23] = 17;
    memcpy(frame + 30, &op->value, 4);
    memcpy(frame + 38, &op->value, 4);
    card_receive(header, frame, op->small & 127);
}

static void op_time(const struct operation *op)
{
    fake_clock_advance((uint64_t)op->small << (op->pick[0] & 31));
    go_round();
}

static void operate(const struct operation *op);

/* An operation of another CPU, in the midst of this one's. */
static void other_acts(void)
{
    uint32_t here = fake_cpu->index;
    struct operation op;
    fake_between = NULL;
    run.busy |= 1u << here;
    input_take(&run.input, &op, sizeof(op));
    operate(&op);
    run.busy &= ~(1u << here);
    fake_cpu_set(here);
}

static void lock_given(void)
{
    if (run.releases && !--run.releases) {
        other_acts();
    }
}

static void meanwhile(void)
{
    if (fake_cpu->arch.locks == 0) {
        other_acts();
    }
}

static void op_guests(struct vcpu *vcpu, const struct operation *op)
{
    switch ((enum code)(op->code % OP_CODES)) {
    case OP_CALL:
        op_call(vcpu, op, op->small % 24);
        break;
    case OP_RAW:
        op_call(vcpu, op, argument(vcpu->guest, op, 3));
        break;
    case OP_TOUCH:
        touch(vcpu, argument(vcpu->guest, op, 0),
              op->value & (SKEP_FAULT_PRESENT | SKEP_FAULT_WRITE | SKEP_FAULT_EXEC));
        break;
    case OP_STORE:
        store(vcpu, argument(vcpu->guest, op, 0), &op->value, 4);
        break;
    case OP_QUEUE_SETUP:
        op_queue_setup(vcpu, op);
        break;
    case OP_VCPU_START:
        op_vcpu_start(vcpu, op);
        break;
    case OP_VCPU_PAGE:
        op_vcpu_page(vcpu, op);
        break;
    case OP_RESUME:
        op_resume(vcpu, op);
        break;
    case OP_FAULT:
        op_fault(vcpu, op);
        break;
    case OP_MAP:
        op_map(vcpu, op);
        break;
    case OP_UNMAP:
        op_span(vcpu, op, SKEP_HC_MEM_UNMAP);
        break;
    case OP_PROTECT:
        op_span(vcpu, op, SKEP_HC_MEM_PROTECT);
        break;
    default:
        op_chain(vcpu, op);
        break;
    }
}

static void op_controls(struct vcpu *vcpu, const struct operation *op)
{
    switch ((enum code)(op->code % OP_CODES)) {
    case OP_CONTROL:
        op_control(vcpu, op);
        break;
    case OP_IMAGE:
        op_image(vcpu, op);
        break;
    case OP_GUEST:
        op_guest(vcpu, op);
        break;
    case OP_CHANGE:
        op_change(vcpu, op);
        break;
    default:
        op_life(vcpu, op);
        break;
    }
}

/* Calls of a vCPU. The high bit of `cpu` has the control service make a guest's. */
static void op_of_vcpu(const struct operation *op)
{
    uint32_t code = op->code % OP_CODES;
    bool controls = code >= OP_CONTROL && code <= OP_LIFE;
    struct vcpu *vcpu = caller(op, controls || op->cpu & 128);
    if (vcpu && controls) {
        op_controls(vcpu, op);
    } else if (vcpu) {
        op_guests(vcpu, op);
    }
}

static void operate(const struct operation *op)
{
    uint32_t cpu = op->cpu % MACHINE_CPUS;
    switch ((enum code)(op->code % OP_CODES)) {
    case OP_TIME:
        op_time(op);
        break;
    case OP_INTERRUPTS:
        if (is_free(cpu)) {
            fake_cpu_set(cpu);
            fake_interrupts();
        }
        break;
    case OP_CARD:
        if (op->pick[0] & 1) {
            card_room_set(op->small);
        } else {
            card_give_back(op->small);
        }
        break;
    case OP_WIRE:
        op_wire(op);
        break;
    case OP_BETWEEN:
        run.releases = 1 + op->small % 64;
        fake_between = lock_given;
        break;
    case OP_MEANWHILE:
        fake_meanwhile = meanwhile;
        break;
    default:
        op_of_vcpu(op);
        break;
    }
}

/* ---- inputs ---- */

/* The first bytes say what there is at the start. */
static void guests_begin(void)
{
    uint8_t count = input_byte(&run.input) & 3;
    run.images[0] = fake_image();
    run.image_count = 1;
    for (uint8_t i = 0; i < count; i++) {
        uint8_t how = input_byte(&run.input);
        struct skep_guest_spec spec =
            guest_spec(run.images[0], 512 << (how & 3), 1 + (how >> 2 & 3), how >> 4 & 3, i + 1u);
        int64_t handle = guest_create(fake_find(1ull << 32 | 1), &spec);
        handle_keep(run.guests, &run.guest_count, handle);
        struct guest *guest = handle > 0 ? fake_find((uint64_t)handle) : NULL;
        if (guest) {
            guest_start(guest);
        }
    }
    go_round();
}

void fuzz_start(void)
{
    machine_start();
}

uint64_t fuzz_run(const uint8_t *data, size_t bytes)
{
    machine_begin();
    memset(&run, 0, sizeof(run));
    run.input = (struct input){data, data + bytes};
    guests_begin();
    for (uint32_t i = 0; i < OPERATIONS_MAX && input_left(&run.input); i++) {
        struct operation op;
        input_take(&run.input, &op, sizeof(op));
        operate(&op);
    }
    uint64_t way = way_add(run.way, card_way());
    machine_end();
    return way;
}
