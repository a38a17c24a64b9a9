/*
 * lwipopts.h - which parts of lwIP a guest has, and how large.
 *
 * Everything is allocated when it is needed, so that a number here is a limit and not a
 * cost. The stack runs under one lock in the thread that calls it; net/lwip/network.c has the one
 * thread of its own, which receives and runs timers. lwIP's own thread and timers are not used.
 */
#ifndef SKEP_LWIPOPTS_H
#define SKEP_LWIPOPTS_H

/* Threads and locks: net/lwip/sys_arch.c */
#define NO_SYS                             0
#define SYS_LIGHTWEIGHT_PROT               1
#define LWIP_TCPIP_CORE_LOCKING            1
#define LWIP_TCPIP_CORE_LOCKING_INPUT      1
#define LWIP_NETCONN_SEM_PER_THREAD        1
#define LWIP_NETIF_LOOPBACK_MULTITHREADING 0
struct pbuf;
struct netif;
signed char tcpip_input(struct pbuf *packet, struct netif *netif); /* netif.c misses it then */
#ifndef LWIP_TIMERS
#define LWIP_TIMERS 0 /* net/lwip/network.c: only those with work to do */
#endif
#define LWIP_TCPIP_TIMEOUT  0
#define LOCK_TCPIP_CORE()   skep_mutex_lock(&lock_tcpip_core)
#define UNLOCK_TCPIP_CORE() network_unlock()
void network_unlock(void);

#include <sys/select.h> /* FD_SETSIZE */

/* Memory: net/lwip/memory.c; on the host malloc(), which the sanitizers watch. */
#ifdef __skep__
#include "../memory.h"
#define MEM_CUSTOM_ALLOCATOR 1
#define MEM_CUSTOM_MALLOC    network_malloc
#define MEM_CUSTOM_CALLOC    network_calloc
#define MEM_CUSTOM_FREE      network_free
#else
#define MEM_LIBC_MALLOC 1
#endif
#define MEMP_MEM_MALLOC      1
#define MEM_ALIGNMENT        8
#define MEMP_NUM_NETCONN     FD_SETSIZE /* sockets: as many as descriptors */
#define MEMP_NUM_SYS_TIMEOUT 0

/* A packet has room for the 12-byte virtio header in front, so that both are one descriptor. */
#define PBUF_LINK_ENCAPSULATION_HLEN 16

/* Ethernet, IPv4 and IPv6 */
#define LWIP_ETHERNET                 1
#define LWIP_ARP                      1
#define ARP_TABLE_SIZE                32
#define ARP_QUEUEING                  1
#define ARP_QUEUE_LEN                 128 /* packets that wait for a link address: a server's first burst */
#define ARP_MAXAGE                    300
#define ETHARP_SUPPORT_STATIC_ENTRIES 0
#define LWIP_IPV4                     1
#define LWIP_IPV6                     1
#define IP_REASSEMBLY                 1
#define IP_REASS_MAX_PBUFS            48 /* one 64 KiB datagram */
#define IP_FRAG                       1
#define IP_SOF_BROADCAST              1
#define LWIP_ICMP                     1
#define LWIP_BROADCAST_PING           0
#define LWIP_RAW                      1
#define LWIP_ACD                      0
#define LWIP_IGMP                     1
#define LWIP_HAVE_LOOPIF              1
#define LWIP_LOOPBACK_MAX_PBUFS       64
#define LWIP_NETIF_HOSTNAME           1
#define LWIP_NETIF_STATUS_CALLBACK    1
#define LWIP_NUM_NETIF_CLIENT_DATA    0

/* IPv6. Addresses are used at once, as those of IPv4 are: nobody else here can have them (hv/io/filter.h). */
#define LWIP_IPV6_DUP_DETECT_ATTEMPTS 0
#define LWIP_IPV6_NUM_ADDRESSES \
    4 /* of an interface: link-local, the specification's, autoconfigured ones */
#define LWIP_ND6_NUM_NEIGHBORS         32
#define LWIP_ND6_NUM_DESTINATIONS      32
#define LWIP_ND6_RDNSS_MAX_DNS_SERVERS 0
#define LWIP_MULTICAST_TX_OPTIONS      1
#define LWIP_SOCKET_MAX_MEMBERSHIPS    1 /* net/socket/socket_groups.c has its own */
#define LWIP_IPV6_SCOPES_DEBUG         0
#define IPV6_FRAG_COPYHEADER           1 /* pointers don't fit into a fragment's header */

/* The network's thread knows when a fragment came (its timer is needed), see network.c. */
struct ip6_addr;
int network_ip_input(struct pbuf *packet, struct netif *netif);
int network_ip6_input(struct pbuf *packet, struct netif *netif);
struct netif *network_ip6_route(const struct ip6_addr *to);
const struct ip6_addr *network_ip6_gateway(const struct netif *netif);
#define LWIP_HOOK_IP4_INPUT(packet, netif) network_ip_input(packet, netif)
#define LWIP_HOOK_IP6_INPUT(packet, netif) network_ip6_input(packet, netif)
#define LWIP_HOOK_IP6_ROUTE(from, to)      network_ip6_route(to)
#define LWIP_HOOK_ND6_GET_GW(netif, to)    network_ip6_gateway(netif)

