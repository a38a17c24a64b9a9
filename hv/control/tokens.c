/*
 * tokens.c - the table of tokens: who looks for one by its secret, and how it changes and is kept.
 *
 * A change is made in a copy of the whole table, `next`, which then goes to the disk, to the records and into force. So what
 * puts, deletes and restores do is the same, and each is done as a whole. A slot whose token is another one afterwards gets
 * a new version: requests that are being served remember it, and learn by it that they are out of date.
 *
 * Shortcoming: the value on the disk is written as a whole for each change, up to 50 KiB of it.
 */
#include "tokens.h"

#include <mbedtls/constant_time.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "core.h"
#include "events.h"
#include "hex.h"
#include "identity.h"
#include "json.h"
#include "log.h"
#include "persist.h"
#include "points.h"
#include "skep_tls.h"
#include "spec.h"
#include "store.h"

#define VALUE      "tokens"
#define MS         1000000u
#define RECORD_MAX (STORE_BYTES_MAX / sizeof(struct token)) /* tokens in a record */
_Static_assert(RECORD_MAX *STORE_TOKENS_PARTS >= TOKENS_MAX, "all are retained");

static struct token next[TOKENS_MAX]; /* under the model's lock */

/* Changed with both locks held, read with either. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the innermost */
static struct token now[TOKENS_MAX];

/* Under `lock`. */
static uint64_t versions[TOKENS_MAX], last_version;
static uint64_t used_ns[TOKENS_MAX]; /* UNIX time, 0 = not since the service's start */

/*
 * Looking for one
 */

/* Who doesn't know the time can't tell that there is time left. */
static bool has_expired(const struct token *t)
{
    uint64_t wall_ns = core_wall_ns();
    return t->expires_ns && (!wall_ns || wall_ns >= t->expires_ns);
}

/* All are looked at, and all of each, whatever is found. TOKENS_MAX if it is none's. */
static unsigned find_digest(const struct token *table, enum token_kind kind,
                            const uint8_t digest[32])
{
    unsigned found = TOKENS_MAX;
    uint64_t wanted[4], theirs[4];

    memcpy(wanted, digest, sizeof(wanted));
    for (unsigned i = 0; i < TOKENS_MAX; i++) {
        if (!table[i].name[0] || table[i].kind != kind)
            continue;
        memcpy(theirs, table[i].digest, sizeof(theirs));
        if (((wanted[0] ^ theirs[0]) | (wanted[1] ^ theirs[1]) | (wanted[2] ^ theirs[2]) |
             (wanted[3] ^ theirs[3])) == 0)
            found = i;
    }
    return found;
}

static void describe(unsigned slot, struct principal *who)
{
    const struct token *t = &now[slot];

    *who = (struct principal){.role = (enum access_role)t->role,
                              .quotas = t->quotas,
                              .slot = slot,
                              .version = versions[slot]};
    memcpy(who->name, t->name, sizeof(who->name));
    memcpy(who->prefix, t->prefix, sizeof(who->prefix));
}

/* Holds `lock`. */
static enum token_state identify(enum token_kind kind, const uint8_t digest[32],
                                 struct principal *who)
{
    unsigned slot = find_digest(now, kind, digest);

    if (slot == TOKENS_MAX)
        return TOKEN_UNKNOWN;
    if (has_expired(&now[slot])) {
        memcpy(who->name, now[slot].name, sizeof(who->name));
        return TOKEN_EXPIRED;
    }
    describe(slot, who);
    used_ns[slot] = core_wall_ns();
    return TOKEN_GOOD;
}

static enum token_state look_for(enum token_kind kind, const uint8_t digest[32],
                                 struct principal *who)
{
    enum token_state state;

    *who = (struct principal){.role = ACCESS_ANYBODY};
    pthread_mutex_lock(&lock);
    state = identify(kind, digest, who);
    pthread_mutex_unlock(&lock);
    return state;
}

static void take_shown(struct token_shown *last, const char *text)
{
    size_t bytes = strlen(text);

    /* In constant time, as others may share the connection behind a proxy. */
    if (bytes > 0 && bytes == last->bytes && mbedtls_ct_memcmp(text, last->text, bytes) == 0)
        return;
    last->bytes = bytes <= sizeof(last->text) ? bytes : 0;
    memcpy(last->text, text, last->bytes);
    tls_sha256(text, bytes, last->digest);
}

