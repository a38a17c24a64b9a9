/*
 * guest.h - guests: what is wanted (spec, retained) and what there is (ring 0's guest), and how the
 * one follows the other.
 *
 * A guest exists from the moment that its record is retained until that is erased. In between, ring 0
 * has or hasn't a guest of its name; guest_step() moves that towards the spec, after each change and
 * each notification. Nothing else starts, stops or destroys one.
 *
 * Commit: a change is first made on the disk, if there is one, then in the record, then in memory, then in ring 0. A
 * service that dies in between finds both at its start and finishes (guest_disk.c). Changes to a guest that runs on
 * (guest_live.c) are the exception: ring 0 may refuse them, so it is asked first.
 *
 * There may be thousands: what is kept of each is small, and nothing that one request or one notification does
 * looks at all of them.
 *
 * All functions are called with the model's lock held.
 */
#ifndef CONTROL_GUEST_H
#define CONTROL_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include <cJSON.h>

#include "core.h"
#include "problem.h"
#include "spec.h"
#include "tree.h"

struct files;
struct image;

/* What is kept of ring 0's guest, as of the last look at it. */
struct guest_view {
    uint32_t state; /* enum skep_guest_state */
    uint32_t exit_code;
    uint32_t vcpus_on;
    bool killed; /* ended by force */
    uint64_t started_ns, ended_ns;
    uint64_t memory_promised, memory_committed;
    uint64_t console_first, console_end;
};

/* How ring 0's guest ended last. */
struct guest_end {
    uint32_t reason; /* enum skep_crash_reason; SKEP_CRASH_NONE = it exited */
    uint32_t exit_code;
};

/* A network device in the indexes. */
struct guest_address {
    struct tree_node by_address, by_address6, by_mac;
    struct guest *guest;
};

struct guest {
    /* The table's (guest_table.c). */
    struct tree_node by_name, by_handle, by_due, by_wait;
    struct guest_address addresses[SKEP_NETS_MAX];
    struct guest *image_next, **image_link; /* among the users of its image */
    char name[SKEP_NAME_MAX];
    unsigned record;
    uint64_t handle; /* of ring 0's guest, 0 = it has none; guest_set_handle() */
    const char
        *waits_for; /* a name of its start_after that isn't up, NULL = none; guest_set_wait() */
    struct {
        uint32_t round;
        struct guest *via, *next;
    } search;        /* guest_order.c */
    uint32_t starts; /* ring 0's guests that were made of it */
    uint64_t due_ns; /* when the next step is due without a notification, core_clock_ns; 0 = not */

    /* Retained. */
    struct spec *spec; /* a kept one; guest_set_spec() */
    bool deleting;     /* it is to end, and then its record */
    bool replacing;    /* ring 0's guest is of a former spec and is to end */
    uint32_t failures; /* restarts in a row, for the back-off */
    uint64_t log_base; /* bytes that former guests of this name printed */
    uint64_t files;    /* image of its spec's files (files.h), 0 = none */

    /* Observed. */
    struct guest_view view;
    bool just_changed;     /* by us: the view is true without another look */
    const char *told;      /* the state that was told last (guest_events.c), NULL = none */
    struct guest_end end;  /* of the latest one that ended by itself */
    uint32_t crash;        /* id of its latest crash (crashes.h), 0 = none */
    uint64_t crash_handle; /* of ring 0's guest that it is about */
    uint64_t
        old_files; /* image of a former spec's, which ring 0's guest may have still; 0 = none */
    int64_t create_error;  /* why ring 0 doesn't create it, 0 = it does */
    uint32_t create_tries; /* in a row that failed */

    /* Underway, core_clock_ns; 0 = not. */
    uint64_t stop_deadline, restart_at, force_at;
};

void model_lock(void);
void model_unlock(void);

/* Reads the records (unless in safe mode, or when none can have been written yet), finds ring 0's guests, and brings
 * both together. */
void guest_adopt_all(bool safe_mode, bool first_start, unsigned record_count);

/*
 * The table
 */

