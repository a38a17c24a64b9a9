/*
 * numbers.c - the numbers that lwIP asks a port for: checksums, random numbers, and sequence numbers
 * that can't be guessed.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lwip/opt.h"

#include "lwip/ip_addr.h"
#include "skep/guest.h"

static uint64_t load64(const uint8_t *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof(word));
    return word;
}

static uint32_t load32(const uint8_t *data)
{
    uint32_t word;
    memcpy(&word, data, sizeof(word));
    return word;
}

static uint16_t load16(const uint8_t *data)
{
    uint16_t word;
    memcpy(&word, data, sizeof(word));
    return word;
}

static uint64_t add(uint64_t sum, uint64_t word)
{
    uint64_t carry = __builtin_add_overflow(sum, word, &sum);
    return sum + carry;
}

/* Up to 7 bytes; the last one alone counts as if a zero followed. */
static uint64_t add_tail(uint64_t sum, const uint8_t *at, size_t bytes)
{
    if (bytes & 4) {
        sum = add(sum, load32(at));
        at += 4;
    }
    if (bytes & 2) {
        sum = add(sum, load16(at));
        at += 2;
    }
    return bytes & 1 ? add(sum, *at) : sum;
}

static unsigned short fold(uint64_t sum)
{
    sum = (sum >> 32) + (sum & 0xffffffff);
    sum = (sum >> 32) + (sum & 0xffffffff);
    sum = (sum >> 16) + (sum & 0xffff);
    return (unsigned short)((sum >> 16) + sum);
}

/* The Internet checksum (RFC 1071) before it is complemented, in memory's byte order. One's
 * complement sums may be taken in any word size, and folded afterwards. */
unsigned short network_checksum(const void *data, int length)
{
    const uint8_t *at = data;
    size_t bytes = (size_t)length;
    uint64_t sum = 0;
    if (bytes >= 20) { /* most are headers of just this size */
        sum = (uint64_t)load32(at) + load32(at + 4) + load32(at + 8) + load32(at + 12) +
              load32(at + 16);
        bytes -= 20, at += 20;
        if (bytes == 0)
            return fold(sum);
    }
    for (; bytes >= 32; bytes -= 32, at += 32) {
        sum = add(sum, load64(at));
        sum = add(sum, load64(at + 8));
        sum = add(sum, load64(at + 16));
        sum = add(sum, load64(at + 24));
    }
    for (; bytes >= 8; bytes -= 8, at += 8)
        sum = add(sum, load64(at));
    return fold(add_tail(sum, at, bytes));
}

uint32_t network_random(void)
{
    uint32_t number;
    skep_random(&number, sizeof(number));
    return number;
}

static uint64_t rotate(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

__attribute__((always_inline)) static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1], v[1] = rotate(v[1], 13) ^ v[0], v[0] = rotate(v[0], 32);
    v[2] += v[3], v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3], v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1], v[1] = rotate(v[1], 17) ^ v[2], v[2] = rotate(v[2], 32);
}

/* SipHash-2-4 of two words. */
static uint64_t sip_hash(const uint64_t key[2], const uint64_t words[2])
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                     key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
    const uint64_t message[3] = {words[0], words[1], 16ull << 56};
    for (size_t i = 0; i < 3; i++) {
        v[3] ^= message[i];
        sip_round(v);
        sip_round(v);
        v[0] ^= message[i];
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint64_t hash_address(const uint64_t key[2], const ip_addr_t *address)
{
    uint64_t words[2];
    memcpy(words, ip_2_ip6(address)->addr, sizeof(words));
    return sip_hash(key, words);
}

/* Both addresses in a word: of IPv4 as they are. */
static uint64_t addresses_word(const uint64_t key[2], const ip_addr_t *local,
                               const ip_addr_t *remote)
{
    if (!IP_IS_V6_VAL(*remote))
        return (uint64_t)ip_2_ip4(local)->addr << 32 | ip_2_ip4(remote)->addr;
    const uint64_t both[2] = {hash_address(key, local), hash_address(key, remote)};
    return sip_hash(key, both);
}

/* RFC 6528: a secret function of the addresses, plus a clock of 4 microseconds. The core lock is
 * held. */
unsigned int network_tcp_isn(const void *local, unsigned local_port, const void *remote,
                             unsigned remote_port)
{
    static uint64_t key[2];
    static bool keyed;
    if (!keyed) {
        skep_random(key, sizeof(key));
        keyed = true;
    }
    const uint64_t words[2] = {
        addresses_word(key, local, remote),
        (uint64_t)local_port << 16 | remote_port,
    };
    return (unsigned int)(sip_hash(key, words) + skep_clock_ns() / 4000);
}
