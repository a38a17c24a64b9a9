/*
 * test_network.c - the PV device and lwIP above it, with a wire that the test holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <pthread.h>
#include <unistd.h>
#include <cmocka.h>

#include "../lwip/network.h"
#include "backend.h"
#include "guestlib.h"
#include "lwip/api.h"
#include "lwip/priv/sockets_priv.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/sockets.h"
#include "lwip/tcpip.h"
#include "skep/guest.h"
#include "skep/net.h"
#include "wire.h"

enum { HEADER = sizeof(struct skep_net_header), PORT = 7 };
#define LONGEST 61440 /* payload of a segment */

#define GUEST_IP 0x0f02000au /* 10.0.2.15 and .2, as they lie in memory */
#define PEER_IP  0x0202000au

static const uint8_t guest_mac[6] = {2, 0, 0, 0, 0, 15}, peer_mac[6] = {2, 0, 0, 0, 0, 2};

struct frame {
    struct skep_net_header header;
    uint8_t to[6], from[6];
    uint16_t type;
    union {
        struct {
            uint16_t hardware, protocol;
            uint8_t hardware_bytes, protocol_bytes;
            uint16_t operation;
            uint8_t sender_mac[6];
            uint32_t sender_ip;
            uint8_t target_mac[6];
            uint32_t target_ip;
        } __attribute__((packed)) arp;
        struct {
            uint8_t version, tos;
            uint16_t bytes, id, fragment;
            uint8_t ttl, protocol;
            uint16_t checksum;
            uint32_t source, destination;
            uint8_t payload[LONGEST + 20];
        } __attribute__((packed)) ip;
    };
} __attribute__((packed));

enum { ETHERNET = HEADER + 14, IP = 20, UDP = 8, ICMP = 8, TCP = 20 };

static void to_guest(const struct frame *frame, size_t bytes)
{
    wire_put(frame, bytes);
}

/* Whether the guest asks for the peer's link address, as it does when it has known that for long: it is answered. */
static bool asks_for_peer(struct frame *frame)
{
    if (frame->type != htons(0x0806) || frame->arp.operation != htons(1) ||
        frame->arp.target_ip != PEER_IP)
        return false;
    memcpy(frame->to, guest_mac, 6);
    memcpy(frame->from, peer_mac, 6);
    frame->arp.operation = htons(2);
    memcpy(frame->arp.sender_mac, peer_mac, 6);
    frame->arp.sender_ip = PEER_IP;
    memcpy(frame->arp.target_mac, guest_mac, 6);
    frame->arp.target_ip = GUEST_IP;
    to_guest(frame, ETHERNET + sizeof(frame->arp));
    return true;
}

static size_t from_guest(struct frame *frame, unsigned milliseconds)
{
    size_t bytes;
    do
        bytes = wire_get(frame, sizeof(*frame), milliseconds);
    while (bytes > 0 && asks_for_peer(frame));
    return bytes;
}

static uint32_t pseudo_sum(const struct frame *frame, size_t bytes)
{
    uint32_t words[2] = {frame->ip.source, frame->ip.destination};
    return sum_of(words, sizeof(words),
                  (uint32_t)(htons(frame->ip.protocol) + htons((uint16_t)bytes)));
}

static struct frame ip_frame(uint8_t protocol, size_t payload_bytes)
{
    struct frame frame = {.type = htons(0x0800)};
    memcpy(frame.to, guest_mac, 6);
    memcpy(frame.from, peer_mac, 6);
    frame.ip.version = 0x45;
    frame.ip.bytes = htons((uint16_t)(IP + payload_bytes));
    frame.ip.ttl = 64;
    frame.ip.protocol = protocol;
    frame.ip.source = PEER_IP;
    frame.ip.destination = GUEST_IP;
    frame.ip.checksum = (uint16_t)~sum_of(&frame.ip, IP, 0);
    return frame;
}

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static struct frame udp_frame(const void *data, size_t bytes)
{
    struct frame frame = ip_frame(17, UDP + bytes);
    put16(frame.ip.payload, 5000);
    put16(frame.ip.payload + 2, PORT);
    put16(frame.ip.payload + 4, (uint16_t)(UDP + bytes));
    memcpy(frame.ip.payload + UDP, data, bytes);
    uint16_t sum =
        (uint16_t)~sum_of(frame.ip.payload, UDP + bytes, pseudo_sum(&frame, UDP + bytes));
    memcpy(frame.ip.payload + 6, &sum, 2);
    return frame;
}

/* A frame from the guest has right checksums, after what the device was asked to complete. */
static void check_sums(struct frame *frame)
{
    size_t bytes = (size_t)ntohs(frame->ip.bytes) - IP;
    assert_int_equal(sum_of(&frame->ip, IP, 0), 0xffff);
    if (frame->header.flags & SKEP_NET_HDR_NEEDS_CSUM) {
        uint8_t *start = (uint8_t *)frame + HEADER + frame->header.csum_start;
        assert_ptr_equal(start, frame->ip.payload);
        uint16_t sum = (uint16_t)~sum_of(start, bytes, 0);
        memcpy(start + frame->header.csum_offset, &sum, 2);
    }
    assert_int_equal(sum_of(frame->ip.payload, bytes, pseudo_sum(frame, bytes)), 0xffff);
}

/*
 * Tests
 */

static void answers_arp(void **state)
{
    (void)state;
    struct frame frame = {.type = htons(0x0806)};
    memset(frame.to, 0xff, 6);
    memcpy(frame.from, peer_mac, 6);
    frame.arp.hardware = htons(1);
    frame.arp.protocol = htons(0x0800);
    frame.arp.hardware_bytes = 6;
    frame.arp.protocol_bytes = 4;
    frame.arp.operation = htons(1);
    memcpy(frame.arp.sender_mac, peer_mac, 6);
    frame.arp.sender_ip = PEER_IP;
    frame.arp.target_ip = GUEST_IP;
    to_guest(&frame, ETHERNET + sizeof(frame.arp));

    do /* it introduces itself when it gets its address, too */
        assert_true(from_guest(&frame, 2000) >= ETHERNET + sizeof(frame.arp));
    while (frame.arp.operation != htons(2));
    assert_memory_equal(frame.to, peer_mac, 6);
    assert_memory_equal(frame.arp.sender_mac, guest_mac, 6);
    assert_int_equal(frame.arp.sender_ip, GUEST_IP);
}