enum token_state tokens_identify(const char *text, struct token_shown *last, struct principal *who)
{
    take_shown(last, text);
    if (token_matches(last->digest)) {
        *who = (struct principal){.name = TOKENS_BOOT_NAME, .role = ACCESS_ADMIN};
        return TOKEN_GOOD;
    }
    return look_for(TOKEN_SECRET, last->digest, who);
}

enum token_state tokens_identify_certificate(const uint8_t digest[32], struct principal *who)
{
    return look_for(TOKEN_CERTIFICATE, digest, who);
}

bool tokens_hold(const struct principal *who)
{
    bool hold;

    if (who->version == 0)
        return true;
    pthread_mutex_lock(&lock);
    hold = versions[who->slot] == who->version && !has_expired(&now[who->slot]);
    pthread_mutex_unlock(&lock);
    return hold;
}

/*
 * Keeping them
 */

static cJSON *table_to_kept(const struct token *table)
{
    cJSON *list = cJSON_CreateArray();

    for (unsigned i = 0; i < TOKENS_MAX; i++)
        if (table[i].name[0])
            cJSON_AddItemToArray(list, token_to_kept(&table[i]));
    return list;
}

static int keep(const struct token *table, struct problem *p)
{
    cJSON *json;
    char *text;
    int result;

    if (!persist_has_disk())
        return 0;
    json = table_to_kept(table);
    text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    if (!text)
        return problem_set(p, 503, "There is no memory for the request now; try again.");
    result = persist_update(VALUE, text, strlen(text), p);
    free(text);
    return result;
}

static size_t part_bytes(unsigned part)
{
    size_t left = TOKENS_MAX - part * RECORD_MAX;
    return (left < RECORD_MAX ? left : RECORD_MAX) * sizeof(struct token);
}

static bool is_empty(const struct token *tokens, size_t bytes)
{
    for (unsigned i = 0; i < bytes / sizeof(*tokens); i++)
        if (tokens[i].name[0])
            return false;
    return true;
}

/* Those records that have something else so far. */
static bool retain(const struct token *table)
{
    static struct token there[RECORD_MAX]; /* under the model's lock */
    bool good = true;

    for (unsigned part = 0; part < STORE_TOKENS_PARTS; part++) {
        const struct token *wanted = table + part * RECORD_MAX;
        unsigned record = STORE_TOKENS_FIRST + part;
        size_t bytes = part_bytes(part);
        bool empty = is_empty(wanted, bytes);
        bool known = store_read(record, STORE_TOKENS, there, sizeof(there)) == bytes;

        if (empty ? !known : known && memcmp(there, wanted, bytes) == 0)
            continue;
        good &= empty ? store_erase(record) : store_write(record, STORE_TOKENS, wanted, bytes);
    }
    return good;
}

static void publish(void)
{
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < TOKENS_MAX; i++) {
        if (memcmp(&now[i], &next[i], sizeof(now[i])) == 0)
            continue;
        if (strcmp(now[i].name, next[i].name) != 0)
            used_ns[i] = 0;
        now[i] = next[i];
        versions[i] = ++last_version;
    }
    pthread_mutex_unlock(&lock);
}

/* The slot of a table, TOKENS_MAX if there is none; of the name "", a free one. */
static unsigned find_in(const struct token *table, const char *name)
{
    unsigned i = 0;

    while (i < TOKENS_MAX && strcmp(table[i].name, name) != 0)
        i++;
    return i;
}

static void add_event(const struct token *t, const char *type, const char *change)
{
    events_add(t->kind == TOKEN_SECRET ? EVENT_TOKENS : EVENT_CLIENT_CERTIFICATES, type, t->name,
               audit_caller(), "%s", change);
}

/* Of one that is new, or another than before; renewed: it has another secret, or certificate. */
static void tell_change(const struct token *t, const char *type, bool renewed)
{
    char change[EVENT_CHANGE_MAX], until[JSON_TIME_MAX];
    int n = snprintf(change, sizeof(change), "\"role\":\"%s\",\"renewed\":%s",
                     access_role_name((enum access_role)t->role), renewed ? "true" : "false");

    json_time_text(t->expires_ns, until);
    if (t->prefix[0])
        n += snprintf(change + n, sizeof(change) - (size_t)n, ",\"prefix\":\"%s\"", t->prefix);
    if (*until)
        snprintf(change + n, sizeof(change) - (size_t)n, ",\"expires_at\":\"%s\"", until);
    add_event(t, type, change);
}

