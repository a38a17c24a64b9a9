/* fake.h - what tests tell the fake core (core_fake.c). */
#ifndef CONTROL_FAKE_H
#define CONTROL_FAKE_H

#include <stdbool.h>
#include <stdint.h>

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

/* Hidden by a crash: what core_crash exits with. */
#define FAKE_CRASH_CODE 70

/* What core_power exits with. */
#define FAKE_OFF_CODE    71
#define FAKE_REBOOT_CODE 72

#define FAKE_RECORDS 192u
#define FAKE_CPUS    2u

#endif
