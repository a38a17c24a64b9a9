/*
 * pvh.c - the boot loader's information: struct hvm_start_info and the command line.
 *
 * Xen's public/arch-x86/hvm/start_info.h defines the layouts. Needs version 1, which has the memory
 * map.
 */
#include "firmware.h"

struct hvm_start_info {
    uint32_t magic;
    uint32_t version;
    uint32_t flags;
    uint32_t module_count;
    uint64_t modules;
    uint64_t cmdline;
    uint64_t rsdp;
    uint64_t memory_map;
    uint32_t memory_map_count;
    uint32_t reserved;
};
_Static_assert(sizeof(struct hvm_start_info) == 56, "PVH");

struct hvm_module {
    uint64_t base, bytes;
    uint64_t cmdline, reserved;
};
_Static_assert(sizeof(struct hvm_module) == 32, "PVH");

struct hvm_range {
    uint64_t base, bytes;
    uint32_t type, reserved;
};
_Static_assert(sizeof(struct hvm_range) == 24, "PVH");

#define HVM_MAGIC   0x336ec578
#define HVM_RAM     1
#define MODULE_MAX  (64ull << 20)
#define MODULES_MAX 16

const void *view_at(const struct memory_view *view, uint64_t address, uint64_t bytes)
{
    if (address < view->base || address - view->base > view->length ||
        bytes > view->length - (address - view->base)) {
        return NULL;
    }
    return view->bytes + (address - view->base);
}

/* Structures may lie anywhere; what they say is copied out byte by byte. */
static bool view_copy(const struct memory_view *view, uint64_t address, void *to, size_t bytes)
{
    const uint8_t *from = view_at(view, address, bytes);

    if (!from) {
        return false;
    }
    __builtin_memcpy(to, from, bytes);
    return true;
}

static const char *ranges_parse(const struct memory_view *view, const struct hvm_start_info *start,
                                struct loader_info *info)
{
    struct hvm_range range;

    if (start->memory_map_count == 0 || start->memory_map_count > FIRMWARE_RANGES_MAX) {
        return "the loader's memory map has no entries, or too many";
    }
    for (uint32_t i = 0; i < start->memory_map_count; i++) {
        if (!view_copy(view, start->memory_map + i * sizeof(range), &range, sizeof(range))) {
            return "the loader's memory map is out of reach";
        }
        if (range.bytes == 0 || range.base + range.bytes < range.base) {
            continue;
        }
        info->ranges[info->range_count++] =
            (struct memory_range){range.base, range.bytes, range.type == HVM_RAM};
    }
    return NULL;
}

static const char *cmdline_parse(const struct memory_view *view, uint64_t address,
                                 struct loader_info *info)
{
    if (address == 0) {
        return NULL;
    }
    for (uint32_t i = 0; i < FIRMWARE_CMDLINE_MAX - 1; i++) {
        const char *character = view_at(view, address + i, 1);

        if (!character) {
            return "the command line is out of reach";
        }
        if (*character == '\0') {
            return NULL;
        }
        info->cmdline[i] = *character;
    }
    return "the command line is longer than 4094 bytes";
}

static const char *module_parse(const struct memory_view *view, const struct hvm_start_info *start,
                                struct loader_info *info)
{
    struct hvm_module module;

    if (start->module_count == 0) {
        return NULL;
    }
    if (start->module_count > MODULES_MAX ||
        !view_copy(view, start->modules, &module, sizeof(module))) {
        return "the list of boot modules is out of reach";
    }
    if (module.bytes > MODULE_MAX || !view_at(view, module.base, module.bytes)) {
        return "the boot module is larger than 64 MiB or out of reach";
    }
    info->module_base = module.base;
    info->module_bytes = module.bytes;
    return NULL;
}

const char *pvh_parse(const struct memory_view *view, uint64_t address, struct loader_info *info)
{
    struct hvm_start_info start;
    const char *problem;

    __builtin_memset(info, 0, sizeof(*info));
    if (!view_copy(view, address, &start, sizeof(start)) || start.magic != HVM_MAGIC) {
        return "not started by a PVH loader";
    }
    if (start.version < 1) {
        return "the PVH loader gives no memory map (version 0)";
    }
    info->rsdp = start.rsdp;
    problem = ranges_parse(view, &start, info);
    if (!problem) {
        problem = cmdline_parse(view, start.cmdline, info);
    }
    if (!problem) {
        problem = module_parse(view, &start, info);
    }
    return problem;
}

/* Copies a word's rest; true when the word begins with `name=`. */
static bool option_match(const char *word, const char *name, char *value, size_t capacity)
{
    size_t length = 0;

    while (*name != '\0' && *word == *name) {
        word++;
        name++;
    }
    if (*name != '\0' || *word != '=') {
        return false;
    }
    for (word++; *word != '\0' && *word != ' ' && length + 1 < capacity; word++) {
        value[length++] = *word;
    }
    value[length] = '\0';
    return true;
}

bool cmdline_option(const char *cmdline, const char *name, char *value, size_t capacity)
{
    bool found = false;

    for (const char *at = cmdline; *at != '\0'; at++) {
        if (*at != ' ' && (at == cmdline || at[-1] == ' ')) {
            found |= option_match(at, name, value, capacity);
        }
    }
    return found;
}
