/* fuzz_elf.c - libFuzzer harness for the ELF checks; each unit test run has a small seeded one. */
#include <stdlib.h>

#include "elf_image.h"
#include "symbols.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct elf_image image;
    uint32_t count;

    if (!elf_image_check(&image, data, bytes))
        free(symbols_collect(&image, data, &count));
    return 0;
}