static bool same_secret(const struct token *a, const struct token *b)
{
    return memcmp(a->digest, b->digest, sizeof(a->digest)) == 0;
}

/* What differs between what is in force and `next`. */
static void tell_changes(void)
{
    for (unsigned i = 0; i < TOKENS_MAX; i++)
        if (now[i].name[0] && find_in(next, now[i].name) == TOKENS_MAX)
            add_event(&now[i], "deleted", "");
    for (unsigned i = 0; i < TOKENS_MAX; i++) {
        const struct token *t = &next[i];
        unsigned was = t->name[0] ? find_in(now, t->name) : TOKENS_MAX;
        if (was < TOKENS_MAX && memcmp(&now[was], t, sizeof(*t)) != 0)
            tell_change(t, "changed", !same_secret(&now[was], t));
        else if (was == TOKENS_MAX && t->name[0])
            tell_change(t, "created", true);
    }
}

/* What is in `next` comes true, or nothing changes. */
static int commit(struct problem *p)
{
    struct problem ignored;

    if (keep(next, p) != 0)
        return -1;
    commit_point(POINT_TOKENS_KEPT);
    if (!retain(next)) {
        retain(now);
        keep(now, &ignored);
        return problem_set(p, 503,
                           "The change can't be retained now, so it wasn't made; try again.");
    }
    tell_changes();
    publish();
    return 0;
}

/*
 * The start
 */

static void clear(void)
{
    memset(next, 0, sizeof(next));
}

/* Into `next`; the problem tells which isn't one, or that there are too many. */
static int take_kept(const cJSON *json, struct problem *p)
{
    const cJSON *item;
    unsigned count = 0;

    clear();
    if (!cJSON_IsArray(json) || cJSON_GetArraySize(json) > (int)TOKENS_MAX)
        return problem_set(p, 422, "tokens isn't a list of up to %u tokens.", TOKENS_MAX);
    cJSON_ArrayForEach(item, json)
    {
        struct token *t = &next[count];
        if (!token_from_kept(t, item))
            return problem_set(p, 422, "token %u has a field that can't be used here.", count);
        for (unsigned i = 0; i < count; i++)
            if (strcmp(next[i].name, t->name) == 0)
                return problem_set(p, 422, "token '%s' is there twice.", t->name);
        count++;
    }
    return 0;
}

static bool load_disk(void)
{
    int64_t bytes = persist_get(VALUE, NULL, 0);
    char *text = bytes >= 0 ? malloc((size_t)bytes + 1) : NULL;
    struct problem p = {.detail = "it can't be read"};
    cJSON *json = NULL;
    int result = -1;

    if (text && persist_get(VALUE, text, (size_t)bytes) == bytes)
        json = json_parse(text, (size_t)bytes, &p);
    if (json)
        result = take_kept(json, &p);
    if (bytes >= 0 && result != 0)
        log_line("the disk's tokens are left aside: %s", p.detail);
    cJSON_Delete(json);
    free(text);
    return result == 0;
}

static bool is_whole(const struct token *t)
{
    return memchr(t->name, 0, sizeof(t->name)) && memchr(t->prefix, 0, sizeof(t->prefix)) &&
           t->role < ACCESS_ANYBODY && t->kind < TOKEN_KINDS;
}

static void load_records(void)
{
    clear();
    for (unsigned part = 0; part < STORE_TOKENS_PARTS; part++)
        store_read(STORE_TOKENS_FIRST + part, STORE_TOKENS, next + part * RECORD_MAX,
                   part_bytes(part));
    for (unsigned i = 0; i < TOKENS_MAX; i++)
        if (!is_whole(&next[i]))
            memset(&next[i], 0, sizeof(next[i]));
}

void tokens_start(void)
{
    if (!load_disk())
        load_records();
    if (!retain(next))
        log_line("not all tokens would survive a restart of the control service");
    publish();
    tokens_keep();
}

void tokens_keep(void)
{
    struct problem p;

    if (persist_is_open() && !is_empty(now, sizeof(now)) && keep(now, &p) != 0)
        log_line("tokens are not kept over a reboot: %s", p.detail);
}

void tokens_forget(void)
{
    clear();
    publish();
}

/*
 * What clients ask for
 */

static unsigned find(const char *name)
{
    return find_in(now, name);
}

