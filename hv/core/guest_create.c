/*
 * guest_create.c - how a guest comes to be: its promise, its address space, its start-info.
 *
 * Layout of a guest's addresses. One 512 GiB slot is chosen at random; in it the image, the start area (start-info,
 * vCPU pages, first stack) and the heap each get a random place of 2 MiB granularity in a part of their own:
 *
 *     + 0        image         64 Ki places
 *     + 128 GiB  start area    64 Ki places: start-info, vCPU pages, first stack, the spec's files
 *     + 256 GiB  heap          32 Ki places, up to 64 GiB long
 */
#include "core/frame.h"
#include "core/gmem.h"
#include "core/guest_internal.h"
#include "core/image.h"
#include "core/log.h"
#include "core/random.h"
#include "core/sched.h"
#include "core/string.h"
#include "core/trace.h"
#include "io/io.h"

#define SLOT_BYTES      (512ull << 30)
#define SLOT_COUNT      250u
#define AREA_BYTES      (128ull << 30)
#define PLACE_BYTES     (2ull << 20)
#define HEAP_FACTOR     64u /* addresses for what the promise may be raised to */
#define HEAP_BYTES_MAX  (64ull << 30)
#define GUARD_BYTES     (256ull << 10)
#define STACK_BYTES_MAX (64ull << 20)
#define FILES_GAP       (64ull << 10) /* unmapped */

#define CONTROL_RESERVED 30u /* percent of a CPU */

struct layout {
    uint64_t image;
    uint64_t start_info, vcpu_pages;
    uint64_t guard, stack, stack_end;
    uint64_t files;
    uint64_t heap, heap_end;
};

static uint64_t random_place(uint64_t base, uint32_t places)
{
    return base + random_u64() % places * PLACE_BYTES;
}

static void layout_choose(struct layout *layout, const struct skep_guest_spec *spec)
{
    uint64_t slot = SLOT_BYTES * (1 + random_u64() % SLOT_COUNT);
    uint64_t heap = page_align_up(spec->memory_bytes) * HEAP_FACTOR + PLACE_BYTES;
    heap &= ~(PLACE_BYTES - 1);
    layout->image = random_place(slot, 60000);
    layout->start_info = random_place(slot + AREA_BYTES, 65000);
    layout->vcpu_pages = layout->start_info + SKEP_START_INFO_PAGES * PAGE_SIZE;
    layout->guard = layout->vcpu_pages + GUEST_VCPUS_MAX * PAGE_SIZE;
    layout->stack = layout->guard + GUARD_BYTES;
    layout->stack_end = layout->stack + page_align_up(spec->stack_bytes);
    layout->files = layout->stack_end + FILES_GAP;
    layout->heap = random_place(slot + 2 * AREA_BYTES, 32768);
    layout->heap_end = layout->heap + (heap < HEAP_BYTES_MAX ? heap : HEAP_BYTES_MAX);
}

static struct sched_params params_of(const struct skep_guest_spec *spec)
{
    return (struct sched_params){spec->weight, spec->cpu_cap, spec->cpu_affinity};
}

static bool spec_valid(const struct skep_guest_spec *spec)
{
    struct sched_params params = params_of(spec);
    return sched_params_valid(&params) && spec->memory_bytes <= GUEST_MEMORY_BYTES_MAX &&
           spec->vcpu_count && spec->vcpu_max && spec->vcpu_max <= GUEST_VCPUS_MAX &&
           spec->vcpu_count <= spec->vcpu_max && spec->stack_bytes >= PAGE_SIZE &&
           spec->stack_bytes <= STACK_BYTES_MAX && spec->net_count <= SKEP_NETS_MAX &&
           spec->block_count <= SKEP_BLOCKS_MAX && !(spec->flags & ~SKEP_GUEST_STACK_RESERVED) &&
           spec->strings_bytes <= SKEP_STRINGS_MAX && !spec->name[SKEP_NAME_MAX - 1] &&
           spec->console_bytes >= PAGE_SIZE &&
           spec->console_bytes <= CONSOLE_PAGES_MAX * PAGE_SIZE &&
           !(spec->console_bytes & (spec->console_bytes - 1));
}

/* A frame for one of ring 0's own objects. Holds guest.lock, as all of these do. */
static pfn_t object_alloc(struct guest *guest, enum skep_frame_type type)
{
    pfn_t pfn = guest_frame_alloc(guest, type);
    guest->fixed_frames += pfn != PFN_NONE;
    return pfn;
}

