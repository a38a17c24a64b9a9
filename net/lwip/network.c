/*
 * network.c - the network's one thread, its lock and its timers, and how it is configured.
 *
 * lwIP runs in whichever thread calls it, under the core lock. This thread does what nobody calls
 * for: it takes packets from the devices and runs the protocols' timers, then sleeps until an event
 * handler wakes it or the next timer is due. But when packets come while all threads of the program
 * wait, one of those takes them in (skep/thread.h has such an errand): mostly it waits for them, and
 * nobody else has to run first.
 *
 * A timer runs only while it has work, and slowly while it only counts time: an idle guest isn't
 * woken at all, but every ten seconds while connections are open and every half minute while it
 * remembers neighbours' link addresses.
 *
 * Whoever gives a timer work, or queues packets, needs no call for it: network_unlock() looks. Timers are asked for their
 * work only when one is due or may have got some: packets of a TCP connection that is busy anyhow change nothing.
 *
 * Known shortcoming: the configuration of a device can't be taken back, only changed.
 */
#include "network.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/dhcp.h"
#include "lwip/dns.h"
#include "lwip/etharp.h"
#include "lwip/igmp.h"
#include "lwip/init.h"
#include "lwip/ip4_frag.h"
#include "lwip/ip6_frag.h"
#include "lwip/mld6.h"
#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/ip.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/ip6.h"
#include "lwip/sys.h"
#include "lwip/tcpip.h"
#include "memory.h"
#include "skep/guest.h"
#include "skep/net.h"
#include "skep/thread.h"

#define NS_PER_MS        1000000ull
#define STACK_BYTES      (32u * 1024u)
#define TCP_SLOW_MS      10000u
#define TIME_WAIT_MAX    64u /* connections; see trim_time_wait() */
#define ARP_QUICK_TICKS  6u  /* seconds in which a request is answered, repeated or given up */
#define ARP_SLOW_SECONDS 30u

/* What the thread sleeps on; it changes when there is something to do. */
static _Atomic uint32_t work;

/* Changes when an address does. */
static _Atomic uint32_t status_changes;

/* Guarded by the core lock. */
static struct skep_thread *thread;
static bool wake_on_unlock, timers_changed, tcp_busy, arp_table_used;
static unsigned arp_quick_ticks, reassembly_ticks, dns_ticks;
static uint64_t next_due_ns;     /* of the timers */
static uint64_t thread_until_ns; /* the thread sleeps at most */

void network_wake(void)
{
    /* Release: pairs with the acquire in network_thread(). */
    atomic_fetch_add_explicit(&work, 1, memory_order_release);
    skep_wake(&work, 1);
}

/*
 * Timers. Each says how long after it got work, and after each tick, it wants to tick; 0 = no work.
 */

struct timer {
    uint32_t (*interval_ms)(void);
    void (*tick)(void);
    uint64_t due_ns; /* 0 = not running */
};

static uint32_t tcp_interval(void)
{
    if (tcp_active_pcbs == NULL && tcp_tw_pcbs == NULL)
        return 0;
    return tcp_busy ? TCP_TMR_INTERVAL : TCP_SLOW_MS;
}

/* Whether something may have to be sent soon without anyone's doing. */
static bool is_busy(const struct tcp_pcb *pcb)
{
    return (pcb->state != ESTABLISHED && pcb->state != CLOSE_WAIT) || pcb->unsent != NULL ||
           pcb->unacked != NULL || pcb->ooseq != NULL || pcb->refused_data != NULL ||
           (pcb->flags & (TF_ACK_DELAY | TF_ACK_NOW | TF_CLOSEPEND | TF_FIN)) != 0 ||
           network_keepalive_is_near(pcb, TCP_SLOW_MS);
}

static bool any_busy(void)
{
    for (const struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next)
        if (is_busy(pcb))
            return true;
    return false;
}

static void time_wait_end(struct tcp_pcb *pcb)
{
    tcp_err_fn gone = pcb->errf; /* of a socket that is still open */
    void *socket = pcb->callback_arg;
    tcp_abort(pcb);
    if (gone != NULL)
        gone(socket, ERR_CLSD);
}

/* Connections that this side closed first linger for twice the MSL. A busy server would collect
 * thousands, and lwIP searches them one by one: the oldest beyond a fixed number go early. */
