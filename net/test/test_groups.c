/*
 * test_groups.c - groups (multicast) of the PV device: what ring 0 is told, what routers hear, and what comes in, with a wire
 * that the test holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "backend.h"
#include "guestlib.h"
#include "lwip/netif.h"
#include "lwip/sockets.h"
#include "lwip/tcpip.h"
#include "skep/guest.h"
#include "skep/net.h"
#include "wire.h"

#include "../lwip/network.h"

enum { HEADER = sizeof(struct skep_net_header), IP = HEADER + 14, PORT = 5353, IGMP = 2 };
enum { QUERY = 0x11, REPORT = 0x16, LEAVE = 0x17 };

static const uint8_t guest_mac[6] = {2, 0, 0, 0, 0, 15}, peer_mac[6] = {2, 0, 0, 0, 0, 2};
static const uint64_t all_hosts = 0x0100005e0001, all_nodes = 0x010000003333;
static const uint64_t mac = 0x02016f5e0001, mac6 = 0x020100003333;

static ip_addr_t group4(uint8_t first, uint8_t second)
{
    ip_addr_t group = {.type = IPADDR_TYPE_V4};
    IP4_ADDR(ip_2_ip4(&group), first, second, 1, 2);
    return group;
}

static ip_addr_t group6(void)
{
    ip_addr_t group = IPADDR6_INIT(PP_HTONL(0xff050000), 0, 0, PP_HTONL(0x00000102));
    return group;
}

static int join(const ip_addr_t *group)
{
    LOCK_TCPIP_CORE();
    int error = network_group_join(pvnet_interface(0), group);
    UNLOCK_TCPIP_CORE();
    return error;
}

static void leave(const ip_addr_t *group)
{
    LOCK_TCPIP_CORE();
    network_group_leave(pvnet_interface(0), group);
    UNLOCK_TCPIP_CORE();
}

static void wait_igmp(uint8_t type, const ip_addr_t *group)
{
    uint8_t frame[2048];
    do
        assert_true(wire_get(frame, sizeof(frame), 3000) > IP + 24);
    while (frame[HEADER + 12] != 8 || frame[IP + 9] != IGMP || frame[IP + 24] != type);
    assert_memory_equal(frame + IP + 28, &ip_2_ip4(group)->addr, 4);
    assert_memory_equal(frame + IP + 20, ((uint8_t[]){0x94, 4, 0, 0}), 4); /* routers look at it */
    assert_int_equal(frame[IP + 8], 1);
    assert_int_equal(sum_of(frame + IP + 24, 8, 0), 0xffff);
}

/* A packet from the wire with what the IP header is followed by. */
static void put(uint8_t protocol, const uint8_t target[4], const void *payload, size_t bytes)
{
    uint8_t frame[256] = {0};
    memcpy(frame + HEADER, (uint8_t[]){1, 0, 0x5e, target[1] & 0x7f, target[2], target[3]}, 6);
    memcpy(frame + HEADER + 6, peer_mac, 6);
    frame[HEADER + 12] = 8;
    frame[IP] = 0x45, frame[IP + 3] = (uint8_t)(20 + bytes), frame[IP + 8] = 1;
    frame[IP + 9] = protocol;
    memcpy(frame + IP + 12, (uint8_t[]){10, 0, 2, 2}, 4);
    memcpy(frame + IP + 16, target, 4);
    uint16_t sum = (uint16_t)~sum_of(frame + IP, 20, 0);
    memcpy(frame + IP + 10, &sum, 2);
    memcpy(frame + IP + 20, payload, bytes);
    wire_put(frame, IP + 20 + bytes);
}

static void the_first_join_tells_ring_0_and_routers(void **state)
{
    (void)state;
    ip_addr_t group = group4(239, 239), same = group4(239, 111);
    assert_int_equal(join(&group), 0);
    assert_true(backend_has_group(mac) && backend_has_group(all_hosts));
    wait_igmp(REPORT, &group);
    wait_igmp(REPORT, &group); /* again, by the timer */
    assert_int_equal(join(&same), 0);
    wait_igmp(REPORT, &same);
    assert_int_equal(join(&group), 0);
    leave(&group);
    leave(&group);
    wait_igmp(LEAVE, &group);
    assert_true(backend_has_group(mac)); /* which the other one has, too */
    leave(&same);
    assert_false(backend_has_group(mac));
    assert_false(backend_has_group(all_hosts));
}