/* Which checksums are made and checked is each interface's matter. */
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1
#define LWIP_CHECKSUM_ON_COPY        0
#define LWIP_CHKSUM                  network_checksum
unsigned short network_checksum(const void *data, int bytes);

/* TCP: a window of 64 KiB needs scaling by one bit. */
#define LWIP_TCP                   1
#define TCP_MSS                    1460
#define LWIP_WND_SCALE             1
#define TCP_RCV_SCALE              1
#define TCP_WND                    (64 * 1024)
#define TCP_WND_LONG               (120 * 1024) /* two segments as they come from neighbours; see TF_LONG */
#define TCP_SND_BUF                (128 * 1024) /* two segments that the interface cuts */
#define TCP_SND_QUEUELEN           (4 * TCP_SND_BUF / TCP_MSS)
#define MEMP_NUM_TCP_SEG           TCP_SND_QUEUELEN           /* for a sanity check only */
#define TCP_SNDLOWAT               (0xffff - 4 * TCP_MSS - 1) /* of a count that ends at 0xffff */
#define TCP_SNDQUEUELOWAT          (TCP_SND_QUEUELEN / 2)
#define TCP_WND_UPDATE_THRESHOLD   (((pcb)->flags & TF_LONG) ? 3 * TCP_WND_LONG / 4 : TCP_WND / 4)
#define TCP_QUEUE_OOSEQ            1
#define TCP_OOSEQ_MAX_PBUFS        64
#define LWIP_TCP_SACK_OUT          1
#define LWIP_TCP_KEEPALIVE         1
#define TCP_LISTEN_BACKLOG         1
#define TCP_DEFAULT_LISTEN_BACKLOG 255     /* and the least that a guest can have */
#define TCP_MSL                    15000UL /* TIME_WAIT is twice that; network.c bounds it */
#define TCP_SYNMAXRTX              6
#define TCP_MAXRTX                 12
unsigned int network_tcp_isn(const void *local, unsigned local_port, const void *remote,
                             unsigned remote_port);
#define LWIP_HOOK_TCP_ISN(local_ip, local_port, remote_ip, remote_port) \
    network_tcp_isn(local_ip, local_port, remote_ip, remote_port)

/* Which connection a packet belongs to: net/lwip/connections.c, called by the patched lwIP. */
struct tcp_pcb;
struct ip_addr;
void network_connection_add(struct tcp_pcb *pcb);
void network_connection_remove(struct tcp_pcb *pcb);
struct tcp_pcb *network_connection_find(const struct ip_addr *remote, unsigned short remote_port,
                                        const struct ip_addr *local, unsigned short local_port);
#define LWIP_HOOK_TCP_TABLE_ADD(pcb)    network_connection_add(pcb)
#define LWIP_HOOK_TCP_TABLE_REMOVE(pcb) network_connection_remove(pcb)
#define LWIP_HOOK_TCP_TABLE_FIND(remote, remote_port, local, local_port) \
    network_connection_find(remote, remote_port, local, local_port)

/* True: a packet opens a connection anew that lingers in TIME_WAIT, and that is gone now. */
int network_tcp_reopens(struct tcp_pcb *pcb, unsigned char flags, unsigned int sequence);
#define LWIP_HOOK_TCP_REOPENS(pcb, flags, sequence) network_tcp_reopens(pcb, flags, sequence)

/* Which of the listeners that share a port a packet is for, which makes room there if it opens a connection, NULL = there
 * is none; and how many places for connections that aren't accepted yet all listeners have together, each of them at most:
 * net/lwip/listeners.c, with the core lock. */
struct tcp_pcb_listen;
unsigned int network_backlog_max(void);
struct tcp_pcb_listen *network_tcp_listener(struct tcp_pcb_listen *found, unsigned char flags);
#define LWIP_HOOK_TCP_LISTENER(found, flags) network_tcp_listener(found, flags)

/* Segments that an interface cuts: net/lwip/segments.c, called by the patched lwIP. */
unsigned short network_segment_max(const struct tcp_pcb *pcb, unsigned short usual);
unsigned short network_write_max(const struct tcp_pcb *pcb, unsigned short available,
                                 unsigned short wanted);
void network_segment_fit(struct tcp_pcb *pcb, unsigned int window);
void network_segment_lost(struct tcp_pcb *pcb);
void network_segment_came(struct tcp_pcb *pcb);
int network_cuts6(const struct netif *netif);
#define NETWORK_FLAG_CUTS 0x80u /* in netif.flags, of which lwIP uses the others */
#define NETWORK_PBUF_CUT \
    0x80u /* the same in pbuf.flags: cut where the checksum's field says, unless 0 */
