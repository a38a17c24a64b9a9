/* boots.c - the service's starts and ends on the fake machine, and what clients ask of it in between. */
#include "boots.h"

#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "crashes.h"
#include "files.h"
#include "guest.h"
#include "host.h"
#include "image.h"
#include "json.h"
#include "persist.h"
#include "power.h"
#include "restore.h"
#include "test/fake.h"
#include "test/ram_disk.h"
#include "test_control.h"
#include "tokens.h"

int boots_setup(void **state)
{
    (void)state;
    fake_set_disk(NULL, BOOTS_DISK_BYTES);
    fake_start("", "");
    boots_begin(false, true);
    return 0;
}

int boots_teardown(void **state)
{
    (void)state;
    boots_end();
    fake_set_disk(NULL, 0);
    return 0;
}

void boots_forget(void)
{
    while (guest_first())
        guest_forget(guest_first());
    image_forget_all();
    crashes_forget();
}

void boots_restart(bool safe_mode)
{
    boots_forget();
    host_set_cpus(FAKE_CPUS);
    image_adopt_all();
    crashes_load();
    guest_adopt_all(safe_mode, false, FAKE_RECORDS);
}

void boots_end(void)
{
    boots_forget();
    app_forget_all();
    power_forget();
    tokens_forget();
    persist_stop();
}

void boots_begin(bool safe_mode, bool first)
{
    persist_start(safe_mode, first);
    restore_resume(first);
    tokens_start();
    host_set_cpus(FAKE_CPUS);
    image_adopt_all();
    image_load_kept();
    if (!safe_mode)
        crashes_load();
    guest_adopt_all(safe_mode, first, FAKE_RECORDS);
    if (!safe_mode)
        app_load_all();
}

/* The power goes and comes again. */
void boots_cold(void)
{
    boots_end();
    fake_start("", "");
    boots_begin(false, true);
}

bool boots_obeys(const char *token)
{
    static struct token_shown last; /* one connection shows them all */
    struct principal who;
    return tokens_identify(token, &last, &who) == TOKEN_GOOD;
}

/* Files of different versions differ. */
int boots_upload(const char *name, size_t version, struct problem *p)
{
    uint8_t data[TEST_ELF_MAX + 16] = {0};
    size_t bytes = test_elf(data) + version;
    cJSON *json = NULL;
    int status = image_put(name, data, bytes, NULL, &json, p);

    assert_int_equal(status > 0, json != NULL);
    cJSON_Delete(json);
    return status;
}

int boots_put_json(const char *name, const cJSON *json, enum guest_change *change,
                   struct problem *p)
{
    const struct guest *g = guest_find(name);
    struct files files;
    struct spec spec;
    int result = spec_from_json(&spec, json, name, p);

    if (result == 0)
        result = files_take(cJSON_GetObjectItem(json, "files"), g ? g->files : 0, &spec, &files, p);
    if (result != 0)
        return -1;
    memset(p, 0, sizeof(*p));
    result = guest_put(name, &spec, &files, change, p);
    files_free(&files);
    return result;
}

int boots_put_text(const char *name, const char *text, struct problem *p)
{
    cJSON *json = json_parse(text, strlen(text), p);
    enum guest_change change;
    int result = json ? boots_put_json(name, json, &change, p) : -1;

    cJSON_Delete(json);
    return result;
}

int boots_put(const char *name, const char *text)
{
    struct problem p;
    return boots_put_text(name, text, &p);
}

int boots_put_app(const char *name, const char *text)
{
    struct app_plan *plan;
    struct problem p;
    cJSON *body;
    int status;

    if (!text)
        return app_delete(app_find(name), &p);
    plan = malloc(sizeof(*plan));
    body = json_parse(text, strlen(text), &p);
    status = app_plan_make(plan, name, body, &p);
    if (status == 0)
        status = app_apply(plan, &p);
    app_plan_free(plan);
    free(plan);
    cJSON_Delete(body);
    return status;
}

