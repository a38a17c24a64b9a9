/*
 * net.h - a guest's network: its addresses and how to change them. Ordinary programs need none of
 * this: the first socket() starts the network with what the guest's specification says.
 *
 * Addresses of IPv4 are in network byte order, 0 = none; those of IPv6 are bytes. Errors are negative errno values. Any thread
 * may call any function; event handlers none.
 */
#ifndef SKEP_NET_H
#define SKEP_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "skep/abi.h"

struct skep_net_config {
    bool dhcp; /* ask for what follows, up to hostname; what is there is ignored */
    uint32_t address;
    uint32_t netmask;
    uint32_t gateway;
    uint32_t dns;
    uint32_t ntp; /* a time server that DHCP named; never set */
    const char
        *hostname; /* told to the DHCP server; NULL = none. Must stay as long as the network */
    struct skep_net6 ipv6; /* without SKEP_NET6_ON it is off */
};

/* Starts the network: brings up every device of the start-info page with the addresses given there.
 * Does nothing when it runs already. -ENOMEM. */
int skep_net_start(void);

/* Gives device (0, 1, …) another configuration, now. Starts the network if it doesn't run yet; this
 * device then never uses the start-info page's addresses. -ENODEV: no such device; -ENOMEM. */
int skep_net_configure(unsigned device, const struct skep_net_config *config);

/* Waits until some device has an address, other than IPv6's link-local one, until deadline_ns of skep_clock_ns() at most.
 * -ETIMEDOUT; -ENODEV: there is no device; -EINTR: the thread is to be cancelled; what skep_net_start() says. */
int skep_net_wait_ready(uint64_t deadline_ns);

/* What the device uses now, learned or set; hostname is NULL, and of ipv6 the dns is left out and a router's address that
 * was advertised. -ENODEV. */
int skep_net_status(unsigned device, struct skep_net_config *out);

#endif
