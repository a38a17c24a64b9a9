/*
 * console.c - output rings with 64-bit offsets, so that a reader that comes back finds its place or is told that
 * it has expired.
 */
#include "core/console.h"

#include "core/frame.h"
#include "core/string.h"

static char *ring_at(struct console *console, uint64_t offset, uint32_t *run)
{
    uint32_t place = (uint32_t)(offset & (console->bytes - 1));
    uint32_t in_page = place & (uint32_t)PAGE_MASK;
    *run = SKEP_PAGE_SIZE - in_page;
    return (char *)frame_data(console->pages[place >> SKEP_PAGE_SHIFT]) + in_page;
}

static uint64_t oldest(const struct console *console)
{
    return console->end > console->bytes ? console->end - console->bytes : 0;
}

void console_write(struct console *console, const char *text, uint32_t bytes)
{
    spin_lock(&console->lock);
    while (bytes && console->bytes) {
        uint32_t run;
        char *to = ring_at(console, console->end, &run);
        uint32_t part = bytes < run ? bytes : run;
        memcpy(to, text, part);
        console->end += part;
        text += part;
        bytes -= part;
    }
    spin_unlock(&console->lock);
}

int console_read(struct console *console, uint64_t offset, char *text, uint32_t bytes)
{
    uint32_t copied = 0;
    spin_lock(&console->lock);
    if (offset < oldest(console) || offset > console->end) {
        spin_unlock(&console->lock);
        return -SKEP_ERANGE;
    }
    while (copied < bytes && offset < console->end) {
        uint32_t run;
        const char *from = ring_at(console, offset, &run);
        uint64_t left = console->end - offset;
        uint32_t part = bytes - copied < run ? bytes - copied : run;
        part = part < left ? part : (uint32_t)left;
        memcpy(text + copied, from, part);
        copied += part;
        offset += part;
    }
    spin_unlock(&console->lock);
    return (int)copied;
}

void console_offsets(struct console *console, uint64_t *first, uint64_t *end)
{
    spin_lock(&console->lock);
    *first = oldest(console);
    *end = console->end;
    spin_unlock(&console->lock);
}

uint32_t console_input_put(struct console *console, const char *text, uint32_t bytes)
{
    uint32_t taken = 0;
    spin_lock(&console->lock);
    while (taken < bytes && console->input_count < CONSOLE_INPUT_BYTES) {
        uint32_t place = (console->input_head + console->input_count++) % CONSOLE_INPUT_BYTES;
        console->input[place] = text[taken++];
    }
    spin_unlock(&console->lock);
    return taken;
}

uint32_t console_input_get(struct console *console, char *text, uint32_t bytes)
{
    uint32_t given = 0;
    spin_lock(&console->lock);
    while (given < bytes && console->input_count) {
        text[given++] = console->input[console->input_head];
        console->input_head = (console->input_head + 1) % CONSOLE_INPUT_BYTES;
        console->input_count--;
    }
    spin_unlock(&console->lock);
    return given;
}
