/*
 * A QEMU plug-in that counts executed guest instructions, split into ring 0 and ring 3.
 *
 * The split is by address half: Skep's ring 0 lives in the upper half, everything that runs in ring 3 in
 * the lower. (Firmware and the first boot code are in the lower half too; whoever counts subtracts them.)
 *
 * The counters are in a file mapped by both sides, so that a script reads them while the machine runs. Beside
 * them is a log: one entry for each hit of a watched point, with both counters at that moment. Statistics are
 * the reader's job. Points are watched in three ways:
 *
 *   at=ADDRESS            the instruction at this virtual address
 *   code=ADDRESS:BYTES    lower-half code whose offset in its page and whose bytes (hex) are these: for guests,
 *                         whose base is random
 *   (always)              a marker, `nopl 0x4d534b00+N(%rax)`, which guest programs may place where they like
 *
 * Points get the numbers 1, 2, … in the order of the arguments, markers 256 + N. An entry has the host's monotonic clock, too.
 * With `instructions=off` nothing else is looked at: the machine is as fast as without the plug-in.
 *
 * Beside instructions it counts what they hide: writes to CR3, INVLPG, interrupts (with stubs=ADDRESS, where vectors
 * enter ring 0), passes of repeated string instructions, and, with `devices`, which takes time, interrupts sent to
 * other CPUs and writes to devices' registers.
 *
 * CPUs must take turns in one thread, as under -icount: the counters are not atomic. Instructions are counted one by one instead of by block:
 * a block that faults half-way would be counted whole, and again when it is resumed. A repeated string
 * instruction counts once an iteration, for so it is translated.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "plugin.h"

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

/* The file that the reader maps. All fields are 64-bit little-endian; see counter.py. */

enum { HIT_COUNT_MAX = 1 << 20 };

struct counts {
    uint64_t ring0, ring3;
    uint64_t spaces;     /* writes to CR3 */
    uint64_t pages;      /* INVLPG */
    uint64_t interrupts; /* taken */
    uint64_t repeats;    /* passes of repeated string instructions */
    uint64_t ipis;       /* interrupts sent to CPUs */
    uint64_t kicks;      /* writes to device registers, but the local APIC's */
};

struct hit {
    uint64_t point;
    uint64_t time_ns;
    struct counts counts;
};

struct counters {
    struct counts now;
    uint64_t hit_count; /* written after the entry; stops at HIT_COUNT_MAX */
    struct hit hits[HIT_COUNT_MAX];
};

static struct counters *counters;

/* The watched points. */

enum { POINT_COUNT_MAX = 16, CODE_SIZE_MAX = 32, MARKER_FIRST = 256, PAGE_MASK = 0xfff };

struct point {
    uint64_t address;
    uint8_t code[CODE_SIZE_MAX];
    size_t code_size; /* 0: match by address alone */
};

static struct point points[POINT_COUNT_MAX];
static size_t point_count;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void on_point(unsigned int cpu, void *data)
{
    (void)cpu;
    if (counters->hit_count == HIT_COUNT_MAX)
        return;
    counters->hits[counters->hit_count] = (struct hit){
        .point = (uintptr_t)data,
        .time_ns = now_ns(),
        .counts = counters->now,
    };
    __atomic_store_n(&counters->hit_count, counters->hit_count + 1, __ATOMIC_RELEASE);
}

/* Whether the instructions from `index` on start with the point's code; a block may end before the code does. */
static bool code_matches(const struct point *point, const struct qemu_plugin_tb *tb, size_t index)
{
    size_t done = 0;
    while (done < point->code_size && index < qemu_plugin_tb_n_insns(tb)) {
        const struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, index++);
        size_t size = qemu_plugin_insn_size(insn);
        if (size > point->code_size - done)
            size = point->code_size - done;
        if (memcmp(qemu_plugin_insn_data(insn), point->code + done, size) != 0)
            return false;
        done += size;
    }
    return true;
}

static bool point_matches(const struct point *point, const struct qemu_plugin_tb *tb, size_t index)
{
    uint64_t address = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, index));
    if (point->code_size == 0)
        return address == point->address;
    return address >> 63 == 0 && ((address ^ point->address) & PAGE_MASK) == 0 &&
           code_matches(point, tb, index);
}

/* The number of a marker instruction, or -1. */
static int marker_number(const struct qemu_plugin_insn *insn)
{
    static const uint8_t opcode[] = {0x0f, 0x1f, 0x80};
    static const uint8_t tag[] = {'K', 'S', 'M'};
    const uint8_t *code = qemu_plugin_insn_data(insn);
    if (qemu_plugin_insn_size(insn) != 7 || memcmp(code, opcode, sizeof(opcode)) != 0 ||
        memcmp(code + 4, tag, sizeof(tag)) != 0)
        return -1;
    return code[3];
}

/*
 * Effects
 */

enum { STUBS_BYTES = 256 * 16, STUB_MASK = 15, VECTOR_INTERRUPT_FIRST = 32 };
#define APIC_BASE 0xfee00000ull
#define APIC_ICR  0xfee00300ull

