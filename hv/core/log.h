/*
 * log.h - the serial log, panic and assertions. A line is written whole, or left out when the serial port is too slow;
 * each starts with the time.
 *
 * Conversions: %s %c %d %u %x %lu %lx %ld %p %%, with an optional width and 0 flag.
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Logs one line; the newline is added. Any context. */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Writes raw text from the control service or a panic, without a time stamp. */
void log_raw(const char *text, size_t bytes);

/* From now on lines wait for log_step(), or no more: what waits is sent before it returns. */
void log_buffer(bool on);

extern _Atomic bool log_waiting;
bool log_send(void);

/* Sends what the serial port takes at once, bounded. Between traps, on any CPU; true = there is more. */
static inline bool log_step(void)
{
    return atomic_load_explicit(&log_waiting, memory_order_relaxed) && log_send();
}

/* For arch_panic(), when no other CPU runs any more: sends everything, then this. */
void log_panic(const char *text, size_t bytes);

/* Copies the latest of the log. */
size_t log_tail(char *to, size_t capacity);

/* Formats into a buffer, always NUL-terminated; returns the length without the NUL, cut to capacity - 1. */
size_t format_text(char *buffer, size_t capacity, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
size_t format_text_va(char *buffer, size_t capacity, const char *format, va_list arguments);

/* An error of our own code: says what, prints registers and a backtrace, stops the machine. */
_Noreturn void panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* States an invariant of our own code, in every build; never external input. */
#define CHECK(condition) \
    ((condition) ? (void)0 : panic("%s:%d: %s", __FILE_NAME__, __LINE__, #condition))

#endif
