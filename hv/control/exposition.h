/*
 * exposition.h - writes metrics as Prometheus reads them: its text format 0.0.4, or OpenMetrics 1.0.
 *
 * Families come one after the other, each with all its samples: a sample's labels, then its value. What is written goes
 * on in pieces of some kilobytes, so that memory doesn't grow with it; nothing is allocated.
 */
#ifndef CONTROL_EXPOSITION_H
#define CONTROL_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPOSITION_BYTES 8192u

/* INFO is a gauge that is always 1 and has labels. */
enum metric_type { METRIC_GAUGE, METRIC_COUNTER, METRIC_INFO, METRIC_HISTOGRAM, METRIC_UNKNOWN };

struct exposition {
    /* Whoever takes the text: 0, or it wants no more. */
    int (*send)(void *context, const char *text, size_t bytes);
    void *context;
    bool open_metrics, failed;

    const char *name, *suffix; /* of the family's samples */
    bool has_labels;           /* of the sample that is being written */
    size_t bytes;
    char text[EXPOSITION_BYTES];
};

/* Without the suffix that OpenMetrics has for samples of this type (_total, _info). */
void exposition_family(struct exposition *x, enum metric_type type, const char *name,
                       const char *help);

/* For samples of a histogram: "_bucket", "_sum", "_count". */
void exposition_suffix(struct exposition *x, const char *suffix);

void exposition_label(struct exposition *x, const char *label, const char *value);
void exposition_label_number(struct exposition *x, const char *label, uint64_t value);

/* These end a sample. */
void exposition_number(struct exposition *x, uint64_t value);
void exposition_seconds(struct exposition *x, uint64_t ns);

/* Sends the rest; whether all was taken. */
bool exposition_end(struct exposition *x);

#endif
