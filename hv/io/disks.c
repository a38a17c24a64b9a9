/*
 * disks.c - the machine's disks: what is asked of them is checked and counted here, and their queues are polled.
 *
 * Each queue of each disk has a bit in two words: `disks_wanted_queues` is set by interrupts and by a poll that left work, `polling`
 * while a CPU polls the queue. An interrupt only sets its bit: io_work(), which follows each trap, polls, so that a trap
 * hands back a bounded number of requests.
 *
 * A flush of a disk that has no cache is not given to the driver: it waits in `flushes` for the next poll, so that done()
 * is never called from within disks_submit().
 */
#include "io/disks.h"

#include "core/log.h"
#include "core/string.h"

#define QUEUE_BITS (SKEP_DISKS_MAX * DISK_QUEUES_MAX)
_Static_assert(QUEUE_BITS <= 32, "a bit for each queue");

/* Each disk is looked at so often. Silence is told by looks, not by the clock: while the whole machine is stopped, its disks
 * have no time either. */
#define LOOK_S   5u
#define SILENT_S 30u

static struct entry {
    struct disk *disk;
    _Atomic uint64_t done[DISK_WRITE_ZEROES + 1]; /* requests without an error, by operation */
    _Atomic uint64_t errors, read_bytes, written_bytes;

    _Atomic uint32_t silent_s; /* how long a request has waited, if that is long */

    struct spinlock lock;
    struct disk_request *flushes; /* guarded by lock; newest first: their order says nothing */
} entries[SKEP_DISKS_MAX];

static uint32_t entry_count;
static const struct disks_listener *listener;

static _Atomic uint32_t polling;
_Atomic uint32_t disks_wanted_queues;
_Atomic uint64_t disks_look_ns = TIME_NEVER;
static _Atomic uint32_t look_turn, idle_looks;
static _Atomic uint32_t turn; /* bit that comes first in the next poll; a hint */

void disks_listen(const struct disks_listener *to)
{
    listener = to;
}

int disks_add(struct disk *disk)
{
    if (entry_count == SKEP_DISKS_MAX) {
        return -SKEP_ENOSPC;
    }
    CHECK(disk->queue_count >= 1 && disk->queue_count <= DISK_QUEUES_MAX);
    disk->index = entry_count;
    entries[entry_count] = (struct entry){.disk = disk, .lock = {.kind = LOCK_DISK}};
    entry_count++;
    return 0;
}

uint32_t disks_count(void)
{
    return entry_count;
}

struct disk *disks_get(uint32_t index)
{
    return index < entry_count ? entries[index].disk : NULL;
}

/* ---- submitting ---- */

static bool pieces_match(const struct disk *disk, const struct disk_request *request)
{
    uint64_t bytes = 0;
    if (request->piece_count > DISK_PIECES_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < request->piece_count; i++) {
        const struct disk_piece *piece = &request->pieces[i];
        if (piece->bytes == 0 || piece->bytes > disk->piece_bytes_max) {
            return false;
        }
        bytes += piece->bytes;
    }
    return bytes > 0 && bytes == (uint64_t)request->sectors * DISK_SECTOR;
}

static bool run_fits(const struct disk *disk, const struct disk_request *request)
{
    uint32_t block = disk->block_bytes / DISK_SECTOR;
    uint64_t sectors = atomic_load_explicit(&disk->sectors, memory_order_relaxed);
    return request->sectors > 0 && request->sector % block == 0 && request->sectors % block == 0 &&
           request->sector <= sectors && request->sectors <= sectors - request->sector;
}

static bool permitted(const struct disk *disk, const struct disk_request *request)
{
    if (request->op == DISK_FLUSH) {
        return request->piece_count == 0;
    }
    if (!run_fits(disk, request) ||
        (request->op != DISK_READ && (disk->flags & SKEP_DISK_READ_ONLY))) {
        return false;
    }
    switch (request->op) {
    case DISK_READ:
    case DISK_WRITE:
        return request->sectors <= DISK_BYTES_MAX / DISK_SECTOR && pieces_match(disk, request);
    case DISK_DISCARD:
        return request->piece_count == 0 && request->sectors <= disk->discard_max;
    case DISK_WRITE_ZEROES:
        return request->piece_count == 0 && request->sectors <= disk->zeroes_max;
    default:
        return false;
    }
}

