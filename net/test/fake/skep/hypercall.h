/*
 * hypercall.h - the hypercalls of a virtqueue's driver, as functions that the test's back-end has.
 */
#ifndef SKEP_HYPERCALL_H
#define SKEP_HYPERCALL_H

#include <stdint.h>

#include "skep/abi.h"

int64_t skep_hc_queue_setup(const struct skep_queue_setup *setup);
int64_t skep_hc_queue_kick(uint32_t queue);

#endif
