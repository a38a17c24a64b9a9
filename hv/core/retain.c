/*
 * retain.c - retained records. Each has a promise of its own while it exists.
 */
#include "core/retain.h"

#include "core/cpu.h"
#include "core/frame.h"
#include "core/gmem.h"
#include "core/lock.h"

static struct spinlock retain_lock;
static pfn_t *records;
static uint32_t capacity;

void retain_init(uint32_t record_count)
{
    records = core_array(record_count, sizeof(pfn_t));
    capacity = record_count;
}

uint32_t retain_capacity(void)
{
    return capacity;
}

/* The page can't go away while it is copied: it is pinned. */
int retain_read(struct guest *caller, uint32_t index, gva_t to)
{
    if (index >= capacity) {
        return -SKEP_EINVAL;
    }
    spin_lock(&retain_lock);
    pfn_t pfn = records[index];
    int error = pfn ? frame_pin(pfn) : -SKEP_ENOENT;
    spin_unlock(&retain_lock);
    if (error) {
        return error;
    }
    error = gmem_copy_out(caller, to, frame_data(pfn), PAGE_SIZE);
    frame_unpin(pfn);
    return error;
}

/* A frame with the new contents, and its promise. */
static int prepare(struct guest *caller, gva_t from, pfn_t *pfn)
{
    int error = promise_take(1);
    if (error) {
        return error;
    }
    *pfn = frame_alloc_raw(SKEP_FRAME_RETAINED, OWNER_CORE);
    error = *pfn ? gmem_copy_in(caller, frame_data(*pfn), from, PAGE_SIZE) : -SKEP_ENOMEM;
    if (!error) {
        return 0;
    }
    if (*pfn) {
        frame_free(*pfn, 0);
    }
    promise_give(1);
    return error;
}

int retain_write(struct guest *caller, uint32_t index, gva_t from)
{
    if (index >= capacity) {
        return -SKEP_EINVAL;
    }
    pfn_t new = PFN_NONE;
    int error = from.value ? prepare(caller, from, &new) : 0;
    if (error) {
        return error;
    }
    spin_lock(&retain_lock);
    pfn_t old = records[index];
    records[index] = new;
    spin_unlock(&retain_lock);
    if (old) {
        frame_free(old, 0);
        promise_give(1);
    }
    return 0;
}
