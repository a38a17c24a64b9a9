/* address.c - IPv4 and MAC addresses as text. */
#include "address.h"

#include <stdio.h>
#include <string.h>

#include "json.h"

static uint32_t swap(uint32_t value)
{
    return __builtin_bswap32(value);
}

/* A decimal number without leading zeroes (which some read as octal), at most max. */
static bool parse_number(const char **text, unsigned max, unsigned *value)
{
    const char *start = *text;

    for (*value = 0; **text >= '0' && **text <= '9'; ++*text) {
        *value = *value * 10 + (unsigned)(**text - '0');
        if (*value > max)
            return false;
    }
    return *text != start && (*start != '0' || *text == start + 1);
}

static bool parse_quad(const char **text, uint32_t *address)
{
    uint32_t host = 0;

    for (int i = 0; i < 4; i++) {
        unsigned part;
        if (i > 0 && *(*text)++ != '.')
            return false;
        if (!parse_number(text, 255, &part))
            return false;
        host = host << 8 | part;
    }
    *address = swap(host);
    return true;
}

bool address_parse(const char *text, uint32_t *address)
{
    return parse_quad(&text, address) && *text == '\0';
}

bool address_parse_host(const char *text, uint32_t *address, uint32_t *netmask, const char **why)
{
    unsigned length;
    uint32_t host, mask;

    *why = "is no \"A.B.C.D/length\"";
    if (!parse_quad(&text, address) || *text++ != '/' || !parse_number(&text, 32, &length) || *text)
        return false;
    host = swap(*address);
    mask = length ? ~0u << (32 - length) : 0;
    *netmask = swap(mask);
    *why = "is not the address of one host";
    if (length < 8 || host >> 24 == 0 || host >> 24 == 127 || host >> 24 >= 224)
        return false;
    return length > 30 || ((host & ~mask) != 0 && (host & ~mask) != ~mask);
}

void address_format(char text[ADDRESS_TEXT_MAX], uint32_t address)
{
    uint32_t host = swap(address);

    for (unsigned shift = 24; shift > 0; shift -= 8)
        text = stpcpy(json_put_integer(text, host >> shift & 255), ".");
    json_put_integer(text, host & 255);
}

void address_format_host(char text[ADDRESS_TEXT_MAX], uint32_t address, uint32_t netmask)
{
    size_t used;
    address_format(text, address);
    used = strlen(text);
    snprintf(text + used, ADDRESS_TEXT_MAX - used, "/%d", __builtin_popcount(netmask));
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool mac_parse(const char *text, uint8_t mac[6])
{
    if (strlen(text) != 17)
        return false;
    for (int i = 0; i < 6; i++) {
        int high = hex_digit(text[3 * i]), low = hex_digit(text[3 * i + 1]);
        if (high < 0 || low < 0 || (i < 5 && text[3 * i + 2] != ':'))
            return false;
        mac[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

void mac_format(char text[MAC_TEXT_MAX], const uint8_t mac[6])
{
    snprintf(text, MAC_TEXT_MAX, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
             mac[4], mac[5]);
}
