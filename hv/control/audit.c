/* audit.c - makes the records of the audit trail, and keeps them. */
#include "audit.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "audit_log.h"
#include "core.h"
#include "hex.h"
#include "json.h"
#include "log.h"
#include "skep/abi.h"
#include "skep_tls.h"

#define MEMORY_BLOCKS 32u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* taken before the store's */
static struct audit_extent now;                          /* first 0 = none */
static uint32_t log_blocks;
static struct audit_block tail; /* with the last record */
static struct audit_block memory[MEMORY_BLOCKS];

static _Thread_local struct audit_call *current;

static uint32_t block_count(void)
{
    return now.on_disk ? log_blocks : MEMORY_BLOCKS;
}

static uint32_t block_of(uint64_t id)
{
    return (uint32_t)((id - 1) / AUDIT_SLOTS % block_count());
}

/*
 * Making one
 */

struct making {
    struct audit_block block; /* the tail as it is to be */
    struct state_log log;
    const struct audit_record *record;
    uint64_t id;
};

static void digest_text(const uint8_t *digest, char text[2 * STATE_DIGEST + 1])
{
    text[0] = '\0';
    if (digest)
        hex_format(text, digest, STATE_DIGEST);
}

static void fill(struct audit_record *r, const struct audit_call *call, int status, uint64_t id,
                 const char *value, const uint8_t *before, const uint8_t *after)
{
    char time[JSON_TIME_MAX], old[2 * STATE_DIGEST + 1], new[2 * STATE_DIGEST + 1];
    char previous[2 * sizeof(now.digest) + 1];
    int n;

    json_time_text(core_wall_ns(), time);
    digest_text(before, old);
    digest_text(after, new);
    hex_format(previous, now.digest, sizeof(now.digest));
    n = snprintf(r->text, sizeof(r->text), "%" PRIu64 "\n%s\n%s\n%s\n%s\n%d\n%s\n%s\n%s\n%s\n%s\n",
                 id, time, call->method, call->path, call->caller, status, value, old, new,
                 call->detail, previous);
    r->magic = AUDIT_MAGIC;
    r->bytes = n < (int)sizeof(r->text) ? (uint32_t)n : (uint32_t)sizeof(r->text) - 1;
    tls_sha256(r->text, r->bytes, r->digest);
}

/* Holds the lock. */
static void make(struct making *m, const struct audit_call *call, int status, const char *value,
                 const uint8_t *before, const uint8_t *after)
{
    unsigned slot = now.last % AUDIT_SLOTS;

    m->id = now.last + 1;
    m->block = tail;
    if (slot == 0)
        memset(&m->block, 0, sizeof(m->block));
    memset(&m->block.slots[slot], 0, sizeof(m->block.slots[slot]));
    m->record = &m->block.slots[slot];
    fill(&m->block.slots[slot], call, status, m->id, value, before, after);
    m->log = (struct state_log){block_of(m->id), &m->block};
}

/* The oldest that is kept beside the last one: one block is left out. */
static uint64_t first_kept(uint64_t first, uint64_t last)
{
    uint64_t most = (block_count() - 1) * AUDIT_SLOTS;
    uint64_t end = ((last - 1) / AUDIT_SLOTS + 1) * AUDIT_SLOTS;

    return first && end - (first - 1) <= most ? first : end > most ? end - most + 1 : 1;
}

/* Holds the lock. It is where it is kept. */
static void publish(const struct making *m)
{
    tail = m->block;
    if (!now.on_disk)
        memory[block_of(m->id)] = m->block;
    now.last = m->id;
    now.first = first_kept(now.first ? now.first : m->id, m->id);
    memcpy(now.digest, m->record->digest, sizeof(now.digest));
}

/* One that goes with no change. The disk's refusal is told; what the client asked for is done by then. */
static void append(const struct audit_call *call, int status)
{
    struct making m;
    int result = 0;

    pthread_mutex_lock(&lock);
    make(&m, call, status, "", NULL, NULL);
    if (now.on_disk)
        result = state_log_write(&m.log);
    if (result == 0)
        publish(&m);
    pthread_mutex_unlock(&lock);
    if (result != 0)
        log_line("audit: no record of %s %s, answered %d (error %d)", call->method, call->path,
                 status, -result);
}

/*
 * With a change
 */

/* Whether this thread's change is to have its record; holds the lock then. */
static bool lock_for_change(void)
{
    if (!current || current->expected == 0)
        return false;
    pthread_mutex_lock(&lock);
    if (now.on_disk)
        return true;
    pthread_mutex_unlock(&lock);
    return false;
}

static int finish(const struct making *m, int result)
{
    if (result == 0) {
        publish(m);
        current->recorded = current->expected;
        current->id = m->id;
    }
    current->expected = 0;
    pthread_mutex_unlock(&lock);
    return result;
}

int audit_put(const char *name, const void *data, size_t bytes)
{
    uint8_t before[STATE_DIGEST], after[STATE_DIGEST];
    struct making m;
    bool there;

    if (!lock_for_change())
        return state_put(name, data, bytes);
    there = state_digest(name, before) >= 0;
    state_digest_of(data, bytes, after);
    make(&m, current, current->expected, name, there ? before : NULL, after);
    return finish(&m, state_put_with(name, data, bytes, &m.log));
}

