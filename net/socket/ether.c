/*
 * ether.c - Ethernet addresses as text.
 */
#include <ctype.h>
#include <netinet/ether.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *ether_ntoa_r(const struct ether_addr *address, char *text)
{
    const uint8_t *b = address->ether_addr_octet;
    snprintf(text, 3 * ETH_ALEN, "%x:%x:%x:%x:%x:%x", b[0], b[1], b[2], b[3], b[4], b[5]);
    return text;
}

char *ether_ntoa(const struct ether_addr *address)
{
    static _Thread_local char text[3 * ETH_ALEN];
    return ether_ntoa_r(address, text);
}

/* Whether that follows the byte: a colon, but after the last one the end or a space. */
static bool ends_byte(char follows, int byte)
{
    return byte < ETH_ALEN - 1 ? follows == ':'
                               : follows == '\0' || isspace((unsigned char)follows);
}

struct ether_addr *ether_aton_r(const char *text, struct ether_addr *address)
{
    for (int i = 0; i < ETH_ALEN; i++) {
        char *end;
        unsigned long byte = strtoul(text, &end, 16);
        bool is_digit = strspn(text, "0123456789abcdefABCDEF") == (size_t)(end - text);
        if (end == text || end - text > 2 || !is_digit || !ends_byte(*end, i))
            return NULL;
        address->ether_addr_octet[i] = (uint8_t)byte;
        text = end + 1;
    }
    return address;
}

struct ether_addr *ether_aton(const char *text)
{
    static _Thread_local struct ether_addr address;
    return ether_aton_r(text, &address);
}
