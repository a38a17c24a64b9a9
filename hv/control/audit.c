/* audit.c - makes the records of the audit trail, and keeps them. */
#include "audit.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
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
static struct audit_tail tail;
static uint64_t firsts[STATE_LOG_MAX]; /* ids of the blocks' first records, 0 = none that counts */
static struct audit_block memory[MEMORY_BLOCKS];
_Static_assert(MEMORY_BLOCKS <= STATE_LOG_MAX, "they have their firsts");

static _Thread_local struct audit_call *current;

static uint32_t block_count(void)
{
    return now.on_disk ? log_blocks : MEMORY_BLOCKS;
}

/* The oldest block that counts. The one behind the tail is left out, being overwritten next. */
static uint32_t oldest_block(void)
{
    uint32_t at = (tail.at + 2) % block_count();

    while (at != tail.at && firsts[at] == 0)
        at = (at + 1) % block_count();
    return at;
}

/*
 * Making one
 */

struct making {
    struct audit_block block; /* the tail as it is to be */
    struct state_log log;
    unsigned slot, end_slot;
    uint64_t id;
};

static void digest_text(const uint8_t *digest, char text[2 * STATE_DIGEST + 1])
{
    text[0] = '\0';
    if (digest)
        hex_format(text, digest, STATE_DIGEST);
}

/* All lines but the values, each as long as it may be, with their ends. */
#define OTHER_LINES (190u + AUDIT_PATH_MAX + AUDIT_CALLER_MAX + AUDIT_DETAIL_MAX + STATE_NAME_MAX)
_Static_assert(OTHER_LINES + 2 * (AUDIT_VALUE_MAX + 1) + AUDIT_CUT_MAX + 3 <= AUDIT_TEXT_MAX,
               "every record has room");

/* Of a change of the store's value, if it has a name; "" = none. */
struct kept_value {
    const char *name;
    const uint8_t *before, *after; /* digests, NULL = it isn't there */
};

/* Bytes of the text. What was not done has no values. */
static uint32_t write_text(char text[AUDIT_TEXT_MAX], const struct audit_call *call, int status,
                           uint64_t id, const struct kept_value *value)
{
    char time[JSON_TIME_MAX], old[2 * STATE_DIGEST + 1], new[2 * STATE_DIGEST + 1];
    char previous[2 * sizeof(now.digest) + 1];
    bool done = status < 300;
    int n;

    json_time_text(core_wall_ns(), time);
    digest_text(value->before, old);
    digest_text(value->after, new);
    hex_format(previous, now.digest, sizeof(now.digest));
    n = snprintf(text, AUDIT_TEXT_MAX,
                 "%" PRIu64 "\n%s\n%s\n%s\n%s\n%d\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s%s%s\n", id, time,
                 call->method, call->path, call->caller, status, value->name, old, new,
                 call->detail, previous, done && call->before ? call->before : "",
                 done && call->after ? call->after : "", done && *call->cut ? "[" : "",
                 done ? call->cut : "", done && *call->cut ? "]" : "");
    return (uint32_t)n;
}

/* Into the tail, or the next block. Holds the lock. */
static void make(struct making *m, const struct audit_call *call, int status,
                 const struct kept_value *value)
{
    static struct audit_record r;
    unsigned slots;
    bool fits;

    m->id = now.last + 1;
    r.magic = AUDIT_MAGIC_2;
    r.bytes = write_text(r.text, call, status, m->id, value);
    tls_sha512_half(r.text, r.bytes, r.digest);
    slots = audit_slots(r.bytes);
    fits = tail.used + slots <= AUDIT_SLOTS;
    m->slot = fits ? tail.used : 0;
    m->end_slot = m->slot + slots;
    m->log = (struct state_log){fits ? tail.at : (tail.at + 1) % block_count(), &m->block};
    memset(&m->block, 0, sizeof(m->block));
    memcpy(m->block.data, tail.block.data, m->slot * AUDIT_SECTOR);
    memcpy(m->block.data + m->slot * AUDIT_SECTOR, &r, AUDIT_HEAD + r.bytes);
}

/* Holds the lock. It is where it is kept. */
static void publish(const struct making *m)
{
    const struct audit_record *r = audit_at(&m->block, m->slot);

    tail.block = m->block;
    tail.at = m->log.block;
    tail.used = m->end_slot;
    if (!now.on_disk)
        memory[tail.at] = m->block;
    if (m->slot == 0)
        firsts[tail.at] = m->id;
    now.last = m->id;
    now.first = firsts[oldest_block()];
    memcpy(now.digest, r->digest, sizeof(now.digest));
}