/* Nothing reads a byte of the ring that the guest hasn't written. */
static int console_create(struct guest *guest, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes >> SKEP_PAGE_SHIFT; i++) {
        guest->console.pages[i] = guest_frame_alloc_raw(guest, SKEP_FRAME_CONSOLE);
        if (!guest->console.pages[i]) {
            return -SKEP_ENOMEM;
        }
        guest->fixed_frames++;
    }
    guest->console.bytes = bytes;
    guest->console.lock.kind = LOCK_CONSOLE;
    return 0;
}

static int range_add(struct guest *guest, uint64_t start, uint64_t end, enum range_kind kind,
                     enum skep_mapping_kind mapping, uint32_t prot, uint32_t first_page)
{
    struct range range = {
        .start = start,
        .end = end,
        .first_page = first_page,
        .kind = (uint8_t)kind,
        .prot = (uint8_t)prot,
        /* Zeroes are the guest's own frames from the first touch on, pages of the image from the first write on. */
        .ever_owned = kind == RANGE_ANON ? prot != SKEP_PROT_NONE
                                         : kind == RANGE_IMAGE && (prot & SKEP_PROT_WRITE),
        .mapping = (uint8_t)mapping,
    };
    return start == end ? 0 : aspace_range_add(guest, &range);
}

static int image_map(struct guest *guest, const struct layout *layout)
{
    const struct skep_image_spec *spec = &guest->image->spec;
    int error = 0;
    for (uint32_t i = 0; i < spec->segment_count && !error; i++) {
        const struct skep_image_segment *segment = &spec->segments[i];
        uint64_t start = layout->image + segment->va_offset;
        uint64_t zeroes = start + ((uint64_t)segment->page_count << SKEP_PAGE_SHIFT);
        uint64_t end = zeroes + ((uint64_t)segment->zero_pages << SKEP_PAGE_SHIFT);
        error = range_add(guest, start, zeroes, RANGE_IMAGE, SKEP_MAPPING_IMAGE, segment->prot,
                          segment->first_page);
        if (!error) {
            error = range_add(guest, zeroes, end, RANGE_ANON, SKEP_MAPPING_IMAGE, segment->prot, 0);
        }
    }
    return error;
}

/* The spec's files: shared pages, which cost the guest page tables at most, mostly the stack's. */
static int files_map(struct guest *guest, const struct layout *layout)
{
    if (!guest->files) {
        return 0;
    }
    uint64_t bytes = (uint64_t)guest->files->spec.segments[0].page_count << SKEP_PAGE_SHIFT;
    guest_start_info(guest)->files_base = layout->files;
    guest_start_info(guest)->files_bytes = bytes;
    return range_add(guest, layout->files, layout->files + bytes, RANGE_IMAGE, SKEP_MAPPING_FILES,
                     SKEP_PROT_READ, guest->files->spec.segments[0].first_page);
}

/* ---- start-info ---- */

static uint64_t image_bytes(const struct image *image)
{
    const struct skep_image_segment *last = &image->spec.segments[image->spec.segment_count - 1];
    uint64_t pages = (uint64_t)last->page_count + last->zero_pages;
    return last->va_offset + (pages << SKEP_PAGE_SHIFT);
}

static void start_info_fill(struct guest *guest, const struct layout *layout,
                            const struct skep_guest_spec *spec, struct skep_start_info *info)
{
    info->magic = SKEP_START_INFO_MAGIC;
    info->abi_major = SKEP_ABI_MAJOR;
    info->abi_minor = SKEP_ABI_MINOR;
    info->bytes = (uint32_t)sizeof(*info) + spec->strings_bytes;
    arch_guest_features(&info->features, &info->xcr0, &info->xsave_bytes);
    info->features |= guest->is_control ? SKEP_FEATURE_CONTROL : 0;
    info->generation = random_u64();
    info->image_base = layout->image;
    info->image_bytes = image_bytes(guest->image);
    info->heap_base = layout->heap;
    info->heap_bytes = layout->heap_end - layout->heap;
    info->stack_base = layout->stack;
    info->stack_bytes = layout->stack_end - layout->stack;
    info->vcpu_pages = layout->vcpu_pages;
    info->vcpu_count = spec->vcpu_count;
    info->vcpu_max = spec->vcpu_max;
    info->memory_bytes = guest->promise_frames << SKEP_PAGE_SHIFT;
    arch_clock_params(&info->clock);
    random_fill(info->seed, sizeof(info->seed));
    info->net_count = spec->net_count;
    memcpy(info->net, spec->net, sizeof(info->net));
    memcpy(info->net6, spec->net6, sizeof(info->net6));
    info->argc = spec->argc;
    info->envc = spec->envc;
    info->strings_offset = sizeof(*info);
    info->strings_bytes = spec->strings_bytes;
}