static uint64_t stubs_address;
static bool watch_devices, ignore_instructions;

/* Intel SDM volume 2: MOV to control register, INVLPG; REP with MOVS or STOS. Prefixes that nobody writes there are
 * not looked for. */
static uint64_t *effect_of(const struct qemu_plugin_insn *insn)
{
    const uint8_t *code = qemu_plugin_insn_data(insn);
    size_t size = qemu_plugin_insn_size(insn);
    uint64_t address = qemu_plugin_insn_vaddr(insn);
    uint64_t stub = address - stubs_address;
    if (stubs_address && stub < STUBS_BYTES && (stub & STUB_MASK) == 0 &&
        stub / (STUB_MASK + 1) >= VECTOR_INTERRUPT_FIRST)
        return &counters->now.interrupts;
    if (size >= 2 && code[0] == 0xf3 && ((code[1] & 0xf8) == 0x48 || (code[1] & 0xf4) == 0xa4))
        return &counters->now.repeats;
    if (size >= 3 && code[0] == 0x0f && code[1] == 0x22 && (code[2] >> 3 & 7) == 3)
        return &counters->now.spaces;
    if (size >= 3 && code[0] == 0x0f && code[1] == 0x01 && code[2] >> 6 != 3 &&
        (code[2] >> 3 & 7) == 7)
        return &counters->now.pages;
    return NULL;
}

static void on_write(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
    (void)cpu;
    (void)data;
    const struct qemu_plugin_hwaddr *where = qemu_plugin_get_hwaddr(info, address);
    if (!qemu_plugin_mem_is_store(info) || !where || !qemu_plugin_hwaddr_is_io(where))
        return;
    uint64_t physical = qemu_plugin_hwaddr_phys_addr(where);
    if (physical == APIC_ICR)
        counters->now.ipis++;
    else if ((physical & ~(uint64_t)PAGE_MASK) != APIC_BASE)
        counters->now.kicks++;
}

static void effects_watch(struct qemu_plugin_insn *insn)
{
    uint64_t *effect = effect_of(insn);
    if (effect)
        qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD_U64, effect, 1);
    if (watch_devices)
        qemu_plugin_register_vcpu_mem_cb(insn, on_write, CB_NO_REGS, MEM_WRITE, NULL);
}

static void on_translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        bool upper_half = qemu_plugin_insn_vaddr(insn) >> 63 != 0;
        for (size_t p = 0; p < point_count; p++) {
            if (point_matches(&points[p], tb, i))
                qemu_plugin_register_vcpu_insn_exec_cb(insn, on_point, CB_NO_REGS,
                                                       (void *)(uintptr_t)(p + 1));
        }
        int marker = marker_number(insn);
        if (marker >= 0) {
            /* Not counted itself: markers cost nothing in what they delimit. */
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_point, CB_NO_REGS,
                                                   (void *)(uintptr_t)(MARKER_FIRST + marker));
            continue;
        }
        if (ignore_instructions)
            continue;
        qemu_plugin_register_vcpu_insn_exec_inline(
            insn, INLINE_ADD_U64, upper_half ? &counters->now.ring0 : &counters->now.ring3, 1);
        if (upper_half)
            effects_watch(insn);
    }
}

static bool point_parse(const char *value, bool with_code)
{
    if (point_count == POINT_COUNT_MAX)
        return false;
    struct point *point = &points[point_count];
    char *end;
    point->address = strtoull(value, &end, 0);
    if (!with_code) {
        point_count++;
        return *end == '\0';
    }
    if (*end++ != ':')
        return false;
    while (*end != '\0') {
        unsigned int byte;
        if (point->code_size == CODE_SIZE_MAX || sscanf(end, "%2x", &byte) != 1 || end[1] == '\0')
            return false;
        point->code[point->code_size++] = (uint8_t)byte;
        end += 2;
    }
    point_count++;
    return point->code_size > 0;
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id,
                                                               const struct qemu_info *info,
                                                               int argc, char **argv)
{
    if (!info->system_emulation) {
        fprintf(stderr, "count: needs a whole system\n");
        return -1;
    }
    for (int i = 0; i < argc; i++) {
        bool good = false;
        if (strncmp(argv[i], "out=", 4) == 0)
            good = (counters = plugin_map(argv[i] + 4, sizeof(*counters))) != NULL;
        else if (strncmp(argv[i], "at=", 3) == 0)
            good = point_parse(argv[i] + 3, false);
        else if (strncmp(argv[i], "code=", 5) == 0)
            good = point_parse(argv[i] + 5, true);
        else if (strncmp(argv[i], "stubs=", 6) == 0)
            good = (stubs_address = strtoull(argv[i] + 6, NULL, 0)) != 0;
        else if (strcmp(argv[i], "devices=on") == 0)
            good = watch_devices = true;
        else if (strcmp(argv[i], "instructions=off") == 0)
            good = ignore_instructions = true;
        if (!good) {
            fprintf(stderr, "count: bad argument %s\n", argv[i]);
            return -1;
        }
    }
    if (!counters) {
        fprintf(stderr, "count: needs out=FILE\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translated);
    return 0;
}
