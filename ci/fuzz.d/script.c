/* script.c - bytes with lengths among them, made from the input. */
#include "script.h"

#include <string.h>

void script_begin(struct script *s)
{
    s->count = 0;
    s->open_count = 0;
}

void script_put(struct script *s, const void *bytes, size_t count)
{
    size_t room = SCRIPT_MAX - s->count;

    count = count < room ? count : room;
    memcpy(s->bytes + s->count, bytes, count);
    s->count += count;
}

void script_put_number(struct script *s, uint32_t number, unsigned bytes)
{
    for (unsigned i = bytes; i-- > 0;) {
        uint8_t byte = (uint8_t)(number >> 8 * i);
        script_put(s, &byte, 1);
    }
}

static void field_begin(struct script *s, unsigned bytes)
{
    if (s->open_count < SCRIPT_FIELDS_MAX && s->count + bytes <= SCRIPT_MAX) {
        s->open[s->open_count].at = s->count;
        s->open[s->open_count++].bytes = bytes;
        script_put_number(s, 0, bytes);
    }
}

static void field_end(struct script *s)
{
    size_t end = s->count;

    if (s->open_count > 0) {
        size_t at = s->open[--s->open_count].at;
        unsigned bytes = s->open[s->open_count].bytes;

        s->count = at;
        script_put_number(s, (uint32_t)(end - at - bytes), bytes);
        s->count = end;
    }
}

void script_end(struct script *s)
{
    while (s->open_count > 0) {
        field_end(s);
    }
}

static void literal(struct script *s, struct input *input, size_t count)
{
    uint8_t bytes[128];

    input_take(input, bytes, count);
    script_put(s, bytes, count);
}

uint8_t script_take(struct script *s, struct input *input)
{
    while (input_left(input)) {
        uint8_t code = input_byte(input);

        if (code < 0x80) {
            literal(s, input, code);
        } else if (code < 0x90) {
            field_begin(s, code & 3);
        } else if (code < 0xA0) {
            field_end(s);
        } else {
            return code;
        }
    }
    return 0;
}