/* Copies the strings behind the structure, across the start-info pages. */
static int strings_copy(struct guest *guest, struct guest *caller,
                        const struct skep_guest_spec *spec)
{
    uint64_t offset = sizeof(struct skep_start_info);
    uint32_t done = 0;
    while (done < spec->strings_bytes) {
        uint32_t in_page = (uint32_t)(offset & PAGE_MASK);
        uint32_t part = SKEP_PAGE_SIZE - in_page;
        part = part < spec->strings_bytes - done ? part : spec->strings_bytes - done;
        char *to = (char *)frame_data(guest->start_info[offset >> SKEP_PAGE_SHIFT]) + in_page;
        int error = gmem_copy_in(caller, to, gva(spec->strings + done), part);
        if (error) {
            return error;
        }
        done += part;
        offset += part;
    }
    return 0;
}

/* The last string ends by a NUL; looked at in our copy. How many there are is between the caller and the guest. */
static bool strings_end(const struct guest *guest, const struct skep_guest_spec *spec)
{
    uint64_t last = sizeof(struct skep_start_info) + spec->strings_bytes - 1;
    const char *page = frame_data(guest->start_info[last >> SKEP_PAGE_SHIFT]);
    return !spec->strings_bytes || !page[last & PAGE_MASK];
}

static int start_info_create(struct guest *guest, struct guest *caller, const struct layout *layout,
                             const struct skep_guest_spec *spec)
{
    uint64_t bytes = page_align_up(sizeof(struct skep_start_info) + spec->strings_bytes);
    _Static_assert(sizeof(struct skep_start_info) + SKEP_STRINGS_MAX <=
                       SKEP_START_INFO_PAGES * SKEP_PAGE_SIZE,
                   "the strings fit");
    int error = range_add(guest, layout->start_info, layout->start_info + bytes, RANGE_FIXED,
                          SKEP_MAPPING_START_INFO, SKEP_PROT_READ, 0);
    for (uint32_t i = 0; i < bytes >> SKEP_PAGE_SHIFT && !error; i++) {
        guest->start_info[i] = object_alloc(guest, SKEP_FRAME_OBJECT);
        error = guest->start_info[i] ? aspace_fixed_map(guest, layout->start_info + i * PAGE_SIZE,
                                                        guest->start_info[i], SKEP_PROT_READ)
                                     : -SKEP_ENOMEM;
    }
    if (error) {
        return error;
    }
    start_info_fill(guest, layout, spec, frame_data(guest->start_info[0]));
    error = spec->strings_bytes ? strings_copy(guest, caller, spec) : 0;
    return error || strings_end(guest, spec) ? error : -SKEP_EINVAL;
}

/* ---- vCPUs ---- */

struct skep_start_info *guest_start_info(struct guest *guest)
{
    return frame_data(guest->start_info[0]);
}

int guest_vcpus_reserve(struct guest *guest, uint32_t count)
{
    uint32_t old = guest->vcpus_reserved;
    if (count <= old) {
        return 0;
    }
    uint64_t frames = (uint64_t)(count - old) * VCPU_FRAMES;
    if (guest_frames_committed(guest) + frames > guest->promise_frames) {
        return -SKEP_ENOMEM;
    }
    guest->fixed_frames += frames;
    guest->vcpus_reserved = count;
    return 0;
}

void guest_vcpus_unreserve(struct guest *guest, uint32_t count)
{
    uint32_t more = guest->vcpus_reserved - count;
    guest->fixed_frames -= (uint64_t)more * VCPU_FRAMES;
    guest->vcpus_reserved = count;
}

/* A frame that is counted in fixed_frames already. */
static pfn_t reserved_alloc(struct guest *guest)
{
    pfn_t pfn = guest_frame_alloc(guest, SKEP_FRAME_OBJECT);
    CHECK(pfn);
    return pfn;
}