struct guest *guest_find(const char *name);
struct guest *guest_by_handle(uint64_t handle);
struct guest *guest_first(void);             /* by name */
struct guest *guest_after(const char *name); /* the next name's, NULL = none; "" gives the first */
/* Of the next name that begins with the prefix. */
struct guest *guest_after_with(const char *name, const char *prefix);
struct guest *guest_first_due(void); /* NULL if none waits for a moment */
struct guest *guest_with_address(uint32_t address, const char *but);
struct guest *guest_with_address6(const uint8_t address[16], const char *but);
struct guest *guest_with_mac(const uint8_t mac[6], const char *but);
unsigned guest_count(void);
unsigned guest_device_count(void); /* network devices of all specs */
unsigned guest_volume_count(void); /* volumes of all specs, as block devices */

/* Sets when the next step is due, and wakes who waits longer. */
void guest_schedule(struct guest *guest, uint64_t due_ns);

/* How many records there are in all. Called once, before guests are added. */
void guest_table_init(unsigned record_count);

/* A guest in the table: with this record, or for 0 with a free one, not yet written. NULL and the problem when there
 * is no room. */
struct guest *guest_add(const char *name, const struct spec *spec, unsigned record,
                        struct problem *p);
int guest_check_room(struct problem *p); /* 0, or -1 and the problem: there is none for another */
void guest_forget(struct guest *guest);  /* out of the table, and freed */

/* The guest takes a kept spec over, and the caller the former one, to be freed. */
struct spec *guest_set_spec(struct guest *guest, struct spec *spec);
void guest_set_handle(struct guest *guest, uint64_t handle);
void guest_set_due(struct guest *guest, uint64_t due_ns);

/* Whom it waits for: a name within its spec, or NULL. */
void guest_set_wait(struct guest *guest, const char *name);
struct guest *guest_first_waiting(const char *name); /* for this one; NULL = none */

/* A new image may be what guests have waited for. */
void guest_image_published(struct image *image);

/*
 * What clients ask for
 */

enum guest_change {
    GUEST_UNCHANGED,
    GUEST_CREATED,
    GUEST_APPLIED,   /* the guest goes on with it */
    GUEST_REPLACING, /* a new one takes its place */
};

/* Creates a guest or gives it a spec: 201 or 200, or -1 and the problem, and then nothing changed. */
int guest_put(const char *name, const struct spec *spec, const struct files *files,
              enum guest_change *change, struct problem *p);

/* What guest_put() would do, as far as that is known without doing it: 200, or -1 and the problem. */
int guest_foresee(const char *name, const struct spec *spec, enum guest_change *change,
                  struct problem *p);

/* Until it is called with NULL, guest_foresee() takes the volumes that are members of this object for there. */
void guest_expect_volumes(const cJSON *volumes);

/* 0, or -1 and the problem: so many bytes can't be promised, when `returned` ones are no longer. */
int guest_check_memory(const char *what, uint64_t wanted, uint64_t returned, struct problem *p);

/* One of a backup: it is kept, retained, and created in ring 0 when it is its turn; 0, or -1 and the problem. And takes
 * back all of them, where there were none before. */
int guest_restore(const char *name, const struct spec *spec, const struct files *files,
                  struct problem *p);
void guest_restore_none(void);

/* 204 if it is gone, 202 if it takes a moment, or -1 and the problem. */
int guest_delete(struct guest *guest, struct problem *p);

/* Takes a fresh status from ring 0, which is valid until the next one is taken; NULL if it has no such guest. */
const struct skep_guest_status *guest_refresh(struct guest *guest);

/* The same in a fraction of the time: of one that hasn't ended, what is before memory_committed, and all but that of the
 * view. */
const struct skep_guest_status *guest_glance(struct guest *guest);

/* Whether ring 0's guest has ended and no other will follow. */
bool guest_has_ended(const struct guest *guest);

cJSON *guest_to_json(struct guest *guest, bool in_list);

/* A list's view=basic of it, JSON as text, of up to GUEST_BASIC_MAX bytes; returns where it ends, without a NUL there. */
#define GUEST_BASIC_MAX 640u
char *guest_put_basic(char *at, struct guest *guest);

