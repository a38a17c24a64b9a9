/* exposition.c - Prometheus' text formats. */
#include "exposition.h"

#include <string.h>

#define NUMBER_MAX 24u
#define SECOND     1000000000u

static void flush(struct exposition *x)
{
    if (x->bytes && !x->failed)
        x->failed = x->send(x->context, x->text, x->bytes) != 0;
    x->bytes = 0;
}

static void put(struct exposition *x, const char *text, size_t bytes)
{
    while (bytes) {
        size_t room = sizeof(x->text) - x->bytes, part = bytes < room ? bytes : room;
        memcpy(x->text + x->bytes, text, part);
        x->bytes += part;
        text += part;
        bytes -= part;
        if (x->bytes == sizeof(x->text))
            flush(x);
    }
}

static void put_text(struct exposition *x, const char *text)
{
    put(x, text, strlen(text));
}

/* Decimal, with at least so many digits. */
static void put_number(struct exposition *x, uint64_t value, unsigned digits)
{
    char text[NUMBER_MAX];
    unsigned at = NUMBER_MAX;

    do {
        text[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value || NUMBER_MAX - at < digits);
    put(x, text + at, NUMBER_MAX - at);
}

static const char *suffix_of(enum metric_type type)
{
    return type == METRIC_COUNTER ? "_total" : type == METRIC_INFO ? "_info" : "";
}

static const char *type_name(const struct exposition *x, enum metric_type type)
{
    static const char *const names[] = {"gauge", "counter", "info", "histogram", "unknown"};
    static const char *const former[] = {"gauge", "counter", "gauge", "histogram", "untyped"};

    return x->open_metrics ? names[type] : former[type];
}

static void put_comment(struct exposition *x, const char *word, const char *text)
{
    put_text(x, word);
    put_text(x, x->name);
    if (!x->open_metrics)
        put_text(x, x->suffix);
    put(x, " ", 1);
    put_text(x, text);
    put(x, "\n", 1);
}

void exposition_family(struct exposition *x, enum metric_type type, const char *name,
                       const char *help)
{
    x->name = name;
    x->suffix = suffix_of(type);
    x->has_labels = false;
    put_comment(x, "# HELP ", help);
    put_comment(x, "# TYPE ", type_name(x, type));
}

void exposition_suffix(struct exposition *x, const char *suffix)
{
    x->suffix = suffix;
}

static void put_name(struct exposition *x)
{
    put_text(x, x->name);
    put_text(x, x->suffix);
}

static void begin_label(struct exposition *x, const char *label)
{
    if (!x->has_labels)
        put_name(x);
    put(x, x->has_labels ? "," : "{", 1);
    x->has_labels = true;
    put_text(x, label);
    put(x, "=\"", 2);
}

void exposition_label(struct exposition *x, const char *label, const char *value)
{
    begin_label(x, label);
    while (*value) {
        size_t plain = strcspn(value, "\\\"\n");
        put(x, value, plain);
        value += plain;
        if (*value)
            put(x, *value == '\n' ? "\\n" : *value == '"' ? "\\\"" : "\\\\", 2);
        value += *value != '\0';
    }
    put(x, "\"", 1);
}

void exposition_label_number(struct exposition *x, const char *label, uint64_t value)
{
    begin_label(x, label);
    put_number(x, value, 1);
    put(x, "\"", 1);
}

static void begin_value(struct exposition *x)
{
    if (!x->has_labels)
        put_name(x);
    put_text(x, x->has_labels ? "} " : " ");
    x->has_labels = false;
}

void exposition_number(struct exposition *x, uint64_t value)
{
    begin_value(x);
    put_number(x, value, 1);
    put(x, "\n", 1);
}

void exposition_seconds(struct exposition *x, uint64_t ns)
{
    begin_value(x);
    put_number(x, ns / SECOND, 1);
    put(x, ".", 1);
    put_number(x, ns % SECOND, 9);
    put(x, "\n", 1);
}

bool exposition_end(struct exposition *x)
{
    if (x->open_metrics)
        put_text(x, "# EOF\n");
    flush(x);
    return !x->failed;
}
