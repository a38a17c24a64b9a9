/*
 * guest.h - guests: what is wanted (spec, retained) and what there is (ring 0's guest), and how the
 * one follows the other.
 *
 * A guest exists from the moment that its record is retained until that is erased. In between, ring 0
 * has or hasn't a guest of its name; guest_step() moves that towards the spec, after each change and
 * each notification. Nothing else starts, stops or destroys one.
 *
 * Commit: a change is first made in the record, then in memory, then in ring 0. A service that dies
 * in between finds the record at its start and finishes.
 *
 * All functions are called with the model's lock held.
 */
#ifndef CONTROL_GUEST_H
#define CONTROL_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include <cJSON.h>

#include "core.h"
#include "problem.h"
#include "spec.h"

struct guest {
    struct guest *next; /* by name */
    char name[SKEP_NAME_MAX];
    unsigned record;

    /* Retained. */
    struct spec spec;
    bool deleting;     /* it is to end, and then its record */
    bool replacing;    /* ring 0's guest is of a former spec and is to end */
    uint32_t failures; /* restarts in a row, for the back-off */
    uint64_t log_base; /* bytes that former guests of this name printed */

    /* Observed. */
    uint64_t handle; /* 0 = ring 0 has none */
    struct skep_guest_status status;

    /* Underway, core_clock_ns; 0 = not. */
    uint64_t stop_deadline, restart_at;
    char *crash;           /* the latest, as JSON */
    uint64_t crash_handle; /* of ring 0's guest that it is about */
    char error[160];       /* why ring 0 doesn't create it */
};

void model_lock(void);
void model_unlock(void);

/* Reads the records (unless in safe mode), finds ring 0's guests, and brings both together. `own` is
 * Skep's own address. */
void guest_adopt_all(bool safe_mode, unsigned record_count);

struct guest *guest_first(void);
struct guest *guest_find(const char *name);
const char *guest_using_image(const char *image); /* its name, or NULL */

/* Creates a guest or gives it a spec: 201 or 200, or -1 and the problem, and then nothing changed. */
int guest_put(const char *name, const struct spec *spec, struct problem *p);

/* 204 if it is gone, 202 if it takes a moment, or -1 and the problem. */
int guest_delete(struct guest *guest, struct problem *p);

/* Looks at ring 0's guest and does what is due. The guest may be gone afterwards. */
void guest_step(struct guest *guest);

/* Steps the one with this handle, or all for 0. */
void guest_step_handle(uint64_t handle);
/* When the next step is due without a notification; UINT64_MAX = never. */
uint64_t guest_next_deadline(void);

/* Takes a fresh status from ring 0. */
void guest_refresh(struct guest *guest);

/* Whether ring 0's guest has ended and no other will follow. */
bool guest_has_ended(const struct guest *guest);

cJSON *guest_to_json(struct guest *guest);

/* For guest_step.c. */
bool guest_retain(const struct guest *guest);
void guest_forget(struct guest *guest); /* out of the table, and freed */
int64_t guest_create_in_core(struct guest *guest);

/* crash.c */
char *crash_text(const struct skep_guest_status *status);

#endif
