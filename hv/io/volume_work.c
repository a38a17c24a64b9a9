/*
 * volume_work.c - which volumes are open, and which of them have work, or wait.
 */
#include "core/cpu.h"
#include "io/volume.h"

#define WAKE_AT_ONCE 16u /* volumes, of all that are to be woken */

/* Guards all of this file, and what volume.h says. */
static struct spinlock work_lock = {.kind = LOCK_WORK};
static struct volume *volumes[VOLUMES_MAX];
static uint32_t generations[VOLUMES_MAX];
static uint32_t free_next[VOLUMES_MAX]; /* index + 1 of the next free one */
static uint32_t free_first,
    used_top; /* index + 1, 0 = none; indexes from the top on were never used */
static struct volume *first, *last; /* open ones, oldest first */
static struct volume *wake_next;    /* of those, the next to be woken */
static struct work_link lists[VOLUME_LISTS] = {
    {&lists[0], &lists[0]}, {&lists[1], &lists[1]}, {&lists[2], &lists[2]}};
/* Those that have waited in a list, and are to be woken. Nobody is in that of VOLUME_WORK. */
static struct work_link going[VOLUME_LISTS] = {
    {&going[0], &going[0]}, {&going[1], &going[1]}, {&going[2], &going[2]}};
static struct heap due;

_Atomic uint64_t volume_deadline_ns = TIME_NEVER;
_Atomic bool volume_work;

/* Holds work_lock. */
static void show_locked(void)
{
    bool work = wake_next || !link_none(&lists[VOLUME_WORK]);
    for (uint32_t i = 0; i < VOLUME_LISTS; i++) {
        work |= !link_none(&going[i]);
    }
    atomic_store_explicit(&volume_work, work, memory_order_relaxed);
}

/* ---- the table ---- */

static uint32_t index_of(uint64_t handle)
{
    return (uint32_t)handle - 1;
}

static bool index_take(uint32_t *index)
{
    if (free_first > 0) {
        *index = free_first - 1;
        free_first = free_next[*index];
        return true;
    }
    *index = used_top;
    used_top += used_top < VOLUMES_MAX;
    return *index < VOLUMES_MAX;
}

static void enter(struct volume *volume, uint32_t index)
{
    volumes[index] = volume;
    volume->handle = (uint64_t)++generations[index] << 32 | (index + 1);
    volume->previous = last;
    volume->next = NULL;
    *(last ? &last->next : &first) = volume;
    last = volume;
}

int volume_table_add(struct volume *volume)
{
    uint32_t index;
    spin_lock(&work_lock);
    bool found = index_take(&index);
    if (found) {
        enter(volume, index);
    }
    spin_unlock(&work_lock);
    return found ? 0 : -SKEP_ENOSPC;
}

static void deadline_show(void)
{
    const struct heap_node *node = heap_min(&due);
    atomic_store_explicit(&volume_deadline_ns, node ? node->key : TIME_NEVER, memory_order_relaxed);
}

static void leave(struct volume *volume)
{
    uint32_t index = index_of(volume->handle);
    for (uint32_t i = 0; i < VOLUME_LISTS; i++) {
        link_remove(&volume->links[i]);
    }
    heap_remove(&due, &volume->due);
    deadline_show();
    wake_next = wake_next == volume ? volume->next : wake_next;
    show_locked();
    *(volume->previous ? &volume->previous->next : &first) = volume->next;
    *(volume->next ? &volume->next->previous : &last) = volume->previous;
    volumes[index] = NULL;
    free_next[index] = free_first;
    free_first = index + 1;
}

int volume_table_remove(struct volume *volume)
{
    spin_lock(&work_lock);
    bool idle = volume->references == 0;
    if (idle) {
        leave(volume);
    }
    spin_unlock(&work_lock);
    return idle ? 0 : -SKEP_EBUSY;
}

struct volume *volume_find(uint64_t handle)
{
    uint32_t index = index_of(handle);
    struct volume *volume = index < VOLUMES_MAX ? volumes[index] : NULL;
    return volume && volume->handle == handle ? volume : NULL;
}

