/* operations.c - the latest operations, and the threads of those that run. */
#include "operations.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "skep_tls.h"
#include "thread.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER;
static struct operation kept[OPERATIONS_KEPT];
static uint64_t last_number;

/* What the thread of one gets. */
struct work {
    struct operation *operation;
    struct storage_copy copy;
};

/* Holds the lock. */
static struct operation *find(const char *id)
{
    for (struct operation *o = kept; o < kept + OPERATIONS_KEPT; o++)
        if (o->id[0] && strcmp(o->id, id) == 0)
            return o;
    return NULL;
}

/* The place of the oldest one that has ended, or none; NULL when too many run. Holds the lock. */
static struct operation *find_place(void)
{
    struct operation *place = NULL;
    unsigned running = 0;

    for (struct operation *o = kept; o < kept + OPERATIONS_KEPT; o++) {
        if (o->id[0] && o->state == OPERATION_RUNNING)
            running++;
        else if (!place || o->number < place->number)
            place = o;
    }
    return running < OPERATIONS_RUNNING_MAX ? place : NULL;
}

/*
 * The thread
 */

/* Counts what is done; whether it is to go on. */
static bool advance(struct operation *o, uint64_t done)
{
    bool goes_on;

    pthread_mutex_lock(&lock);
    o->done_bytes = done;
    goes_on = !o->cancel;
    pthread_mutex_unlock(&lock);
    return goes_on;
}

static void explain(struct problem *p, int error)
{
    if (error == -SKEP_ENOSPC)
        problem_set(p, 409, "The copy's disk is full: delete a volume, or choose another disk.");
    else if (error == -SKEP_ENOMEM)
        problem_set(p, 503, "There was no memory for the copy; try again.");
    else
        problem_set(p, 503, "A disk is damaged or has failed; see GET /v1/disks.");
}

static const char *const ends[] = {[OPERATION_DONE] = "copied",
                                   [OPERATION_FAILED] = "copy-failed",
                                   [OPERATION_CANCELLED] = "copy-cancelled"};

/* The trail has it before anybody is told. */
static void note_end(const struct operation *o, const char *what, int status)
{
    char path[AUDIT_PATH_MAX], detail[AUDIT_DETAIL_MAX];

    snprintf(path, sizeof(path), "/v1/operations/%s", o->id);
    snprintf(detail, sizeof(detail), "%s: %s", what, o->volume);
    audit_note("END", path, detail, status);
}

static void end(struct operation *o, enum operation_state state, int error)
{
    struct problem p = {0};

    if (state == OPERATION_FAILED)
        explain(&p, error);
    note_end(o, ends[state], state == OPERATION_FAILED ? p.status : 200);
    pthread_mutex_lock(&lock);
    o->state = state;
    o->error = p;
    o->ended_ns = core_wall_ns();
    events_add(EVENT_VOLUMES, ends[state], o->volume, NULL, "\"operation\":\"%s\"", o->id);
    pthread_cond_broadcast(&ended);
    pthread_mutex_unlock(&lock);
}

static void *work(void *argument)
{
    struct work *w = argument;
    struct operation *o = w->operation;
    uint64_t at = 0;
    int result = 0, ending;
    bool goes_on = true;

    while (result == 0 && goes_on && at < w->copy.from.bytes) {
        result = storage_copy_step(&w->copy, &at);
        goes_on = advance(o, at);
    }
    ending = storage_copy_end(&w->copy, result != 0 || !goes_on);
    free(w);
    if (result == 0)
        result = ending;
    end(o, result ? OPERATION_FAILED : goes_on ? OPERATION_DONE : OPERATION_CANCELLED, result);
    return NULL;
}

/*
 * Beginnings
 */

/* Fills a place; others see it from then on. */
static struct operation *add(const struct storage_wish *wish, struct problem *p)
{
    const char *caller = audit_caller();
    struct operation *place;
    uint64_t random;

