/*
 * A QEMU plug-in that finds the longest stretches of ring 0 with interrupts off.
 *
 * Ring 0 of Skep runs with interrupts off throughout, but for the loop in which it idles. So a stretch begins with
 * the first instruction in the upper half after one in the lower half or in that loop, and ends before the next
 * such one, or with the return to ring 3: an interrupt that waits for it comes before ring 3's first instruction.
 * Stretches are told apart by how they began: a hypercall of a number, a vector, or the boot.
 *
 * For each kind the longest stretch is kept with its blocks and how many instructions each took part with, in a
 * file that the reader maps (stretches.py), who puts functions' names to them.
 *
 *   out=FILE              where to
 *   syscall=ADDRESS       where SYSCALL enters ring 0
 *   stubs=ADDRESS         where vectors do: 256 stubs of 16 bytes
 *   idle=ADDRESS:ADDRESS  the loop that halts with interrupts on, and its end
 *
 * Length: instructions, a repeated string instruction counted once for each 64 bytes (a cache line) that it moves.
 *
 * A hypercall's number is read from where the entry code stores RAX: QEMU 7.2 has no interface for registers. The
 * machine's memory must be of the kind memory-backend-memfd, which is found among this process's mappings.
 *
 * CPUs must take turns in one thread, as they do under -icount.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin.h"

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

/* The file. All fields are 64-bit little-endian; see stretches.py. */

enum { CALLS = 256, VECTORS = 256, KIND_BOOT = CALLS + VECTORS, KINDS, BLOCKS_MAX = 2048 };

struct part {
    uint64_t address, instructions;
};

struct worst {
    uint64_t count; /* stretches of this kind */
    uint64_t total; /* their lengths' sum */
    uint64_t length;
    uint64_t bytes; /* of it: moved by repeated instructions */
    uint64_t part_count;
    struct part parts[BLOCKS_MAX];
};

static struct worst *worsts;

/* Blocks of code, as translated. */

enum {
    CPUS = 4,
    LINE_BYTES = 64,
    SYSCALL_BYTES = 128,
    STUB_BYTES = 16,
    VECTOR_SELECTOR = 11,
    VECTOR_PROTECTION = 13,
};

enum role { ROLE_RING3, ROLE_IDLE, ROLE_CORE, ROLE_SYSCALL, ROLE_STUB };

struct block {
    uint64_t address;
    uint32_t instructions;
    uint32_t bytes; /* moved by one pass of its repeated instruction */
    enum role role;
    unsigned vector;
    bool returns; /* ends with SYSRETQ or IRETQ */
    struct {
        uint64_t stretch, passes;
    } seen[CPUS];
};

struct stretch {
    uint64_t number; /* 0 = none now */
    unsigned kind;
    uint64_t instructions, bytes;
    bool returning;
    uint32_t block_count;
    struct block *blocks[BLOCKS_MAX];
};

static struct stretch stretches[CPUS];
static uint64_t last_number;
static uint64_t syscall_address, stubs_address, idle_address, idle_end;

static uint64_t length_of(uint64_t instructions, uint64_t bytes)
{
    return instructions + bytes / LINE_BYTES;
}

static void stretch_end(unsigned cpu)
{
    struct stretch *s = &stretches[cpu];
    uint64_t length = length_of(s->instructions, s->bytes);
    struct worst *worst = &worsts[s->kind];
    worst->count++;
    worst->total += length;
    s->number = 0;
    if (length <= worst->length)
        return;
    worst->length = length;
    worst->bytes = s->bytes;
    for (uint32_t i = 0; i < s->block_count; i++) {
        const struct block *block = s->blocks[i];
        uint64_t passes = block->seen[cpu].passes;
        worst->parts[i] = (struct part){
            block->address, length_of(passes * block->instructions, passes * block->bytes)};
    }
    worst->part_count = s->block_count;
}

static void stretch_begin(struct stretch *s, const struct block *block)
{
    s->number = ++last_number;
    s->kind = block->role == ROLE_STUB ? CALLS + block->vector : KIND_BOOT;
    s->instructions = s->bytes = 0;
    s->returning = false;
    s->block_count = 0;
}

/* Whether ring 3 was entered, though nothing of it was executed. A fault of IRETQ itself is one of the three about
 * selectors, the stack and protection. */
static bool returned(const struct stretch *s, const struct block *block)
{
    return s->returning && block->role == ROLE_STUB &&
           (block->vector < VECTOR_SELECTOR || block->vector > VECTOR_PROTECTION);
}

static void on_block(unsigned cpu, void *data)
{
    struct block *block = data;
    struct stretch *s = &stretches[cpu];
    if (block->role == ROLE_RING3 || block->role == ROLE_IDLE) {
        if (s->number)
            stretch_end(cpu);
        return;
    }
    if (s->number && returned(s, block))
        stretch_end(cpu);
    if (!s->number)
        stretch_begin(s, block);
    s->returning = block->returns;
    s->instructions += block->instructions;
    s->bytes += block->bytes;
    if (block->seen[cpu].stretch != s->number) {
        block->seen[cpu].stretch = s->number;
        block->seen[cpu].passes = 0;
        if (s->block_count < BLOCKS_MAX)
            s->blocks[s->block_count++] = block;
    }
    block->seen[cpu].passes++;
}