static void trim_time_wait(void)
{
    struct tcp_pcb *pcb = tcp_tw_pcbs;
    for (unsigned i = 0; pcb != NULL && i < TIME_WAIT_MAX; i++)
        pcb = pcb->next;
    while (pcb != NULL) {
        struct tcp_pcb *next = pcb->next;
        time_wait_end(pcb);
        pcb = next;
    }
}

/* A client whose port comes round while its former connection lingers here may open it anew, as RFC 1122 has it (4.2.2.13)
 * when its sequence number is a later one. lwIP answers it with what the former connection had to say, and again each
 * time that it asks. */
int network_tcp_reopens(struct tcp_pcb *pcb, uint8_t flags, uint32_t sequence)
{
    bool may = (flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN &&
               TCP_SEQ_GEQ(sequence, pcb->rcv_nxt);
    if (may)
        time_wait_end(pcb);
    return may;
}

/* Sends what waited for more that didn't come. */
static void send_waiting(void)
{
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next) {
        if ((pcb->flags & TF_MORE) != 0) {
            tcp_clear_flags(pcb, TF_MORE);
            tcp_output(pcb);
        }
    }
}

/* While nothing is under way, time only counts for TIME_WAIT and until keep-alive is near. What such a tick makes
 * up for is lost when TCP becomes busy before it is due: those come later, then. */
static void tcp_tick(void)
{
    if (!tcp_busy)
        tcp_ticks += TCP_SLOW_MS / TCP_SLOW_INTERVAL - 1;
    network_keepalive_catch_up();
    tcp_tmr();
    network_user_timeouts_tick();
    send_waiting();
    trim_time_wait();
    tcp_busy = any_busy();
    if (tcp_active_pcbs == NULL && tcp_tw_pcbs == NULL)
        counters_tell(); /* nothing comes after that would */
}

/* About a second after packets came or went. */
static void counters_tick(void)
{
    counters_tell();
    if (!any_busy())
        network_memory_trim();
}

static bool arp_table_has_entries(void)
{
    ip4_addr_t *address;
    struct netif *netif;
    struct eth_addr *link;
    for (size_t i = 0; i < ARP_TABLE_SIZE; i++)
        if (etharp_get_entry(i, &address, &netif, &link))
            return true;
    return false;
}

static uint32_t arp_interval(void)
{
    if (arp_quick_ticks > 0)
        return ARP_TMR_INTERVAL;
    return arp_table_used ? ARP_SLOW_SECONDS * 1000 : 0;
}

/* Entries age in seconds; a slow tick makes up for those that were slept through. */
static void arp_tick(void)
{
    unsigned seconds = arp_quick_ticks > 0 ? 1 : ARP_SLOW_SECONDS;
    for (unsigned i = 0; i < seconds; i++)
        etharp_tmr();
    if (arp_quick_ticks > 0)
        arp_quick_ticks--;
    arp_table_used = arp_table_has_entries();
}

static uint32_t reassembly_interval(void)
{
    return reassembly_ticks > 0 ? IP_TMR_INTERVAL : 0;
}

static void reassembly_tick(void)
{
    ip_reass_tmr();
    ip6_reass_tmr();
    reassembly_ticks--;
}

static uint32_t dns_interval(void)
{
    return dns_ticks > 0 ? DNS_TMR_INTERVAL : 0;
}

static void dns_tick(void)
{
    dns_tmr();
    dns_ticks--;
}

static uint32_t dhcp_fine_interval(void)
{
    struct netif *netif;
    NETIF_FOREACH(netif)
    {
        struct dhcp *dhcp = netif_dhcp_data(netif);
        if (dhcp != NULL && dhcp->request_timeout > 0)
            return DHCP_FINE_TIMER_MSECS;
    }
    return 0;
}

static uint32_t dhcp_coarse_interval(void)
{
    struct netif *netif;
    NETIF_FOREACH(netif)
    {
        if (netif_dhcp_data(netif) != NULL)
            return DHCP_COARSE_TIMER_MSECS;
    }
    return 0;
}

/*
 * The one-shot timer of lwIP's SNTP client, which is its only user and has one under way at a time.
 */

static void (*timeout_handler)(void *argument);
static void *timeout_argument;
static uint64_t timeout_ns;

void sys_timeout(uint32_t ms, void (*handler)(void *argument), void *argument)
{
    timeout_handler = handler;
    timeout_argument = argument;
    timeout_ns = skep_clock_ns() + ms * NS_PER_MS;
    wake_on_unlock = true;
}

