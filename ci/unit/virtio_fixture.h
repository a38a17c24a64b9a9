/*
 * virtio_fixture.h - a virtio device on PCI that a test plays. Its registers are plain memory: selecting features changes
 * nothing, so that both halves of the feature bits are the same word.
 */
#ifndef VIRTIO_FIXTURE_H
#define VIRTIO_FIXTURE_H

#include <stdint.h>

#define BAR_BYTES 0x4000u
#define COMMON    0x0000u
#define NOTIFY    0x1000u
#define CONFIG    0x2000u
#define STATUS    (COMMON + 0x14)

#define MSI_MAX 16u

extern uint8_t config_space[256];
extern uint8_t bar[BAR_BYTES];

/* The vectors that the driver has got, and how many it can get. */
extern struct msi {
    uint32_t cpu;
    void (*handler)(void *);
    void *argument;
} msi[MSI_MAX];
extern uint32_t msi_count, msi_limit;

/* Registers of the BAR. */
void put(uint32_t at, uint64_t value, uint32_t bytes);
uint64_t get(uint32_t at, uint32_t bytes);

/* A new device, whose own configuration is zero; table_size: the entries of its MSI-X table. */
void device_new(uint16_t id, uint32_t table_size, uint32_t queue_size, uint32_t features);

#endif
