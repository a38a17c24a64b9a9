/*
 * console.h - a guest's console: an output ring with 64-bit offsets and a small input buffer.
 */
#ifndef CORE_CONSOLE_H
#define CORE_CONSOLE_H

#include "core/lock.h"
#include "core/types.h"

#define CONSOLE_INPUT_BYTES 256u
#define CONSOLE_PAGES_MAX   16u

struct console {
    struct spinlock lock;
    pfn_t pages[CONSOLE_PAGES_MAX];
    uint32_t bytes; /* capacity: a power of two, 0 = none */
    uint64_t end;   /* offset of the next byte; the oldest kept is max(0, end - bytes) */
    uint32_t input_head, input_count;
    char input[CONSOLE_INPUT_BYTES];
};

/* Appends output; old bytes fall out. Any context that holds no lock after console.lock in the order. */
void console_write(struct console *console, const char *text, uint32_t bytes);

/* Copies up to `bytes` from `offset` on. Bytes copied, or -SKEP_ERANGE when the offset has expired or lies ahead. */
int console_read(struct console *console, uint64_t offset, char *text, uint32_t bytes);

/* Offset of the oldest byte kept, and of the next one. */
void console_offsets(struct console *console, uint64_t *first, uint64_t *end);

/* Input: bytes taken; bytes given. */
uint32_t console_input_put(struct console *console, const char *text, uint32_t bytes);
uint32_t console_input_get(struct console *console, char *text, uint32_t bytes);

#endif