void sys_untimeout(void (*handler)(void *argument), void *argument)
{
    if (timeout_handler == handler && timeout_argument == argument)
        timeout_handler = NULL;
}

static uint32_t timeout_interval(void)
{
    if (timeout_handler == NULL)
        return 0;
    uint64_t now = skep_clock_ns();
    return timeout_ns > now ? (uint32_t)((timeout_ns - now) / NS_PER_MS) + 1 : 1;
}

static void timeout_tick(void)
{
    void (*handler)(void *argument) = timeout_handler;
    if (handler == NULL || skep_clock_ns() < timeout_ns)
        return;
    timeout_handler = NULL;
    handler(timeout_argument);
}

static struct timer timers[] = {
    {tcp_interval, tcp_tick, 0},
    {arp_interval, arp_tick, 0},
    {reassembly_interval, reassembly_tick, 0},
    {network6_interval, network6_tick, 0},
    {network6_group_interval, mld6_tmr, 0},
    {network_group_interval, igmp_tmr, 0},
    {dns_interval, dns_tick, 0},
    {dhcp_coarse_interval, dhcp_coarse_tmr, 0}, /* may give the next one work */
    {dhcp_fine_interval, dhcp_fine_tmr, 0},
    {timeout_interval, timeout_tick, 0},
    {counters_interval, counters_tick, 0},
};
#define TCP_TIMER (&timers[0])

static void timer_run(struct timer *timer, uint64_t now)
{
    if (timer->due_ns != 0 && now >= timer->due_ns) {
        timer->tick();
        timer->due_ns = 0;
    }
    uint64_t interval_ns = timer->interval_ms() * NS_PER_MS;
    if (interval_ns == 0)
        timer->due_ns = 0;
    else if (timer->due_ns == 0 || timer->due_ns > now + interval_ns)
        timer->due_ns = now + interval_ns;
}

/* Runs what is due and returns when the next is. */
static uint64_t timers_run(uint64_t now)
{
    uint64_t next = SKEP_FOREVER;
    for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
        timer_run(&timers[i], now);
        if (timers[i].due_ns != 0 && timers[i].due_ns < next)
            next = timers[i].due_ns;
    }
    return next;
}

void network_tcp_used(void)
{
    wake_on_unlock |= !tcp_busy && tcp_active_pcbs != NULL;
    tcp_busy = true;
}

void network_arp_used(void)
{
    wake_on_unlock |= arp_quick_ticks == 0;
    arp_quick_ticks = ARP_QUICK_TICKS;
}

void network_nd_used(void)
{
    wake_on_unlock = true;
}

void network_dns_used(void)
{
    wake_on_unlock |= dns_ticks == 0;
    dns_ticks =
        DNS_MAX_TTL + DNS_TMR_INTERVAL / 1000 * 32; /* answers count down, questions retry */
}

int network_ip_input(struct pbuf *packet, struct netif *netif)
{
    (void)netif;
    const struct ip_hdr *ip = packet->payload;
    if (packet->len < IP_HLEN)
        return 0;
    bool is_fragment = (IPH_OFFSET(ip) & PP_HTONS(IP_OFFMASK | IP_MF)) != 0;
    if (IPH_PROTO(ip) == IP_PROTO_TCP)
        network_tcp_used();
    else
        timers_changed = true; /* DHCP's and DNS's answers */
    if (is_fragment)
        reassembly_ticks = IP_REASS_MAXAGE + 1, timers_changed = true;
    return 0; /* not eaten */
}

int network_ip6_input(struct pbuf *packet, struct netif *netif)
{
    const struct ip6_hdr *ip = packet->payload;
    if (packet->len < IP6_HLEN)
        return 0;
    if (!network6_is_on(netif)) {
        pbuf_free(packet);
        return 1;
    }
    if (IP6H_NEXTH(ip) != IP6_NEXTH_TCP) {
        timers_changed = true; /* neighbours' and routers' answers, too */
        if (IP6H_NEXTH(ip) != IP6_NEXTH_UDP && IP6H_NEXTH(ip) != IP6_NEXTH_ICMP6)
            reassembly_ticks = IPV6_REASS_MAXAGE + 1; /* it may be a fragment */
        return 0;
    }
    network_tcp_used();
    return 0;
}