#define LWIP_HOOK_TCP_SEGMENT_MAX(pcb, usual)           network_segment_max(pcb, usual)
#define LWIP_HOOK_TCP_WRITE_MAX(pcb, available, wanted) network_write_max(pcb, available, wanted)
#define LWIP_HOOK_TCP_SEGMENT_FIT(pcb, window)          network_segment_fit(pcb, window)
#define LWIP_HOOK_TCP_SEGMENT_LOST(pcb)                 network_segment_lost(pcb)
#define LWIP_HOOK_TCP_SEGMENT_CAME(pcb)                 network_segment_came(pcb)
#define LWIP_HOOK_IP_CUTS(netif, proto) \
    ((proto) == IP_PROTO_TCP && ((netif)->flags & NETWORK_FLAG_CUTS) != 0)
#define LWIP_HOOK_IP6_CUTS(netif, next) ((next) == IP6_NEXTH_TCP && network_cuts6(netif))

/* The core lock must be held: TCP may have sent something, or something waits for more to come, so its timer has something
 * to do. */
void network_tcp_used(void);
#define LWIP_HOOK_TCP_AWAITS_MORE() network_tcp_used()

/* UDP, DHCP, DNS */
#define LWIP_UDP                  1
#define LWIP_UDPLITE              0
#define LWIP_DHCP                 1
#define LWIP_DHCP_DOES_ACD_CHECK  0
#define LWIP_DHCP_MAX_DNS_SERVERS 2
#define LWIP_DHCP_GET_NTP_SRV     1 /* network.c keeps the answer */
#define LWIP_DHCP_MAX_NTP_SERVERS 1
#define LWIP_DNS                  1
#define DNS_TABLE_SIZE            8
#define DNS_MAX_SERVERS           2
#define DNS_MAX_TTL               300 /* seconds; the timer runs as long after a query */

/* SNTP, for who links it: net/sntp */
#define SNTP_GET_SERVERS_FROM_DHCP     0 /* the user decides */
#define SNTP_SERVER_DNS                0
#define SNTP_STARTUP_DELAY             0
#define SNTP_CHECK_RESPONSE            2 /* the server's address, and the question's time repeated */
#define SNTP_COMP_ROUNDTRIP            1
#define SNTP_UPDATE_DELAY              900000 /* ms */
#define SNTP_PORT                      network_sntp_port()
#define SNTP_GET_SYSTEM_TIME(s, us)    network_sntp_clock(&(s), &(us))
#define SNTP_SET_SYSTEM_TIME_US(s, us) network_sntp_answer(s, us)
unsigned short network_sntp_port(void);
void network_sntp_clock(unsigned int *seconds, unsigned int *microseconds);
void network_sntp_answer(unsigned int seconds, unsigned int microseconds);

/* Sockets: libc-shim's headers on top, lwip_…() below. poll() and select() are libc-shim's. */
#define LWIP_NETCONN                1
#define LWIP_SOCKET                 1
#define LWIP_COMPAT_SOCKETS         0
#define LWIP_POSIX_SOCKETS_IO_NAMES 0
#define LWIP_SOCKET_SELECT          0
#define LWIP_SOCKET_POLL            1 /* keeps the event counts that poll() looks at */
#define LWIP_NETCONN_FULLDUPLEX     0 /* a descriptor's last user closes the socket */
#define LWIP_SO_SNDTIMEO            1
#define LWIP_SO_RCVTIMEO            1
#define LWIP_SO_RCVBUF              1
#define LWIP_SO_LINGER              1
#define SO_REUSE                    1
#define SO_REUSE_RXTOALL            1 /* what is sent to groups, to all that share the port */
#define LWIP_NETBUF_RECVINFO        1 /* IP_PKTINFO */
#define LWIP_FIONREAD_LINUXMODE     1
#define LWIP_TIMEVAL_PRIVATE        0
#define RECV_BUFSIZE_DEFAULT        (256 * 1024)
#define DEFAULT_TCP_RECVMBOX_SIZE   64
#define DEFAULT_UDP_RECVMBOX_SIZE   64
#define DEFAULT_RAW_RECVMBOX_SIZE   16
#define DEFAULT_ACCEPTMBOX_SIZE     network_backlog_max()
#define TCPIP_MBOX_SIZE             8

/* What connect() and send() wait with, called by the patched lwIP: net/lwip/sys_arch.c. */
#define LWIP_HOOK_API_WAIT(semaphore, timeout_ms) network_operation_wait(semaphore, timeout_ms)

#ifdef __skep__
#define LWIP_SOCKET_EXTERNAL_HEADERS          1
#define LWIP_SOCKET_EXTERNAL_HEADER_SOCKETS_H "lwip_posix_sockets.h"
#define LWIP_SOCKET_EXTERNAL_HEADER_INET_H    "lwip_posix_inet.h"
#endif

/* Of lwIP's counters, those that counters.c tells; its log lines are left out. */
#define LWIP_STATS         1
#define MIB2_STATS         1
#define LINK_STATS         0
#define ETHARP_STATS       0
#define IP_STATS           0
#define IPFRAG_STATS       0
#define ICMP_STATS         0
#define UDP_STATS          0
#define TCP_STATS          0
#define MEM_STATS          0
#define MEMP_STATS         0
#define SYS_STATS          0
#define LWIP_STATS_DISPLAY 0

#endif
