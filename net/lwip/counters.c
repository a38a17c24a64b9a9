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
} counters[] = {
    {"tcp_segments_received", &lwip_stats.mib2.tcpinsegs, 0},
    {"tcp_segments_sent", &lwip_stats.mib2.tcpoutsegs, 0},
    {"tcp_segments_resent", &lwip_stats.mib2.tcpretranssegs, 0},
    {"tcp_segments_bad", &lwip_stats.mib2.tcpinerrs, 0},
    {"tcp_resets_sent", &lwip_stats.mib2.tcpoutrsts, 0},
    {"tcp_opened", &lwip_stats.mib2.tcpactiveopens, 0},
    {"tcp_accepted", &lwip_stats.mib2.tcppassiveopens, 0},
    {"tcp_failed", &lwip_stats.mib2.tcpattemptfails, 0},
    {"udp_received", &lwip_stats.mib2.udpindatagrams, 0},
    {"udp_sent", &lwip_stats.mib2.udpoutdatagrams, 0},
    {"udp_unwanted", &lwip_stats.mib2.udpnoports, 0},
};
#define COUNTERS (sizeof(counters) / sizeof(counters[0]))

static uint32_t length(const struct tcp_pcb *pcb)
{
    uint32_t count = 0;
    for (; pcb != NULL; pcb = pcb->next)
        count++;
    return count;
}

static void tell(const char *name, uint64_t value)
{
    atomic_store_explicit(skep_stat(name), value, memory_order_relaxed);
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
    for (struct counter *counter = counters; counter < counters + COUNTERS; counter++) {
        u32_t now = *counter->value;
        atomic_fetch_add_explicit(skep_stat(counter->name), now - counter->told,
                                  memory_order_relaxed);
        counter->told = now;
    }
    tell("tcp_connections", length(tcp_active_pcbs));
    tell("tcp_time_wait", length(tcp_tw_pcbs));
    struct mallinfo heap = mallinfo();
    tell("heap_used_bytes", (uint64_t)heap.uordblks + (uint64_t)heap.hblkhd);
}
