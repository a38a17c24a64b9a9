/*
 * harness.h - what each harness defines, and how it takes its input apart.
 *
 * fuzz_main.c gives a harness to libFuzzer; replay_main.c runs files through it, with any compiler, as a unit test.
 */
#ifndef FUZZ_HARNESS_H
#define FUZZ_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Once a process. */
void fuzz_start(void);

/* One input, from the same beginning each time. What is found ends the process. The result stands for the way that
 * the input took: two runs of one input must agree. */
uint64_t fuzz_run(const uint8_t *data, size_t bytes);

/* Ends the process unless it holds; in every build. */
#define FUZZ_CHECK(condition)                            \
    do {                                                 \
        if (!(condition)) {                              \
            fuzz_failed(#condition, __FILE__, __LINE__); \
        }                                                \
    } while (0)
_Noreturn void fuzz_failed(const char *what, const char *file, int line);

/* The input that is left. Beyond its end there are zeroes. */
struct input {
    const uint8_t *at, *end;
};

static inline bool input_left(const struct input *input)
{
    return input->at < input->end;
}

static inline void input_take(struct input *input, void *to, size_t bytes)
{
    size_t left = (size_t)(input->end - input->at);
    size_t part = bytes < left ? bytes : left;
    __builtin_memset(to, 0, bytes);
    if (part) {
        __builtin_memcpy(to, input->at, part);
        input->at += part;
    }
}

static inline uint8_t input_byte(struct input *input)
{
    uint8_t byte;
    input_take(input, &byte, 1);
    return byte;
}

/* Adds a number to what stands for the way taken (FNV-1a, eight bytes at a time). */
static inline uint64_t way_add(uint64_t way, uint64_t number)
{
    return (way ^ number) * 0x100000001b3ull;
}

#endif
