/*
 * fake.h - how tests drive the fake machine.
 */
#ifndef ARCH_FAKE_H
#define ARCH_FAKE_H

#include "core/cpu.h"
#include "core/guest.h"
#include "core/types.h"

#define FAKE_IMAGE_PAGES 4u

/* How many characters the serial port still takes; SIZE_MAX = any number. */
extern size_t fake_serial_room;

/* Called with what goes to the serial port, when set. */
extern void (*fake_serial_sent)(const char *text, size_t bytes);

/* Boots the core on `ram_bytes` of memory and `cpus` CPUs, as core_main() does; once a process. The control service
 * is a guest that runs nothing. */
void fake_boot(uint64_t ram_bytes, uint32_t cpus);

/* Acts as CPU `index` from now on. */
struct cpu *fake_cpu_set(uint32_t index);

/* Goes the way back from a trap on this CPU: the vCPU that would run in ring 3, or NULL when the CPU idles. */
struct vcpu *fake_resume(void);

/* What devices do while the core waits at a fence towards them; NULL = nothing. */
extern void (*fake_device_runs)(void);

/* Handles the interrupts sent to this CPU and its timer, as far as they are due; then as fake_resume(). */
struct vcpu *fake_interrupts(void);

/* Advances the virtual clock. */
void fake_clock_advance(uint64_t ns);

/* A hypercall of the vCPU that runs on this CPU. The result that the guest sees; INT64_MIN when the vCPU doesn't go
 * on with it (ended, blocked, other registers). Restarted calls are carried through. */
int64_t fake_hypercall(struct vcpu *vcpu, uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2);

/* A touch of memory by the vCPU: true when the access goes through, after supply. */
bool fake_touch(struct vcpu *vcpu, uint64_t address, uint32_t access);

/* Makes sealed test images: one executable page, one writable page, one zero page, one trailing page. */
uint64_t fake_image(void);
uint64_t fake_guest(uint64_t image, uint64_t memory_bytes, uint32_t vcpus);

/* The guest with this handle; the reference stays with the table. */
struct guest *fake_find(uint64_t handle);

/* Lets all CPUs go round until nothing ended is left to be given back. */
void fake_settle(void);

/* Where in ring 0's view the guest's address is now, or NULL when it isn't present. */
void *fake_at(struct guest *guest, uint64_t address);

#endif
