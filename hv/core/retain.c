/*
 * retain.c - retained records. Each has a promise of its own while it exists.
 *
 * Only the control service's calls come here, one at a time (scratch_lock), so there is no lock.
 */
#include "core/retain.h"

#include "core/cpu.h"
#include "core/frame.h"
#include "core/gmem.h"
#include "core/log.h"

static pfn_t *records;
static uint32_t capacity;
static pfn_t
    spare; /* takes new contents before they replace the old, so that a replacement needs no promise */

void retain_init(uint32_t record_count)
{
    records = core_array(record_count, sizeof(pfn_t));
    capacity = record_count;
    spare = frame_alloc_raw(SKEP_FRAME_RETAINED, OWNER_CORE);
    CHECK(spare);
}

uint32_t retain_capacity(void)
{
    return capacity;
}

int retain_read(struct guest *caller, uint32_t index, gva_t to)
{
    if (index >= capacity) {
        return -SKEP_EINVAL;
    }
    pfn_t pfn = records[index];
    return pfn ? gmem_copy_out(caller, to, frame_data(pfn), PAGE_SIZE) : -SKEP_ENOENT;
}

static void erase(uint32_t index)
{
    if (records[index]) {
        frame_free(records[index], 0);
        records[index] = PFN_NONE;
        promise_give(1);
    }
}

/* A promise, and the frame that becomes the next spare one. */
static int record_promise(pfn_t *pfn)
{
    int error = promise_take(1);
    if (error) {
        return error;
    }
    *pfn = frame_alloc_raw(SKEP_FRAME_RETAINED, OWNER_CORE);
    if (!*pfn) {
        promise_give(1);
        return -SKEP_ENOMEM;
    }
    return 0;
}

int retain_write(struct guest *caller, uint32_t index, gva_t from)
{
    if (index >= capacity) {
        return -SKEP_EINVAL;
    }
    if (!from.value) {
        erase(index);
        return 0;
    }
    int error = gmem_copy_in(caller, frame_data(spare), from, PAGE_SIZE);
    pfn_t old = records[index];
    if (!error && !old) {
        error = record_promise(&old);
    }
    if (!error) {
        records[index] = spare;
        spare = old;
    }
    return error;
}
