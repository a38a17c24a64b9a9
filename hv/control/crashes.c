/* crashes.c - the table of the latest crashes. */
#include "crashes.h"

#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "host.h"
#include "json.h"
#include "log.h"
#include "skep/crash_name.h"
#include "store.h"

/* What is told in lists; retained in front of the text. */
struct crash_head {
    uint32_t id;
    uint32_t reason;
    uint64_t handle;
    uint64_t at_ns; /* core_clock_ns */
    char name[SKEP_NAME_MAX];
};

struct entry {
    struct crash_head head; /* id 0 = none here */
    char *text;
};

static struct entry entries[STORE_CRASHES];
static uint32_t last_id;

static struct entry *entry_of(uint32_t id)
{
    struct entry *e = &entries[id % STORE_CRASHES];
    return id && e->head.id == id ? e : NULL;
}

static unsigned first_record(const struct entry *e)
{
    return STORE_CRASH_FIRST + (unsigned)(e - entries) * STORE_CRASH_PARTS;
}

static void retain(const struct entry *e)
{
    size_t text_bytes = strlen(e->text), all = sizeof(e->head) + text_bytes;
    char *whole = malloc(all);

    if (whole) {
        memcpy(whole, &e->head, sizeof(e->head));
        memcpy(whole + sizeof(e->head), e->text, text_bytes);
    }
    if (!whole ||
        !store_write_parts(first_record(e), STORE_CRASH_PARTS, STORE_CRASH, e->head.id, whole, all))
        log_line("crash %u can't be retained", e->head.id);
    free(whole);
}

static void load(struct entry *e)
{
    size_t all, text_bytes;
    uint32_t id;
    char *whole = store_read_parts(first_record(e), STORE_CRASH_PARTS, STORE_CRASH, &id, &all);

    if (!whole || all < sizeof(e->head) || !(e->text = malloc(all - sizeof(e->head) + 1))) {
        free(whole);
        return;
    }
    memcpy(&e->head, whole, sizeof(e->head));
    e->head.name[SKEP_NAME_MAX - 1] = '\0';
    text_bytes = all - sizeof(e->head);
    memcpy(e->text, whole + sizeof(e->head), text_bytes);
    e->text[text_bytes] = '\0';
    free(whole);
    if (e->head.id > last_id)
        last_id = e->head.id;
}

void crashes_load(void)
{
    for (struct entry *e = entries; e < entries + STORE_CRASHES; e++)
        load(e);
}

void crashes_forget(void)
{
    for (struct entry *e = entries; e < entries + STORE_CRASHES; e++)
        free(e->text);
    memset(entries, 0, sizeof(entries));
    last_id = 0;
}

uint32_t crashes_add(const char *name, uint64_t handle, uint64_t log_base,
                     const struct skep_guest_status *status)
{
    struct entry *e = &entries[++last_id % STORE_CRASHES];
    cJSON *json = crash_to_json(name, handle, log_base, status);

    free(e->text);
    memset(e, 0, sizeof(*e));
    cJSON_AddNumberToObject(json, "id", last_id);
    e->text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    if (!e->text) {
        log_line("there is no memory for the record of crash %u, of guest '%s'", last_id, name);
        return 0;
    }
    e->head = (struct crash_head){
        .id = last_id, .reason = status->crash.reason, .handle = handle, .at_ns = status->ended_ns};
    memcpy(e->head.name, name, strlen(name) + 1);
    retain(e);
    return last_id;
}

uint32_t crashes_find(uint64_t handle)
{
    for (unsigned i = 0; i < STORE_CRASHES; i++)
        if (entries[i].head.id && entries[i].head.handle == handle)
            return entries[i].head.id;
    return 0;
}

const char *crashes_text(uint32_t id)
{
    const struct entry *e = entry_of(id);
    return e && access_sees(e->head.name) ? e->text : NULL;
}

cJSON *crashes_to_json(uint64_t before, uint64_t most)
{
    cJSON *list = cJSON_CreateArray();

    for (uint32_t i = 0, id = last_id; i < STORE_CRASHES && id; i++, id--) {
        const struct entry *e = entry_of(id);
        cJSON *item;
        if (!e || id >= before || most == 0 || !access_sees(e->head.name))
            continue;
        most--;
        item = cJSON_CreateObject();
        cJSON_AddNumberToObject(item, "id", id);
        cJSON_AddStringToObject(item, "guest", e->head.name);
        json_add_time(item, "at", host_wall_ns(e->head.at_ns));
        cJSON_AddStringToObject(item, "reason", skep_crash_name(e->head.reason));
        cJSON_AddItemToArray(list, item);
    }
    return list;
}
