/*
 * socket_unreachable.c - tells connected datagram sockets that nobody listens where they send to: ICMP's "port
 * unreachable", which repeats the beginning of the datagram. lwIP drops these messages. Raw PCBs hear them first, since a
 * program has connected a datagram socket.
 */
#include "socket_internal.h"

#include "lwip/inet_chksum.h"
#include "lwip/ip.h"
#include "lwip/prot/icmp.h"
#include "lwip/prot/icmp6.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/ip6.h"
#include "lwip/prot/udp.h"
#include "lwip/raw.h"
#include "lwip/udp.h"

#define ICMP_BYTES 8 /* before what the message repeats */

/* The datagram that didn't arrive; ports in host order. */
struct refused {
    ip_addr_t from, to;
    uint16_t from_port, to_port;
};

/* lwIP's function that gives a socket its datagrams: a PCB that has it belongs to a socket. */
static udp_recv_fn give_to_socket;

static bool take(const struct pbuf *packet, unsigned offset, void *out, uint16_t bytes)
{
    return offset <= UINT16_MAX && pbuf_copy_partial(packet, out, bytes, (uint16_t)offset) == bytes;
}

static bool take_ports(const struct pbuf *packet, unsigned offset, struct refused *out)
{
    uint16_t ports[2];
    if (!take(packet, offset, ports, sizeof(ports)))
        return false;
    out->from_port = lwip_ntohs(ports[0]);
    out->to_port = lwip_ntohs(ports[1]);
    return true;
}

static bool take4(const struct pbuf *packet, unsigned offset, struct refused *out)
{
    uint8_t icmp[ICMP_BYTES];
    struct ip_hdr ip;
    if (!take(packet, offset, icmp, sizeof(icmp)) || icmp[0] != ICMP_DUR ||
        icmp[1] != ICMP_DUR_PORT || !take(packet, offset + ICMP_BYTES, &ip, sizeof(ip)) ||
        IPH_V(&ip) != 4 || IPH_PROTO(&ip) != IP_PROTO_UDP ||
        (IPH_OFFSET(&ip) & PP_HTONS(IP_OFFMASK)) != 0)
        return false;
    ip_addr_copy_from_ip4(out->from, ip.src);
    ip_addr_copy_from_ip4(out->to, ip.dest);
    return take_ports(packet, offset + ICMP_BYTES + IPH_HL_BYTES(&ip), out);
}

static bool take6(const struct pbuf *packet, unsigned offset, struct refused *out)
{
    uint8_t icmp[ICMP_BYTES];
    struct ip6_hdr ip;
    if (!take(packet, offset, icmp, sizeof(icmp)) || icmp[0] != ICMP6_TYPE_DUR ||
        icmp[1] != ICMP6_DUR_PORT || !take(packet, offset + ICMP_BYTES, &ip, sizeof(ip)) ||
        IP6H_V(&ip) != 6 || IP6H_NEXTH(&ip) != IP6_NEXTH_UDP)
        return false;
    ip_addr_copy_from_ip6_packed(out->from, ip.src);
    ip_addr_copy_from_ip6_packed(out->to, ip.dest);
    return take_ports(packet, offset + ICMP_BYTES + IP6_HLEN, out);
}

/* The message's own checksum, behind the IP header. Loopback makes none. */
static bool is_intact(struct pbuf *packet, unsigned offset)
{
    bool is_v6 = ip_current_is_v6() != 0;
    u16_t check = is_v6 ? NETIF_CHECKSUM_CHECK_ICMP6 : NETIF_CHECKSUM_CHECK_ICMP;
    if (!NETIF_CHECKSUM_ENABLED(ip_current_netif(), check))
        return true;
    if (pbuf_remove_header(packet, offset) != 0)
        return false;
    uint16_t sum = is_v6 ? ip6_chksum_pseudo(packet, IP6_NEXTH_ICMP6, packet->tot_len,
                                             ip6_current_src_addr(), ip6_current_dest_addr())
                         : inet_chksum_pbuf(packet);
    pbuf_add_header_force(packet, offset);
    return sum == 0;
}

/* A connected socket has no address of its own here, unless it is bound: so what it sent came from the address that the
 * message has come to. The link-local addresses of a packet have no zone. */
static bool has_sent(const struct udp_pcb *pcb, const struct refused *refused)
{
    return pcb->recv == give_to_socket && (pcb->flags & UDP_FLAGS_CONNECTED) != 0 &&
           pcb->local_port == refused->from_port && pcb->remote_port == refused->to_port &&
           ip_addr_zoneless_eq(&pcb->remote_ip, &refused->to) &&
           ip_addr_zoneless_eq(ip_current_dest_addr(), &refused->from) &&
           (ip_addr_isany_val(pcb->local_ip) ||
            ip_addr_zoneless_eq(&pcb->local_ip, &refused->from));
}

/* The packet goes on to lwIP. */
static u8_t on_icmp(void *unused, struct raw_pcb *raw, struct pbuf *packet, const ip_addr_t *from)
{
    (void)unused, (void)raw, (void)from;
    unsigned offset = ip_current_header_tot_len();
    struct refused refused;
    bool is_one =
        ip_current_is_v6() ? take6(packet, offset, &refused) : take4(packet, offset, &refused);
    if (!is_one || !is_intact(packet, offset))
        return 0;
    for (const struct udp_pcb *pcb = udp_pcbs; pcb != NULL; pcb = pcb->next)
        if (has_sent(pcb, &refused))
            skep_inet_datagram_changed(pcb->recv_arg, REFUSED);
    return 0;
}

static bool hear(u8_t family, u8_t protocol)
{
    struct raw_pcb *pcb = raw_new_ip_type(family, protocol);
    if (pcb != NULL)
        raw_recv(pcb, on_icmp, NULL);
    return pcb != NULL;
}

bool skep_inet_hear_unreachable(const struct netconn *connection)
{
    static bool hears4, hears6; /* guarded by lwIP's lock */
    LOCK_TCPIP_CORE();
    if (NETCONNTYPE_GROUP(connection->type) == NETCONN_UDP && connection->pcb.udp != NULL)
        give_to_socket = connection->pcb.udp->recv;
    hears4 = hears4 || hear(IPADDR_TYPE_V4, IP_PROTO_ICMP);
    hears6 = hears6 || hear(IPADDR_TYPE_V6, IP6_NEXTH_ICMP6);
    bool result = hears4 && hears6;
    UNLOCK_TCPIP_CORE();
    return result;
}