static void routers_questions_are_answered(void **state)
{
    (void)state;
    ip_addr_t group = group4(239, 239);
    uint8_t query[8] = {QUERY, 1}; /* within 0.1 s */
    uint16_t sum = (uint16_t)~sum_of(query, sizeof(query), 0);
    memcpy(query + 2, &sum, 2);
    assert_int_equal(join(&group), 0);
    wait_igmp(REPORT, &group);
    wait_igmp(REPORT, &group);
    put(IGMP, (uint8_t[]){224, 0, 0, 1}, query, sizeof(query));
    wait_igmp(REPORT, &group);
    leave(&group);
}

static void a_full_table_is_told(void **state)
{
    (void)state;
    ip_addr_t group = group4(239, 239), other = group4(239, 1), six = group6();
    assert_int_equal(join(&group), 0);
    backend_groups_full = true;
    assert_int_equal(join(&other), -SKEP_ENOSPC);
    assert_int_equal(join(&six), -SKEP_ENOSPC);
    backend_groups_full = false;
    assert_int_equal(join(&other), 0); /* nothing was left behind */
    leave(&other);
    leave(&group);
    backend_group_full = all_hosts; /* without which no router's question would come */
    assert_int_equal(join(&other), -SKEP_ENOSPC);
    backend_group_full = 0;
    assert_int_equal(join(&group), 0);
    assert_int_equal(join(&other), 0);
    leave(&other);
    leave(&group);
    for (unsigned i = 0; i < BACKEND_GROUPS_MAX; i++)
        assert_int_equal(backend_groups[i], 0);
}

static void groups_of_ipv6_are_told(void **state)
{
    (void)state;
    ip_addr_t group = group6();
    assert_int_equal(join(&group), 0);
    assert_true(backend_has_group(mac6) && backend_has_group(all_nodes));
    leave(&group);
    assert_false(backend_has_group(mac6) || backend_has_group(all_nodes));
}

static void members_receive_and_others_dont(void **state)
{
    (void)state;
    ip_addr_t group = group4(239, 239);
    const uint8_t target[4] = {239, 239, 1, 2},
                  datagram[12] = {0, 7, PORT >> 8, PORT & 255, 0, 12, 0, 0, 'd', 'a', 't', 'a'};
    uint8_t data[8];
    const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = lwip_htons(PORT)};
    int fd = lwip_socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(lwip_bind(fd, (const struct sockaddr *)&any, sizeof(any)), 0);
    put(17, target, datagram, sizeof(datagram)); /* to nobody */
    assert_int_equal(join(&group), 0);
    wait_igmp(REPORT, &group);
    assert_int_equal(lwip_recv(fd, data, sizeof(data), MSG_DONTWAIT), -1);
    put(17, target, datagram, sizeof(datagram));
    assert_int_equal(lwip_recv(fd, data, sizeof(data), 0), 4);
    assert_memory_equal(data, "data", 4);
    leave(&group);
    assert_int_equal(lwip_close(fd), 0);
}

static int start(void **state)
{
    (void)state;
    backend_reset();
    backend_on_event = on_event;
    host_start_info.net_count = 1;
    host_start_info.net[0] = (struct skep_net){
        .mtu = 1500,
        .flags = SKEP_NET_TX_CSUM | SKEP_NET_RX_CSUM,
        .address = 0x0f02000a,
        .netmask = 0x00ffffff,
    };
    memcpy(host_start_info.net[0].mac, guest_mac, 6);
    host_start_info.net6[0].flags = SKEP_NET6_ON;
    if (skep_net_start() < 0)
        return -1;
    return skep_net_wait_ready(skep_clock_ns() + 1000000000);
}

/* Who is in no group costs no call and no entry of ring 0's. */
static void without_groups_nothing_is_told(void **state)
{
    (void)state;
    for (unsigned i = 0; i < BACKEND_GROUPS_MAX; i++)
        assert_int_equal(backend_groups[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_groups_nothing_is_told),
        cmocka_unit_test(the_first_join_tells_ring_0_and_routers),
        cmocka_unit_test(routers_questions_are_answered),
        cmocka_unit_test(a_full_table_is_told),
        cmocka_unit_test(groups_of_ipv6_are_told),
        cmocka_unit_test(members_receive_and_others_dont),
    };
    return cmocka_run_group_tests_name("groups", tests, start, NULL);
}
