/*
 * hypercall.h - the hypercalls of a virtqueue's driver, as functions that the test's back-end has.
 */
#ifndef SKEP_HYPERCALL_H
#define SKEP_HYPERCALL_H

#include <stdbool.h>
#include <stdint.h>

#include "skep/abi.h"

int64_t skep_hc_queue_setup(const struct skep_queue_setup *setup);
int64_t skep_hc_queue_kick(uint32_t queue);
int64_t skep_hc_net_group(uint32_t device, uint64_t mac, bool join);

#endif