static int check_expiry(const struct token *wish, struct problem *p)
{
    uint64_t wall_ns = core_wall_ns();

    if (!wish->expires_ns)
        return 0;
    if (!wall_ns)
        return problem_set(p, 409,
                           "This machine doesn't know the time, so no token can expire: leave "
                           "expires_at out.");
    if (wish->expires_ns <= wall_ns)
        return problem_set(p, 422, "expires_at has passed: name a later time.");
    return 0;
}

static int make_secret(struct token *t, char text[TOKEN_TEXT_MAX], struct problem *p)
{
    struct skep_host_info info;
    uint8_t random[TOKEN_BYTES];

    if (core_host_info(&info) != 0 || !info.entropy || tls_random(random, sizeof(random)) != 0)
        return problem_set(p, 503, "No token can be made: this machine has no source of entropy.");
    memcpy(text, TOKEN_PREFIX, sizeof(TOKEN_PREFIX));
    hex_format(text + strlen(TOKEN_PREFIX), random, sizeof(random));
    tls_sha256(text, strlen(text), t->digest);
    t->made_ns = core_wall_ns() / MS * MS; /* as it comes back from the disk */
    return 0;
}

static void tell(const struct token *t, bool rotate)
{
    char until[JSON_TIME_MAX];

    json_time_text(t->expires_ns, until);
    audit_detail("%s%s%s%.10s%s%s", access_role_name((enum access_role)t->role),
                 rotate ? ", new secret" : "", *until ? ", until " : "", until,
                 t->prefix[0] ? ", " : "", t->prefix);
}

static const char *const kind_names[TOKEN_KINDS] = {"token", "client certificate"};

static bool is_of(unsigned slot, enum token_kind kind)
{
    return slot < TOKENS_MAX && now[slot].kind == kind;
}

/* A certificate is one client's only, or it wouldn't be known whose. `slot` is that of the name. */
static int check_wish(const struct token *wish, unsigned slot, bool there, struct problem *p)
{
    static const uint8_t none[32];
    bool given = memcmp(wish->digest, none, sizeof(none)) != 0;
    unsigned other = given ? find_digest(now, TOKEN_CERTIFICATE, wish->digest) : TOKENS_MAX;

    if (there && now[slot].kind != wish->kind)
        return problem_set(p, 409, "'%s' is the name of a %s: choose another name.", wish->name,
                           kind_names[now[slot].kind]);
    if (wish->kind == TOKEN_CERTIFICATE && !there && !given)
        return problem_set(p, 422, "certificate is missing: PEM.");
    if (wish->kind == TOKEN_CERTIFICATE && other < TOKENS_MAX && other != slot)
        return problem_set(p, 409, "The certificate is that of '%s' already.", now[other].name);
    return 0;
}

/* What it is known by: as before, or anew. */
static int set_digest(struct token *t, const struct token *wish, unsigned slot, bool fresh,
                      char text[TOKEN_TEXT_MAX], struct problem *p)
{
    static const uint8_t none[32];

    t->made_ns = now[slot].made_ns;
    memcpy(t->digest, now[slot].digest, sizeof(t->digest));
    if (wish->kind == TOKEN_SECRET)
        return fresh ? make_secret(t, text, p) : 0;
    if (memcmp(wish->digest, none, sizeof(none)) != 0 &&
        memcmp(wish->digest, t->digest, sizeof(t->digest)) != 0) {
        memcpy(t->digest, wish->digest, sizeof(t->digest));
        t->made_ns = core_wall_ns() / MS * MS;
    }
    return 0;
}

/* What becomes of a wish. */
enum change { CHANGE_NONE, CHANGE_CREATED, CHANGE_APPLIED, CHANGES };

/* The table as the wish has it, in `next`, and which slot is the wish's; or -1 and the problem. */
static int prepare(const struct token *wish, bool rotate, unsigned *slot, char text[TOKEN_TEXT_MAX],
                   struct problem *p)
{
    bool there = (*slot = find(wish->name)) < TOKENS_MAX;
    struct token *t;

    text[0] = '\0';
    if (check_wish(wish, *slot, there, p) != 0)
        return -1;
    if (!there && (*slot = find("")) == TOKENS_MAX)
        return problem_set(p, 409,
                           "There are %u tokens and client certificates, and no room for more: "
                           "delete one first.",
                           TOKENS_MAX);
    memcpy(next, now, sizeof(next));
    t = &next[*slot];
    *t = *wish;
    if (set_digest(t, wish, *slot, false, text, p) != 0)
        return -1;
    if (there && !rotate && memcmp(t, &now[*slot], sizeof(*t)) == 0)
        return CHANGE_NONE;
    if (check_expiry(wish, p) != 0 ||
        ((!there || rotate) && set_digest(t, wish, *slot, true, text, p) != 0))
        return -1;
    return there ? CHANGE_APPLIED : CHANGE_CREATED;
}

