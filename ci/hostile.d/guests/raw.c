/*
 * raw.c - start-up, console and the attack table's main program (raw.h).
 */
#include "raw.h"

#include <elf.h>

#ifndef DT_RELRSZ
#define DT_RELRSZ 35
#define DT_RELR   36
#endif

#define STACK_PAGES 4u

const struct skep_start_info *info;

static const char *arguments[8];

extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));
extern const Elf64_Dyn _DYNAMIC[] __attribute__((visibility("hidden")));

/* The note that makes a program an image, as guestlib's start.S has it, and the first instruction. */
__asm__(
    ".section .note.skep, \"a\", @note\n"
    ".balign 4\n.long 5, 16, 1\n.asciz \"Skep\"\n.balign 4\n.short 1, 0\n.long 0\n.quad 0\n"
    ".text\n.globl _start\n.type _start, @function\n"
    "_start: xorl %ebp, %ebp\n andq $-16, %rsp\n call raw_start\n ud2\n.size _start, . - _start\n");

/* ---- relocation: only relative ones occur ---- */

static void relocate_packed(uint64_t base, const uint64_t *entry, const uint64_t *end)
{
    uint64_t *where = (uint64_t *)base;
    for (; entry < end; entry++) {
        if (!(*entry & 1)) {
            where = (uint64_t *)(base + *entry);
            *where++ += base;
            continue;
        }
        for (unsigned i = 0; i < 63; i++) {
            if (*entry >> (i + 1) & 1)
                where[i] += base;
        }
        where += 63;
    }
}

static uint64_t dynamic(int64_t tag)
{
    for (const Elf64_Dyn *entry = _DYNAMIC; entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == tag)
            return entry->d_un.d_val;
    }
    return 0;
}

static void relocate(void)
{
    uint64_t base = (uint64_t)&__ehdr_start;
    const Elf64_Rela *rela = (const Elf64_Rela *)(base + dynamic(DT_RELA));
    for (uint64_t i = 0; i < dynamic(DT_RELASZ) / sizeof(*rela); i++)
        *(uint64_t *)(base + rela[i].r_offset) = base + (uint64_t)rela[i].r_addend;
    uint64_t packed = base + dynamic(DT_RELR);
    relocate_packed(base, (const uint64_t *)packed,
                    (const uint64_t *)(packed + dynamic(DT_RELRSZ)));
}

/* ---- console ---- */

struct line {
    char text[240];
    unsigned length;
};

static void put(struct line *line, char c)
{
    if (line->length < sizeof(line->text))
        line->text[line->length++] = c;
}

static void put_number(struct line *line, uint64_t value, unsigned base)
{
    char digits[20];
    unsigned count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    while (count)
        put(line, digits[--count]);
}

static void put_signed(struct line *line, int64_t value)
{
    if (value < 0)
        put(line, '-');
    put_number(line, value < 0 ? -(uint64_t)value : (uint64_t)value, 10);
}

static void put_text(struct line *line, const char *text)
{
    for (; *text; text++)
        put(line, *text);
}

void print_values(const char *format, const uint64_t *values)
{
    struct line line = {.length = 0};
    for (; *format; format++) {
        if (*format != '%')
            put(&line, *format);
        else if (*++format == 's')
            put_text(&line, (const char *)*values++);
        else if (*format == 'd')
            put_signed(&line, (int64_t)*values++);
        else
            put_number(&line, *values++, *format == 'x' ? 16 : 10);
    }
    skep_hc_console_write(line.text, line.length);
}

_Noreturn void failed(void)
{
    skep_hc_exit(1);
}

/* ---- what the compiler calls; there is no C library ---- */

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    void *at = to;
    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(bytes) : : "memory");
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    void *at = to;
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(value) : "memory");
    return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
    const uint8_t *one = a, *two = b;
    for (; bytes; bytes--, one++, two++) {
        if (*one != *two)
            return *one - *two;
    }
    return 0;
}

static bool same(const char *a, const char *b)
{
    for (; *a && *a == *b; a++, b++) {
    }
    return *a == *b;
}

static const char *behind(const char *text)
{
    while (*text++) {
    }
    return text;
}

/* ---- the rest ---- */

uint8_t *map_pages(uint64_t pages)
{
    int64_t address = skep_hc_mem_map(0, (pages + 1) * PAGE, SKEP_PROT_READ | SKEP_PROT_WRITE);
    if (address < 0 || skep_hc_mem_unmap((uint64_t)address + pages * PAGE, PAGE) != 0)
        fail("FAILED: no memory\n");
    return (uint8_t *)address;
}

uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}

struct skep_vcpu_page *vcpu_page(uint32_t index)
{
    return (struct skep_vcpu_page *)(info->vcpu_pages + index * PAGE);
}

int64_t vcpu_run(uint32_t index, void (*function)(uint64_t argument), uint64_t value)
{
    static struct skep_context context;
    context = (struct skep_context){
        .rip = (uint64_t)function,
        .rsp = (uint64_t)map_pages(STACK_PAGES) + STACK_PAGES * PAGE - 8,
        .rdi = value,
    };
    return skep_hc_vcpu_start(index, &context);
}

uint64_t argument(unsigned index)
{
    uint64_t value = 0;
    const char *text = index + 2 < 8 && arguments[index + 2] ? arguments[index + 2] : "";
    for (; *text >= '0' && *text <= '9'; text++)
        value = value * 10 + (uint64_t)(*text - '0');
    return value;
}

static const struct attack *find(const char *name)
{
    for (size_t i = 0; name && i < attack_count; i++) {
        if (same(attacks[i].name, name))
            return &attacks[i];
    }
    fail("unknown attack\n");
}

static void strings_find(void)
{
    const char *text = (const char *)info + info->strings_offset;
    for (uint32_t i = 0; i < info->argc && i < 8; i++) {
        arguments[i] = text;
        text = behind(text);
    }
}

_Noreturn void raw_start(const struct skep_start_info *start)
{
    relocate();
    info = start;
    strings_find();
    const struct attack *attack = find(arguments[1]);
    print("attack: %s\n", word(attack->name));
    attack->function();
    print("survived: %s\n", word(attack->name));
    skep_hc_exit(0);
}
