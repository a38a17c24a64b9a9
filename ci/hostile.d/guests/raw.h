/*
 * raw.h - the little that attackers stand on: start-up, a console and hypercalls, without the guest library. No upcall
 * ever comes unless an attack asks for one, no other vCPU runs unless an attack starts it.
 *
 * A program lists its attacks in a table; its argument names the one that it makes. It prints "attack: <name>" before
 * and "survived: <name>" if it is still there afterwards. ci/hostile reads the tables from the sources.
 */
#ifndef RAW_H
#define RAW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "skep/abi.h"
#include "skep/hypercall.h"

#define UPPER_HALF   0xffffffff80000000ull /* ring 0's text */
#define DIRECT_MAP   0xffff800000000000ull
#define ENTRY_AREAS  0xffffff0000000000ull /* the IDT, and what is there even with isolation */
#define NONCANONICAL 0x0000800000000000ull
#define PAGE         ((uint64_t)SKEP_PAGE_SIZE)

/*
 * `expect` says how the attack ends: the crash's reason, or "exit" when the guest goes on (and has looked for itself
 * that nothing was gained); several with " | " between. Behind a reason may stand error=N and address=N, which the
 * record must have. The function must be in the record's backtrace, at the top when it was the CPU that refused.
 */
struct attack {
    const char *name;
    void (*function)(void);
    const char *expect;
};

/* In each program. */
extern const struct attack attacks[];
extern const size_t attack_count;

#define ATTACK_COUNT const size_t attack_count = sizeof(attacks) / sizeof(*attacks)

extern const struct skep_start_info *info;

/* The first function, here for those who want an address of code. */
_Noreturn void raw_start(const struct skep_start_info *start);

/* The program's arguments behind the attack's name, as numbers; 0 where there is none. */
uint64_t argument(unsigned index);

/* Prints a line: %s (of a word()), %d, %u, %x. */
#define print(format, ...) print_values(format, (const uint64_t[]){0, ##__VA_ARGS__} + 1)
void print_values(const char *format, const uint64_t *values);

static inline uint64_t word(const char *text)
{
    return (uint64_t)text;
}

/* Ends with exit code 1 and a line that says why. */
#define fail(...) (print(__VA_ARGS__), failed())
_Noreturn void failed(void);

#define CHECK(condition)                                               \
    do {                                                               \
        if (!(condition))                                              \
            fail("FAILED: %s, line %u\n", word(#condition), __LINE__); \
    } while (0)

/* Fresh writable memory, with nothing mapped behind it. */
uint8_t *map_pages(uint64_t pages);

/* xorshift64*: the state is the seed, not 0. */
uint64_t random_next(uint64_t *state);

struct skep_vcpu_page *vcpu_page(uint32_t index);

/* Runs function(argument) on another vCPU, with a stack of its own; it must not return. */
int64_t vcpu_run(uint32_t index, void (*function)(uint64_t argument), uint64_t argument);

#endif