static void ping(size_t bytes)
{
    struct frame frame = ip_frame(1, ICMP + bytes), answer;
    frame.ip.payload[0] = 8;
    memset(frame.ip.payload + ICMP, 0x5a, bytes);
    uint16_t sum = (uint16_t)~sum_of(frame.ip.payload, ICMP + bytes, 0);
    memcpy(frame.ip.payload + 2, &sum, 2);
    to_guest(&frame, ETHERNET + IP + ICMP + bytes);
    size_t received = from_guest(&answer, 2000);
    assert_int_equal(received, ETHERNET + IP + ICMP + bytes);
    assert_int_equal(answer.ip.payload[0], 0);
    assert_memory_equal(answer.ip.payload + ICMP, frame.ip.payload + ICMP, bytes);
    assert_int_equal(sum_of(answer.ip.payload, ICMP + bytes, 0), 0xffff);
}

static void answers_ping(void **state)
{
    (void)state;
    ping(0);
    ping(56);
    ping(1472);
    for (int i = 0; i < 1000; i++)
        ping(100);
}

static int udp_socket(void)
{
    struct sockaddr_in address = {
        .sin_len = sizeof(address), .sin_family = AF_INET, .sin_port = lwip_htons(PORT)};
    struct timeval timeout = {.tv_usec = 200000};
    int fd = lwip_socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(lwip_bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(lwip_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)), 0);
    return fd;
}

static void send_to_peer(int fd, const void *data, size_t bytes, ssize_t expected)
{
    struct sockaddr_in address = {.sin_len = sizeof(address),
                                  .sin_family = AF_INET,
                                  .sin_port = lwip_htons(5000),
                                  .sin_addr.s_addr = PEER_IP};
    ssize_t result = lwip_sendto(fd, data, bytes, 0, (struct sockaddr *)&address, sizeof(address));
    assert_int_equal(result, expected);
}

static void datagrams_and_checksums(void **state)
{
    (void)state;
    char data[64];
    int fd = udp_socket();
    struct frame frame = udp_frame("right", 5);
    to_guest(&frame, ETHERNET + IP + UDP + 5);
    assert_int_equal(lwip_recv(fd, data, sizeof(data), 0), 5);
    assert_memory_equal(data, "right", 5);

    frame.ip.payload[6] ^= 1; /* wrong: dropped */
    to_guest(&frame, ETHERNET + IP + UDP + 5);
    assert_int_equal(lwip_recv(fd, data, sizeof(data), 0), -1);

    frame.header.flags = SKEP_NET_HDR_NEEDS_CSUM; /* never summed, from a neighbour */
    to_guest(&frame, ETHERNET + IP + UDP + 5);
    assert_int_equal(lwip_recv(fd, data, sizeof(data), 0), 5);
    frame.header.flags = SKEP_NET_HDR_DATA_VALID;
    to_guest(&frame, ETHERNET + IP + UDP + 5);
    assert_int_equal(lwip_recv(fd, data, sizeof(data), 0), 5);
    frame.header.flags = 0;
    to_guest(&frame, ETHERNET + IP + UDP + 5);
    assert_int_equal(lwip_recv(fd, data, sizeof(data), 0), -1);

    strcpy(data, "answer");
    send_to_peer(fd, data, 6, 6);
    strcpy(data, "scribble"); /* it was copied: the caller may reuse its buffer */
    assert_int_equal(from_guest(&frame, 2000), ETHERNET + IP + UDP + 6);
    assert_int_equal(frame.header.flags, SKEP_NET_HDR_NEEDS_CSUM);
    assert_memory_equal(frame.ip.payload + UDP, "answer", 6);
    check_sums(&frame);
    lwip_close(fd);
}

static void unread_packets_dont_deafen(void **state)
{
    (void)state;
    int fd = udp_socket();
    for (uint32_t i = 0; i < 500; i++) {
        struct frame frame = udp_frame(&i, sizeof(i));
        to_guest(&frame, ETHERNET + IP + UDP + sizeof(i));
    }
    ping(1000);
    uint32_t expected = 0, number;
    while (lwip_recv(fd, &number, sizeof(number), MSG_DONTWAIT) == sizeof(number))
        assert_int_equal(number, expected++);
    assert_int_equal(expected, DEFAULT_UDP_RECVMBOX_SIZE);
    lwip_close(fd);
    for (int i = 0; i < 200; i++)
        ping(10);
}

static void a_full_queue_drops_and_recovers(void **state)
{
    (void)state;
    int fd = udp_socket();
    unsigned taken = 0;
    struct sockaddr_in address = {.sin_len = sizeof(address),
                                  .sin_family = AF_INET,
                                  .sin_port = lwip_htons(5000),
                                  .sin_addr.s_addr = PEER_IP};
    for (unsigned i = 0; i < 300; i++)
        taken += lwip_sendto(fd, &i, sizeof(i), 0, (struct sockaddr *)&address, sizeof(address)) ==
                 sizeof(i);
    assert_in_range(taken, 100, 128);
    struct frame frame;
    for (unsigned i = 0; i < taken; i++) {
        assert_int_equal(from_guest(&frame, 100), ETHERNET + IP + UDP + sizeof(i));
        assert_memory_equal(frame.ip.payload + UDP, &i, sizeof(i));
    }
    assert_int_equal(from_guest(&frame, 20), 0);
    send_to_peer(fd, "x", 1, 1);
    assert_int_equal(from_guest(&frame, 2000), ETHERNET + IP + UDP + 1);
    lwip_close(fd);
    ping(1);
}

