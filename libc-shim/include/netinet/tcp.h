/*
 * netinet/tcp.h - options of level IPPROTO_TCP.
 */
#ifndef _NETINET_TCP_H
#define _NETINET_TCP_H

#define SOL_TCP 6 /* IPPROTO_TCP */

#define TCP_NODELAY   0x01
#define TCP_MAXSEG    0x02 /* to be read only */
#define TCP_KEEPIDLE  0x03 /* seconds */
#define TCP_KEEPINTVL 0x04 /* seconds */
#define TCP_KEEPCNT   0x05
#define TCP_INFO      0x0b /* struct tcp_info, to be read only */
#define TCP_USER_TIMEOUT \
    0x12 /* ms that data may wait for its acknowledgement, then ETIMEDOUT; 0 = for a time of the system's */

/* Of tcpi_state. */
enum {
    TCP_ESTABLISHED = 1,
    TCP_SYN_SENT,
    TCP_SYN_RECV,
    TCP_FIN_WAIT1,
    TCP_FIN_WAIT2,
    TCP_TIME_WAIT,
    TCP_CLOSE,
    TCP_CLOSE_WAIT,
    TCP_LAST_ACK,
    TCP_LISTEN,
    TCP_CLOSING
};

/* Of tcpi_options. */
#define TCPI_OPT_SACK   2
#define TCPI_OPT_WSCALE 4

/* Times are in microseconds, and counted in half seconds: of a round trip that takes less it is 0. The window and the
 * threshold of congestion are told in segments. Nobody counts the rest here, which is 0: ca_state, ato, sacked, lost, retrans,
 * fackets, the last ones, pmtu, rcv_ssthresh, reordering, rcv_rtt and total_retrans. */
struct tcp_info {
    unsigned char tcpi_state;
    unsigned char tcpi_ca_state;
    unsigned char tcpi_retransmits; /* of what wasn't acknowledged */
    unsigned char tcpi_probes;      /* of a window that is closed */
    unsigned char tcpi_backoff;
    unsigned char tcpi_options;
    unsigned char tcpi_snd_wscale : 4, tcpi_rcv_wscale : 4;
    unsigned tcpi_rto;
    unsigned tcpi_ato;
    unsigned tcpi_snd_mss;
    unsigned tcpi_rcv_mss;
    unsigned tcpi_unacked; /* segments on the way */
    unsigned tcpi_sacked;
    unsigned tcpi_lost;
    unsigned tcpi_retrans;
    unsigned tcpi_fackets;
    unsigned tcpi_last_data_sent;
    unsigned tcpi_last_ack_sent;
    unsigned tcpi_last_data_recv;
    unsigned tcpi_last_ack_recv;
    unsigned tcpi_pmtu;
    unsigned tcpi_rcv_ssthresh;
    unsigned tcpi_rtt;
    unsigned tcpi_rttvar;
    unsigned tcpi_snd_ssthresh;
    unsigned tcpi_snd_cwnd;
    unsigned tcpi_advmss;
    unsigned tcpi_reordering;
    unsigned tcpi_rcv_rtt;
    unsigned tcpi_rcv_space; /* bytes that there is room for */
    unsigned tcpi_total_retrans;
};

#endif
