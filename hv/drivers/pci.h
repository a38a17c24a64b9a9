/*
 * pci.h - finding PCI functions, their capabilities, registers and MSI-X.
 *
 * What configuration space says is bounded and checked: a capability list that loops ends, a region must lie in
 * its BAR. Errors are negative SKEP_E… codes.
 */
#ifndef DRIVERS_PCI_H
#define DRIVERS_PCI_H

#include "core/types.h"

#define PCI_CAPABILITY_VENDOR 0x09u
#define PCI_CAPABILITY_MSIX   0x11u

struct pci_device {
    uint32_t address; /* bus << 8 | device << 3 | function */
    uint16_t vendor, device;
};

/* Calls found() for each function of each bus that bridges lead to from bus 0. */
void pci_scan(void (*found)(const struct pci_device *));

/* Configuration space; all ones beyond its end. */
uint32_t pci_read(const struct pci_device *pci, uint32_t offset, uint32_t bytes);
void pci_write(const struct pci_device *pci, uint32_t offset, uint32_t bytes, uint32_t value);

/* The configuration offset of the next capability `id` after offset `after` (0 = from the first), 0 = none. */
uint32_t pci_capability(const struct pci_device *pci, uint8_t id, uint32_t after);

/* Lets the function answer to its memory BARs and start transfers. */
void pci_enable(const struct pci_device *pci);

/* It starts no transfers any more, interrupts included. */
void pci_disable(const struct pci_device *pci);

/* Maps `bytes` at `offset` of a memory BAR. NULL, with a line in the log, when there is no such region. */
volatile void *pci_map(const struct pci_device *pci, uint32_t bar, uint64_t offset, uint64_t bytes);

/* Programs MSI-X entry `entry` to call handler(argument) on the CPU and switches MSI-X on. */
int pci_msix_enable(const struct pci_device *pci, uint32_t entry, uint32_t cpu,
                    void (*handler)(void *), void *argument);

#endif
