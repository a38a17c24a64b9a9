/*
 * log.c - the serial log: formats a line into a buffer and writes it whole under one lock.
 */
#include "core/log.h"

#include "arch/arch.h"
#include "core/lock.h"
#include "core/string.h"

#define LINE_BYTES 256

static struct spinlock log_lock;

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
        put(sink, (uint8_t)text[i] < ' ' || text[i] == 127 ? '?' : text[i]);
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

void log_raw(const char *text, size_t bytes)
{
    spin_lock(&log_lock);
    arch_serial_write(text, bytes);
    spin_unlock(&log_lock);
}

void panic(const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    size_t length = format_text_va(line, sizeof(line) - 1, format, arguments);
    va_end(arguments);
    line[length++] = '\n';
    /* No lock: the CPU that holds it may be the one that panics. */
    arch_serial_write("\nPANIC: ", 8);
    arch_serial_write(line, length);
    arch_panic();
}
