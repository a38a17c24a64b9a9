/* hex.c - hexadecimal digits. */
#include "hex.h"

#include <string.h>

static const char digits[] = "0123456789abcdef";

void hex_format(char *text, const void *data, size_t bytes)
{
    const uint8_t *from = data;

    for (size_t i = 0; i < bytes; i++) {
        *text++ = digits[from[i] >> 4];
        *text++ = digits[from[i] & 15];
    }
    *text = '\0';
}

bool hex_parse(const char *text, void *data, size_t bytes)
{
    uint8_t *to = data;

    if (strlen(text) != 2 * bytes)
        return false;
    for (size_t i = 0; i < 2 * bytes; i++) {
        const char *digit = strchr(digits, text[i]);
        if (!digit)
            return false;
        to[i / 2] = (uint8_t)(to[i / 2] << 4 | (digit - digits));
    }
    return true;
}
