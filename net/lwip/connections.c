/*
 * connections.c - the table in which TCP finds the connection that a packet belongs to, those in TIME_WAIT too.
 *
 * It has a bucket for each connection or more, and grows by doubling; it never shrinks, as where there were so many
 * there will be again. Peers choose their addresses and ports, but can't choose collisions without knowing the key. The
 * core lock guards all of it.
 */
#include <stdint.h>
#include <string.h>

#include "lwip/priv/tcp_priv.h"

#include "memory.h"
#include "skep/guest.h"

#define BITS_MIN 5u
#define BITS_MAX 12u

static struct tcp_pcb *smallest[1u << BITS_MIN];
static struct tcp_pcb **buckets = smallest;
static uint32_t bits = BITS_MIN, count;
static uint64_t key; /* odd; 0 = not chosen yet */

static struct tcp_pcb **bucket_of(uint32_t hash)
{
    return &buckets[hash >> (32 - bits)];
}

static uint64_t address_word(const ip_addr_t *address)
{
    uint64_t words[2];
    if (!IP_IS_V6_VAL(*address))
        return ip_2_ip4(address)->addr;
    memcpy(words, ip_2_ip6(address)->addr, sizeof(words));
    return words[0] * key ^ words[1];
}

/* Not 0. The local address adds little to what tells connections apart. */
static uint32_t hash_of(const ip_addr_t *remote, uint16_t remote_port, uint16_t local_port)
{
    uint64_t ports = (uint64_t)remote_port << 48 | (uint64_t)local_port << 32;
    uint64_t value = address_word(remote) ^ ports;
    return (uint32_t)(((value ^ value >> 29) * key) >> 32) | 1;
}

static void enter(struct tcp_pcb *pcb)
{
    struct tcp_pcb **bucket = bucket_of(pcb->table_hash);
    pcb->table_next = *bucket;
    *bucket = pcb;
}

/* Without memory for it, the buckets just hold more. */
static void grow(void)
{
    uint32_t old_count = 1u << bits;
    struct tcp_pcb **old = buckets;
    struct tcp_pcb **larger = network_calloc(2ul * old_count, sizeof(struct tcp_pcb *));
    if (larger == NULL)
        return;
    buckets = larger;
    bits++;
    for (uint32_t i = 0; i < old_count; i++) {
        while (old[i] != NULL) {
            struct tcp_pcb *pcb = old[i];
            old[i] = pcb->table_next;
            enter(pcb);
        }
    }
    if (old != smallest)
        network_free(old);
}

void network_connection_add(struct tcp_pcb *pcb)
{
    if (key == 0) {
        skep_random(&key, sizeof(key));
        key |= 1;
    }
    if (++count > 1u << bits && bits < BITS_MAX)
        grow();
    pcb->table_hash = hash_of(&pcb->remote_ip, pcb->remote_port, pcb->local_port);
    enter(pcb);
}

void network_connection_remove(struct tcp_pcb *pcb)
{
    if (pcb->table_hash == 0)
        return;
    struct tcp_pcb **at = bucket_of(pcb->table_hash);
    while (*at != pcb)
        at = &(*at)->table_next;
    *at = pcb->table_next;
    pcb->table_hash = 0;
    count--;
}

struct tcp_pcb *network_connection_find(const ip_addr_t *remote, uint16_t remote_port,
                                        const ip_addr_t *local, uint16_t local_port)
{
    uint32_t hash = hash_of(remote, remote_port, local_port);
    struct tcp_pcb *pcb = *bucket_of(hash);
    for (; pcb != NULL; pcb = pcb->table_next) {
        if (pcb->table_hash == hash && pcb->remote_port == remote_port &&
            pcb->local_port == local_port && ip_addr_eq(&pcb->remote_ip, remote) &&
            ip_addr_eq(&pcb->local_ip, local) &&
            (pcb->netif_idx == NETIF_NO_INDEX ||
             pcb->netif_idx == netif_get_index(ip_current_input_netif())))
            return pcb;
    }
    return NULL;
}
