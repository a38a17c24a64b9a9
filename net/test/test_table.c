/*
 * test_table.c - the table of connections: each of many is found by its addresses and ports, and by nothing else, while
 * it is there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lwip/ip.h"
#include "lwip/netif.h"
#include "lwip/tcp.h"

#define COUNT 6000u /* more than buckets */

static struct tcp_pcb *pcbs;

/* Every third is IPv6; many differ in one thing only. */
static struct tcp_pcb *make(unsigned i)
{
    struct tcp_pcb *pcb = &pcbs[i];
    if (i % 3 == 0) {
        IP_ADDR6(&pcb->remote_ip, PP_HTONL(0xfd000000), 0, 0, lwip_htonl(i / 30));
        IP_ADDR6(&pcb->local_ip, PP_HTONL(0xfd000000), 0, 0, PP_HTONL(0x10000));
    } else {
        IP_ADDR4(&pcb->remote_ip, 10, 0, i / 30 / 256, i / 30 % 256);
        IP_ADDR4(&pcb->local_ip, 10, 0, 255, i % 2);
    }
    pcb->remote_port = (uint16_t)(40000 + i % 30 / 6);
    pcb->local_port = (uint16_t)(80 + i % 6 / 3);
    return pcb;
}

static struct tcp_pcb *find(const struct tcp_pcb *like)
{
    return network_connection_find(&like->remote_ip, like->remote_port, &like->local_ip,
                                   like->local_port);
}

static void all_are_found(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        assert_null(find(make(i)));
        network_connection_add(&pcbs[i]);
        assert_ptr_equal(find(&pcbs[i]), &pcbs[i]);
    }
    for (unsigned i = 0; i < COUNT; i++)
        assert_ptr_equal(find(&pcbs[i]), &pcbs[i]);
}

static void others_are_not(void **state)
{
    (void)state;
    struct tcp_pcb other = pcbs[7];
    other.remote_port = 1;
    assert_null(find(&other));
    other = pcbs[7];
    other.local_port = 443;
    assert_null(find(&other));
    other = pcbs[7];
    IP_ADDR4(&other.local_ip, 10, 0, 255, 7);
    assert_null(find(&other));
    other = pcbs[7];
    other.netif_idx = 5; /* no packet comes from there */
    network_connection_remove(&pcbs[7]);
    other.table_hash = 0;
    network_connection_add(&other);
    assert_null(find(&other));
    network_connection_remove(&other);
    network_connection_add(&pcbs[7]);
}

static void those_that_end_are_gone(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT; i += 2) {
        pcbs[i].local_port = 0; /* as lwIP does before */
        network_connection_remove(&pcbs[i]);
        network_connection_remove(&pcbs[i]); /* it is in no table */
    }
    for (unsigned i = 0; i < COUNT; i++)
        assert_ptr_equal(find(make(i)), i % 2 == 0 ? NULL : &pcbs[i]);
    for (unsigned i = 1; i < COUNT; i += 2)
        network_connection_remove(&pcbs[i]);
    for (unsigned i = 0; i < COUNT; i++)
        assert_null(find(&pcbs[i]));
}

static int start(void **state)
{
    (void)state;
    static struct netif interface;
    ip_data.current_input_netif = &interface;
    pcbs = calloc(COUNT, sizeof(*pcbs));
    return pcbs == NULL ? -1 : 0;
}

static int end(void **state)
{
    (void)state;
    free(pcbs);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_found),
        cmocka_unit_test(others_are_not),
        cmocka_unit_test(those_that_end_are_gone),
    };
    return cmocka_run_group_tests_name("table", tests, start, end);
}