uint64_t volume_next(const struct volume *volume)
{
    const struct volume *next = volume ? volume->next : first;
    return next ? next->handle : 0;
}

/* ---- work; the functions called …_locked hold work_lock ---- */

static void list_locked(struct volume *volume, enum volume_list list)
{
    if (volume->links[list].next == NULL) {
        link_append(&lists[list], &volume->links[list]);
    }
}

void volume_work_add(struct volume *volume)
{
    spin_lock(&work_lock);
    list_locked(volume, VOLUME_WORK);
    show_locked();
    spin_unlock(&work_lock);
}

/* Release pairs with the acquire of who takes the flag: what the request waits for is seen. */
static void wake_locked(struct volume *volume)
{
    atomic_store_explicit(&volume->retry, true, memory_order_release);
    list_locked(volume, VOLUME_WORK);
}

void volume_wake(struct volume *volume)
{
    spin_lock(&work_lock);
    wake_locked(volume);
    show_locked();
    spin_unlock(&work_lock);
    atomic_store(&arch_cpu()->resched, 1); /* this CPU comes by io_work() before it goes on */
}

void volume_stall(struct volume *volume, enum volume_list list)
{
    spin_lock(&work_lock);
    list_locked(volume, list);
    spin_unlock(&work_lock);
}

static struct volume *volume_of_link(struct work_link *link, enum volume_list list)
{
    return (struct volume *)((char *)(link - list) - offsetof(struct volume, links));
}

/* One that is in `going` already is woken after this all the same. */
void volume_unstall(enum volume_list list)
{
    spin_lock(&work_lock);
    link_splice(&going[list], &lists[list]);
    show_locked();
    spin_unlock(&work_lock);
}

void volume_due_set(struct volume *volume, uint64_t due_ns)
{
    spin_lock(&work_lock);
    heap_remove(&due, &volume->due);
    heap_insert(&due, &volume->due, due_ns);
    deadline_show();
    spin_unlock(&work_lock);
    atomic_store(&arch_cpu()->resched, 1); /* this CPU's timer has to be set */
}

void volume_wake_all(void)
{
    spin_lock(&work_lock);
    wake_next = first;
    show_locked();
    spin_unlock(&work_lock);
    atomic_store(&arch_cpu()->resched, 1);
}

static void wake_some_locked(void)
{
    for (uint32_t i = 0; i < WAKE_AT_ONCE && wake_next; i++) {
        wake_locked(wake_next);
        wake_next = wake_next->next;
    }
    for (uint32_t i = 0; i < WAKE_AT_ONCE; i++) {
        enum volume_list list = link_none(&going[VOLUME_ROOM]) ? VOLUME_COPY : VOLUME_ROOM;
        struct work_link *link = going[list].next;
        if (link != &going[list]) {
            link_remove(link);
            wake_locked(volume_of_link(link, list));
        }
    }
}

static struct volume *volume_of_due(struct heap_node *node)
{
    return (struct volume *)((char *)node - offsetof(struct volume, due));
}

static void due_locked(void)
{
    struct heap_node *node = heap_min(&due);
    if (node && node->key <= arch_clock_ns()) {
        heap_remove(&due, node);
        deadline_show();
        list_locked(volume_of_due(node), VOLUME_WORK);
    }
}

struct volume *volume_work_next(void)
{
    struct volume *volume = NULL;
    if (!volume_work_any()) {
        return NULL;
    }
    spin_lock(&work_lock);
    wake_some_locked();
    due_locked();
    struct work_link *link = lists[VOLUME_WORK].next;
    if (link != &lists[VOLUME_WORK]) {
        link_remove(link);
        volume = volume_of_link(link, VOLUME_WORK);
        volume->references++;
    }
    show_locked();
    spin_unlock(&work_lock);
    return volume;
}

void volume_release(struct volume *volume)
{
    spin_lock(&work_lock);
    volume->references--;
    spin_unlock(&work_lock);
}
