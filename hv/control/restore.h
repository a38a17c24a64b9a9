/*
 * restore.h - puts a backup's configuration in the place of what there is.
 *
 * All or nothing, also over power cuts: with a disk the backup's text is put there first, as the value "restore", which is
 * the commit; what it says is then done, and the value deleted. A start that finds it goes on with it (restore_start.c). On
 * a machine that has no guests, and no image of a name that the backup has another file of, all is done at once. Else
 * guests must end first: then it is done by the next start, and the machine is rebooted for it, which needs a disk.
 *
 * One restore at a time.
 */
#ifndef CONTROL_RESTORE_H
#define CONTROL_RESTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cJSON.h>

#include "backup.h"
#include "files.h"
#include "problem.h"
#include "spec.h"

#define RESTORE_VALUE "restore"

struct image;

struct restore {
    char *text; /* of the backup, ended by a NUL; the caller's */
    size_t bytes;
    bool replace, identity; /* what the client permits */
    bool dry_run;           /* nothing is kept, made or changed */

    struct image *
        *images; /* made of the backup's files, and in the table from `published` on not yet */
    unsigned image_count, published;
    bool committed;

    /* Counted in the text. */
    unsigned guests, other_images; /* of names that are taken by other files */
    cJSON *missing_images, *missing_volumes, *made_volumes;
};

/* Looks through the text: 0, or -1 and the problem, and then nothing has changed. */
int restore_check(struct restore *r, struct problem *p);

/* Takes the file of an image of the text, which stays the caller's. */
int restore_take_file(struct restore *r, const struct backup_image *image, const uint8_t *elf,
                      struct problem *p);

/* Does it: 200, or 202 if the machine reboots for it, with what was done as JSON; or -1 and the problem. A dry run only tells
 * that, 200. */
int restore_commit(struct restore *r, cJSON **json, struct problem *p);

/* Frees what it has, and takes back the files of a restore that wasn't committed. */
void restore_end(struct restore *r);

/* Goes on with one that was committed. After the disks, and before all else. */
void restore_resume(bool first_start);

/*
 * For each other
 */

/* Calls the action for each line of the kind, until one fails. */
typedef int restore_action(struct restore *r, const struct backup_line *line, struct problem *p);
int restore_for_each(struct restore *r, enum backup_kind kind, restore_action *action,
                     struct problem *p);

/* Looks whether the guest of a line can be here, and counts it. */
restore_action restore_check_guest;

/* Looks at the app of a line; and keeps it. */
restore_action restore_check_app, restore_keep_app;

/* Creates the volume of a line if there is none, or notes that it can't be. */
restore_action restore_volume, restore_identity;

#endif
