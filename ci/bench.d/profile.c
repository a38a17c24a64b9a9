/*
 * A QEMU plug-in that counts how often each block of guest code is executed, for a profile by function.
 *
 * The table of blocks is in a file mapped by both sides: a block has an entry with its address, its length in
 * instructions, its first bytes, by which the reader finds out whose code it is, and its count. A block that is translated
 * again gets its old entry. Like count.c this wants one thread for all CPUs. Whole blocks are counted: one that faults
 * half-way counts as a whole, and again when it is resumed.
 */
#include <stdio.h>
#include <string.h>

#include "plugin.h"

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

/* All fields are little-endian; see profiles.py. */

enum { BLOCKS = 1 << 17, CODE_SIZE = 32 };

struct block {
    uint64_t address, executed;
    uint32_t instructions, code_size;
    uint8_t code[CODE_SIZE];
};

struct table {
    uint64_t lost; /* executions that found no entry */
    struct block blocks[BLOCKS];
};

static struct table *table;

static struct block block_of(const struct qemu_plugin_tb *tb)
{
    struct block block = {.instructions = (uint32_t)qemu_plugin_tb_n_insns(tb)};
    block.address = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0));
    for (size_t i = 0; i < block.instructions && block.code_size < CODE_SIZE; i++) {
        const struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        size_t size = qemu_plugin_insn_size(insn);
        if (size > CODE_SIZE - block.code_size)
            size = CODE_SIZE - block.code_size;
        memcpy(block.code + block.code_size, qemu_plugin_insn_data(insn), size);
        block.code_size += (uint32_t)size;
    }
    return block;
}

static bool same(const struct block *one, const struct block *other)
{
    return one->address == other->address && one->instructions == other->instructions &&
           memcmp(one->code, other->code, CODE_SIZE) == 0;
}

/* The block's entry, NULL when there is no room. */
static struct block *entry_of(const struct block *block)
{
    uint64_t hash = (block->address ^ block->address >> 17) * 0x9e3779b97f4a7c15ull;
    for (size_t i = 0; i < BLOCKS; i++) {
        struct block *entry = &table->blocks[(hash + i) % BLOCKS];
        if (entry->instructions == 0)
            *entry = *block;
        if (same(entry, block))
            return entry;
    }
    return NULL;
}

static void on_translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    struct block block = block_of(tb);
    struct block *entry = entry_of(&block);
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(tb, INLINE_ADD_U64,
                                             entry ? &entry->executed : &table->lost, 1);
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id,
                                                               const struct qemu_info *info,
                                                               int argc, char **argv)
{
    if (!info->system_emulation || argc != 1 || strncmp(argv[0], "out=", 4) != 0 ||
        (table = plugin_map(argv[0] + 4, sizeof(*table))) == NULL) {
        fprintf(stderr, "profile: needs a whole system and out=FILE\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translated);
    return 0;
}
