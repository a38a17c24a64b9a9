/*
 * fuzz_json.c - JSON of clients and of the boot: guests' specs, merge patches, the boot module and command line.
 *
 * The first byte says what the rest is.
 */
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "files.h"
#include "harness.h"
#include "json.h"
#include "spec.h"
#include "test/fake.h"

/* A text of its own length, so that a read beyond it is found. */
static char *text_of(struct input *input, size_t *bytes)
{
    *bytes = (size_t)(input->end - input->at);
    char *text = malloc(*bytes + 1);
    FUZZ_CHECK(text);
    input_take(input, text, *bytes);
    text[*bytes] = 0;
    return text;
}

static void spec_check(const struct spec *spec)
{
    FUZZ_CHECK(spec->memory_bytes >= SPEC_MEMORY_MIN && spec->memory_bytes <= SPEC_MEMORY_MAX);
    FUZZ_CHECK(spec->vcpus >= 1 && spec->vcpus <= SPEC_VCPUS_MAX);
    FUZZ_CHECK(spec->weight >= 1 && spec->weight <= SPEC_WEIGHT_MAX);
    FUZZ_CHECK(spec->net_count <= SKEP_NETS_MAX && spec->strings_bytes <= SPEC_STRINGS_MAX);
    FUZZ_CHECK(memchr(spec->image, 0, sizeof(spec->image)));
    uint32_t ends = 0;
    for (uint32_t i = 0; i < spec->strings_bytes; i++) {
        ends += spec->strings[i] == 0;
    }
    FUZZ_CHECK(ends == spec->argc + spec->envc + spec->volume_count);
}

/* What is printed is read again as the same. */
static void spec_round(const struct spec *spec)
{
    static struct spec again;
    struct problem problem;
    cJSON *json = spec_to_json(spec);
    FUZZ_CHECK(json);
    char *text = cJSON_PrintUnformatted(json);
    FUZZ_CHECK(text);
    cJSON *parsed = json_parse(text, strlen(text), &problem);
    FUZZ_CHECK(parsed);
    FUZZ_CHECK(spec_from_json(&again, parsed, "guest", &problem) == 0);
    FUZZ_CHECK(spec_compare(spec, &again) == SPEC_SAME);
    free(text);
    cJSON_Delete(parsed);
    cJSON_Delete(json);
}

/* Files that were taken are shown as they came, and shown they make the same spec; of secrets nothing is shown. */
static void files_round(const struct spec *spec, const struct files *files)
{
    static struct spec again;
    struct problem problem;
    struct files other;
    uint64_t image;
    FUZZ_CHECK(files_create("guest", files, &image, &problem) == 0);
    for (unsigned form = FILES_PATHS; form <= FILES_WHOLE; form++) {
        cJSON *list = files_to_json(image, (enum files_form)form);
        FUZZ_CHECK(cJSON_GetArraySize(list) == (int)spec->file_count);
        again = *spec;
        memset(again.files_digest, 0, sizeof(again.files_digest));
        FUZZ_CHECK(files_take(list, form == FILES_WHOLE ? 0 : image, &again, &other, &problem) ==
                   0);
        FUZZ_CHECK(spec_compare(spec, &again) == SPEC_SAME);
        files_free(&other);
        cJSON_Delete(list);
    }
    FUZZ_CHECK(files_destroy(image));
}

static uint64_t spec_run(const cJSON *json)
{
    static struct spec spec;
    struct problem problem;
    struct files files;
    if (spec_from_json(&spec, json, "guest", &problem)) {
        return 1;
    }
    spec_check(&spec);
    spec_round(&spec);
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "files");
    if (files_take(list, 0, &spec, &files, &problem)) {
        return 3;
    }
    files_round(&spec, &files);
    files_free(&files);
    return way_add(spec.memory_bytes, spec.strings_bytes + spec.file_count);
}

static uint64_t patch_run(const cJSON *json)
{
    static const char base[] = "{\"image\":\"hello\",\"args\":[\"a\"],\"env\":{\"A\":\"b\"}}";
    static struct spec spec;
    struct problem problem;
    cJSON *first = json_parse(base, sizeof(base) - 1, &problem);
    FUZZ_CHECK(first && spec_from_json(&spec, first, "guest", &problem) == 0);
    cJSON_Delete(first);
    cJSON *patched = spec_patch(spec_to_json(&spec), json, &problem);
    int result = patched ? spec_from_json(&spec, patched, "guest", &problem) : -1;
    cJSON_Delete(patched);
    if (result) {
        return 1;
    }
    spec_check(&spec);
    spec_round(&spec);
    return way_add(spec.memory_bytes, spec.strings_bytes);
}

static uint64_t json_run(uint8_t what, const char *text, size_t bytes)
{
    struct problem problem;
    cJSON *json = json_parse(text, bytes, &problem);
    if (!json) {
        return 2;
    }
    uint64_t way = what == 1 ? patch_run(json) : spec_run(json);
    cJSON_Delete(json);
    return way;
}

static uint64_t config_run(uint8_t what, char *text, size_t bytes)
{
    static struct config config;
    config_defaults(&config);
    if (what == 2) {
        config_apply_module(&config, text, bytes);
    } else {
        config_apply_cmdline(&config, text);
    }
    FUZZ_CHECK(memchr(config.hostname, 0, sizeof(config.hostname)));
    FUZZ_CHECK(memchr(config.token, 0, sizeof(config.token)));
    FUZZ_CHECK(!*config.token || strlen(config.token) >= CONFIG_TOKEN_MIN);
    uint64_t way = way_add(strlen(config.hostname), config.net.address);
    config_free(&config);
    return way;
}

void fuzz_start(void)
{
    fake_start("", "");
}

uint64_t fuzz_run(const uint8_t *data, size_t bytes)
{
    struct input input = {data, data + bytes};
    uint8_t what = input_byte(&input) & 3;
    size_t length;
    char *text = text_of(&input, &length);
    uint64_t way = what < 2 ? json_run(what, text, length) : config_run(what, text, length);
    json_clean_text(text);
    free(text);
    return way;
}
