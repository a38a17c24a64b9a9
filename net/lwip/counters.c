/*
 * counters.c - lwIP's counters among the numbers that the guest tells of itself (skep_stat()), and how much of the
 * heap is in use, which goes with the connections.
 *
 * lwIP counts in 32 bits; what is told goes on beyond them. It is brought up to date about once a second while packets
 * come and go, by the network's thread.
 */
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>

#include "lwip/priv/tcp_priv.h"
#include "lwip/stats.h"
#include "network.h"
#include "skep/guest.h"

#define INTERVAL_MS 1000u

/* Guarded by the core lock. */
static struct counter {
    const char *name;
    const u32_t *value;
    u32_t told;
    _Atomic uint64_t *stat; /* NULL until it is told first */
} counters[] = {
    {"tcp_segments_received", &lwip_stats.mib2.tcpinsegs, 0, NULL},
    {"tcp_segments_sent", &lwip_stats.mib2.tcpoutsegs, 0, NULL},
    {"tcp_segments_resent", &lwip_stats.mib2.tcpretranssegs, 0, NULL},
    {"tcp_segments_bad", &lwip_stats.mib2.tcpinerrs, 0, NULL},
    {"tcp_resets_sent", &lwip_stats.mib2.tcpoutrsts, 0, NULL},
    {"tcp_opened", &lwip_stats.mib2.tcpactiveopens, 0, NULL},
    {"tcp_accepted", &lwip_stats.mib2.tcppassiveopens, 0, NULL},
    {"tcp_failed", &lwip_stats.mib2.tcpattemptfails, 0, NULL},
    {"udp_received", &lwip_stats.mib2.udpindatagrams, 0, NULL},
    {"udp_sent", &lwip_stats.mib2.udpoutdatagrams, 0, NULL},
    {"udp_unwanted", &lwip_stats.mib2.udpnoports, 0, NULL},
};
#define COUNTERS (sizeof(counters) / sizeof(counters[0]))

static uint32_t length(const struct tcp_pcb *pcb)
{
    uint32_t count = 0;
    for (; pcb != NULL; pcb = pcb->next)
        count++;
    return count;
}

/* Names are looked up once. */
static _Atomic uint64_t *stat_of(_Atomic uint64_t **stat, const char *name)
{
    if (*stat == NULL)
        *stat = skep_stat(name);
    return *stat;
}

static void tell(_Atomic uint64_t **stat, const char *name, uint64_t value)
{
    atomic_store_explicit(stat_of(stat, name), value, memory_order_relaxed);
}

uint32_t counters_interval(void)
{
    for (size_t i = 0; i < COUNTERS; i++)
        if (*counters[i].value != counters[i].told)
            return INTERVAL_MS;
    return 0;
}

void counters_tell(void)
{
    static _Atomic uint64_t *connections, *time_wait, *heap_used;
    for (struct counter *counter = counters; counter < counters + COUNTERS; counter++) {
        u32_t now = *counter->value;
        atomic_fetch_add_explicit(stat_of(&counter->stat, counter->name), now - counter->told,
                                  memory_order_relaxed);
        counter->told = now;
    }
    tell(&connections, "tcp_connections", length(tcp_active_pcbs));
    tell(&time_wait, "tcp_time_wait", length(tcp_tw_pcbs));
    struct mallinfo heap = mallinfo();
    tell(&heap_used, "heap_used_bytes", (uint64_t)heap.uordblks + (uint64_t)heap.hblkhd);
}