static void wrong_lengths_are_ignored(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {0, 1, HEADER, HEADER + 13, HEADER + 14, 2000, UINT32_MAX};
    for (size_t round = 0; round < 50; round++)
        for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
            int head = wait_for_chain(RECEIVE, 2000);
            assert_true(head >= 0);
            backend_use(RECEIVE, head, lengths[i]);
        }
    ping(56);
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, (uint16_t)(value >> 16));
    put16(at + 2, (uint16_t)value);
}

enum { PEER_PORT = 5000, FIN = 1, SYN = 2, ACK = 16 };

static uint16_t window = 0xffff;   /* of the peer */
static uint16_t guest_port = PORT; /* that it speaks to */

static struct frame tcp_frame(uint16_t from, uint32_t sequence, uint32_t acknowledged,
                              uint8_t flags)
{
    struct frame frame = ip_frame(6, TCP);
    uint8_t *tcp = frame.ip.payload;
    put16(tcp, from);
    put16(tcp + 2, guest_port);
    put32(tcp + 4, sequence);
    put32(tcp + 8, acknowledged);
    tcp[12] = 5 << 4;
    tcp[13] = flags;
    put16(tcp + 14, window);
    uint16_t sum = (uint16_t)~sum_of(tcp, TCP, pseudo_sum(&frame, TCP));
    memcpy(tcp + 16, &sum, 2);
    return frame;
}

enum { BACKLOG = 4 };

