/* elf_image.c - the checks on uploaded ELF files. */
#include "elf_image.h"

#include <stdbool.h>
#include <string.h>

#include "functions.h"

#define PT_LOAD      1u
#define PT_DYNAMIC   2u
#define PT_INTERP    3u
#define PT_NOTE      4u
#define PT_GNU_STACK 0x6474e551u
#define PF_X         1u
#define PF_W         2u
#define PF_R         4u
#define ET_DYN       3u
#define EM_X86_64    62u
#define SHT_SYMTAB   2u
#define SHT_NOTE     7u
#define SHF_ALLOC    2u
#define DT_NEEDED    1u
#define DT_TEXTREL   22u
#define DT_FLAGS     30u
#define DF_TEXTREL   4u

#define PHNUM_MAX   64u
#define SHNUM_MAX   4096u
#define SYMBOLS_MAX 200000u
#define KNOWN_FEATURES \
    (SKEP_FEATURE_CLOCK_TSC | SKEP_FEATURE_FSGSBASE | SKEP_FEATURE_XSAVE | SKEP_FEATURE_RDRAND)

struct header {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct program_header {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

struct section_header {
    uint32_t name, type;
    uint64_t flags, addr, offset, size;
    uint32_t link, info;
    uint64_t addralign, entsize;
};

struct file {
    const uint8_t *data;
    size_t bytes;
};

static bool inside(const struct file *f, uint64_t offset, uint64_t bytes)
{
    return offset <= f->bytes && bytes <= f->bytes - offset;
}

/* Copies, since nothing in the file need be aligned. */
static bool fetch(const struct file *f, uint64_t offset, void *out, size_t bytes)
{
    if (!inside(f, offset, bytes))
        return false;
    memcpy(out, f->data + offset, bytes);
    return true;
}

static const char *check_header(const struct header *h, const struct file *f)
{
    if (memcmp(h->ident, "\177ELF", 4) != 0)
        return "is no ELF file";
    if (h->ident[4] != 2 || h->ident[5] != 1 || h->ident[6] != 1)
        return "is no little-endian ELF64 file";
    if (h->machine != EM_X86_64)
        return "is for another machine than x86-64";
    if (h->type != ET_DYN)
        return "is no static PIE (link it with -static-pie)";
    if (h->phentsize != sizeof(struct program_header) || h->phnum == 0 || h->phnum > PHNUM_MAX)
        return "has a program header table of an unknown format, or more than 64 entries";
    if (!inside(f, h->phoff, (uint64_t)h->phnum * sizeof(struct program_header)))
        return "ends before its program headers: it is truncated or damaged";
    return NULL;
}

static uint64_t page_down(uint64_t address)
{
    return address & ~(uint64_t)(SKEP_PAGE_SIZE - 1);
}

static uint64_t page_up(uint64_t address)
{
    return page_down(address + SKEP_PAGE_SIZE - 1);
}

static const char *check_placement(const struct elf_image *image, const struct elf_segment *s)
{
    const struct elf_segment *last =
        image->segment_count ? &image->segments[image->segment_count - 1] : NULL;
    uint64_t base = image->segment_count ? image->base : page_down(s->address);

    if (s->address >= SKEP_GUEST_VA_MAX || s->memory_bytes > ELF_SPAN_MAX)
        return "has a segment outside of a guest's addresses, or larger than 1 GiB";
    if (last && page_down(s->address) < page_up(last->address + last->memory_bytes))
        return "has segments that overlap, share a page or don't ascend";
    if (s->address + s->memory_bytes - base > ELF_SPAN_MAX)
        return "spans more than 1 GiB";
    return NULL;
}

static const char *add_segment(struct elf_image *image, const struct program_header *h,
                               const struct file *f)
{
    struct elf_segment s = {.address = h->vaddr,
                            .memory_bytes = h->memsz,
                            .offset = h->offset,
                            .file_bytes = h->filesz};
    const char *error;

    if (h->memsz == 0 && h->filesz == 0)
        return NULL;
    if (h->filesz > h->memsz)
        return "has a segment with more bytes in the file than in memory";
    if (!inside(f, h->offset, h->filesz))
        return "ends before its segments: it is truncated or damaged";
    if ((h->align & (h->align - 1)) != 0 || h->align < SKEP_PAGE_SIZE ||
        (h->vaddr - h->offset) % SKEP_PAGE_SIZE != 0)
        return "has a segment that is not aligned to pages";
    if (h->flags & PF_W && h->flags & PF_X)
        return "has a segment that is writable and executable";
    if (!(h->flags & PF_R))
        return "has a segment that is not readable";
    if (image->segment_count == SKEP_IMAGE_SEGMENTS_MAX)
        return "has more than 16 segments";
    if (h->flags & PF_X && page_up(s.address % SKEP_PAGE_SIZE + s.memory_bytes) !=
                               page_up(s.address % SKEP_PAGE_SIZE + s.file_bytes))
        return "has an executable segment that goes beyond the file's bytes";
    if ((error = check_placement(image, &s)) != NULL)
        return error;
    if (image->segment_count == 0)
        image->base = page_down(s.address);
    s.prot = SKEP_PROT_READ | (h->flags & PF_W ? SKEP_PROT_WRITE : 0) |
             (h->flags & PF_X ? SKEP_PROT_EXEC : 0);
    image->segments[image->segment_count++] = s;
    return NULL;
}

static const char *take_note(struct elf_image *image, const struct file *f, uint64_t offset)
{
    struct skep_note note;

    if (!fetch(f, offset, &note, sizeof(note)))
        return "has a damaged Skep note";
    if (note.abi_major != SKEP_ABI_MAJOR || note.abi_minor > SKEP_ABI_MINOR)
        return "was built for another version of Skep's ABI";
    if (note.features & ~(uint64_t)KNOWN_FEATURES)
        return "needs features that this Skep doesn't have";
    image->stack_reserved = note.flags & SKEP_NOTE_STACK_RESERVED;
    return NULL;
}

/* Looks through one PT_NOTE segment for ours. */
static const char *read_notes(struct elf_image *image, const struct file *f,
                              const struct program_header *h, bool *found)
{
    uint64_t offset = h->offset, end = h->offset + h->filesz;

    if (!inside(f, h->offset, h->filesz))
        return "has notes outside of the file";
    while (end - offset >= 12) {
        uint32_t head[3] = {0}; /* bytes of the name, bytes of the contents, type */
        char name[sizeof(SKEP_NOTE_NAME)] = "";
        const char *error;

        fetch(f, offset, head, sizeof(head));
        uint64_t name_room = ((uint64_t)head[0] + 3) & ~3ull;
        uint64_t data_room = ((uint64_t)head[1] + 3) & ~3ull;
        if (end - offset - 12 < name_room || end - offset - 12 - name_room < data_room)
            return "has a note that is larger than its segment";
        if (head[0] == sizeof(name))
            fetch(f, offset + 12, name, sizeof(name));
        if (head[2] == SKEP_NOTE_ABI && memcmp(name, SKEP_NOTE_NAME, sizeof(name)) == 0) {
            if (head[1] < sizeof(struct skep_note))
                return "has a damaged Skep note";
            if ((error = take_note(image, f, offset + 12 + name_room)) != NULL)
                return error;
            *found = true;
        }
        offset += 12 + name_room + data_room;
    }
    return NULL;
}

static const char *check_dynamic(const struct file *f, const struct program_header *h)
{
    if (!inside(f, h->offset, h->filesz))
        return "has a dynamic section outside of the file";
    for (uint64_t at = 0; at + 16 <= h->filesz; at += 16) {
        uint64_t entry[2] = {0}; /* tag, value */
        fetch(f, h->offset + at, entry, sizeof(entry));
        if (entry[0] == 0)
            break;
        if (entry[0] == DT_NEEDED)
            return "needs shared libraries (link it with -static-pie)";
        if (entry[0] == DT_TEXTREL || (entry[0] == DT_FLAGS && entry[1] & DF_TEXTREL))
            return "has relocations in its text (compile everything with -fPIE)";
    }
    return NULL;
}

static const char *take_program_header(struct elf_image *image, const struct program_header *h,
                                       const struct file *f, bool *note)
{
    switch (h->type) {
    case PT_LOAD:
        return add_segment(image, h, f);
    case PT_DYNAMIC:
        return check_dynamic(f, h);
    case PT_INTERP:
        return "asks for a program interpreter (link it with -static-pie)";
    case PT_NOTE:
        return read_notes(image, f, h, note);
    case PT_GNU_STACK:
        if (h->flags & PF_X)
            return "wants an executable stack";
        if (h->memsz > ELF_STACK_MAX)
            return "wants a stack of more than 64 MiB";
        image->stack_bytes = h->memsz;
        return NULL;
    default:
        return NULL;
    }
}

static const char *check_entry(const struct elf_image *image)
{
    for (uint32_t i = 0; i < image->segment_count; i++) {
        const struct elf_segment *s = &image->segments[i];
        if (s->prot & SKEP_PROT_EXEC && image->entry >= s->address &&
            image->entry - s->address < s->file_bytes)
            return NULL;
    }
    return "has its entry point outside of its executable segments";
}

static const char *find_symbols(struct elf_image *image, const struct section_header *s,
                                const struct section_header *names, const struct file *f)
{
    if (!inside(f, s->offset, s->size) || !inside(f, names->offset, names->size))
        return "has a symbol table outside of the file";
    if (s->size / 24 > SYMBOLS_MAX)
        return "has more than 200000 symbols (strip the local ones)";
    image->symbols_offset = s->offset;
    image->symbol_count = s->size / 24;
    image->names_offset = names->offset;
    image->names_bytes = names->size;
    return NULL;
}

/* A note that isn't loaded: ours with function names is to be sound, others are nobody's business. */
static const char *find_functions(struct elf_image *image, const struct section_header *s,
                                  const struct file *f)
{
    struct {
        uint32_t name_bytes, bytes, type;
        char name[8];
    } head = {0};
    struct functions functions;
    enum functions_found found;

    if (!inside(f, s->offset, s->size) || s->size < sizeof(head))
        return NULL;
    fetch(f, s->offset, &head, sizeof(head));
    if (head.name_bytes != sizeof(SKEP_NOTE_NAME) || head.type != SKEP_NOTE_FUNCTIONS ||
        memcmp(head.name, SKEP_NOTE_NAME, sizeof(SKEP_NOTE_NAME)) != 0)
        return NULL;
    if (head.bytes > s->size - sizeof(head))
        return "has a note of function names that is larger than its section";
    image->functions_offset = s->offset + sizeof(head);
    image->functions_bytes = head.bytes;
    functions_begin(&functions, f->data + image->functions_offset, head.bytes);
    while ((found = functions_next(&functions)) == FUNCTIONS_ONE)
        if (++image->function_count > SYMBOLS_MAX)
            return "has more than 200000 function names";
    return found == FUNCTIONS_DAMAGED ? "has a damaged note of function names" : NULL;
}

/* Remembers where function names are. They are optional, but what is there must be sound. */
static const char *find_names(struct elf_image *image, const struct header *h, const struct file *f)
{
    const char *error = NULL;

    if (h->shnum == 0)
        return NULL;
    if (h->shentsize != sizeof(struct section_header) || h->shnum > SHNUM_MAX)
        return "has a section header table of an unknown format, or more than 4096 entries";
    if (!inside(f, h->shoff, (uint64_t)h->shnum * sizeof(struct section_header)))
        return "ends before its section headers: it is truncated or damaged";
    for (uint32_t i = 0; i < h->shnum && !error; i++) {
        struct section_header s = {0}, names = {0};
        fetch(f, h->shoff + i * sizeof(s), &s, sizeof(s));
        if (s.type == SHT_NOTE && !(s.flags & SHF_ALLOC) && image->function_count == 0)
            error = find_functions(image, &s, f);
        if (s.type != SHT_SYMTAB || image->symbol_count)
            continue;
        if (s.link >= h->shnum)
            return "has a symbol table without names";
        fetch(f, h->shoff + s.link * sizeof(names), &names, sizeof(names));
        error = find_symbols(image, &s, &names, f);
    }
    return error;
}

const char *elf_image_check(struct elf_image *image, const uint8_t *data, size_t bytes)
{
    const struct file f = {data, bytes};
    struct header h;
    const char *error;
    bool note = false;

    memset(image, 0, sizeof(*image));
    if (!fetch(&f, 0, &h, sizeof(h)))
        return "is no ELF file: it is too short";
    if ((error = check_header(&h, &f)) != NULL)
        return error;
    for (uint32_t i = 0; i < h.phnum; i++) {
        struct program_header p;
        fetch(&f, h.phoff + i * sizeof(p), &p, sizeof(p));
        if ((error = take_program_header(image, &p, &f, &note)) != NULL)
            return error;
    }
    if (image->segment_count == 0)
        return "has nothing to load";
    if (!note)
        return "has no Skep note: it was not built for Skep";
    image->entry = h.entry;
    if ((error = check_entry(image)) != NULL)
        return error;
    return find_names(image, &h, &f);
}