/* The machine's memory, mapped by QEMU into this process. */
static const uint8_t *memory(void)
{
    static const uint8_t *found;
    char line[512];
    FILE *maps = found ? NULL : fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof(line), maps)) {
        if (strstr(line, "memfd:memory-backend-memfd"))
            found = (const uint8_t *)strtoull(line, NULL, 16);
    }
    if (maps)
        fclose(maps);
    return found;
}

/* The entry code has just stored RAX. */
static void on_number(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
    (void)data;
    const struct qemu_plugin_hwaddr *where = qemu_plugin_get_hwaddr(info, address);
    uint16_t number; /* progress of a restarted call is above */
    if (!where || qemu_plugin_hwaddr_is_io(where) || !memory())
        return;
    memcpy(&number, memory() + qemu_plugin_hwaddr_phys_addr(where), sizeof(number));
    stretches[cpu].kind = number < CALLS ? number : CALLS - 1;
}

/* The bytes that one pass of a repeated string instruction moves; 0 = it is none (Intel SDM volume 2, REP). */
static uint32_t repeated_bytes(const struct qemu_plugin_insn *insn)
{
    const uint8_t *code = qemu_plugin_insn_data(insn);
    size_t at = 1;
    if (qemu_plugin_insn_size(insn) < 2 || code[0] != 0xf3)
        return 0;
    bool wide = (code[1] & 0xf8) == 0x48;
    at += wide;
    switch (code[at]) {
    case 0xa4: /* MOVS */
    case 0xaa: /* STOS */
        return 1;
    case 0xa5:
    case 0xab:
        return wide ? 8 : 4;
    default:
        return 0;
    }
}

static bool is_return(const struct qemu_plugin_insn *insn)
{
    static const uint8_t sysretq[] = {0x48, 0x0f, 0x07}, iretq[] = {0x48, 0xcf};
    const uint8_t *code = qemu_plugin_insn_data(insn);
    size_t size = qemu_plugin_insn_size(insn);
    return (size == sizeof(sysretq) && memcmp(code, sysretq, size) == 0) ||
           (size == sizeof(iretq) && memcmp(code, iretq, size) == 0);
}

static enum role role_of(uint64_t address)
{
    if (address >> 63 == 0)
        return ROLE_RING3;
    if (address >= idle_address && address < idle_end)
        return ROLE_IDLE;
    if (address == syscall_address)
        return ROLE_SYSCALL;
    return address >= stubs_address && address < stubs_address + (uint64_t)VECTORS * STUB_BYTES
               ? ROLE_STUB
               : ROLE_CORE;
}

static bool stores_rax(const struct qemu_plugin_insn *insn)
{
    static const uint8_t store[] = {0x48, 0x89, 0x04, 0x24}; /* mov %rax,(%rsp) */
    uint64_t address = qemu_plugin_insn_vaddr(insn);
    return address >= syscall_address && address < syscall_address + SYSCALL_BYTES &&
           qemu_plugin_insn_size(insn) == sizeof(store) &&
           memcmp(qemu_plugin_insn_data(insn), store, sizeof(store)) == 0;
}

static void on_translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    size_t count = qemu_plugin_tb_n_insns(tb);
    const struct qemu_plugin_insn *first = qemu_plugin_tb_get_insn(tb, 0);
    struct block *block = calloc(1, sizeof(*block));
    if (!block)
        abort();
    block->address = qemu_plugin_insn_vaddr(first);
    block->role = role_of(block->address);
    block->instructions = (uint32_t)count;
    if (block->role == ROLE_STUB)
        block->vector = (unsigned)((block->address - stubs_address) / STUB_BYTES);
    /* It ends its block, and passes after the first are blocks of its own. */
    block->bytes = repeated_bytes(qemu_plugin_tb_get_insn(tb, count - 1));
    block->returns = is_return(qemu_plugin_tb_get_insn(tb, count - 1));
    if (block->bytes && count == 1)
        block->instructions = 0;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, CB_NO_REGS, block);
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        if (stores_rax(insn))
            qemu_plugin_register_vcpu_mem_cb(insn, on_number, CB_NO_REGS, MEM_WRITE, NULL);
    }
}

static bool option(const char *text)
{
    if (strncmp(text, "out=", 4) == 0)
        return (worsts = plugin_map(text + 4, KINDS * sizeof(*worsts))) != NULL;
    if (strncmp(text, "syscall=", 8) == 0)
        return (syscall_address = strtoull(text + 8, NULL, 0)) != 0;
    if (strncmp(text, "stubs=", 6) == 0)
        return (stubs_address = strtoull(text + 6, NULL, 0)) != 0;
    return sscanf(text, "idle=%" SCNx64 ":%" SCNx64, &idle_address, &idle_end) == 2;
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id,
                                                               const struct qemu_info *info,
                                                               int argc, char **argv)
{
    if (!info->system_emulation || info->system.max_vcpus > CPUS) {
        fprintf(stderr, "stretch: needs a system with at most %d CPUs\n", CPUS);
        return -1;
    }
    for (int i = 0; i < argc; i++) {
        if (!option(argv[i])) {
            fprintf(stderr, "stretch: bad argument %s\n", argv[i]);
            return -1;
        }
    }
    if (!worsts || !syscall_address || !stubs_address || !idle_address) {
        fprintf(stderr, "stretch: needs out=, syscall=, stubs= and idle=\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translated);
    return 0;
}
