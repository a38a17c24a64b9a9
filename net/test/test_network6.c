/*
 * test_network6.c - IPv6 on the PV device: neighbour discovery, checksums, and addresses that a router advertises, with a
 * wire that the test holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "backend.h"
#include "guestlib.h"
#include "lwip/sockets.h"
#include "skep/guest.h"
#include "skep/net.h"
#include "wire.h"

enum { HEADER = sizeof(struct skep_net_header), PAYLOAD = HEADER + 54, PORT = 7 };
enum { ICMP = 58, UDP = 17, ECHO = 128, ROUTER_SOLICIT = 133, ROUTER = 134, SOLICIT = 135 };

struct frame {
    struct skep_net_header header;
    uint8_t to[6], from[6];
    uint8_t type[2], version[4], bytes[2], next, hops;
    uint8_t source[16], target[16];
    uint8_t payload[1460];
} __attribute__((packed));
_Static_assert(offsetof(struct frame, payload) == PAYLOAD, "no padding");

static const uint8_t guest_mac[6] = {2, 0, 0, 0, 0, 15}, peer_mac[6] = {2, 0, 0, 0, 0, 2};
static const uint8_t guest_ip[16] = {0xfd, [15] = 15}, peer_ip[16] = {0xfd, [15] = 2};
static const uint8_t router_ip[16] = {0xfe, 0x80, [15] = 2}, advertised[8] = {0xfd, 1};

static struct frame packet(uint8_t next, const uint8_t *source, size_t payload_bytes)
{
    struct frame frame = {.type = {0x86, 0xdd}, .version = {0x60}, .next = next, .hops = 255};
    memcpy(frame.to, guest_mac, 6);
    memcpy(frame.from, peer_mac, 6);
    frame.bytes[0] = (uint8_t)(payload_bytes >> 8), frame.bytes[1] = (uint8_t)payload_bytes;
    memcpy(frame.source, source, 16);
    memcpy(frame.target, guest_ip, 16);
    return frame;
}

static size_t payload_bytes(const struct frame *frame)
{
    return (size_t)frame->bytes[0] << 8 | frame->bytes[1];
}

static uint32_t pseudo_sum(const struct frame *frame)
{
    return sum_of(frame->source, 32,
                  sum_of(frame->bytes, 2, (uint32_t)frame->next << 8)); /* as it lies in memory */
}

static void put(struct frame *frame, size_t checksum_at)
{
    uint16_t sum = (uint16_t)~sum_of(frame->payload, payload_bytes(frame), pseudo_sum(frame));
    memcpy(frame->payload + checksum_at, &sum, 2);
    wire_put(frame, PAYLOAD + payload_bytes(frame));
}

/* Its checksum is right, after what the device was asked to complete. */
static void check_sum(struct frame *frame)
{
    if (frame->header.flags & SKEP_NET_HDR_NEEDS_CSUM) {
        assert_int_equal(frame->header.csum_start, PAYLOAD - HEADER);
        uint16_t sum = (uint16_t)~sum_of(frame->payload, payload_bytes(frame), 0);
        memcpy(frame->payload + frame->header.csum_offset, &sum, 2);
    }
    assert_int_equal(sum_of(frame->payload, payload_bytes(frame), pseudo_sum(frame)), 0xffff);
}

/* The next packet of this protocol, and of ICMP of this type; others are left aside. */
static struct frame get(uint8_t next, uint8_t type)
{
    struct frame frame;
    do
        assert_true(wire_get(&frame, sizeof(frame), 3000) > PAYLOAD);
    while (frame.type[1] != 0xdd || frame.next != next ||
           (next == ICMP && frame.payload[0] != type));
    check_sum(&frame);
    return frame;
}

static void a_solicitation_is_answered(void **state)
{
    (void)state;
    struct frame frame = packet(ICMP, peer_ip, 32);
    frame.payload[0] = SOLICIT;
    memcpy(frame.payload + 8, guest_ip, 16);
    frame.payload[24] = frame.payload[25] = 1;
    memcpy(frame.payload + 26, peer_mac, 6);
    put(&frame, 2);
    struct frame answer = get(ICMP, SOLICIT + 1);
    assert_memory_equal(answer.to, peer_mac, 6);
    assert_memory_equal(answer.source, guest_ip, 16);
    assert_memory_equal(answer.payload + 8, guest_ip, 16);
    assert_memory_equal(answer.payload + 26, guest_mac, 6);
    assert_int_equal(answer.hops, 255);
}

static void an_echo_is_answered(void **state)
{
    (void)state;
    struct frame frame = packet(ICMP, peer_ip, 1000);
    frame.payload[0] = ECHO;
    memset(frame.payload + 8, 0x5a, 992);
    put(&frame, 2);
    struct frame answer = get(ICMP, ECHO + 1);
    assert_int_equal(payload_bytes(&answer), 1000);
    assert_memory_equal(answer.payload + 8, frame.payload + 8, 992);
}

