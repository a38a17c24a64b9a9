/*
 * test_numbers.c - checksums against the slow and certain way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lwip/inet_chksum.h"
#include "lwip/ip_addr.h"
#include "lwip/pbuf.h"

static uint16_t slow_checksum(const uint8_t *data, size_t bytes)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < bytes; i++)
        sum += i % 2 == 0 ? data[i] : (uint32_t)data[i] << 8;
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static void checksums(void **state)
{
    (void)state;
    static uint8_t data[1620];
    srand(1);
    for (unsigned round = 0; round < 100000; round++) {
        size_t start = (size_t)rand() % 9, bytes = (size_t)rand() % (round % 16 == 0 ? 1600 : 200);
        for (size_t i = 0; i < bytes; i++)
            data[start + i] = round % 3 == 0 ? 0xff : (uint8_t)rand();
        assert_int_equal(network_checksum(data + start, (int)bytes),
                         slow_checksum(data + start, bytes));
    }
}

/* Of a packet in one piece, and in two, the first of which may be odd. */
static void packets_sums(void **state)
{
    (void)state;
    static uint8_t data[12 + 1600];
    ip_addr_t from = IPADDR4_INIT_BYTES(255, 255, 255, 254), to = IPADDR4_INIT_BYTES(10, 0, 2, 15);
    srand(2);
    for (unsigned round = 0; round < 20000; round++) {
        size_t bytes = 1 + (size_t)rand() % 300, first = (size_t)rand() % bytes;
        for (size_t i = 0; i < bytes; i++)
            data[12 + i] = round % 3 == 0 ? 0xff : (uint8_t)rand();
        const uint8_t head[4] = {0, 6, (uint8_t)(bytes >> 8), (uint8_t)bytes};
        memcpy(data, &ip_2_ip4(&from)->addr, 4);
        memcpy(data + 4, &ip_2_ip4(&to)->addr, 4);
        memcpy(data + 8, head, 4);
        uint16_t right = (uint16_t)~slow_checksum(data, 12 + bytes);
        struct pbuf rest = {.payload = data + 12 + first,
                            .len = (uint16_t)(bytes - first),
                            .tot_len = (uint16_t)(bytes - first)};
        struct pbuf packet = {.payload = data + 12, .len = (uint16_t)bytes};
        assert_int_equal(ip_chksum_pseudo(&packet, 6, (uint16_t)bytes, &from, &to), right);
        packet.len = (uint16_t)first;
        packet.next = &rest;
        assert_int_equal(ip_chksum_pseudo(&packet, 6, (uint16_t)bytes, &from, &to), right);
    }
}

/* By the ports, and not from call to call. */
static void assert_numbers_differ(const ip_addr_t *here, const ip_addr_t *there)
{
    uint32_t one = network_tcp_isn(here, 80, there, 5000);
    uint32_t again = network_tcp_isn(here, 80, there, 5000);
    assert_in_range(again - one, 0, 1000000); /* a clock of 4 us */
    uint32_t other = network_tcp_isn(here, 80, there, 5001);
    assert_true(other - one > 1000000 || other - one == 0);
}

static void sequence_numbers(void **state)
{
    (void)state;
    const ip_addr_t v4[] = {IPADDR4_INIT(0x0f02000a), IPADDR4_INIT(0x0202000a)};
    const ip_addr_t v6[] = {IPADDR6_INIT(0xfd, 0, 0, 1), IPADDR6_INIT(0xfd, 0, 0, 2)};
    assert_numbers_differ(&v4[0], &v4[1]);
    assert_numbers_differ(&v6[0], &v6[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksums),
        cmocka_unit_test(packets_sums),
        cmocka_unit_test(sequence_numbers),
    };
    return cmocka_run_group_tests_name("numbers", tests, NULL, NULL);
}
