/*
 * inet6.c - IPv6 addresses as text: all forms of RFC 4291, section 2.2, are read, the one of RFC 5952 is written.
 */
#include "inet6.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

const struct in6_addr in6addr_any = IN6ADDR_ANY_INIT;
const struct in6_addr in6addr_loopback = IN6ADDR_LOOPBACK_INIT;

#define WORDS 8 /* of 16 bits */

struct parsed {
    uint16_t words[WORDS];
    unsigned count;
    int gap; /* where "::" is, -1 = nowhere */
};

/* One to four hexadecimal digits; NULL: there are none, or more. */
static const char *take_word(const char *at, uint16_t *out)
{
    unsigned value = 0, digits = 0;
    for (;; at++, digits++) {
        unsigned digit = *at >= '0' && *at <= '9'   ? (unsigned)(*at - '0')
                         : *at >= 'a' && *at <= 'f' ? (unsigned)(*at - 'a' + 10)
                         : *at >= 'A' && *at <= 'F' ? (unsigned)(*at - 'A' + 10)
                                                    : 16;
        if (digit == 16)
            break;
        value = value * 16 + digit;
        if (digits == 4)
            return NULL;
    }
    *out = (uint16_t)value;
    return digits > 0 ? at : NULL;
}

/* An IPv4 address at the end takes two words. */
static bool take_quad(struct parsed *parsed, const char *at)
{
    struct in_addr quad;
    if (parsed->count > WORDS - 2 || inet_pton(AF_INET, at, &quad) != 1)
        return false;
    uint32_t address = ntohl(quad.s_addr);
    parsed->words[parsed->count++] = (uint16_t)(address >> 16);
    parsed->words[parsed->count++] = (uint16_t)address;
    return true;
}

static const char *take_gap(struct parsed *parsed, const char *at)
{
    if (at[0] != ':' || at[1] != ':' || parsed->gap >= 0)
        return NULL;
    parsed->gap = (int)parsed->count;
    return at + 2;
}

/* True: all of it was a list of words, with at most one gap. */
static bool parse_words(struct parsed *parsed, const char *at)
{
    if (*at == ':' && (at = take_gap(parsed, at)) == NULL)
        return false;
    while (*at != '\0') {
        const char *end =
            parsed->count < WORDS ? take_word(at, &parsed->words[parsed->count]) : NULL;
        if (end == NULL)
            return false;
        if (*end == '.')
            return take_quad(parsed, at);
        parsed->count++;
        at = end;
        if (at[0] == ':' && at[1] == ':')
            at = take_gap(parsed, at);
        else if (at[0] == ':' && at[1] != '\0')
            at++;
        else if (*at != '\0')
            return false;
        if (at == NULL)
            return false;
    }
    return true;
}

bool inet6_parse(const char *text, struct in6_addr *out)
{
    struct parsed parsed = {.gap = -1};
    if (!parse_words(&parsed, text) ||
        (parsed.gap < 0 ? parsed.count != WORDS : parsed.count == WORDS))
        return false;
    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; i < parsed.count; i++) {
        bool behind = parsed.gap >= 0 && i >= (unsigned)parsed.gap;
        unsigned to = behind ? WORDS - parsed.count + i : i;
        out->s6_addr[2 * to] = (uint8_t)(parsed.words[i] >> 8);
        out->s6_addr[2 * to + 1] = (uint8_t)parsed.words[i];
    }
    return true;
}

static unsigned word_at(const struct in6_addr *address, unsigned index)
{
    return (unsigned)address->s6_addr[2 * index] << 8 | address->s6_addr[2 * index + 1];
}

/* The first of the longest runs of zeroes; a single one is none. */
static unsigned longest_zeroes(const struct in6_addr *address, unsigned *length)
{
    unsigned best = WORDS, run = 0;
    *length = 1;
    for (unsigned i = 0; i < WORDS; i++) {
        run = word_at(address, i) == 0 ? run + 1 : 0;
        if (run > *length) {
            *length = run;
            best = i + 1 - run;
        }
    }
    return best;
}

void inet6_format(const struct in6_addr *address, char text[INET6_ADDRSTRLEN])
{
    unsigned length, gap = longest_zeroes(address, &length);
    if (IN6_IS_ADDR_V4MAPPED(address)) {
        const uint8_t *quad = address->s6_addr + 12;
        snprintf(text, INET6_ADDRSTRLEN, "::ffff:%u.%u.%u.%u", quad[0], quad[1], quad[2], quad[3]);
        return;
    }
    char *at = text, *end = text + INET6_ADDRSTRLEN;
    for (unsigned i = 0; i < WORDS; i++) {
        if (i == gap) {
            at += snprintf(at, (size_t)(end - at), "::");
            i += length - 1;
            continue;
        }
        bool separate = i > 0 && i != gap + length;
        at += snprintf(at, (size_t)(end - at), separate ? ":%x" : "%x", word_at(address, i));
    }
}