int audit_delete(const char *name)
{
    uint8_t before[STATE_DIGEST];
    struct making m;
    bool there;

    if (!lock_for_change())
        return state_delete(name);
    there = state_digest(name, before) >= 0;
    make(&m, current, current->expected, name, there ? before : NULL, NULL);
    return finish(&m, state_delete_with(name, &m.log));
}

/*
 * Calls
 */

void audit_begin(struct audit_call *call)
{
    current = call;
}

struct audit_call *audit_leave(void)
{
    struct audit_call *call = current;

    current = NULL;
    return call;
}

void audit_expect(int status)
{
    if (current)
        current->expected = status;
}

void audit_idle(void)
{
    if (current)
        current->idle = true;
}

void audit_detail(const char *format, ...)
{
    va_list args;

    if (!current)
        return;
    va_start(args, format);
    vsnprintf(current->detail, sizeof(current->detail), format, args);
    va_end(args);
    json_clean_text(current->detail);
}

const char *audit_caller(void)
{
    return current ? current->caller : NULL;
}

void audit_end(struct audit_call *call, int status)
{
    current = NULL;
    if ((call->recorded || call->idle) && status < 300)
        return;
    if (call->recorded)
        snprintf(call->detail, sizeof(call->detail), "the change of record %" PRIu64 " is undone",
                 call->id);
    append(call, status);
}

void audit_note(const char *method, const char *path, const char *detail, int status)
{
    struct audit_call call = {.method = method, .caller = "skep"};

    snprintf(call.path, sizeof(call.path), "%s", path);
    snprintf(call.detail, sizeof(call.detail), "%s", detail);
    append(&call, status);
}

/*
 * The start
 */

static const struct audit_record *last_record(void)
{
    return &tail.slots[(now.last - 1) % AUDIT_SLOTS];
}

/* A power cut may have kept the latest record and not its change, or the change after it and not that one's record. Nobody
 * has had an answer to it then; which of both it was can't be told, since a value may come back. */
static bool differs_from_last(void)
{
    const struct audit_record *r = last_record();
    uint8_t digest[STATE_DIGEST];
    char text[AUDIT_TEXT_MAX], found[2 * STATE_DIGEST + 1];
    const char *lines[AUDIT_LINES];

    memcpy(text, r->text, r->bytes + 1);
    if (!audit_split(text, lines) || lines[AUDIT_VALUE][0] == '\0')
        return false;
    digest_text(state_digest(lines[AUDIT_VALUE], digest) >= 0 ? digest : NULL, found);
    return strcmp(found, lines[AUDIT_AFTER]) != 0;
}

/* Holds the lock. */
static void load(void)
{
    if (audit_log_find(&now.first, &now.last, &tail) != 0) {
        log_line("audit: the log can't be read: what is recorded from now on is in memory only");
        now.on_disk = false;
        return;
    }
    if (now.last)
        memcpy(now.digest, last_record()->digest, sizeof(now.digest));
}

/* Holds the lock. From memory to a log that has none yet. */
static void move(const struct audit_extent *from)
{
    int result = 0;

    now.first = first_kept(from->first, from->last);
    for (uint64_t id = now.first; id <= from->last && result == 0;
         id += AUDIT_SLOTS - (id - 1) % AUDIT_SLOTS) {
        struct state_log log = {block_of(id), &memory[(id - 1) / AUDIT_SLOTS % MEMORY_BLOCKS]};
        result = state_log_write(&log);
        tail = *(const struct audit_block *)log.data;
    }
    now.last = from->last;
    memcpy(now.digest, from->digest, sizeof(now.digest));
    if (result != 0)
        log_line("audit: the records so far can't be written (error %d)", -result);
}

static void note_difference(uint64_t id)
{
    char detail[AUDIT_DETAIL_MAX];

    snprintf(detail, sizeof(detail), "the value is not what record %" PRIu64 " says", id);
    audit_note("START", "/v1/audit", detail, 0);
}

void audit_start(void)
{
    struct audit_extent former;
    uint64_t doubtful = 0;

    pthread_mutex_lock(&lock);
    former = now;
    log_blocks = state_log_blocks();
    if (!now.on_disk && log_blocks > 1) {
        memset(&now, 0, sizeof(now));
        now.on_disk = true;
        load();
        if (now.on_disk && now.last == 0 && former.last)
            move(&former);
        else if (!now.on_disk)
            now = former;
        else if (now.last && differs_from_last())
            doubtful = now.last;
    }
    pthread_mutex_unlock(&lock);
    if (doubtful)
        note_difference(doubtful);
}

void audit_stop(void)
{
    pthread_mutex_lock(&lock);
    memset(&now, 0, sizeof(now));
    memset(&tail, 0, sizeof(tail));
    pthread_mutex_unlock(&lock);
}

/*
 * Reading
 */

void audit_extent(struct audit_extent *extent)
{
    pthread_mutex_lock(&lock);
    *extent = now;
    pthread_mutex_unlock(&lock);
}

bool audit_read(uint64_t id, struct audit_record *record)
{
    struct audit_block block;
    bool there;

    pthread_mutex_lock(&lock);
    there = id >= now.first && id <= now.last && id > 0;
    if (there && (id - 1) / AUDIT_SLOTS == (now.last - 1) / AUDIT_SLOTS)
        block = tail;
    else if (there && now.on_disk)
        there = state_log_read(block_of(id), &block) == 0;
    else if (there)
        block = memory[block_of(id)];
    pthread_mutex_unlock(&lock);
    if (there)
        *record = block.slots[(id - 1) % AUDIT_SLOTS];
    return there;
}
