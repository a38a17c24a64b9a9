/*
 * console.c - the guest's console: output is a hypercall, input an event.
 *
 * Ring 0 gives input only by taking it away, so a byte that skep_console_readable() found is kept
 * here for the next read.
 */
#include <string.h>

#include "internal.h"

static struct {
    struct skep_mutex lock; /* guards kept and kept_bytes */
    char kept[64];
    size_t kept_bytes;
    _Atomic uint32_t arrivals; /* counts input events; readers wait on it */
    void (*_Atomic on_input)(void);
    _Atomic bool listening;
} console;

void skep_console_write(const void *data, size_t bytes)
{
    const char *rest = data;
    while (bytes != 0) {
        int64_t taken = skep_hc_console_write(rest, bytes);
        if (taken < 0)
            return; /* the caller's own fault; there is nobody to tell */
        rest += taken;
        bytes -= (size_t)taken;
    }
}

static void input_arrived(unsigned event, void *argument)
{
    (void)event;
    (void)argument;
    atomic_fetch_add_explicit(&console.arrivals, 1, memory_order_release);
    skep_wake(&console.arrivals, SKEP_WAKE_ALL);
    void (*function)(void) = atomic_load_explicit(&console.on_input, memory_order_acquire);
    if (function != NULL)
        function();
}

static void listen(void)
{
    if (!atomic_exchange_explicit(&console.listening, true, memory_order_relaxed))
        skep_event_handler(SKEP_EVENT_CONSOLE, input_arrived, NULL);
}

void skep_console_on_input(void (*function)(void))
{
    atomic_store_explicit(&console.on_input, function, memory_order_release);
    listen();
}

/* The lock is held. */
static void fill(void)
{
    if (console.kept_bytes != 0)
        return;
    int64_t bytes = skep_hc_console_read(console.kept, sizeof(console.kept));
    console.kept_bytes = bytes > 0 ? (size_t)bytes : 0;
}

static size_t take(void *data, size_t bytes)
{
    skep_mutex_lock(&console.lock);
    fill();
    if (bytes > console.kept_bytes)
        bytes = console.kept_bytes;
    memcpy(data, console.kept, bytes);
    console.kept_bytes -= bytes;
    memmove(console.kept, console.kept + bytes, console.kept_bytes);
    skep_mutex_unlock(&console.lock);
    return bytes;
}

size_t skep_console_readable(void)
{
    listen();
    skep_mutex_lock(&console.lock);
    fill();
    size_t bytes = console.kept_bytes;
    skep_mutex_unlock(&console.lock);
    return bytes;
}

int64_t skep_console_read(void *data, size_t bytes, uint64_t deadline_ns)
{
    listen();
    if (bytes == 0)
        return 0;
    for (;;) {
        uint32_t seen = atomic_load_explicit(&console.arrivals, memory_order_acquire);
        size_t taken = take(data, bytes);
        if (taken != 0)
            return (int64_t)taken;
        if (skep_wait(&console.arrivals, seen, deadline_ns) == -SKEP_ETIMEDOUT)
            return -SKEP_ETIMEDOUT;
    }
}
