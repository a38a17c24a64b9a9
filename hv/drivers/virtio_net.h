/*
 * virtio_net.h - the driver of virtio network cards (Virtio 1.2, section 5.1).
 */
#ifndef DRIVERS_VIRTIO_NET_H
#define DRIVERS_VIRTIO_NET_H

#include "drivers/nic.h"
#include "drivers/pci.h"

/* Starts the card at this PCI function; NULL when it is none, or (with a line in the log) when it fails. Boot CPU. */
struct nic *virtio_net_start(const struct pci_device *pci, const struct nic_client *client);

#endif