    if (tls_random(&random, sizeof(random)) != 0) {
        problem_set(p, 503, "There is no randomness for an id now; try again.");
        return NULL;
    }
    pthread_mutex_lock(&lock);
    place = find_place();
    if (place) {
        *place = (struct operation){.number = ++last_number, .began_ns = core_wall_ns()};
        snprintf(place->id, sizeof(place->id), "%016" PRIx64, random);
        snprintf(place->caller, sizeof(place->caller), "%s", caller ? caller : "");
        snprintf(place->volume, sizeof(place->volume), "%s", wish->name);
        snprintf(place->source, sizeof(place->source), "%s", wish->source);
    }
    pthread_mutex_unlock(&lock);
    if (!place) {
        strcpy(p->fields, "Retry-After: 5\r\n");
        problem_set(p, 503, "%u operations run, which is the most: wait for one, or cancel it.",
                    OPERATIONS_RUNNING_MAX);
    }
    return place;
}

static void take_back(struct operation *o)
{
    pthread_mutex_lock(&lock);
    *o = (struct operation){.id = ""};
    pthread_cond_broadcast(&ended);
    pthread_mutex_unlock(&lock);
}

/* 202, or -1 and the problem. The thread can't end before the storage's lock is free. */
static int begin(struct operation *o, struct work *w, const struct storage_wish *wish,
                 struct problem *p)
{
    w->operation = o;
    if (storage_copy_begin(&w->copy, wish, p) < 0)
        return -1;
    pthread_mutex_lock(&lock);
    o->total_bytes = w->copy.from.bytes;
    pthread_mutex_unlock(&lock);
    if (thread_start(work, w) == 0)
        return 202;
    storage_copy_drop(&w->copy);
    return problem_set(p, 503, "There is no memory for the request now; try again.");
}

int operations_copy(const struct storage_wish *wish, struct operation *begun, struct problem *p)
{
    struct operation *o = add(wish, p);
    struct work *w = o ? calloc(1, sizeof(*w)) : NULL;

    if (w && begin(o, w, wish, p) > 0) {
        events_add(EVENT_VOLUMES, "copying", wish->name, audit_caller(), "\"operation\":\"%s\"",
                   o->id);
        operations_find(o->id, begun);
        return 202;
    }
    if (o && !w)
        problem_set(p, 503, "There is no memory for the request now; try again.");
    if (o)
        take_back(o);
    free(w);
    return -1;
}

/*
 * Looks
 */

bool operations_find(const char *id, struct operation *found)
{
    const struct operation *o;

    pthread_mutex_lock(&lock);
    o = find(id);
    if (o)
        *found = *o;
    pthread_mutex_unlock(&lock);
    return o != NULL;
}

bool operations_before(uint64_t number, struct operation *found)
{
    const struct operation *latest = NULL;

    pthread_mutex_lock(&lock);
    for (const struct operation *o = kept; o < kept + OPERATIONS_KEPT; o++)
        if (o->id[0] && o->number < number && (!latest || o->number > latest->number))
            latest = o;
    if (latest)
        *found = *latest;
    pthread_mutex_unlock(&lock);
    return latest != NULL;
}

bool operations_cancel(const char *id)
{
    struct operation *o;
    bool runs;

    pthread_mutex_lock(&lock);
    o = find(id);
    runs = o && o->state == OPERATION_RUNNING;
    if (runs)
        o->cancel = true;
    pthread_mutex_unlock(&lock);
    return runs;
}

void operations_wait(const char *id, unsigned ms)
{
    const struct operation *o;
    struct timespec until = thread_until(ms * 1000000ull);

    pthread_mutex_lock(&lock);
    while ((o = find(id)) != NULL && o->state == OPERATION_RUNNING &&
           pthread_cond_timedwait(&ended, &lock, &until) == 0)
        continue;
    pthread_mutex_unlock(&lock);
}

void operations_forget(void)
{
    pthread_mutex_lock(&lock);
    for (struct operation *o = kept; o < kept + OPERATIONS_KEPT; o++) {
        o->cancel = true;
        while (o->id[0] && o->state == OPERATION_RUNNING)
            pthread_cond_wait(&ended, &lock);
    }
    memset(kept, 0, sizeof(kept));
    pthread_mutex_unlock(&lock);
}