/* A datagram comes, and one goes whose checksum is left to the device. */
static void datagrams_and_checksums(void **state)
{
    (void)state;
    struct sockaddr_in6 address = {
        .sin6_len = sizeof(address), .sin6_family = AF_INET6, .sin6_port = lwip_htons(PORT)};
    socklen_t bytes = sizeof(address);
    char data[16];
    int fd = lwip_socket(AF_INET6, SOCK_DGRAM, 0);
    assert_int_equal(lwip_bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    struct frame frame = packet(UDP, peer_ip, 13);
    memcpy(frame.payload, (uint8_t[]){19, 136, 0, PORT, 0, 13, 0, 0, 'h', 'e', 'l', 'l', 'o'}, 13);
    put(&frame, 6);
    assert_int_equal(lwip_recvfrom(fd, data, 16, 0, (struct sockaddr *)&address, &bytes), 5);
    assert_memory_equal(address.sin6_addr.un.u8_addr, peer_ip, 16);
    assert_int_equal(lwip_sendto(fd, data, 5, 0, (struct sockaddr *)&address, bytes), 5);
    struct frame answer;
    do
        assert_true(wire_get(&answer, sizeof(answer), 3000) > PAYLOAD);
    while (answer.next != UDP);
    assert_int_equal(answer.header.flags, SKEP_NET_HDR_NEEDS_CSUM);
    assert_int_equal(answer.header.csum_offset, 6);
    check_sum(&answer);
    assert_memory_equal(answer.payload + 8, "hello", 5);
    lwip_close(fd);
}

/* What a router says is joined, and then the static address is gone, since the configuration has changed. */
static void an_advertised_network_is_joined(void **state)
{
    (void)state;
    const struct skep_net_config automatic = {
        .ipv6.flags = SKEP_NET6_ON | SKEP_NET6_AUTO,
    };
    assert_int_equal(skep_net_configure(0, &automatic), 0);
    struct frame asked = get(ICMP, ROUTER_SOLICIT);
    assert_int_equal(asked.target[0], 0xff);
    struct frame frame = packet(ICMP, router_ip, 48);
    memcpy(frame.target, (uint8_t[16]){0xff, 2, [15] = 1}, 16);
    frame.payload[0] = ROUTER;
    memcpy(frame.payload + 4, (uint8_t[]){64, 0, 1, 0}, 4);
    memcpy(frame.payload + 16, (uint8_t[]){3, 4, 64, 0xc0, 0, 0, 1, 0, 0, 0, 1, 0}, 12);
    memcpy(frame.payload + 32, advertised, 8);
    put(&frame, 2);
    assert_int_equal(skep_net_wait_ready(skep_clock_ns() + 3000000000), 0);
    struct skep_net_config now;
    assert_int_equal(skep_net_status(0, &now), 0);
    static const uint8_t made[16] = {0xfd, 1, [11] = 0xff, 0xfe, 0, 0, 15};
    assert_memory_equal(now.ipv6.address, made, 16);
    assert_int_equal(now.ipv6.flags, automatic.ipv6.flags);
}

static void nothing_is_said_when_it_is_off(void **state)
{
    (void)state;
    struct frame frame = packet(ICMP, peer_ip, 8);
    const struct skep_net_config none = {.address = 0x0f02000a, .netmask = 0x00ffffff};
    assert_int_equal(skep_net_configure(0, &none), 0);
    frame.payload[0] = ECHO;
    put(&frame, 2);
    do
        if (wire_get(&frame, sizeof(frame), 200) == 0)
            return;
    while (frame.type[1] != 0xdd || frame.payload[0] != ECHO + 1);
    fail();
}

static int start(void **state)
{
    (void)state;
    backend_reset();
    backend_on_event = on_event;
    host_start_info.abi_minor = SKEP_NET6_ABI_MINOR;
    host_start_info.net_count = 1;
    host_start_info.net[0] = (struct skep_net){
        .mtu = 1500,
        .flags = SKEP_NET_TX_CSUM | SKEP_NET_RX_CSUM,
    };
    memcpy(host_start_info.net[0].mac, guest_mac, 6);
    host_start_info.net6[0].flags = SKEP_NET6_ON;
    memcpy(host_start_info.net6[0].address, guest_ip, 16);
    if (skep_net_start() < 0)
        return -1;
    return skep_net_wait_ready(skep_clock_ns() + 1000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_solicitation_is_answered),
        cmocka_unit_test(an_echo_is_answered),
        cmocka_unit_test(datagrams_and_checksums),
        cmocka_unit_test(an_advertised_network_is_joined),
        cmocka_unit_test(nothing_is_said_when_it_is_off),
    };
    return cmocka_run_group_tests_name("network6", tests, start, NULL);
}