/*
 * The lock and the thread
 */

static bool loopback_waiting(void)
{
    struct netif *netif;
    NETIF_FOREACH(netif)
    {
        if (netif->loop_first != NULL)
            return true;
    }
    return false;
}

static inline bool thread_needed(void)
{
    return wake_on_unlock || (TCP_TIMER->due_ns == 0 && tcp_interval() != 0) || loopback_waiting();
}

void network_unlock(void)
{
    if (pvnet_queued)
        pvnet_flush();
    bool wake = thread_needed() && skep_thread_self() != thread;
    timers_changed |= wake_on_unlock;
    wake_on_unlock = false;
    skep_mutex_unlock(&lock_tcpip_core);
    if (wake)
        network_wake();
}

/* Runs the timers if need be. True: one of them gave another work, or sent something. */
static bool timers_look(void)
{
    uint64_t now = skep_clock_ns();
    if (now < next_due_ns && !timers_changed && !thread_needed())
        return false;
    timers_changed = wake_on_unlock = false;
    next_due_ns = timers_run(now);
    return thread_needed();
}

/* True: more packets may be waiting. */
static bool take_in(void)
{
    skep_wakes_defer(); /* who waits for packets needs this lock, and the vCPU */
    bool more = pvnet_poll();
    if (loopback_waiting())
        netif_poll_all();
    return more;
}

/* The errand of a thread that waits for something, which may be among what has come. What is left, and the timers' times,
 * are the network thread's. */
static void errand(void)
{
    int error = errno;
    bool locked = skep_mutex_try(&lock_tcpip_core), more = !locked;
    if (locked) {
        more = take_in();
        if (timers_changed || thread_needed())
            more |= timers_look();
        more |= next_due_ns < thread_until_ns;
        network_unlock();
    }
    if (more)
        network_wake();
    errno = error;
}

void network_event(void)
{
    if (!skep_errand_give())
        network_wake();
}

static void network_thread(void *argument)
{
    (void)argument;
    for (;;) {
        /* Acquire: what was there to do before network_wake(), which releases, is found below. */
        uint32_t seen = atomic_load_explicit(&work, memory_order_acquire);
        LOCK_TCPIP_CORE();
        bool more = take_in();
        more |= timers_look();
        uint64_t until = thread_until_ns = next_due_ns;
        network_unlock();
        if (more)
            skep_wakes_tell();
        else
            skep_wait(&work, seen, until);
    }
}

void network_assertion_failed(unsigned line)
{
    char message[] = "lwIP found its own state broken: line 00000";
    for (char *digit = message + sizeof(message) - 2; line != 0 && *digit == '0'; line /= 10)
        *digit-- = (char)('0' + line % 10);
    skep_abort(message);
}

/*
 * Configuration
 */

static void status_changed(struct netif *netif)
{
    (void)netif;
    atomic_fetch_add_explicit(&status_changes, 1, memory_order_release);
    skep_wake(&status_changes, SKEP_WAKE_ALL);
}

static int devices_add(void)
{
    const struct skep_start_info *info = skep_start_info();
    for (unsigned i = 0; i < info->net_count && i < SKEP_NETS_MAX; i++) {
        int error = pvnet_add(i, &info->net[i]);
        if (error < 0)
            return error;
        netif_set_status_callback(pvnet_interface(i), status_changed);
    }
    if (pvnet_interface(0) != NULL)
        netif_set_default(pvnet_interface(0));
    return 0;
}

static uint32_t ntp_server; /* guarded by the core lock */

/* lwIP's DHCP client calls it. */
void dhcp_set_ntp_servers(u8_t count, const ip4_addr_t *servers)
{
    ntp_server = count > 0 ? servers[0].addr : 0;
}

static int dhcp_ask(struct netif *netif, const char *hostname)
{
    netif_set_hostname(netif, hostname);
    return dhcp_start(netif) == ERR_OK ? 0 : -SKEP_ENOMEM;
}

void network_dns_add(const struct ip_addr *server)
{
    u8_t number = 0;
    while (number < DNS_MAX_SERVERS && !ip_addr_isany(dns_getserver(number)))
        number++;
    dns_setserver(number, server); /* does nothing with one too many */
}

