/*
 * guest_disk.c - guests' specs on the disk, as JSON, which later versions can read too.
 *
 * A change is on the disk before it is in the retained record. So a service that dies between the two finds more on the
 * disk than in its records: what the records don't know is added, and what they know otherwise is put back to what they
 * say, since no client has been told of either.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "guest.h"
#include "json.h"
#include "log.h"
#include "persist.h"
#include "skep/abi.h"

#define PREFIX     "guests/"
#define TEXT_MAX   (256u << 10) /* each byte of a file may take six */
#define KEPT_BYTES (sizeof(PREFIX) + SKEP_NAME_MAX)

static void kept_name(const char *name, char text[KEPT_BYTES])
{
    snprintf(text, KEPT_BYTES, PREFIX "%s", name);
}

int guest_keep(const char *name, const struct spec *spec, uint64_t files, struct problem *p)
{
    char kept[KEPT_BYTES], *text;
    cJSON *json;
    int result;

    if (!persist_has_disk())
        return 0;
    json = guest_spec_to_json(spec, files, FILES_WHOLE);
    text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    if (!text)
        return problem_set(p, 503, "There is no memory for the request now; try again.");
    kept_name(name, kept);
    result = persist_update(kept, text, strlen(text), p);
    free(text);
    return result;
}

int guest_unkeep(const char *name, struct problem *p)
{
    char kept[KEPT_BYTES];

    kept_name(name, kept);
    return persist_delete(kept, p);
}

static bool read_spec(const char *kept, const char *name, struct spec *spec, struct files *files,
                      struct problem *p)
{
    char *text = malloc(TEXT_MAX);
    int64_t bytes = text ? persist_get(kept, text, TEXT_MAX) : -SKEP_ENOMEM;
    cJSON *json = NULL;
    bool good = false;

    problem_set(p, 500, "It can't be read.");
    if (bytes >= 0 && bytes <= TEXT_MAX)
        json = json_parse(text, (size_t)bytes, p);
    if (json)
        good = spec_from_json(spec, json, name, p) == 0 &&
               files_take(cJSON_GetObjectItemCaseSensitive(json, "files"), 0, spec, files, p) == 0;
    cJSON_Delete(json);
    free(text);
    return good;
}

static void load(const char *kept)
{
    const char *name = kept + strlen(PREFIX);
    struct problem p;
    struct files files = {0};
    struct spec spec;
    struct guest *g;

    if (!name_valid(name) || guest_find(name))
        return;
    g = read_spec(kept, name, &spec, &files, &p) ? guest_add(name, &spec, 0, &p) : NULL;
    if (g && files_create(name, &files, &g->files, &p) != 0) {
        guest_forget(g);
        g = NULL;
    }
    files_free(&files);
    if (!g)
        log_line("guest '%s' is left aside: %s", name, p.detail);
    else if (!guest_retain(g))
        log_line("guest '%s' would not survive a restart of the control service", name);
}

void guest_load_kept(void)
{
    char *names = persist_list(PREFIX);

    for (const char *kept = names; kept && *kept; kept += strlen(kept) + 1)
        load(kept);
    free(names);
}

void guest_keep_all(void)
{
    struct problem p;

    if (!persist_is_open())
        return;
    for (struct guest *g = guest_first(); g; g = guest_after(g->name))
        if (!g->deleting && guest_keep(g->name, g->spec, g->files, &p) != 0)
            log_line("guest '%s' is not on the disk as it is: %s", g->name, p.detail);
}