int tokens_put(const struct token *wish, bool rotate, char text[TOKEN_TEXT_MAX], struct problem *p)
{
    unsigned slot;
    int change, status;

    tell(wish, rotate);
    change = prepare(wish, rotate, &slot, text, p);
    if (change < 0)
        return -1;
    status = change == CHANGE_CREATED ? 201 : 200;
    if (change == CHANGE_NONE) {
        audit_idle();
        return status;
    }
    audit_expect(status);
    if (change == CHANGE_APPLIED)
        audit_before(token_to_json(&now[slot]));
    audit_after(token_to_json(&next[slot]));
    return commit(p) == 0 ? status : -1;
}

int tokens_delete(enum token_kind kind, const char *name, struct problem *p)
{
    unsigned slot = find(name);

    if (token_check_name(name, p) != 0)
        return -1;
    if (!is_of(slot, kind))
        return problem_set(p, 404, "There is no %s '%s'.", kind_names[kind], name);
    tell(&now[slot], false);
    memcpy(next, now, sizeof(next));
    memset(&next[slot], 0, sizeof(next[slot]));
    audit_expect(204);
    audit_before(token_to_json(&now[slot]));
    return commit(p) == 0 ? 204 : -1;
}

/* What is in the slot, or is to be. */
static cJSON *slot_to_json(const struct token *t, unsigned slot)
{
    cJSON *json = token_to_json(t);
    uint64_t used;

    pthread_mutex_lock(&lock);
    used = used_ns[slot];
    pthread_mutex_unlock(&lock);
    cJSON_AddBoolToObject(json, "expired", has_expired(t));
    json_add_time(json, "last_used_at", used);
    return json;
}

cJSON *tokens_get(enum token_kind kind, const char *name)
{
    unsigned slot = find(name);
    return is_of(slot, kind) ? slot_to_json(&now[slot], slot) : NULL;
}

const struct token *tokens_find(enum token_kind kind, const char *name)
{
    unsigned slot = find(name);
    return is_of(slot, kind) ? &now[slot] : NULL;
}

cJSON *tokens_foresee(const struct token *wish, bool rotate, struct problem *p)
{
    static const char *const names[CHANGES] = {"none", "created", "applied"};
    char text[TOKEN_TEXT_MAX]; /* which nobody gets */
    unsigned slot;
    int change = prepare(wish, rotate, &slot, text, p);
    cJSON *json;

    if (change < 0)
        return NULL;
    if (memcmp(next[slot].digest, now[slot].digest, sizeof(now[slot].digest)) != 0)
        next[slot].made_ns = 0; /* it isn't yet */
    json = slot_to_json(&next[slot], slot);
    cJSON_AddStringToObject(json, "change", names[change]);
    return json;
}

/* The one with the least name above this one. */
static unsigned find_after(const char *name)
{
    unsigned least = TOKENS_MAX;

    for (unsigned i = 0; i < TOKENS_MAX; i++)
        if (strcmp(now[i].name, name) > 0 &&
            (least == TOKENS_MAX || strcmp(now[i].name, now[least].name) < 0))
            least = i;
    return least;
}

cJSON *tokens_list(enum token_kind kind, const char *after, uint64_t limit)
{
    cJSON *list = cJSON_CreateArray();

    for (unsigned slot = find_after(after); slot < TOKENS_MAX && limit;
         slot = find_after(now[slot].name))
        if (is_of(slot, kind)) {
            cJSON_AddItemToArray(list, slot_to_json(&now[slot], slot));
            limit--;
        }
    return list;
}

/*
 * Backups
 */

cJSON *tokens_to_kept(void)
{
    return table_to_kept(now);
}

int tokens_check_kept(const cJSON *json, struct problem *p)
{
    char detail[sizeof(p->detail)];

    if (take_kept(json, p) == 0)
        return 0;
    memcpy(detail, p->detail, sizeof(detail));
    return problem_set(p, 422, "The backup's tokens can't be here: %.250s", detail);
}

int tokens_restore(const cJSON *json, struct problem *p)
{
    return take_kept(json, p) == 0 ? commit(p) : -1;
}
