/*
 * start.c - from the first instruction to skep_main(): relocation, TLS, the scheduler.
 *
 * The image is a static PIE: it runs wherever it was loaded once the addresses in its data have been
 * corrected. Until that is done, nothing here may use a pointer from initialised data. Until FS is
 * set there is no canary, so this file is compiled without stack protector.
 */
#include <elf.h>
#include <string.h>

#include "internal.h"

#ifndef DT_RELRSZ
#define DT_RELRSZ 35
#define DT_RELR   36
#endif
#ifndef R_X86_64_RELATIVE
#define R_X86_64_RELATIVE 8
#endif

const struct skep_start_info *skep_info;

extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));
extern const Elf64_Dyn _DYNAMIC[] __attribute__((visibility("hidden")));

/* The C library's part of the start: constructors, main(), exit(). */
extern _Noreturn void skep_main(int argc, char **argv, char **envp);

_Noreturn void skep_start(const struct skep_start_info *info);

const struct skep_start_info *skep_start_info(void)
{
    return skep_info;
}

static const Elf64_Phdr *find_segment(uint32_t type)
{
    const Elf64_Phdr *segment =
        (const Elf64_Phdr *)((const char *)&__ehdr_start + __ehdr_start.e_phoff);
    for (unsigned i = 0; i < __ehdr_start.e_phnum; i++)
        if (segment[i].p_type == type)
            return &segment[i];
    return NULL;
}

/* RELR: an even entry is the address of a word, an odd one a bit map of the 63 words after it. */
static void relocate_packed(uint64_t base, const uint64_t *entry, const uint64_t *end)
{
    uint64_t *where = (uint64_t *)base;
    for (; entry < end; entry++) {
        if (!(*entry & 1)) {
            where = (uint64_t *)(base + *entry);
            *where++ += base;
            continue;
        }
        for (unsigned i = 0; i < 63; i++)
            if (*entry >> (i + 1) & 1)
                where[i] += base;
        where += 63;
    }
}

static void relocate(uint64_t base)
{
    const Elf64_Rela *rela = NULL;
    const uint64_t *relr = NULL;
    uint64_t rela_bytes = 0, relr_bytes = 0;
    for (const Elf64_Dyn *entry = _DYNAMIC; entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_RELA)
            rela = (const Elf64_Rela *)(base + entry->d_un.d_ptr);
        else if (entry->d_tag == DT_RELASZ)
            rela_bytes = entry->d_un.d_val;
        else if (entry->d_tag == DT_RELR)
            relr = (const uint64_t *)(base + entry->d_un.d_ptr);
        else if (entry->d_tag == DT_RELRSZ)
            relr_bytes = entry->d_un.d_val;
    }
    for (uint64_t i = 0; rela != NULL && i < rela_bytes / sizeof(*rela); i++)
        if (ELF64_R_TYPE(rela[i].r_info) == R_X86_64_RELATIVE)
            *(uint64_t *)(base + rela[i].r_offset) = base + (uint64_t)rela[i].r_addend;
    relocate_packed(base, relr, relr + relr_bytes / sizeof(*relr));
}

/* What only relocation had to write is read-only from now on. */
static void protect_relocated(uint64_t base)
{
    const Elf64_Phdr *segment = find_segment(PT_GNU_RELRO);
    if (segment == NULL)
        return;
    uint64_t start = (base + segment->p_vaddr) & ~PAGE_MASK;
    uint64_t end = (base + segment->p_vaddr + segment->p_memsz) & ~PAGE_MASK;
    if (end > start)
        skep_hc_mem_protect(start, end - start, SKEP_PROT_READ);
}

static const Elf64_Phdr *tls_segment;

/* TLS lies below struct skep_thread as the linker placed it: its end, rounded up to its alignment,
 * is at the thread pointer. */
static size_t tls_bytes(void)
{
    if (tls_segment == NULL)
        return 0;
    return round_up(tls_segment->p_memsz, tls_segment->p_align ? tls_segment->p_align : 1);
}