/* One that goes with no change. The disk's refusal is told; what the client asked for is done by then. */
static void append(const struct audit_call *call, int status)
{
    struct making m;
    int result = 0;

    pthread_mutex_lock(&lock);
    make(&m, call, status, &(struct kept_value){.name = ""});
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
    make(&m, current, current->expected, &(struct kept_value){name, there ? before : NULL, after});
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
    make(&m, current, current->expected, &(struct kept_value){name, there ? before : NULL, NULL});
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

static void note_value(cJSON *json, bool is_before)
{
    char **text;

    if (!current) {
        cJSON_Delete(json);
        return;
    }
    text = is_before ? &current->before : &current->after;
    free(*text);
    *text = audit_value_text(json, is_before ? "before" : "after", current->cut);
}

void audit_before(cJSON *json)
{
    note_value(json, true);
}

void audit_after(cJSON *json)
{
    note_value(json, false);
}

const char *audit_caller(void)
{
    return current ? current->caller : NULL;
}

void audit_end(struct audit_call *call, int status)
{
    bool told = (call->recorded || call->idle) && status < 300;

    current = NULL;
    if (call->recorded)
        snprintf(call->detail, sizeof(call->detail), "the change of record %" PRIu64 " is undone",
                 call->id);
    if (!told)
        append(call, status);
    free(call->before);
    free(call->after);
    call->before = call->after = NULL;
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

/* A record of the tail as it is read: the last one. */
static const struct audit_record *last_record(void)
{
    uint64_t id = now.last - 1;

    return audit_at(&tail.block, audit_next(&tail.block, 0, true, &id));
}

/* A power cut may have kept the latest record and not its change, or the change after it and not that one's record. Nobody
 * has had an answer to it then; which of both it was can't be told, since a value may come back. */
static bool differs_from_last(void)
{
    static char text[AUDIT_TEXT_MAX]; /* at the start only */
    const struct audit_record *r = last_record();
    uint8_t digest[STATE_DIGEST];
    char found[2 * STATE_DIGEST + 1];
    const char *lines[AUDIT_LINES];

    memcpy(text, r->text, r->bytes + 1);
    if (!audit_split(text, lines) || lines[AUDIT_VALUE][0] == '\0')
        return false;
    digest_text(state_digest(lines[AUDIT_VALUE], digest) >= 0 ? digest : NULL, found);
    return strcmp(found, lines[AUDIT_VALUE_AFTER]) != 0;
}

/* Holds the lock. */
static void load(void)
{
    if (audit_log_find(firsts, &now.last, &tail) != 0) {
        log_line("audit: the log can't be read: what is recorded from now on is in memory only");
        now.on_disk = false;
        return;
    }
    if (!now.last)
        return;
    now.first = firsts[oldest_block()];
    memcpy(now.digest, last_record()->digest, sizeof(now.digest));
}

/* What there is in memory, while another place is looked at. */
struct former {
    struct audit_extent extent;
    struct audit_tail tail;
    uint64_t firsts[MEMORY_BLOCKS];
};

/* Holds the lock. From memory to a log that has none yet: the latest, if not all have room. */
static void move(const struct former *from)
{
    uint32_t count = 0, room = log_blocks - 1;
    int result = 0;

    while (count < MEMORY_BLOCKS - 1 && count < room &&
           from->firsts[(from->tail.at + MEMORY_BLOCKS - count) % MEMORY_BLOCKS])
        count++;
    for (uint32_t i = 0; i < count && result == 0; i++) {
        uint32_t at = (from->tail.at + MEMORY_BLOCKS - (count - 1 - i)) % MEMORY_BLOCKS;
        result = state_log_write(&(struct state_log){i, &memory[at]});
        firsts[i] = from->firsts[at];
    }
    tail = from->tail;
    tail.at = count - 1;
    now.last = from->extent.last;
    now.first = firsts[0];
    memcpy(now.digest, from->extent.digest, sizeof(now.digest));
    if (result != 0)
        log_line("audit: the records so far can't be written (error %d)", -result);
}

static void note_difference(uint64_t id)
{
    char detail[AUDIT_DETAIL_MAX];

    snprintf(detail, sizeof(detail), "the value is not what record %" PRIu64 " says", id);
    audit_note("START", "/v1/audit", detail, 0);
}

/* Whether the last record may not be true. Holds the lock. */
static bool change_place(void)
{
    static struct former former; /* at the start only */

    former.extent = now;
    former.tail = tail;
    memcpy(former.firsts, firsts, sizeof(former.firsts));
    memset(&now, 0, sizeof(now));
    now.on_disk = true;
    load();
    if (now.on_disk && now.last)
        return differs_from_last();
    if (now.on_disk && former.extent.last)
        move(&former);
    if (now.on_disk)
        return false;
    now = former.extent;
    tail = former.tail;
    memcpy(firsts, former.firsts, sizeof(former.firsts));
    return false;
}

void audit_start(void)
{
    uint64_t doubtful = 0;

    pthread_mutex_lock(&lock);
    log_blocks = state_log_blocks();
    if (!now.on_disk && log_blocks > 1 && change_place())
        doubtful = now.last;
    pthread_mutex_unlock(&lock);
    if (doubtful)
        note_difference(doubtful);
}

void audit_stop(void)
{
    pthread_mutex_lock(&lock);
    memset(&now, 0, sizeof(now));
    memset(&tail, 0, sizeof(tail));
    memset(firsts, 0, sizeof(firsts));
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

/* The block that has the record, if any has. Holds the lock. */
static uint32_t block_with(uint64_t id)
{
    uint32_t at = oldest_block(), next;

    while (at != tail.at && firsts[next = (at + 1) % block_count()] <= id)
        at = next;
    return at;
}

bool audit_read(uint64_t id, struct audit_record *record)
{
    struct audit_block block;
    uint64_t found = id - 1;
    unsigned slot = AUDIT_SLOTS;
    bool there;

    pthread_mutex_lock(&lock);
    there = id > 0 && id >= now.first && id <= now.last;
    if (there) {
        uint32_t at = block_with(id);
        if (at == tail.at)
            block = tail.block;
        else if (now.on_disk)
            there = state_log_read(at, &block) == 0;
        else
            block = memory[at];
    }
    pthread_mutex_unlock(&lock);
    if (there)
        slot = audit_next(&block, 0, true, &found);
    if (slot == AUDIT_SLOTS || found != id)
        return false;
    memcpy(record, audit_at(&block, slot), AUDIT_HEAD + audit_at(&block, slot)->bytes + 1);
    return true;
}
