/*
 * wmemstream.c - open_wmemstream(): a stream that writes wide characters into memory that grows. newlib's own puts there the
 * bytes that a file would get.
 *
 * Those bytes come here, one by one, as the stream has no buffer, and become characters again. So a character must be one of
 * the locale's: in the C locale, of ASCII.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

#include "shim.h"

#define FIRST_ROOM 32u

/* All in characters. */
struct wide_memory {
    wchar_t **text;
    size_t *length; /* told to the program: up to the position, or the end if that is nearer */
    size_t position, end, room;
    mbstate_t state;
};

static void tell_length(struct wide_memory *memory)
{
    *memory->length = memory->position < memory->end ? memory->position : memory->end;
}

/* At the position, with what a seek has left out before it, and an end behind it. */
static int put(struct wide_memory *memory, wchar_t character)
{
    if (memory->position + 2 > memory->room) {
        size_t room = 2 * memory->position + FIRST_ROOM;
        wchar_t *larger = reallocarray(*memory->text, room, sizeof(*larger));
        if (larger == NULL)
            return -1;
        *memory->text = larger;
        memory->room = room;
    }
    wchar_t *text = *memory->text;
    while (memory->end < memory->position)
        text[memory->end++] = 0;
    text[memory->position++] = character;
    if (memory->position > memory->end) {
        memory->end = memory->position;
        text[memory->end] = 0;
    }
    tell_length(memory);
    return 0;
}

static ssize_t put_bytes(void *cookie, const char *bytes, size_t count)
{
    struct wide_memory *memory = cookie;
    for (size_t i = 0; i < count; i++) {
        wchar_t character;
        size_t result = mbrtowc(&character, bytes + i, 1, &memory->state);
        if (result == (size_t)-1 || (result != (size_t)-2 && put(memory, character) < 0))
            return -1;
    }
    return (ssize_t)count;
}

static int seek(void *cookie, off_t *offset, int whence)
{
    struct wide_memory *memory = cookie;
    off_t from = whence == SEEK_CUR   ? (off_t)memory->position
                 : whence == SEEK_END ? (off_t)memory->end
                                      : 0;
    off_t target;
    if (__builtin_add_overflow(from, *offset, &target) || target < 0 ||
        target > (off_t)(SIZE_MAX / 8 / sizeof(wchar_t))) {
        *offset = -1;
        return (int)skep_posix_result(-EINVAL);
    }
    memory->position = (size_t)target;
    tell_length(memory);
    *offset = target;
    return 0;
}

/* The text is the program's. */
static int forget(void *cookie)
{
    free(cookie);
    return 0;
}

FILE *open_wmemstream(wchar_t **text, size_t *length)
{
    const cookie_io_functions_t functions = {.write = put_bytes, .seek = seek, .close = forget};
    struct wide_memory *memory = calloc(1, sizeof(*memory));
    wchar_t *first = calloc(FIRST_ROOM, sizeof(*first));
    FILE *stream = memory != NULL && first != NULL ? fopencookie(memory, "w", functions) : NULL;
    if (stream == NULL) {
        free(first);
        free(memory);
        return NULL;
    }
    memory->text = text;
    memory->length = length;
    memory->room = FIRST_ROOM;
    *text = first;
    *length = 0;
    setvbuf(stream, NULL, _IONBF, 0);
    fwide(stream, 1);
    return stream;
}