static void vcpu_make(struct guest *guest, uint32_t index)
{
    uint64_t address = guest_start_info(guest)->vcpu_pages + index * PAGE_SIZE;
    pfn_t page = guest->vcpu_pages[index] = reserved_alloc(guest);
    CHECK(!aspace_fixed_map(guest, address, page, SKEP_PROT_READ | SKEP_PROT_WRITE));
    struct vcpu *vcpu = frame_data(reserved_alloc(guest));
    vcpu->guest = guest;
    vcpu->index = index;
    vcpu->trace_who = trace_who(guest, index);
    vcpu->wait_deadline_ns = vcpu->event_deadline_ns = TIME_NEVER;
    vcpu->page = frame_data(page);
    arch_vcpu_init(vcpu, gva(0), gva(0), 0);
    /* Siblings look without the lock: they see a whole vCPU or none. Pairs with guest_vcpu(). */
    __atomic_store_n(&guest->vcpus[index], vcpu, __ATOMIC_RELEASE);
}

int guest_vcpus_make(struct guest *guest)
{
    uint32_t made = 0;
    for (uint32_t i = 0; i < guest->vcpus_reserved; i++) {
        if (guest->vcpus[i]) {
            continue;
        }
        if (made++ == GUEST_VCPUS_AT_ONCE) {
            return -SKEP_EAGAIN;
        }
        vcpu_make(guest, i);
    }
    return 0;
}

/* ---- putting it together ---- */

/* The parts of its address space, in ascending order of what they need of each other. */
static int spaces_create(struct guest *guest, struct guest *caller, const struct layout *layout,
                         const struct skep_guest_spec *spec)
{
    int error = image_map(guest, layout);
    if (!error) {
        error = start_info_create(guest, caller, layout, spec);
    }
    if (!error) {
        error =
            range_add(guest, layout->vcpu_pages, layout->vcpu_pages + spec->vcpu_max * PAGE_SIZE,
                      RANGE_FIXED, SKEP_MAPPING_VCPU_PAGE, SKEP_PROT_READ | SKEP_PROT_WRITE, 0);
    }
    if (!error) {
        error = range_add(guest, layout->guard, layout->stack, RANGE_GUARD, SKEP_MAPPING_GUARD,
                          SKEP_PROT_NONE, 0);
    }
    if (!error) {
        enum range_kind kind =
            spec->flags & SKEP_GUEST_STACK_RESERVED ? RANGE_RESERVED : RANGE_ANON;
        error = range_add(guest, layout->stack, layout->stack_end, kind, SKEP_MAPPING_STACK,
                          SKEP_PROT_READ | SKEP_PROT_WRITE, 0);
    }
    return error ? error : files_map(guest, layout);
}

/* Everything but the network, which needs no lock held. The guest is not yet published, so its lock is free; `caller`
 * is another guest. Of its vCPUs only some are made; guest_start() makes the others. */
static int build(struct guest *guest, struct guest *caller, const struct skep_guest_spec *spec)
{
    struct layout layout;
    layout_choose(&layout, spec);
    guest->image_base = layout.image;
    guest->aspace.heap_base = layout.heap;
    guest->aspace.heap_end = layout.heap_end;
    int error = aspace_init(guest);
    if (error) {
        return error;
    }
    guest->fixed_frames = guest->charged_frames;
    error = console_create(guest, spec->console_bytes);
    if (!error) {
        error = spaces_create(guest, caller, &layout, spec);
    }
    if (!error) {
        error = guest_vcpus_reserve(guest, spec->vcpu_count);
    }
    if (!error) {
        guest_vcpus_make(guest);
        gva_t entry = gva(layout.image + guest->image->spec.entry_offset);
        arch_vcpu_init(guest->vcpus[0], entry, gva(layout.stack_end), layout.start_info);
    }
    return error;
}

static int nets_attach(struct guest *guest, const struct skep_guest_spec *spec)
{
    struct skep_start_info *info = frame_data(guest->start_info[0]);
    int error = 0;
    for (uint32_t i = 0; i < spec->net_count && !error; i++) {
        error = io_net_attach(guest, i, &spec->net[i], &spec->net6[i]);
        if (!error) {
            guest->net_count = i + 1;
            io_net_describe(guest, i, &info->net[i]);
        }
    }
    return error;
}

/* The control service gets the disks. */
static int blocks_attach(struct guest *guest, const struct skep_guest_spec *spec)
{
    int error = guest->is_control ? io_disks_attach(guest) : 0;
    for (uint32_t i = 0; i < spec->block_count && !error; i++) {
        error = io_block_attach(guest, i, &spec->block[i]);
    }
    return error;
}

