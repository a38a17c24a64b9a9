/*
 * guest.h - what a guest can ask of its library besides threads: events, time, memory, console,
 * randomness and its end.
 *
 * Errors are negative errno values, of <skep/abi.h> (SKEP_E…), which are newlib's too. Any thread may
 * call any function; event handlers may call those that say so.
 */
#ifndef SKEP_GUEST_H
#define SKEP_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "skep/abi.h"

/* What the hypervisor told this guest at its start: arguments, devices, limits. Read-only. */
const struct skep_start_info *skep_start_info(void);

/*
 * Events
 */

/* Calls function(event, argument) whenever the event (SKEP_EVENT_…) comes, on the first vCPU, with
 * upcalls masked, on a small stack: it should wake a thread and return. Never block in one. NULL
 * takes the handler away and masks the event. -EINVAL: no such event, or SKEP_EVENT_TIMER or _IPI,
 * which the scheduler has for itself.
 * SKEP_EVENT_SHUTDOWN asks the guest to stop in good order. Without a handler it ends with code 0. */
int skep_event_handler(unsigned event, void (*function)(unsigned event, void *argument),
                       void *argument);

/*
 * Time. Event handlers may call these.
 */

/* Nanoseconds since the machine started; never goes back. */
uint64_t skep_clock_ns(void);

/* CPU time that the guest's vCPUs have had together. */
uint64_t skep_cpu_ns(void);

/* UNIX time in nanoseconds, 0 if the machine doesn't know it. */
uint64_t skep_wall_clock_ns(void);

/*
 * Memory
 */

/* Maps zeroed memory of bytes (rounded up to pages) with protection how (SKEP_PROT_…) at an address
 * that ring 0 chooses. The address, or -SKEP_ENOMEM: beyond what this guest was promised. With
 * SKEP_MAP_RESERVE in how, pages count when they are touched, and one beyond the promise ends the guest. */
int64_t skep_mem_map(size_t bytes, unsigned how);

/* Change the rights (SKEP_PROT_…) of mapped pages, and give pages back. The address is a page's, bytes are rounded up to
 * pages, and the span may cover several mappings without gaps. 0, or an error of SKEP_HC_MEM_PROTECT or _UNMAP (docs/abi.md). */
int skep_mem_protect(void *address, size_t bytes, unsigned prot);
int skep_mem_unmap(void *address, size_t bytes);

/* As skep_mem_unmap(), of a span of which nothing need be mapped. */
int skep_mem_unmap_all(void *address, size_t bytes);

/* Gives back the pages of a span alone: what is mapped stays so, and is zeroed, or as it is in the image, when it is touched
 * next. Nothing of it may be in use by a device. As skep_mem_unmap(); -SKEP_EFAULT: there are gaps, and all else has been given
 * back, unless there is another error, which wins; -SKEP_ENOSYS: the hypervisor is an older one. */
int skep_mem_drop(void *address, size_t bytes);

/* As skep_mem_map(), at an address, which begins a page, in place of what is mapped there. That is gone even if this fails, but
 * for -SKEP_EFAULT, which leaves it, or all but a part: these aren't addresses for mappings, or the table of spans has no room
 * for what would be left around. Who touches it meanwhile faults. */
int64_t skep_mem_map_at(void *address, size_t bytes, unsigned how);

/* Moves the end of the heap by increment bytes and stores the old end. Memory comes and goes in
 * steps; what is fresh is zeroed. -SKEP_ENOMEM: beyond the promise or the reserved range; nothing
 * changed. */
int skep_heap_grow(ptrdiff_t increment, void **old_end);

/*
 * Console
 */

/* Writes all of it. Event handlers may call it. */
void skep_console_write(const void *data, size_t bytes);

/* Reads what there is, at least a byte, by the deadline. Bytes, or -SKEP_ETIMEDOUT. */
int64_t skep_console_read(void *data, size_t bytes, uint64_t deadline_ns);

/* How many bytes skep_console_read() is sure to have at once; there may be more unless it is 0. */
size_t skep_console_readable(void);

/* Has function called, in an event handler's place, when there is input. */
void skep_console_on_input(void (*function)(void));

/*
 * Statistics
 */

/* A number of this name, which whoever operates the machine can read (GET /metrics): add to it or set it at any time, for
 * no more than any memory costs. Names are [a-z][a-z0-9_]*, 23 characters at most; the same name gives the same number.
 * There can be SKEP_STATS_MAX, of which libraries take some when they are first used: "heap_bytes", "sockets". The number
 * of a name that is too long, or one too many, is read by nobody. */
_Atomic uint64_t *skep_stat(const char *name);

/*
 * Randomness
 */

/* Fills data with bytes from a ChaCha20 generator, keyed from the start-info seed and RDRAND, and
 * keyed anew when start-info has another generation than before. */
void skep_random(void *data, size_t bytes);

/*
 * The end
 */

/* Ends the guest: at once, all threads. A code of 0 means success. */
_Noreturn void skep_exit(uint32_t code);

/* Ends the guest as crashed, with a message for its crash record. Event handlers may call it. */
_Noreturn void skep_abort(const char *message);

#endif