static void addresses_set(struct netif *netif, const struct skep_net_config *config)
{
    ip4_addr_t address = {config->address}, netmask = {config->netmask};
    ip4_addr_t gateway = {config->gateway};
    ip_addr_t dns = IPADDR4_INIT(config->dns);
    if (netif_dhcp_data(netif) != NULL) {
        dhcp_stop(netif);
        dhcp_cleanup(netif);
    }
    if (config->dns != 0)
        dns_setserver(0, &dns);
    netif_set_addr(netif, &address, &netmask, &gateway);
}

static int configure(unsigned device, const struct skep_net_config *config)
{
    struct netif *netif = pvnet_interface(device);
    int error = 0;
    if (config->dhcp)
        error = dhcp_ask(netif, config->hostname);
    else
        addresses_set(netif, config);
    network6_configure(device, &config->ipv6);
    return error;
}

static int configure_as_started(unsigned device)
{
    const struct skep_net *info = &skep_start_info()->net[device];
    struct skep_net_config config = {
        .dhcp = (info->flags & SKEP_NET_DHCP) != 0,
        .address = info->address,
        .netmask = info->netmask,
        .gateway = info->gateway,
        .dns = info->dns,
        .hostname = getenv("HOSTNAME"),
    };
    if (skep_start_info()->abi_minor >= SKEP_NET6_ABI_MINOR)
        config.ipv6 = skep_start_info()->net6[device];
    return configure(device, &config);
}

/* Everything but the device that is about to be configured otherwise; with -1, everything. */
static int start_locked(int except)
{
    lwip_init();
    skep_errand_set(errand); /* before there are events */
    int error = devices_add();
    for (unsigned i = 0; error == 0 && pvnet_interface(i) != NULL; i++)
        if ((int)i != except)
            error = configure_as_started(i);
    if (error == 0)
        error = skep_thread_create(&thread, STACK_BYTES, network_thread, NULL);
    return error;
}

static int start(int except)
{
    static struct skep_mutex starting; /* taken before the core lock */
    static bool tried;
    static int result;
    skep_mutex_lock(&starting);
    if (!tried) {
        LOCK_TCPIP_CORE();
        result = start_locked(except);
        network_unlock();
        tried = true;
    }
    skep_mutex_unlock(&starting);
    return result;
}

int skep_net_start(void)
{
    return start(-1);
}

int skep_net_configure(unsigned device, const struct skep_net_config *config)
{
    int error = start((int)device);
    if (error < 0)
        return error;
    LOCK_TCPIP_CORE();
    error = pvnet_interface(device) == NULL ? -SKEP_ENODEV : configure(device, config);
    wake_on_unlock = true;
    network_unlock();
    return error;
}

static bool has_address(void)
{
    for (unsigned i = 0; pvnet_interface(i) != NULL; i++)
        if (!ip4_addr_isany_val(*netif_ip4_addr(pvnet_interface(i))))
            return true;
    return network6_is_used();
}

int skep_net_wait_ready(uint64_t deadline_ns)
{
    return network_wait_until(has_address, deadline_ns);
}

int network_wait_until(bool (*ready)(void), uint64_t deadline_ns)
{
    int error = skep_net_start();
    if (error < 0)
        return error;
    if (pvnet_interface(0) == NULL)
        return -SKEP_ENODEV;
    for (;;) {
        /* Acquire: pairs with the release in status_changed(). */
        uint32_t seen = atomic_load_explicit(&status_changes, memory_order_acquire);
        LOCK_TCPIP_CORE();
        bool is_ready = ready();
        network_unlock();
        if (is_ready)
            return 0;
        int result = network_wait_restarting(&status_changes, seen, deadline_ns);
        if (result == -SKEP_ETIMEDOUT || result == -EINTR)
            return result;
    }
}

int skep_net_status(unsigned device, struct skep_net_config *out)
{
    LOCK_TCPIP_CORE();
    const struct netif *netif = pvnet_interface(device);
    if (netif != NULL) {
        *out = (struct skep_net_config){
            .dhcp = netif_dhcp_data(netif) != NULL,
            .address = netif_ip4_addr(netif)->addr,
            .netmask = netif_ip4_netmask(netif)->addr,
            .gateway = netif_ip4_gw(netif)->addr,
            .dns = ip_addr_get_ip4_u32(dns_getserver(0)),
            .ntp = ntp_server,
        };
        network6_status(device, &out->ipv6);
    }
    network_unlock();
    return netif == NULL ? -SKEP_ENODEV : 0;
}
