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
 * Points get the numbers 1, 2, … in the order of the arguments, markers 256 + N.
 *
 * One guest CPU only: the counters are not atomic. Instructions are counted one by one instead of by block:
 * a block that faults half-way would be counted whole, and again when it is resumed. A repeated string
 * instruction counts once an iteration, for so it is translated.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The part of QEMU's plug-in interface that is used here. Debian's QEMU ships no header for it. */

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

struct qemu_info {
    const char *target_name;
    struct {
        int min, cur;
    } version;
    bool system_emulation;
    struct {
        int smp_vcpus, max_vcpus;
    } system;
};

enum { INLINE_ADD_U64 = 0 }; /* enum qemu_plugin_op */
enum { CB_NO_REGS = 0 };     /* enum qemu_plugin_cb_flags */

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*translated)(qemu_plugin_id_t,
                                                              struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int op,
                                                void *counter, uint64_t immediate);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
                                            void (*executed)(unsigned int cpu, void *data),
                                            int flags, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

/* The file that the reader maps. All fields are 64-bit little-endian; see counter.py. */

enum { HIT_COUNT_MAX = 1 << 20 };

struct hit {
    uint64_t point;
    uint64_t ring0;
    uint64_t ring3;
};

struct counters {
    uint64_t ring0;
    uint64_t ring3;
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

static void on_point(unsigned int cpu, void *data)
{
    (void)cpu;
    if (counters->hit_count == HIT_COUNT_MAX)
        return;
    counters->hits[counters->hit_count] = (struct hit){
        .point = (uintptr_t)data,
        .ring0 = counters->ring0,
        .ring3 = counters->ring3,
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
        qemu_plugin_register_vcpu_insn_exec_inline(
            insn, INLINE_ADD_U64, upper_half ? &counters->ring0 : &counters->ring3, 1);
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

static bool counters_map(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(*counters)) != 0)
        return false;
    counters = mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return counters != MAP_FAILED;
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id,
                                                               const struct qemu_info *info,
                                                               int argc, char **argv)
{
    bool mapped = false;
    if (!info->system_emulation || info->system.max_vcpus != 1) {
        fprintf(stderr, "count: needs a system with exactly one CPU\n");
        return -1;
    }
    for (int i = 0; i < argc; i++) {
        bool good = false;
        if (strncmp(argv[i], "out=", 4) == 0)
            good = mapped = counters_map(argv[i] + 4);
        else if (strncmp(argv[i], "at=", 3) == 0)
            good = point_parse(argv[i] + 3, false);
        else if (strncmp(argv[i], "code=", 5) == 0)
            good = point_parse(argv[i] + 5, true);
        if (!good) {
            fprintf(stderr, "count: bad argument %s\n", argv[i]);
            return -1;
        }
    }
    if (!mapped) {
        fprintf(stderr, "count: needs out=FILE\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translated);
    return 0;
}