size_t skep_extended_bytes(void)
{
    return skep_info->features & SKEP_FEATURE_XSAVE ? skep_info->xsave_bytes : 512;
}

/* From high to low: extended state, struct skep_thread, TLS, each 64-byte aligned. */
size_t skep_thread_block_bytes(void)
{
    return round_up(skep_extended_bytes(), 64) + round_up(sizeof(struct skep_thread), 64) +
           round_up(tls_bytes(), 64);
}

struct skep_thread *skep_thread_block_init(uint64_t top, uint64_t *stack_top)
{
    uint64_t extended = (top - skep_extended_bytes()) & ~63ull;
    uint64_t pointer = (extended - sizeof(struct skep_thread)) & ~63ull;
    struct skep_thread *thread = (struct skep_thread *)pointer;
    if (tls_segment != NULL)
        memcpy((void *)(pointer - tls_bytes()), (const char *)&__ehdr_start + tls_segment->p_vaddr,
               tls_segment->p_filesz);
    *stack_top = (pointer - tls_bytes()) & ~63ull;
    thread->self = thread;
    thread->extended = (uint8_t *)extended;
    return thread;
}

/* The canary's low byte is 0, so that string functions stop at it. */
static uint64_t make_canary(const struct skep_start_info *info)
{
    uint64_t canary;
    memcpy(&canary, info->seed + sizeof(info->seed) - sizeof(canary), sizeof(canary));
    return (canary ^ info->generation * 0x9e3779b97f4a7c15ull) & ~0xffull;
}

static void check_abi(const struct skep_start_info *info)
{
    static const char message[] = "guestlib: the hypervisor has another ABI";
    if (info->magic != SKEP_START_INFO_MAGIC || info->abi_major != SKEP_ABI_MAJOR)
        skep_hc_abort(message, sizeof(message) - 1);
}

/* Stores pointers to the strings in start-info, count of them and a NULL. Returns what follows. */
static char *string_array(char **array, uint32_t count, char *strings)
{
    for (uint32_t i = 0; i < count; i++) {
        array[i] = strings;
        strings += strlen(strings) + 1;
    }
    array[count] = NULL;
    return strings;
}

/* With everything set up, on the first thread's stack. */
_Noreturn static void start_program(const struct skep_start_info *info)
{
    char *strings = (char *)info + info->strings_offset;
    char **argv = __builtin_alloca((info->argc + 1) * sizeof(*argv));
    char **envp = __builtin_alloca((info->envc + 1) * sizeof(*envp));
    /* POSIX lets programs change their strings; start-info is read-only. */
    char *copy = __builtin_alloca(info->strings_bytes + 1);
    memcpy(copy, strings, info->strings_bytes);
    copy[info->strings_bytes] = 0;
    string_array(envp, info->envc, string_array(argv, info->argc, copy));
    skep_main((int)info->argc, argv, envp);
}

_Noreturn void skep_start(const struct skep_start_info *info)
{
    uint64_t base = (uint64_t)&__ehdr_start;
    relocate(base);
    check_abi(info);
    skep_info = info;
    tls_segment = find_segment(PT_TLS);
    if (info->features & SKEP_FEATURE_XSAVE)
        memcpy(skep_xsave_mask, &info->xcr0, sizeof(info->xcr0));

    size_t block_bytes = skep_thread_block_bytes();
    char *block = (char *)round_up((uint64_t)__builtin_alloca(block_bytes + 64), 64);
    memset(block, 0, block_bytes);
    uint64_t unused;
    struct skep_thread *first = skep_thread_block_init((uint64_t)block + block_bytes, &unused);
    first->canary = make_canary(info);
    first->stack_base = info->stack_base;

    skep_sched_start(skep_vcpu_first(first->canary), first);
    protect_relocated(base);
    skep_random_start();
    bool were_masked = skep_upcalls_mask();
    skep_vcpus_adjust();
    skep_upcalls_restore(were_masked);
    start_program(info);
}
