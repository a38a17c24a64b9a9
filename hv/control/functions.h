/*
 * functions.h - an image's function names in the form that its ELF note has (docs/abi.md, "Function names").
 *
 * The note is a client's: what is wrong with it is found while it is read, and nothing is read beyond its end.
 */
#ifndef CONTROL_FUNCTIONS_H
#define CONTROL_FUNCTIONS_H

#include <stdint.h>

#define FUNCTION_NAME_MAX 56 /* with the 0 */

struct functions {
    const uint8_t *at, *end;
    /* The function read last: where it begins, from the image's base, and its bytes, 0 if unknown. */
    uint32_t offset, bytes;
    char name[FUNCTION_NAME_MAX];
};

/* Before the first of those in a note's contents. */
void functions_begin(struct functions *f, const uint8_t *contents, uint64_t bytes);

enum functions_found { FUNCTIONS_NONE, FUNCTIONS_ONE, FUNCTIONS_DAMAGED };

/* Reads the next one. */
enum functions_found functions_next(struct functions *f);

#endif
