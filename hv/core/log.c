/*
 * log.c - the serial log: lines are formatted, put whole into a ring, and sent bit by bit as the port takes them.
 *
 * A serial port is slow, and interrupts are off in ring 0. So nobody waits for it: log_step(), between traps, sends
 * what the port takes at once. A full ring loses lines, and says so later. Only until the machine runs, at its end
 * and in a panic is everything sent at once.
 */
#include "core/log.h"

#include "arch/arch.h"
#include "core/cpu.h"
#include "core/lock.h"
#include "core/string.h"

#define LINE_BYTES 256
#define RING_BYTES 16384u
#define STEP_BYTES 128u /* of log_step() */

/* Guards what follows. `written` and `sent` count all bytes ever; `sending`: a CPU is at the port. */
static struct spinlock log_lock = {.kind = LOCK_LOG};
static char ring[RING_BYTES];
static uint64_t written, sent, lost;
static bool buffered, sending;
_Atomic bool log_waiting;

struct sink {
    char *buffer;
    size_t capacity, length;
};

static void put(struct sink *sink, char c)
{
    if (sink->length + 1 < sink->capacity) {
        sink->buffer[sink->length++] = c;
    }
}

static void put_text(struct sink *sink, const char *text, unsigned width)
{
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++) {
        /* Some texts are a guest's: none may begin a line of its own or steer a terminal. */
        put(sink, text[i] < ' ' || text[i] > '~' ? '?' : text[i]);
    }
    for (; length < width; length++) {
        put(sink, ' ');
    }
}

static void put_number(struct sink *sink, uint64_t value, unsigned base, unsigned width, char fill)
{
    char digits[20];
    unsigned count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    for (unsigned i = count; i < width; i++) {
        put(sink, fill);
    }
    while (count) {
        put(sink, digits[--count]);
    }
}

static void put_signed(struct sink *sink, int64_t value, unsigned width, char fill)
{
    if (value < 0) {
        put(sink, '-');
        value = -value;
    }
    put_number(sink, (uint64_t)value, 10, width, fill);
}

/* One conversion, after the '%'; returns where the format goes on. */
static const char *convert(struct sink *sink, const char *format, va_list *arguments)
{
    char fill = ' ';
    unsigned width = 0;
    bool wide = false;
    if (*format == '0') {
        fill = '0';
        format++;
    }
    for (; *format >= '0' && *format <= '9'; format++) {
        width = width * 10 + (unsigned)(*format - '0');
    }
    for (; *format == 'l'; format++) {
        wide = true;
    }
    switch (*format) {
    case 's':
        put_text(sink, va_arg(*arguments, const char *), width);
        break;
    case 'c':
        put(sink, (char)va_arg(*arguments, int));
        break;
    case 'd':
        put_signed(sink, wide ? va_arg(*arguments, long) : va_arg(*arguments, int), width, fill);
        break;
    case 'u':
    case 'x':
        put_number(sink, wide ? va_arg(*arguments, unsigned long) : va_arg(*arguments, unsigned),
                   *format == 'x' ? 16 : 10, width, fill);
        break;
    case 'p':
        put_number(sink, (uintptr_t)va_arg(*arguments, void *), 16, 16, '0');
        break;
    default:
        put(sink, *format);
        break;
    }
    return *format ? format + 1 : format;
}

size_t format_text_va(char *buffer, size_t capacity, const char *format, va_list arguments)
{
    struct sink sink = {.buffer = buffer, .capacity = capacity};
    va_list copy;
    va_copy(copy, arguments);
    while (*format) {
        if (*format == '%') {
            format = convert(&sink, format + 1, &copy);
        } else {
            put(&sink, *format++);
        }
    }
    va_end(copy);
    buffer[sink.length] = 0;
    return sink.length;
}

size_t format_text(char *buffer, size_t capacity, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t length = format_text_va(buffer, capacity, format, arguments);
    va_end(arguments);
    return length;
}

static size_t format_stamp(char *buffer, size_t capacity)
{
    uint64_t now = arch_clock_ns();
    return format_text(buffer, capacity, "[%5lu.%06lu] ", (unsigned long)(now / 1000000000),
                       (unsigned long)(now / 1000 % 1000000));
}

void log_line(const char *format, ...)
{
    char line[LINE_BYTES];
    size_t length = format_stamp(line, sizeof(line));
    va_list arguments;
    va_start(arguments, format);
    length += format_text_va(line + length, sizeof(line) - length - 1, format, arguments);
    va_end(arguments);
    line[length++] = '\n';
    log_raw(line, length);
}

/* ---- the ring ---- */

static bool room_for(size_t bytes)
{
    return bytes <= RING_BYTES - (written - sent);
}

static void append(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        ring[written++ % RING_BYTES] = text[i];
    }
}

/* What is next to be sent, in one piece. */
static size_t unsent(const char **text)
{
    size_t place = sent % RING_BYTES, left = written - sent;
    *text = &ring[place];
    return left < RING_BYTES - place ? left : RING_BYTES - place;
}

/* Sends everything, however long it takes. Holds log_lock, or is alone. What another CPU is at in log_send() may come
 * twice, but doesn't count twice. */
static void drain(void)
{
    const char *text;
    size_t bytes;
    sending = false;
    while ((bytes = unsent(&text))) {
        arch_serial_write(text, bytes);
        sent += bytes;
    }
}

void log_raw(const char *text, size_t bytes)
{
    char note[LINE_BYTES];
    spin_lock(&log_lock);
    size_t length =
        lost ? format_text(note, sizeof(note), "(%lu bytes of the log are lost)\n", lost) : 0;
    if (room_for(length + bytes)) {
        append(note, length);
        append(text, bytes);
        lost = 0;
    } else {
        lost += bytes;
    }
    if (buffered) {
        log_waiting = true;
        atomic_store(&arch_cpu()->resched, 1); /* so that this CPU comes to log_step() */
    } else {
        drain();
    }
    spin_unlock(&log_lock);
}

void log_buffer(bool on)
{
    spin_lock(&log_lock);
    buffered = on;
    if (!on) {
        drain();
        log_waiting = false;
    }
    spin_unlock(&log_lock);
}

/* Nobody waits for the port: whoever sends holds no lock meanwhile, and others leave it to them. */
bool log_send(void)
{
    const char *text;
    spin_lock(&log_lock);
    size_t bytes = sending ? 0 : unsent(&text);
    sending |= bytes > 0;
    spin_unlock(&log_lock);
    if (!bytes) {
        return false;
    }
    bytes = arch_serial_offer(text, bytes < STEP_BYTES ? bytes : STEP_BYTES);
    spin_lock(&log_lock);
    sent += sending ? bytes : 0; /* not if drain() has sent all meanwhile */
    sending = false;
    bool left = sent != written;
    log_waiting = left;
    spin_unlock(&log_lock);
    return left;
}

/* ---- panic ---- */

void panic(const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    format_text_va(line, sizeof(line), format, arguments);
    va_end(arguments);
    arch_panic(line);
}

/* No lock: the CPU that holds it may be the one that panics, and the others have been stopped. */
void log_panic(const char *text, size_t bytes)
{
    drain();
    append(text, bytes);
    drain();
}

size_t log_tail(char *to, size_t capacity)
{
    size_t kept = written < RING_BYTES ? written : RING_BYTES;
    size_t bytes = kept < capacity ? kept : capacity;
    for (size_t i = 0; i < bytes; i++) {
        to[i] = ring[(written - bytes + i) % RING_BYTES];
    }
    return bytes;
}