const char *guest_state_text(const struct guest *guest);
const char *guest_change_name(enum guest_change change);

/* What it would be with another spec and other files; NULL = there is no such guest yet. */
cJSON *guest_foreseen_to_json(const char *name, struct guest *guest, struct spec *spec,
                              const struct files *files);

/* A spec with its files, of which that much is shown (an enum files_form). */
cJSON *guest_spec_to_json(const struct spec *spec, uint64_t files, unsigned form);

/*
 * The state machine (guest_step.c)
 */

/* Looks at ring 0's guest and does what is due. The guest may be gone afterwards. */
void guest_step(struct guest *guest);
void guest_step_handle(uint64_t handle);

/* Steps guests that are due, at most `most`; whether there are more. */
bool guest_step_due(unsigned most);

/* Steps at most `most` guests whose names follow this one, which becomes the last one's; whether there are more. */
bool guest_step_after(char name[SKEP_NAME_MAX], unsigned most);

/* When the next step is due without a notification; UINT64_MAX = never. Whoever is told so is kicked
 * (core_notify_kick) when it comes earlier. */
uint64_t guest_next_deadline(void);

bool guest_policy_restarts(const struct guest *guest);
bool guest_has_given_up(const struct guest *guest); /* at its restart_limit */
bool guest_is_crash_looping(const struct guest *guest);

/* From now on all guests are to end, whatever their specs say, each with at most this grace. */
void guest_end_all(uint64_t longest_grace_ns);
void guest_end_none(void); /* takes that back */

/*
 * The order of starts (guest_order.c)
 */

/* Whether those that start after it may start. */
bool guest_is_up(const struct guest *guest);

/* Whether one that its start_after names isn't up; the guest is stepped when it is. */
bool guest_must_wait(struct guest *guest);

/* The guest is up: those that wait for it are due. */
void guest_wake_waiting(const struct guest *guest);

/* 0, or -1 and the problem: with this spec guests would wait for each other. */
int guest_check_order(const char *name, const struct spec *spec, struct problem *p);

/*
 * On the disk (guest_disk.c): 0, or -1 and the problem. Without a disk they do nothing.
 */

int guest_keep(const char *name, const struct spec *spec, uint64_t files, struct problem *p);
int guest_keep_json(const char *name, const cJSON *spec, struct problem *p); /* with its files */
int guest_unkeep(const char *name, struct problem *p);
void guest_load_kept(void); /* adds those that aren't in the table */
void guest_keep_all(void);

/*
 * For each other
 */

bool guest_retain(const struct guest *guest);
int64_t guest_create_in_core(struct guest *guest);
void guest_drop_files(struct guest *guest, uint64_t image); /* once ring 0's guest hasn't it */
void guest_explain(const struct guest *guest, char *text, size_t room); /* create_error in words */
/* Why it isn't created now; false: nothing is known that keeps it. */
bool guest_explain_wait(const struct guest *guest, char *text, size_t room);

/* guest_events.c: tells what clients asked for, what the policy decides, and the state if it isn't the one told last. */
void guest_tell_created(const struct guest *guest);
void guest_tell_changed(const struct guest *guest, enum guest_change change);
void guest_tell_restart(const struct guest *guest);
void guest_tell_deleted(const struct guest *guest);
void guest_tell_state(struct guest *guest);

/* guest_live.c: gives ring 0's guest those live fields of a spec that differ from the former one, all or none. -1 and
 * the problem if it refuses. */
int guest_apply_live(struct guest *guest, const struct spec *from, const struct spec *spec,
                     struct problem *p);
/* Whether it would, as far as the last look at the guest tells. */
int guest_check_live(struct guest *guest, const struct spec *spec, struct problem *p);
/* After the service's restart: whatever a change left half made. */
void guest_reconcile(struct guest *guest, const struct skep_guest_status *status);
/* Holds the vCPUs that were to stop and didn't. */
void guest_force_vcpus(struct guest *guest);

#endif
