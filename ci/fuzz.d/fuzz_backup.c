/*
 * fuzz_backup.c - what is read of backups after they were opened, and of the audit trail on a disk.
 *
 * The first byte says what the rest is: a backup's text, which is restored if it passes the checks, or a record.
 */
#include <stdlib.h>
#include <string.h>

#include "audit_log.h"
#include "backup.h"
#include "guest.h"
#include "harness.h"
#include "host.h"
#include "image.h"
#include "restore.h"
#include "test/fake.h"

static uint64_t record_run(struct input *input)
{
    struct audit_record record;
    char text[AUDIT_TEXT_MAX];
    const char *lines[AUDIT_LINES];
    uint64_t id = 0;

    input_take(input, &record, sizeof(record));
    if (!audit_record_id(&record, sizeof(record), false, &id)) {
        FUZZ_CHECK(!audit_record_id(&record, sizeof(record), true, &id));
        return 1;
    }
    FUZZ_CHECK(record.bytes < AUDIT_TEXT_MAX);
    memcpy(text, record.text, record.bytes + 1);
    if (!audit_split(text, lines)) {
        return 2;
    }
    for (unsigned i = 0; i < AUDIT_LINES; i++) {
        FUZZ_CHECK(lines[i] >= text && lines[i] + strlen(lines[i]) <= text + record.bytes);
    }
    return way_add(3, id);
}

/* What passes the checks is restored as a whole or not at all, and each guest is one that is backed up again. */
static uint64_t commit(struct restore *r)
{
    struct problem problem = {0};
    cJSON *json = NULL;
    int status = restore_commit(r, &json, &problem);
    char *text;
    size_t bytes;

    FUZZ_CHECK((status == 200) == (json != NULL));
    FUZZ_CHECK(guest_count() == (status == 200 ? r->guests : 0));
    text = backup_make(false, &bytes, &problem);
    FUZZ_CHECK(text && bytes);
    free(text);
    cJSON_Delete(json);
    guest_restore_none();
    return way_add((uint64_t)status, r->guests);
}

static uint64_t text_run(struct input *input)
{
    struct problem problem = {0};
    struct restore r = {.bytes = (size_t)(input->end - input->at)};
    uint64_t way;

    r.text = malloc(r.bytes + 1);
    FUZZ_CHECK(r.text);
    input_take(input, r.text, r.bytes);
    r.text[r.bytes] = '\0';
    if (restore_check(&r, &problem) == 0) {
        way = commit(&r);
    } else {
        FUZZ_CHECK(problem.status >= 400 && problem.status < 600);
        way = (uint64_t)problem.status;
    }
    FUZZ_CHECK(guest_count() == 0 && !image_first());
    restore_end(&r);
    free(r.text);
    return way;
}

void fuzz_start(void)
{
    fake_start("", "");
    host_set_cpus(FAKE_CPUS);
    guest_table_init(FAKE_RECORDS);
}

uint64_t fuzz_run(const uint8_t *data, size_t bytes)
{
    struct input input = {data, data + bytes};

    return input_byte(&input) & 1 ? record_run(&input) : text_run(&input);
}