static void want(struct disk *disk, uint32_t queue)
{
    atomic_fetch_or(&disks_wanted_queues, 1u << (disk->index * DISK_QUEUES_MAX + queue));
}

static int flush_at_once(struct entry *entry, struct disk_request *request)
{
    request->error = 0;
    spin_lock(&entry->lock);
    request->next = entry->flushes;
    entry->flushes = request;
    spin_unlock(&entry->lock);
    want(entry->disk, 0);
    return 0;
}

static void look_later(uint64_t now)
{
    atomic_store_explicit(&disks_look_ns, now + LOOK_S * 1000000000ull / entry_count,
                          memory_order_relaxed);
}

int disks_submit(uint32_t index, struct disk_request *request)
{
    struct disk *disk = disks_get(index);
    if (disk == NULL) {
        return -SKEP_ENODEV;
    }
    if (!permitted(disk, request)) {
        return -SKEP_EINVAL;
    }
    if (atomic_load_explicit(&disk->failed, memory_order_relaxed)) {
        return -SKEP_EIO;
    }
    if (request->op == DISK_FLUSH && !(disk->flags & SKEP_DISK_FLUSH)) {
        return flush_at_once(&entries[index], request);
    }
    atomic_store_explicit(&idle_looks, 0, memory_order_relaxed); /* before the lock: disks_look() */
    int error = disk->driver->submit(disk, request);
    if (atomic_load_explicit(&disks_look_ns, memory_order_relaxed) == TIME_NEVER) {
        look_later(arch_clock_ns());
    }
    return error;
}

void disks_kick(uint32_t index)
{
    struct disk *disk = disks_get(index);
    if (disk != NULL) {
        disk->driver->kick(disk);
    }
}

/* ---- disks that don't answer ---- */

/* Once at its beginning, and once at its end. */
static void silence_tell(struct entry *entry, uint32_t seconds)
{
    seconds = seconds < SILENT_S ? 0 : seconds;
    bool was_silent = atomic_exchange_explicit(&entry->silent_s, seconds, memory_order_relaxed);
    if (was_silent == (seconds > 0)) {
        return;
    }
    if (seconds > 0) {
        log_line("disk %u: has not answered a request for %u seconds", entry->disk->index, seconds);
    } else if (!atomic_load_explicit(&entry->disk->failed, memory_order_relaxed)) {
        log_line("disk %u: answers again", entry->disk->index);
    }
}

/* One disk in a trap, so that it stays short. The deadline is taken away first; after as many idle looks in a row as there
 * are disks it stays away. Who submits sets `idle_looks` to 0 before its queue's lock, and looks at the deadline after that:
 * either this one sees the 0, or that one sees that there is no deadline, and sets it. */
void disks_look(void)
{
    uint64_t now = arch_clock_ns(),
             due = atomic_load_explicit(&disks_look_ns, memory_order_relaxed);
    if (now < due || !atomic_compare_exchange_strong(&disks_look_ns, &due, TIME_NEVER)) {
        return;
    }
    struct entry *entry = &entries[atomic_fetch_add(&look_turn, 1) % entry_count];
    uint32_t age = entry->disk->driver->look(entry->disk);
    silence_tell(entry, age * LOOK_S);
    bool goes_on = age > 0;
    if (age > 0) {
        atomic_store(&idle_looks, 0);
    } else {
        goes_on = atomic_fetch_add(&idle_looks, 1) + 1 < entry_count;
    }
    if (goes_on) {
        look_later(now);
    }
}

/* ---- completion ---- */

static void count(struct entry *entry, const struct disk_request *request)
{
    uint64_t bytes = (uint64_t)request->sectors * DISK_SECTOR;
    if (request->error < 0) {
        atomic_fetch_add_explicit(&entry->errors, 1, memory_order_relaxed);
        return;
    }
    atomic_fetch_add_explicit(&entry->done[request->op], 1, memory_order_relaxed);
    if (request->op == DISK_READ) {
        atomic_fetch_add_explicit(&entry->read_bytes, bytes, memory_order_relaxed);
    } else if (request->op == DISK_WRITE) {
        atomic_fetch_add_explicit(&entry->written_bytes, bytes, memory_order_relaxed);
    }
}