/* All that clients see of what was wished. */
char *boots_snapshot(void)
{
    cJSON *json = cJSON_CreateArray();
    char *text;

    for (const struct image *i = image_first(); i; i = i->next) {
        cJSON *image = image_to_json(i);
        cJSON_DeleteItemFromObject(image, "uploaded_at");
        cJSON_AddItemToArray(json, image);
    }
    for (struct guest *g = guest_first(); g; g = guest_after(g->name)) {
        cJSON_AddItemToArray(json, cJSON_CreateString(g->name));
        cJSON_AddItemToArray(json, guest_spec_to_json(g->spec, g->files, FILES_WHOLE));
    }
    for (const struct app *app = app_after(""); app; app = app->next) {
        cJSON_AddItemToArray(json, cJSON_CreateString(app->name));
        cJSON_AddItemToArray(json, cJSON_Duplicate(app->record, true));
    }
    text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    return text;
}

void boots_settle(void)
{
    bool dying = true;

    while (dying) {
        char name[SKEP_NAME_MAX] = "";
        fake_skip(4000000); /* ns */
        guest_step_after(name, UINT32_MAX);
        dying = false;
        for (struct guest *g = guest_first(); g; g = guest_after(g->name))
            dying |=
                g->deleting || g->replacing || (g->handle && g->view.state == SKEP_GUEST_DYING);
    }
}

static void say(void *argument, const char *line)
{
    (void)argument;
    print_message("fsck: %s\n", line);
}

struct fsck_result boots_disk_found(uint32_t index)
{
    struct fsck_result r;

    assert_int_equal(fsck_disk(core_disk_bdev(index), say, NULL, &r), 0);
    assert_int_equal(r.errors, 0);
    return r;
}

/*
 * Power cuts
 */

static void boot_after_cut(const struct boots_changes *changes, const struct ram_disk *log,
                           const uint8_t *before, size_t ops, enum ram_cut how, uint32_t *seed,
                           char *const states[2])
{
    char *now;

    boots_end();
    fake_set_disk(NULL, BOOTS_DISK_BYTES);
    memcpy(fake_disk()->data, before, BOOTS_DISK_BYTES);
    ram_disk_cut(log, fake_disk()->data, ops, how, seed);
    fake_start("", "");
    boots_begin(false, true);
    now = changes->look();
    if (strcmp(now, states[0]) != 0 && strcmp(now, states[1]) != 0)
        fail_msg("cut after %zu operations:\n%s\nis neither\n%s\nnor\n%s", ops, now, states[0],
                 states[1]);
    if (changes->check)
        changes->check();
    free(now);
}

void boots_cut_everywhere(const struct boots_changes *changes)
{
    static uint8_t before[BOOTS_DISK_BYTES];
    char *states[BOOTS_CHANGES_MAX + 1];
    size_t ends[BOOTS_CHANGES_MAX + 1] = {0};
    struct ram_disk log;
    uint32_t seed = changes->seed;
    unsigned boots = 0;

    assert_in_range(changes->count, 1, BOOTS_CHANGES_MAX);
    memcpy(before, fake_disk()->data, BOOTS_DISK_BYTES);
    fake_disk()->log = true;
    states[0] = changes->look();
    for (unsigned i = 0; i < changes->count; i++) {
        changes->make(i);
        states[i + 1] = changes->look();
        ends[i + 1] = fake_disk()->op_count;
        assert_true(ends[i + 1] > ends[i]);
    }
    /* The log outlives its disk. */
    log = *fake_disk();
    fake_disk()->ops = NULL;
    fake_disk()->op_count = 0;
    for (unsigned i = 0; i < changes->count; i++)
        for (size_t ops = ends[i]; ops <= ends[i + 1]; ops++)
            for (int how = 0; how < CUT_KINDS; how++, boots++) {
                bool begun = ops > ends[i], done = ops == ends[i + 1];
                char *const two[2] = {states[done ? i + 1 : i], states[begun ? i + 1 : i]};
                boot_after_cut(changes, &log, before, ops, (enum ram_cut)how, &seed, two);
            }
    print_message("%u changes, %u cold boots\n", changes->count, boots);
    for (unsigned i = 0; i <= changes->count; i++)
        free(states[i]);
    ram_disk_reset(&log);
}
