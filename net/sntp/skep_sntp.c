/* skep_sntp.c - what lwIP's SNTP client calls, and how it is started. lwipopts.h names these functions. */
#include "skep_sntp.h"

#include "lwip/apps/sntp.h"
#include "lwip/tcpip.h"

#define NS_PER_S  1000000000ull
#define NS_PER_US 1000u

static uint16_t server_port;
static uint64_t (*wall)(void);
static skep_sntp_answer *on_answer;

uint16_t network_sntp_port(void)
{
    return server_port;
}

void network_sntp_clock(uint32_t *seconds, uint32_t *microseconds)
{
    uint64_t now = wall();

    *seconds = (uint32_t)(now / NS_PER_S);
    *microseconds = (uint32_t)(now % NS_PER_S / NS_PER_US);
}

void network_sntp_answer(uint32_t seconds, uint32_t microseconds)
{
    on_answer(seconds * NS_PER_S + (uint64_t)microseconds * NS_PER_US);
}

void skep_sntp_start(uint32_t server, uint16_t port, uint64_t (*wall_clock)(void),
                     skep_sntp_answer *answer)
{
    ip_addr_t address = IPADDR4_INIT(server);

    server_port = port;
    wall = wall_clock;
    on_answer = answer;
    LOCK_TCPIP_CORE();
    sntp_setoperatingmode(SNTP_OPMODE_POLL);
    sntp_setserver(0, &address);
    sntp_init();
    UNLOCK_TCPIP_CORE();
}