static void disk_done(struct disk *disk, struct disk_request *request)
{
    count(&entries[disk->index], request);
    request->done(request);
}

static struct disk_request *flush_take(struct entry *entry)
{
    spin_lock(&entry->lock);
    struct disk_request *request = entry->flushes;
    if (request != NULL) {
        entry->flushes = request->next;
    }
    spin_unlock(&entry->lock);
    return request;
}

/* True: there is more. */
static bool flushes_poll(struct entry *entry, uint32_t *budget)
{
    for (; *budget > 0; --*budget) {
        struct disk_request *request = flush_take(entry);
        if (request == NULL) {
            return false;
        }
        disk_done(entry->disk, request);
    }
    return true;
}

static bool queue_poll(uint32_t number)
{
    struct entry *entry = &entries[number / DISK_QUEUES_MAX];
    uint32_t queue = number % DISK_QUEUES_MAX, budget = DISKS_POLL_BUDGET;
    if (queue == 0 && flushes_poll(entry, &budget)) {
        return true;
    }
    return entry->disk->driver->poll(entry->disk, queue, budget);
}

/* The first bit at or after `from`, going round. */
static uint32_t bit_next(uint32_t bits, uint32_t from)
{
    uint32_t behind = bits & (UINT32_MAX << from);
    return (uint32_t)__builtin_ctz(behind != 0 ? behind : bits);
}

bool disks_poll(void)
{
    uint32_t bits = atomic_load_explicit(&disks_wanted_queues, memory_order_relaxed) &
                    ~atomic_load_explicit(&polling, memory_order_relaxed);
    if (bits == 0) {
        return false;
    }
    uint32_t number = bit_next(bits, atomic_load_explicit(&turn, memory_order_relaxed));
    uint32_t bit = 1u << number;
    if (atomic_fetch_or(&polling, bit) & bit) {
        return false;
    }
    atomic_store_explicit(&turn, (number + 1) % QUEUE_BITS, memory_order_relaxed);
    atomic_fetch_and(&disks_wanted_queues, ~bit);
    if (queue_poll(number)) {
        atomic_fetch_or(&disks_wanted_queues, bit);
    }
    /* Sequentially consistent, paired with want() on another CPU: either that one finds the bit of `polling` clear, or
     * io_work() on this one finds that of `disks_wanted_queues` set. */
    atomic_fetch_and(&polling, ~bit);
    atomic_thread_fence(memory_order_seq_cst);
    return true;
}

static void disk_room(struct disk *disk)
{
    if (listener != NULL) {
        listener->room(disk->index);
    }
}

static void disk_changed(struct disk *disk)
{
    if (listener != NULL) {
        listener->changed(disk->index);
    }
}

const struct disk_client disks_client = {
    .interrupt = want,
    .done = disk_done,
    .room = disk_room,
    .changed = disk_changed,
};

/* ---- status ---- */

static uint64_t counter(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

int disks_info(uint32_t index, struct skep_disk_info *info)
{
    const struct disk *disk = disks_get(index);
    if (disk == NULL) {
        return -SKEP_ENOENT;
    }
    const struct entry *entry = &entries[index];
    *info = (struct skep_disk_info){
        .bytes = counter(&disk->sectors) * DISK_SECTOR,
        .block_bytes = disk->block_bytes,
        .state = atomic_load_explicit(&disk->failed, memory_order_relaxed) ? SKEP_DISK_FAILED
                                                                           : SKEP_DISK_ONLINE,
        .flags = disk->flags,
        .silent_s = atomic_load_explicit(&entry->silent_s, memory_order_relaxed),
        .reads = counter(&entry->done[DISK_READ]),
        .writes = counter(&entry->done[DISK_WRITE]) + counter(&entry->done[DISK_WRITE_ZEROES]),
        .flushes = counter(&entry->done[DISK_FLUSH]),
        .errors = counter(&entry->errors),
        .read_bytes = counter(&entry->read_bytes),
        .written_bytes = counter(&entry->written_bytes),
    };
    memcpy(info->serial, disk->serial, sizeof(info->serial));
    return 0;
}