static int listen_for(int backlog)
{
    struct sockaddr_in address = {
        .sin_len = sizeof(address), .sin_family = AF_INET, .sin_port = lwip_htons(guest_port)};
    int listener = lwip_socket(AF_INET, SOCK_STREAM, 0), on = 1;
    /* A connection of the test before may not have seen its last acknowledgement yet. */
    assert_int_equal(lwip_setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    assert_int_equal(lwip_bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(lwip_listen(listener, backlog), 0);
    return listener;
}

static int listen_at_port(void)
{
    return listen_for(BACKLOG);
}

static void a_connection_opens_and_closes(void **state)
{
    (void)state;
    int listener = listen_at_port();

    struct frame frame = tcp_frame(PEER_PORT, 1000, 0, SYN), answer;
    to_guest(&frame, ETHERNET + IP + TCP);
    assert_true(from_guest(&answer, 2000) >= ETHERNET + IP + TCP);
    check_sums(&answer);
    assert_int_equal(answer.ip.payload[13], SYN | ACK);
    uint32_t theirs;
    memcpy(&theirs, answer.ip.payload + 4, 4);
    theirs = ntohl(theirs) + 1;

    frame = tcp_frame(PEER_PORT, 1001, theirs, ACK);
    to_guest(&frame, ETHERNET + IP + TCP);
    int fd = lwip_accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    static char data[3000] = "to be sent in several pieces";
    assert_int_equal(lwip_send(fd, data, sizeof(data), 0), sizeof(data));
    for (size_t got = 0; got < sizeof(data);) {
        size_t bytes = from_guest(&answer, 2000);
        assert_true(bytes > ETHERNET + IP + TCP);
        check_sums(&answer);
        got += bytes - (ETHERNET + IP + TCP);
        frame = tcp_frame(PEER_PORT, 1001, theirs + (uint32_t)got, ACK);
        to_guest(&frame, ETHERNET + IP + TCP);
    }
    frame = tcp_frame(PEER_PORT, 1001, theirs + sizeof(data), FIN | ACK);
    to_guest(&frame, ETHERNET + IP + TCP);
    assert_int_equal(lwip_recv(fd, data, sizeof(data), 0), 0);
    lwip_close(fd);
    do
        assert_true(from_guest(&answer, 2000) > 0);
    while ((answer.ip.payload[13] & FIN) == 0);
    frame = tcp_frame(PEER_PORT, 1002, theirs + sizeof(data) + 1, ACK);
    to_guest(&frame, ETHERNET + IP + TCP);
    lwip_close(listener);
}

/* The answer to a SYN from a port: the sequence number to acknowledge. */
static uint32_t knock(uint16_t from)
{
    struct frame frame = tcp_frame(from, 1000, 0, SYN), answer;
    uint16_t to;
    uint32_t theirs;
    to_guest(&frame, ETHERNET + IP + TCP);
    do {
        assert_true(from_guest(&answer, 2000) >= ETHERNET + IP + TCP);
        memcpy(&to, answer.ip.payload + 2, 2);
    } while (ntohs(to) != from);
    assert_int_equal(answer.ip.payload[13], SYN | ACK);
    memcpy(&theirs, answer.ip.payload + 4, 4);
    return ntohl(theirs) + 1;
}

static void those_who_never_go_on_make_room(void **state)
{
    (void)state;
    int listener = listen_at_port();
    for (unsigned i = 0; i < 3 * BACKLOG; i++)
        knock((uint16_t)(6000 + i));
    struct frame frame = tcp_frame(7000, 1001, knock(7000), ACK);
    to_guest(&frame, ETHERNET + IP + TCP);
    int fd = lwip_accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    lwip_close(fd);
    lwip_close(listener);
}

static void more_than_a_byte_counts_may_wait(void **state)
{
    (void)state;
    enum { MANY = 300 };
    int listener = listen_for(MANY);
    for (unsigned i = 0; i < MANY; i++) {
        struct frame frame =
            tcp_frame((uint16_t)(20000 + i), 1001, knock((uint16_t)(20000 + i)), ACK);
        to_guest(&frame, ETHERNET + IP + TCP);
    }
    for (unsigned i = 0; i < MANY; i++) {
        struct sockaddr_in peer;
        socklen_t bytes = sizeof(peer);
        int fd = lwip_accept(listener, (struct sockaddr *)&peer, &bytes);
        assert_true(fd >= 0);
        assert_int_equal(lwip_ntohs(peer.sin_port), 20000 + i);
        struct frame frame = tcp_frame((uint16_t)(20000 + i), 1001, 0, 4); /* RST */
        to_guest(&frame, ETHERNET + IP + TCP);
        lwip_close(fd);
    }
    lwip_close(listener);
}

static void ask_to_connect(uint16_t from)
{
    struct frame frame = tcp_frame(from, 1000, 0, SYN);
    to_guest(&frame, ETHERNET + IP + TCP);
}

static void connect_as(uint16_t from)
{
    struct frame frame = tcp_frame(from, 1001, knock(from), ACK);
    to_guest(&frame, ETHERNET + IP + TCP);
}

static unsigned pending_at(int listener)
{
    LOCK_TCPIP_CORE();
    const struct netconn *connection = lwip_socket_dbg_get_socket(listener)->conn;
    unsigned count = ((struct tcp_pcb_listen *)connection->pcb.tcp)->accepts_pending;
    UNLOCK_TCPIP_CORE();
    return count;
}

static void all_listeners_share_the_guests_places(void **state)
{
    (void)state;
    static struct frame frame;
    const unsigned most = 1024; /* of one with 16 MiB or more */
    int one = listen_for((int)most);
    guest_port = PORT + 1;
    int other = listen_for(BACKLOG);
    guest_port = PORT;
    for (unsigned i = 0; i < most - 1; i++)
        connect_as((uint16_t)(30000 + i));
    guest_port = PORT + 1;
    knock(40000);
    assert_int_equal(pending_at(other), 1);
    guest_port = PORT;
    connect_as(40001); /* which takes the place of who only began there */
    assert_int_equal(pending_at(other), 0);
    guest_port = PORT + 1;
    ask_to_connect(40002); /* nobody only began */
    ping(10);
    guest_port = PORT;
    assert_int_equal(pending_at(one), most);
    assert_int_equal(pending_at(other), 0);
    lwip_close(other), lwip_close(one);
    while (from_guest(&frame, 20) > 0)
        continue;
}

/* A later listen() may ask for more places than the first one. */
static void a_second_listen_has_more_places(void **state)
{
    (void)state;
    enum { MANY = 300 };
    static struct frame frame;
    int listener = listen_at_port();
    assert_int_equal(lwip_listen(listener, MANY), 0);
    for (unsigned i = 0; i < MANY; i++)
        connect_as((uint16_t)(21000 + i));
    for (unsigned i = 0; i < MANY; i++) {
        int fd = lwip_accept(listener, NULL, NULL);
        assert_true(fd >= 0);
        frame = tcp_frame((uint16_t)(21000 + i), 1001, 0, 4); /* RST */
        to_guest(&frame, ETHERNET + IP + TCP);
        lwip_close(fd);
    }
    lwip_close(listener);
    while (from_guest(&frame, 20) > 0)
        continue;
}

/*
 * Segments that the device cuts. The peer names no MSS, so that pieces are of 536 bytes.
 */

enum { MSS = 536, STREAM = 60000, NONE = -1 };

static struct {
    int fd;
    uint16_t port;
    uint32_t begin;    /* first sequence number */
    uint32_t end;      /* bytes up to which nothing is missing */
    bool have[STREAM]; /* what came */
    int lose;          /* where the piece begins that is lost once, or NONE */
    unsigned longest;  /* packet's data */
    unsigned repeated; /* bytes that came again */
    unsigned again;    /* length of the packet that brought the lost piece */
} stream;
static char stream_data[STREAM];

static void stream_begin(int listener, uint16_t port)
{
    memset(&stream, 0, sizeof(stream));
    stream.lose = NONE;
    stream.port = port;
    stream.begin = knock(port);
    struct frame frame = tcp_frame(port, 1001, stream.begin, ACK);
    to_guest(&frame, ETHERNET + IP + TCP);
    stream.fd = lwip_accept(listener, NULL, NULL);
    assert_true(stream.fd >= 0);
    for (size_t i = 0; i < STREAM; i++)
        stream_data[i] = (char)(i * 7 + i / 256);
    assert_int_equal(lwip_send(stream.fd, stream_data, STREAM, 0), STREAM);
}

static void stream_end(void)
{
    struct frame frame = tcp_frame(stream.port, 1001, stream.begin + STREAM, 4); /* RST */
    to_guest(&frame, ETHERNET + IP + TCP);
    lwip_close(stream.fd);
}

/* A piece as it comes out of the card: keeps it, and says up to where nothing is missing. */
static void piece_arrives(uint32_t at, const uint8_t *data, uint32_t bytes)
{
    if (stream.lose == (int)at) {
        stream.lose = NONE;
        return;
    }
    assert_true(at + bytes <= STREAM && bytes <= MSS);
    assert_memory_equal(data, stream_data + at, bytes);
    for (uint32_t i = at; i < at + bytes; i++) {
        stream.repeated += stream.have[i];
        stream.have[i] = true;
    }
    while (stream.end < STREAM && stream.have[stream.end])
        stream.end++;
    struct frame frame = tcp_frame(stream.port, 1001, stream.begin + stream.end, ACK);
    to_guest(&frame, ETHERNET + IP + TCP);
}

/* The card: cuts what the guest sends. */
static void packet_arrives(const struct frame *frame, size_t frame_bytes)
{
    uint32_t bytes = (uint32_t)(frame_bytes - ETHERNET - IP - TCP), sequence;
    memcpy(&sequence, frame->ip.payload + 4, 4);
    uint32_t at = ntohl(sequence) - stream.begin;
    assert_int_equal(ntohs(frame->ip.bytes), bytes + IP + TCP);
    if (bytes > MSS) {
        assert_int_equal(frame->header.gso_type, SKEP_NET_GSO_TCP4);
        assert_int_equal(frame->header.gso_size, MSS);
        assert_int_equal(frame->header.hdr_len, ETHERNET - HEADER + IP + TCP);
        assert_int_equal(frame->header.flags, SKEP_NET_HDR_NEEDS_CSUM);
    } else {
        assert_int_equal(frame->header.gso_type, SKEP_NET_GSO_NONE);
    }
    stream.longest = bytes > stream.longest ? bytes : stream.longest;
    stream.again = at == stream.end ? bytes : stream.again;
    for (uint32_t i = 0; i < bytes; i += MSS)
        piece_arrives(at + i, frame->ip.payload + TCP + i, bytes - i < MSS ? bytes - i : MSS);
}

static void stream_run(void)
{
    static struct frame frame;
    while (stream.end < STREAM) {
        size_t bytes = from_guest(&frame, 10000);
        assert_true(bytes >= ETHERNET + IP + TCP);
        check_sums(&frame);
        uint16_t to;
        memcpy(&to, frame.ip.payload + 2, 2);
        if (ntohs(to) == stream.port && bytes > ETHERNET + IP + TCP)
            packet_arrives(&frame, bytes);
    }
}

static void long_writes_go_in_long_segments(void **state)
{
    (void)state;
    int listener = listen_at_port();
    stream_begin(listener, 8000);
    stream_run();
    assert_in_range(stream.longest, 2 * MSS, LONGEST);
    assert_int_equal(stream.repeated, 0);
    stream_end();
    lwip_close(listener);
}

static void a_lost_piece_is_sent_again_alone(void **state)
{
    (void)state;
    int listener = listen_at_port();
    stream_begin(listener, 8001);
    stream.lose = 21 * MSS; /* within a segment: what is before it is acknowledged */
    stream_run();
    assert_int_equal(stream.lose, NONE);
    assert_int_equal(stream.repeated, 0);
    stream_end();
    lwip_close(listener);
}

static void a_lost_end_is_sent_again_alone(void **state)
{
    (void)state;
    int listener = listen_at_port();
    stream_begin(listener, 8002);
    stream.lose = STREAM / MSS * MSS;
    stream_run();
    assert_int_equal(stream.lose, NONE);
    assert_int_equal(stream.again, STREAM % MSS);
    assert_int_equal(stream.repeated, 0);
    stream_end();
    lwip_close(listener);
}

static void small_windows_are_kept(void **state)
{
    (void)state;
    int listener = listen_at_port();
    window = 3 * MSS + 100;
    stream_begin(listener, 8003);
    stream_run();
    assert_in_range(stream.longest, MSS, window);
    assert_int_equal(stream.repeated, 0);
    stream_end();
    window = 0xffff;
    lwip_close(listener);
}

/*
 * More to come
 */

/* The next packet for the port that has data or a FIN: its data's length. */
static size_t next_data(uint16_t port, struct frame *frame, uint8_t *flags)
{
    for (;;) {
        size_t bytes = from_guest(frame, 5000);
        assert_true(bytes >= ETHERNET + IP + TCP);
        check_sums(frame);
        uint16_t to;
        memcpy(&to, frame->ip.payload + 2, 2);
        *flags = frame->ip.payload[13];
        if (ntohs(to) == port && (bytes > ETHERNET + IP + TCP || (*flags & FIN) != 0))
            return bytes - (ETHERNET + IP + TCP);
    }
}

static int connect_from(uint16_t port, int listener)
{
    struct frame frame = tcp_frame(port, 1001, knock(port), ACK);
    to_guest(&frame, ETHERNET + IP + TCP);
    int fd = lwip_accept(listener, NULL, NULL), on = 1;
    assert_true(fd >= 0);
    assert_int_equal(lwip_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
    return fd;
}

static void what_waits_for_more_goes_with_it(void **state)
{
    (void)state;
    static struct frame frame;
    uint8_t flags;
    int listener = listen_at_port(), fd = connect_from(8100, listener);
    assert_int_equal(lwip_send(fd, "head", 4, MSG_MORE), 4);
    assert_int_equal(lwip_send(fd, "body", 4, 0), 4);
    assert_int_equal(next_data(8100, &frame, &flags), 8);
    assert_memory_equal(frame.ip.payload + TCP, "headbody", 8);

    /* What fills a segment doesn't wait. */
    assert_int_equal(lwip_send(fd, stream_data, MSS, MSG_MORE), MSS);
    assert_int_equal(next_data(8100, &frame, &flags), MSS);

    /* Nothing comes: it goes without. */
    assert_int_equal(lwip_send(fd, "late", 4, MSG_MORE), 4);
    assert_int_equal(next_data(8100, &frame, &flags), 4);
    lwip_close(fd);
    assert_int_equal(next_data(8100, &frame, &flags), 0);
    lwip_close(listener);
}

static void a_connections_end_goes_with_what_waits(void **state)
{
    (void)state;
    static struct frame frame;
    uint8_t flags;
    int listener = listen_at_port(), fd = connect_from(8101, listener);
    assert_int_equal(lwip_send(fd, "last", 4, MSG_MORE), 4);
    lwip_close(fd);
    assert_int_equal(next_data(8101, &frame, &flags), 4);
    assert_int_equal(flags & FIN, FIN);
    lwip_close(listener);
}

/*
 * Segments that a neighbour sent whole.
 */

enum { LONG = 20000 };

/* Bytes from `at` on of the stream to the guest, in one piece, never summed. */
static struct frame *long_frame(uint16_t port, uint32_t at, uint32_t theirs)
{
    static struct frame frame;
    frame = tcp_frame(port, 1001 + at, theirs, ACK);
    frame.ip.bytes = htons(IP + TCP + LONG);
    frame.ip.checksum = 0;
    frame.ip.checksum = (uint16_t)~sum_of(&frame.ip, IP, 0);
    frame.header = (struct skep_net_header){.flags = SKEP_NET_HDR_NEEDS_CSUM,
                                            .gso_type = SKEP_NET_GSO_TCP4,
                                            .hdr_len = ETHERNET - HEADER + IP + TCP,
                                            .gso_size = 1460,
                                            .csum_start = ETHERNET - HEADER + IP,
                                            .csum_offset = 16};
    for (uint32_t i = 0; i < LONG; i++)
        frame.ip.payload[TCP + i] = (uint8_t)((at + i) % 251);
    return &frame;
}

static void long_segment(uint16_t port, uint32_t at, uint32_t theirs)
{
    wire_put_long(long_frame(port, at, theirs), ETHERNET + IP + TCP + LONG);
}

/* Sooner than a delayed acknowledgement would come. */
static void acknowledges(uint32_t end)
{
    struct frame frame;
    uint32_t number;
    assert_true(from_guest(&frame, 200) >= ETHERNET + IP + TCP);
    memcpy(&number, frame.ip.payload + 8, 4);
    assert_int_equal(ntohl(number), 1001 + end);
}

static void reads(int fd, uint32_t at, uint32_t end)
{
    uint8_t data[3000];
    while (at < end) {
        ssize_t bytes = lwip_recv(fd, data, sizeof(data), 0);
        assert_in_range(bytes, 1, end - at);
        for (ssize_t i = 0; i < bytes; i++, at++)
            assert_int_equal(data[i], at % 251);
    }
}

static void take_three(uint16_t port)
{
    int listener = listen_at_port();
    uint32_t theirs = knock(port);
    struct frame frame = tcp_frame(port, 1001, theirs, ACK);
    to_guest(&frame, ETHERNET + IP + TCP);
    int fd = lwip_accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    for (uint32_t i = 0; i < 3; i++) {
        long_segment(port, i * LONG, theirs);
        acknowledges((i + 1) * LONG);
    }
    reads(fd, 0, 3 * LONG);
    frame = tcp_frame(port, 1001 + 3 * LONG, theirs, 4); /* RST */
    to_guest(&frame, ETHERNET + IP + TCP);
    lwip_close(fd);
    lwip_close(listener);
    while (from_guest(&frame, 20) > 0) /* windows that opened */
        continue;
}

static void long_segments_come_in(void **state)
{
    (void)state;
    assert_int_equal(backend_queues[RECEIVE].setup.flags, SKEP_QUEUE_MERGE | SKEP_QUEUE_MERGE6);
    assert_int_equal(backend_queues[SEND].setup.flags, 0);
    for (uint16_t i = 0; i < 20; i++)
        take_three((uint16_t)(9000 + i));
    ping(1000);
}

/* Most are in packets that nobody reads. */
static void long_segments_come_in_when_buffers_are_few(void **state)
{
    (void)state;
    int fd = udp_socket();
    for (uint32_t i = 0; i < DEFAULT_UDP_RECVMBOX_SIZE; i++) {
        struct frame frame = udp_frame(&i, sizeof(i));
        to_guest(&frame, ETHERNET + IP + UDP + sizeof(i));
    }
    for (uint16_t i = 0; i < 20; i++)
        take_three((uint16_t)(9100 + i));
    lwip_close(fd);
    ping(1000);
}

/* Opens a connection with scaled windows. */
static uint32_t knock_scaled(uint16_t port)
{
    uint32_t theirs;
    struct frame syn = ip_frame(6, TCP + 4), frame = tcp_frame(port, 1000, 0, SYN);
    uint8_t *tcp = syn.ip.payload;
    memcpy(tcp, frame.ip.payload, TCP);
    tcp[12] = 6 << 4;
    memcpy(tcp + TCP, (const uint8_t[4]){1, 3, 3, 1}, 4);
    put16(tcp + 16, 0);
    uint16_t sum = (uint16_t)~sum_of(tcp, TCP + 4, pseudo_sum(&syn, TCP + 4));
    memcpy(tcp + 16, &sum, 2);
    to_guest(&syn, ETHERNET + IP + TCP + 4);
    assert_true(from_guest(&frame, 2000) >= ETHERNET + IP + TCP);
    memcpy(&theirs, frame.ip.payload + 4, 4);
    return ntohl(theirs) + 1;
}

/* The window that the next packet from the guest tells. */
static uint32_t told_window(void)
{
    struct frame frame;
    assert_true(from_guest(&frame, 200) >= ETHERNET + IP + TCP);
    return 2 * ((uint32_t)frame.ip.payload[14] << 8 | frame.ip.payload[15]);
}

/* Those before had the guest post some. */
static void long_segments_come_in_buffers_of_their_own(void **state)
{
    (void)state;
    assert_in_range(backend_queues[APART].setup.size, 2, 16);
    assert_int_equal(backend_queues[APART].setup.flags, 0);
    int listener = listen_at_port();
    uint32_t theirs = knock_scaled(9200);
    struct frame frame = tcp_frame(9200, 1001, theirs, ACK);
    to_guest(&frame, ETHERNET + IP + TCP);
    int fd = lwip_accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    for (uint32_t i = 0; i < 12; i++) {
        wire_put_apart(long_frame(9200, i * LONG, theirs), ETHERNET + IP + TCP,
                       ETHERNET + IP + TCP + LONG);
        if (i < 3)
            assert_int_equal(told_window(), TCP_WND_LONG - (i + 1) * LONG);
        if (i % 3 == 2) {
            reads(fd, (i - 2) * LONG, (i + 1) * LONG);
            if (i == 2) /* the next acknowledgement tells of the room */
                assert_int_equal(from_guest(&frame, 50), 0);
            while (from_guest(&frame, 20) > 0)
                continue;
            ping((uint16_t)i); /* it posts what was read */
        }
    }
    lwip_close(fd);
    lwip_close(listener);
    frame = tcp_frame(9200, 1001 + 12 * LONG, theirs, 4); /* RST */
    to_guest(&frame, ETHERNET + IP + TCP);
    while (from_guest(&frame, 20) > 0)
        continue;
}

/*
 * How long data may wait for its acknowledgement
 */

enum { PATIENCE_MS = 1500, BYTES_AT = ETHERNET + IP + TCP };

static struct tcp_pcb *pcb_of(int fd)
{
    return lwip_socket_dbg_get_socket(fd)->conn->pcb.tcp;
}

/* A connection whose data is repeated after a tick of TCP's timer. */
static int impatient(uint16_t port, uint32_t *theirs)
{
    int listener = listen_at_port();
    LOCK_TCPIP_CORE();
    network_user_timeout_set(pcb_of(listener), PATIENCE_MS);
    UNLOCK_TCPIP_CORE();
    *theirs = knock(port);
    struct frame frame = tcp_frame(port, 1001, *theirs, ACK);
    to_guest(&frame, BYTES_AT);
    int fd = lwip_accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    lwip_close(listener);
    LOCK_TCPIP_CORE();
    assert_int_equal(pcb_of(fd)->user_timeout, PATIENCE_MS);
    pcb_of(fd)->rto = pcb_of(fd)->sv = 1;
    pcb_of(fd)->sa = 0;
    UNLOCK_TCPIP_CORE();
    return fd;
}

/* Until it was repeated. */
static void await_repetition(uint16_t port)
{
    static struct frame frame;
    uint8_t flags;
    for (unsigned times = 0; times < 2; times++)
        assert_int_equal(next_data(port, &frame, &flags), 1);
}

static uint64_t now_ms(void)
{
    return skep_clock_ns() / 1000000;
}

static int clock_goes(void **state)
{
    (void)state;
    host_clock_go();
    return 0;
}

/* How many packets with so much data, at a sequence number or any (NONE), have come for a port. */
static unsigned came(uint16_t port, size_t data, int64_t sequence)
{
    static struct frame frame;
    unsigned count = 0;
    for (size_t bytes; (bytes = from_guest(&frame, 0)) > 0;) {
        uint16_t to;
        uint32_t at;
        memcpy(&to, frame.ip.payload + 2, 2);
        memcpy(&at, frame.ip.payload + 4, 4);
        count += ntohs(to) == port && bytes == BYTES_AT + data &&
                 (sequence == NONE || ntohl(at) == sequence);
    }
    return count;
}

/* The same as await_repetition(), by a clock that is stopped. */
static void advance_to_repetition(uint16_t port)
{
    unsigned ticks = 0;
    for (unsigned times = came(port, 1, NONE); times < 2; times += came(port, 1, NONE)) {
        assert_true(ticks++ < 100);
        host_clock_advance();
    }
}

/* Advances until the connection has ended, by so many of those packets. */
static unsigned advance_to_end(int fd, uint16_t port, size_t data, int64_t sequence)
{
    unsigned count = came(port, data, sequence);
    for (unsigned ticks = 0; pcb_of(fd) != NULL; ticks++) {
        assert_true(ticks < 1000);
        host_clock_advance();
        count +=
            came(port, data, sequence); /* the guest repeats nothing that is still in its queue */
    }
    return count;
}

static void unacknowledged_data_ends_its_connection(void **state)
{
    (void)state;
    char byte = 'x';
    uint32_t theirs;
    int fd = impatient(7100, &theirs);
    host_clock_stop();
    uint64_t begin = now_ms();
    while (now_ms() - begin < 2 * PATIENCE_MS) { /* each acknowledgement begins anew */
        assert_int_equal(lwip_send(fd, &byte, 1, 0), 1);
        advance_to_repetition(7100);
        struct frame frame = tcp_frame(7100, 1001, ++theirs, ACK);
        to_guest(&frame, BYTES_AT);
    }
    assert_int_equal(lwip_send(fd, &byte, 1, 0), 1);
    begin = now_ms();
    assert_in_range(advance_to_end(fd, 7100, 1, NONE), 2, 10);
    assert_in_range(now_ms() - begin, PATIENCE_MS, PATIENCE_MS + 2 * TCP_TMR_INTERVAL);
    assert_int_equal(lwip_recv(fd, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNABORTED); /* ETIMEDOUT to the program */
    lwip_close(fd);
}

static bool ticks_reach(uint32_t ticks)
{
    LOCK_TCPIP_CORE();
    bool result = tcp_ticks - ticks < UINT32_MAX / 2;
    UNLOCK_TCPIP_CORE();
    return result;
}

static void who_may_wait_is_waited_for(void **state)
{
    (void)state;
    char byte = 'x';
    uint32_t theirs;
    int fd = impatient(7101, &theirs);
    LOCK_TCPIP_CORE();
    network_user_timeout_set(pcb_of(fd), 3600 * 1000);
    UNLOCK_TCPIP_CORE();
    assert_int_equal(lwip_send(fd, &byte, 1, 0), 1);
    LOCK_TCPIP_CORE();
    pcb_of(fd)->nrtx = TCP_MAXRTX - 1;
    uint32_t ticks = tcp_ticks;
    UNLOCK_TCPIP_CORE();
    await_repetition(7101);
    while (!ticks_reach(ticks + 5))
        usleep(1000);
    assert_non_null(pcb_of(fd));
    struct frame frame = tcp_frame(7101, 1001, ++theirs, ACK);
    to_guest(&frame, BYTES_AT);
    assert_int_equal(lwip_send(fd, &byte, 1, 0), 1);
    frame = tcp_frame(7101, 1001, ++theirs, 4); /* RST */
    to_guest(&frame, BYTES_AT);
    lwip_close(fd);
}

/* Keep-alive's times in milliseconds, of a connection that has been silent for a while. */
struct keepalive {
    uint32_t idle, interval, count, user_timeout, silent;
};

static int asked(uint16_t port, const struct keepalive *times, uint32_t *theirs)
{
    int fd = impatient(port, theirs);
    host_clock_stop();
    LOCK_TCPIP_CORE();
    struct tcp_pcb *pcb = pcb_of(fd);
    pcb->keep_idle = times->idle;
    pcb->keep_intvl = times->interval;
    pcb->keep_cnt = times->count;
    pcb->tmr = tcp_ticks - times->silent / TCP_SLOW_INTERVAL;
    network_user_timeout_set(pcb, times->user_timeout);
    ip_set_option(pcb, SOF_KEEPALIVE);
    network_tcp_used(); /* the next tick is near */
    UNLOCK_TCPIP_CORE();
    came(port, 0, NONE);
    return fd;
}

static const struct keepalive keepalives[] = {
    {1000, 1000, 9, 1500, 0},    {1000, 3000, 5, 0, 0},       {5000, 2000, 2, 0, 0},
    {5000, 2000, 2, 10000, 0},   {10000, 5000, 9, 8000, 0},   {15000, 15000, 9, 20000, 0},
    {60000, 10000, 6, 45000, 0}, {5000, 2000, 2, 0, 3600000}, {5000, 2000, 2, 1000, 3600000},
};
enum { KEEPALIVES = sizeof(keepalives) / sizeof(keepalives[0]) };

static void who_answers_stays(void **state)
{
    (void)state;
    for (unsigned i = 0; i < KEEPALIVES; i++) {
        uint16_t port = (uint16_t)(7200 + i);
        const struct keepalive *times = &keepalives[i];
        uint32_t theirs;
        int fd = asked(port, times, &theirs);
        uint64_t end = now_ms() + 10ull * (times->idle + TCP_SLOW_INTERVAL);
        unsigned questions = 0;
        while (now_ms() < end) {
            host_clock_advance();
            assert_non_null(pcb_of(fd));
            if (came(port, 0, theirs - 1) > 0) {
                struct frame frame = tcp_frame(port, 1001, theirs, ACK);
                to_guest(&frame, BYTES_AT);
                questions++;
            }
        }
        assert_in_range(questions, 9, 11); /* each after the idle time, the first maybe at once */
        struct frame frame = tcp_frame(port, 1001, theirs, 4); /* RST */
        to_guest(&frame, BYTES_AT);
        host_clock_go();
        lwip_close(fd);
    }
}

static void who_doesnt_answer_is_given_up(void **state)
{
    (void)state;
    for (unsigned i = 0; i < KEEPALIVES; i++) {
        const struct keepalive *times = &keepalives[i];
        uint16_t port = (uint16_t)(7300 + i);
        uint32_t theirs;
        char byte;
        int fd = asked(port, times, &theirs);
        uint32_t idle = times->silent == 0 ? times->idle : 0;
        uint32_t patience = LWIP_MAX(times->user_timeout, times->idle + times->interval);
        if (times->user_timeout == 0 || patience > times->idle + times->count * times->interval)
            patience = times->idle + times->count * times->interval;
        patience -= times->idle - idle;
        uint64_t begin = now_ms();
        unsigned questions = advance_to_end(fd, port, 0, theirs - 1);
        assert_in_range(now_ms() - begin, patience, patience + patience / 10 + 1500);
        assert_in_range(questions, times->user_timeout == 0 ? times->count : 1, times->count);
        assert_int_equal(lwip_recv(fd, &byte, 1, 0), -1);
        host_clock_go();
        lwip_close(fd);
    }
}

static int start(void **state)
{
    (void)state;
    backend_reset();
    backend_on_event = on_event;
    host_start_info.net_count = 1;
    host_start_info.memory_bytes = 64 << 20;
    host_start_info.net[0] = (struct skep_net){
        .mtu = 1500,
        .flags = SKEP_NET_TX_CSUM | SKEP_NET_RX_CSUM | SKEP_NET_TX_TSO4 | SKEP_NET_RX_MERGE |
                 SKEP_NET_RX_PAYLOAD,
        .address = GUEST_IP,
        .netmask = 0x00ffffff,
        .gateway = PEER_IP,
    };
    memcpy(host_start_info.net[0].mac, guest_mac, 6);
    if (skep_net_start() < 0)
        return -1;
    return skep_net_wait_ready(skep_clock_ns() + 1000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_arp),
        cmocka_unit_test(answers_ping),
        cmocka_unit_test(datagrams_and_checksums),
        cmocka_unit_test(unread_packets_dont_deafen),
        cmocka_unit_test(a_full_queue_drops_and_recovers),
        cmocka_unit_test(wrong_lengths_are_ignored),
        cmocka_unit_test(a_connection_opens_and_closes),
        cmocka_unit_test(those_who_never_go_on_make_room),
        cmocka_unit_test(more_than_a_byte_counts_may_wait),
        cmocka_unit_test(all_listeners_share_the_guests_places),
        cmocka_unit_test(a_second_listen_has_more_places),
        cmocka_unit_test(long_writes_go_in_long_segments),
        cmocka_unit_test(a_lost_piece_is_sent_again_alone),
        cmocka_unit_test(a_lost_end_is_sent_again_alone),
        cmocka_unit_test(small_windows_are_kept),
        cmocka_unit_test(what_waits_for_more_goes_with_it),
        cmocka_unit_test(a_connections_end_goes_with_what_waits),
        cmocka_unit_test(long_segments_come_in),
        cmocka_unit_test(long_segments_come_in_when_buffers_are_few),
        cmocka_unit_test(long_segments_come_in_buffers_of_their_own),
        cmocka_unit_test_teardown(unacknowledged_data_ends_its_connection, clock_goes),
        cmocka_unit_test(who_may_wait_is_waited_for),
        cmocka_unit_test_teardown(who_answers_stays, clock_goes),
        cmocka_unit_test_teardown(who_doesnt_answer_is_given_up, clock_goes),
    };
    return cmocka_run_group_tests_name("network", tests, start, NULL);
}