/* The struct, promised and numbered, in state created. */
static int alloc(const struct skep_guest_spec *spec, struct guest **result)
{
    uint64_t frames = page_align_up(spec->memory_bytes) >> SKEP_PAGE_SHIFT;
    int error = promise_take(frames);
    if (error) {
        return error;
    }
    pfn_t pfn = frames ? frame_alloc(0, SKEP_FRAME_OBJECT, OWNER_CORE) : PFN_NONE;
    if (!pfn) {
        promise_give(frames);
        return -SKEP_ENOMEM;
    }
    struct guest *guest = frame_data(pfn);
    guest->lock.kind = LOCK_GUEST;
    guest->promise_frames = frames;
    guest->charged_frames = 1;
    guest->fixed_frames = 1;
    guest->vcpu_count = spec->vcpu_count;
    guest->vcpu_max = spec->vcpu_max;
    guest->references = 1;
    guest->state = SKEP_GUEST_CREATED;
    memcpy(guest->name, spec->name, sizeof(guest->name));
    struct sched_params params = params_of(spec);
    error = sched_params_set(guest, &params);
    if (!error) {
        error = guest_table_insert(guest);
        if (error) {
            sched_release(guest);
        }
    }
    if (error) {
        frame_free(pfn, 0);
        promise_give(frames);
        return error;
    }
    guest->created_ns = arch_clock_ns(); /* the trace's older records of this index are another's */
    *result = guest;
    return 0;
}

/* Undoes a creation: nobody else knows the guest yet. */
static void unmake(struct guest *guest)
{
    uint64_t frames = guest->promise_frames;
    while (io_guest_detach(guest) || !guest_free_memory(guest)) {
        /* Nothing runs and nothing was sent: a handful of rounds. */
    }
    console_destroy(guest);
    guest_table_remove(guest);
    sched_release(guest);
    frame_free(frame_of(guest), 0);
    promise_give(frames);
}

/* Takes over a use of both images, which ends with the guest; files may be NULL. */
static int64_t create(struct guest *caller, struct image *image, struct image *files,
                      const struct skep_guest_spec *spec)
{
    struct guest *guest;
    int error = alloc(spec, &guest);
    if (error) {
        image_unuse(image);
        if (files) {
            image_unuse(files);
        }
        return error;
    }
    guest->image = image;
    guest->files = files;
    guest->image_handle = image->handle;
    guest->is_control = caller == NULL;
    if (guest->is_control) {
        sched_reserve(guest, CONTROL_RESERVED);
    }
    error = build(guest, caller, spec);
    if (!error) {
        error = nets_attach(guest, spec);
    }
    if (!error) {
        error = blocks_attach(guest, spec);
    }
    /* Ring 0's objects came after ranges that were admitted without them; of a reserved stack nothing was asked yet. */
    uint64_t ready = spec->flags & SKEP_GUEST_STACK_RESERVED ? SKEP_STACK_READY : 0;
    if (!error && guest_frames_committed(guest) + ready > guest->promise_frames) {
        error = -SKEP_ENOMEM;
    }
    if (error) {
        unmake(guest);
        return error;
    }
    guest_table_publish(guest);
    return (int64_t)guest->handle;
}

/* Neither inlined nor cloned: ci/bench counts from here. Clang, which builds it for fuzzers only, knows no such attribute. */
#ifndef __clang__
__attribute__((noipa))
#endif
int64_t
guest_create(struct guest *caller, const struct skep_guest_spec *spec)
{
    if (!spec_valid(spec)) {
        return -SKEP_EINVAL;
    }
    struct image *image = image_use(spec->image, false);
    struct image *files = image && spec->files ? image_use(spec->files, true) : NULL;
    if (image && spec->files && !files) {
        image_unuse(image);
        return -SKEP_ENOENT;
    }
    return image ? create(caller, image, files, spec) : -SKEP_ENOENT;
}

int64_t guest_create_control(struct image *image, uint64_t memory_bytes)
{
    struct skep_guest_spec spec = {
        .memory_bytes = memory_bytes,
        .stack_bytes = 256 << 10,
        .vcpu_count = 1,
        .vcpu_max = 1,
        .weight = 1000,
        .console_bytes = 16384,
        .net_count = 1,
        .net = {{.mtu = 1500, .flags = SKEP_NET_CONTROL_OK}},
        .name = "control",
    };
    CHECK(spec_valid(&spec));
    atomic_fetch_add(&image->users, 1);
    return create(NULL, image, NULL, &spec);
}
