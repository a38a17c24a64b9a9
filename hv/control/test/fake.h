/* fake.h - what tests tell the fake core (core_fake.c). */
#ifndef CONTROL_FAKE_H
#define CONTROL_FAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "skep/control.h"

/* Makes the machine: its retained records, images and guests outlive the service's process if it is
 * forked off afterwards. */
void fake_start(const char *cmdline, const char *module);

/* Its disk: of so many bytes, which outlives the machine and is unmapped with its successor. data NULL = all zeroes. */
struct ram_disk;
void fake_set_disk(void *data, uint64_t bytes);
struct ram_disk *fake_disk(void);

/* The service was started again. */
void fake_count_restart(bool safe_mode);

/* Tests of what happens when ring 0 refuses. */
void fake_fail_retain(bool fail);
void fake_set_entropy(bool entropy);
void fake_fail_live_changes(bool fail);

/* Lets time pass at once. */
void fake_skip(uint64_t ns);

/* What a panic before the last warm reset left. */
void fake_set_panic(const char *text);

/* The retained page itself, for spoiling it. */
uint8_t *fake_record(unsigned record);

/* A disk of the machine, from now on: a file's content, or zeroes; its index. */
uint32_t fake_disk_add(const char *path, uint64_t bytes);
void fake_disk_fail(uint32_t disk);
uint8_t *fake_disk_data(uint32_t disk);

/* What a guest would do to an open volume: writes a value to the start of a chunk (false: it has to wait, or mustn't), reads
 * it, gives it back; begins (1) or ends (-1) to use the volume. */
bool fake_volume_write(const char *name, uint32_t chunk, uint64_t value);
uint64_t fake_volume_read(const char *name, uint32_t chunk);
void fake_volume_discard(const char *name, uint32_t chunk);
void fake_volume_use(const char *name, int more);
const struct skep_volume_status *fake_volume_status(const char *name); /* NULL: it isn't open */

/* Ring 0 forgets its volumes; what is on the disks stays. */
void fake_volumes_power_cut(void);

/* For core_fake_disk.c. */
void fake_storage_start(void);
int64_t fake_blocks_take(const struct skep_guest_spec *spec);
void fake_blocks_release(const struct skep_guest_spec *spec);
void fake_notify(uint64_t handle, uint32_t reason);

/* Hidden by a crash: what core_crash exits with. */
#define FAKE_CRASH_CODE 70

/* What core_power exits with. */
#define FAKE_OFF_CODE    71
#define FAKE_REBOOT_CODE 72

#define FAKE_RECORDS 192u
#define FAKE_CPUS    2u

#endif
