/*
 * image.c - images.
 *
 * Ring 0 knows an image as pages and a table of segments; it never looks into an ELF file. images_lock guards the
 * table and all images that are not sealed; a sealed image doesn't change until it is destroyed.
 */
#include "core/image.h"

#include "arch/arch.h"
#include "core/control_image.h"
#include "core/frame.h"
#include "core/gmem.h"
#include "core/lock.h"
#include "core/log.h"
#include "core/string.h"

#define LIST_ENTRIES  (SKEP_PAGE_SIZE / (uint32_t)sizeof(pfn_t))
#define DESTROY_PAGES 64u
#define VA_SPAN_MAX   (1ull << 32) /* an image's addresses lie within this of its base */

static struct spinlock images_lock = {.kind = LOCK_IMAGES};
static struct image *images[IMAGES_MAX];
static uint32_t generations[IMAGES_MAX];
static uint64_t taken[IMAGES_MAX / 64]; /* a bit for each place of the table */
static uint32_t count;

static uint32_t index_of(uint64_t handle)
{
    return (uint32_t)handle - 1;
}

static struct image *find(uint64_t handle)
{
    uint32_t index = index_of(handle);
    if (index >= IMAGES_MAX || !images[index] || images[index]->handle != handle) {
        return NULL;
    }
    return images[index];
}

static uint32_t owner_of(const struct image *image)
{
    return OWNER_IMAGE | index_of(image->handle);
}

/* Where a page's frame is kept; NULL when no page of its list was ever written. */
static pfn_t *page_slot(const struct image *image, uint32_t page)
{
    pfn_t list = image->lists[page / LIST_ENTRIES];
    return list ? (pfn_t *)frame_data(list) + page % LIST_ENTRIES : NULL;
}

/* The same, with the list made, whose frame is promised. NULL: no memory. */
static pfn_t *page_slot_make(struct image *image, uint32_t page)
{
    pfn_t *list = &image->lists[page / LIST_ENTRIES];
    if (!*list) {
        *list = frame_alloc(0, SKEP_FRAME_OBJECT, owner_of(image));
    }
    return page_slot(image, page);
}

pfn_t image_page(const struct image *image, uint32_t page)
{
    const pfn_t *slot = page_slot(image, page);
    return slot ? *slot : PFN_NONE;
}

static bool prot_valid(uint32_t prot)
{
    return prot <= (SKEP_PROT_READ | SKEP_PROT_WRITE | SKEP_PROT_EXEC) &&
           !((prot & SKEP_PROT_WRITE) && (prot & SKEP_PROT_EXEC));
}

static bool segment_valid(const struct skep_image_spec *spec, uint32_t i, uint64_t *end)
{
    const struct skep_image_segment *segment = &spec->segments[i];
    uint64_t pages = (uint64_t)segment->page_count + segment->zero_pages;
    bool exec_zeroes = (segment->prot & SKEP_PROT_EXEC) && segment->zero_pages;
    if ((segment->va_offset & PAGE_MASK) || segment->va_offset < *end || !pages ||
        segment->va_offset >= VA_SPAN_MAX || !prot_valid(segment->prot) || exec_zeroes) {
        return false;
    }
    if (segment->first_page > spec->page_count ||
        segment->page_count > spec->page_count - segment->first_page) {
        return false;
    }
    *end = segment->va_offset + (pages << SKEP_PAGE_SHIFT);
    return *end <= VA_SPAN_MAX;
}

static bool files_valid(const struct skep_image_spec *spec)
{
    const struct skep_image_segment *segment = &spec->segments[0];
    return !spec->entry_offset && !segment->va_offset && !segment->zero_pages &&
           segment->page_count <= SKEP_FILES_PAGES_MAX;
}

static bool entry_valid(const struct skep_image_spec *spec)
{
    for (uint32_t i = 0; i < spec->segment_count; i++) {
        const struct skep_image_segment *segment = &spec->segments[i];
        uint64_t bytes = (uint64_t)segment->page_count << SKEP_PAGE_SHIFT;
        if ((segment->prot & SKEP_PROT_EXEC) && spec->entry_offset >= segment->va_offset &&
            spec->entry_offset - segment->va_offset < bytes) {
            return true;
        }
    }
    return false;
}

static bool spec_valid(const struct skep_image_spec *spec)
{
    if (!spec->page_count || spec->page_count > IMAGE_PAGES_MAX || !spec->segment_count ||
        spec->segment_count > SKEP_IMAGE_SEGMENTS_MAX || spec->name[SKEP_NAME_MAX - 1]) {
        return false;
    }
    uint64_t end = 0;
    for (uint32_t i = 0; i < spec->segment_count; i++) {
        if (!segment_valid(spec, i, &end)) {
            return false;
        }
    }
    return skep_image_is_files(spec) ? files_valid(spec) : entry_valid(spec);
}

static uint32_t list_count(const struct skep_image_spec *spec)
{
    return (spec->page_count + LIST_ENTRIES - 1) / LIST_ENTRIES;
}

static uint64_t promise_of(const struct skep_image_spec *spec)
{
    return 1ull + list_count(spec) + spec->page_count;
}

/* The first place from `from` on whose bit is `bit`; IMAGES_MAX if there is none. */
static uint32_t next_index(uint32_t from, uint32_t bit)
{
    for (uint32_t word = from / 64; word < IMAGES_MAX / 64; word++) {
        uint64_t bits = bit ? taken[word] : ~taken[word];
        if (word == from / 64) {
            bits &= ~0ull << from % 64;
        }
        if (bits) {
            return word * 64 + (uint32_t)__builtin_ctzll(bits);
        }
    }
    return IMAGES_MAX;
}

static void put(uint32_t index, struct image *image)
{
    images[index] = image;
    taken[index / 64] ^= 1ull << index % 64;
    count += image ? 1 : -1u;
}

/* Puts a new image into the table. Holds images_lock. */
static int64_t insert(const struct skep_image_spec *spec)
{
    uint32_t index = next_index(0, 0);
    if (index == IMAGES_MAX) {
        return -SKEP_ENOSPC;
    }
    pfn_t pfn = frame_alloc(0, SKEP_FRAME_OBJECT, OWNER_IMAGE | index);
    if (!pfn) {
        return -SKEP_ENOMEM;
    }
    struct image *image = frame_data(pfn);
    image->spec = *spec;
    generations[index] = (generations[index] + 1) & INT32_MAX; /* handles are positive */
    image->handle = (uint64_t)generations[index] << 32 | (index + 1);
    put(index, image);
    return (int64_t)image->handle;
}

int64_t image_create(const struct skep_image_spec *spec)
{
    if (!spec_valid(spec)) {
        return -SKEP_EINVAL;
    }
    int error = promise_take(promise_of(spec));
    if (error) {
        return error;
    }
    spin_lock(&images_lock);
    int64_t handle = insert(spec);
    spin_unlock(&images_lock);
    if (handle < 0) {
        promise_give(promise_of(spec));
    }
    return handle;
}

static bool io_valid(const struct image *image, uint32_t page, uint64_t bytes)
{
    uint64_t pages = page_align_up(bytes) >> SKEP_PAGE_SHIFT;
    return bytes && page < image->spec.page_count && pages <= image->spec.page_count - page;
}

/* A new page, the rest of it zeroes. */
static int write_new(struct guest *caller, struct image *image, pfn_t *slot, gva_t from,
                     uint64_t bytes)
{
    pfn_t pfn = frame_alloc_raw(SKEP_FRAME_IMAGE, owner_of(image));
    if (!pfn) {
        return -SKEP_ENOMEM;
    }
    char *data = frame_data(pfn);
    int error = gmem_copy_in(caller, data, from, bytes);
    if (error) {
        frame_free(pfn, 0);
        return error;
    }
    memset(data + bytes, 0, PAGE_SIZE - bytes);
    *slot = pfn;
    image->written++;
    return 0;
}

static int write_page(struct guest *caller, struct image *image, uint32_t page, gva_t from,
                      uint64_t bytes)
{
    pfn_t *slot = page_slot_make(image, page);
    if (!slot) {
        return -SKEP_ENOMEM;
    }
    return *slot ? gmem_copy_in(caller, frame_data(*slot), from, bytes)
                 : write_new(caller, image, slot, from, bytes);
}

static int read_page(struct guest *caller, struct image *image, uint32_t page, gva_t to,
                     uint64_t bytes)
{
    pfn_t pfn = image_page(image, page);
    return pfn ? gmem_copy_out(caller, to, frame_data(pfn), bytes) : -SKEP_ENOENT;
}

typedef int (*page_copy)(struct guest *, struct image *, uint32_t, gva_t, uint64_t);

static int copy_pages(struct guest *caller, uint64_t handle, uint32_t page, gva_t at,
                      uint64_t bytes, page_copy copy)
{
    struct image *image = find(handle);
    if (!image || image->dying) {
        return -SKEP_ENOENT;
    }
    if (bytes > SKEP_IMAGE_IO_MAX || !io_valid(image, page, bytes)) {
        return -SKEP_EINVAL;
    }
    if (copy == write_page && image->sealed) {
        return -SKEP_EBUSY;
    }
    int error = 0;
    for (uint64_t done = 0; done < bytes && !error; done += PAGE_SIZE) {
        uint64_t part = bytes - done < PAGE_SIZE ? bytes - done : PAGE_SIZE;
        error = copy(caller, image, page++, gva(at.value + done), part);
    }
    return error;
}

int image_write(struct guest *caller, uint64_t handle, uint32_t page, gva_t from, uint64_t bytes)
{
    spin_lock(&images_lock);
    int error = copy_pages(caller, handle, page, from, bytes, write_page);
    spin_unlock(&images_lock);
    return error;
}

int image_read(struct guest *caller, uint64_t handle, uint32_t page, gva_t to, uint64_t bytes)
{
    spin_lock(&images_lock);
    int error = copy_pages(caller, handle, page, to, bytes, read_page);
    spin_unlock(&images_lock);
    return error;
}

int image_seal(uint64_t handle)
{
    int error = 0;
    spin_lock(&images_lock);
    struct image *image = find(handle);
    if (!image || image->dying) {
        error = -SKEP_ENOENT;
    } else if (image->written < image->spec.page_count) {
        error = -SKEP_EINVAL;
    } else {
        image->sealed = true;
    }
    spin_unlock(&images_lock);
    return error;
}

/* Frees the last page, and its list if it is the first there. Gives how much of the promise is free by that. */
static uint64_t free_last(struct image *image)
{
    uint32_t page = --image->spec.page_count;
    pfn_t pfn = image_page(image, page);
    if (pfn) {
        CHECK(!frame_shares(pfn));
        frame_free(pfn, 0);
    }
    if (page % LIST_ENTRIES) {
        return 1;
    }
    pfn_t *list = &image->lists[page / LIST_ENTRIES];
    if (*list) {
        frame_free(*list, 0);
        *list = PFN_NONE;
    }
    return 2;
}

/* Frees up to DESTROY_PAGES pages from the end; page_count shrinks with them. */
static bool free_pages(struct image *image, uint64_t *freed)
{
    for (uint32_t i = 0; i < DESTROY_PAGES && image->spec.page_count; i++) {
        *freed += free_last(image);
    }
    return !image->spec.page_count;
}

static int destroy_part(struct image *image, uint64_t *freed)
{
    if (atomic_load(&image->users)) {
        return -SKEP_EBUSY;
    }
    image->dying = true;
    if (!free_pages(image, freed)) {
        return -SKEP_EAGAIN;
    }
    put(index_of(image->handle), NULL);
    frame_free(frame_of(image), 0);
    ++*freed;
    return 0;
}

int image_destroy(uint64_t handle)
{
    uint64_t freed = 0;
    spin_lock(&images_lock);
    struct image *image = find(handle);
    int error = image ? destroy_part(image, &freed) : -SKEP_ENOENT;
    spin_unlock(&images_lock);
    promise_give(freed);
    return error;
}

uint64_t image_next(uint64_t handle, struct skep_image_info *info)
{
    uint64_t next = 0;
    spin_lock(&images_lock);
    uint32_t index = next_index((uint32_t)handle, 1);
    if (index < IMAGES_MAX) {
        const struct image *image = images[index];
        info->spec = image->spec;
        info->sealed = image->sealed && !image->dying; /* one half destroyed is to be destroyed */
        info->users = atomic_load(&image->users);
        next = image->handle;
    }
    spin_unlock(&images_lock);
    return next;
}

uint32_t image_count(void)
{
    return count;
}

struct image *image_use(uint64_t handle, bool files)
{
    spin_lock(&images_lock);
    struct image *image = find(handle);
    if (image && image->sealed && !image->dying && skep_image_is_files(&image->spec) == files) {
        atomic_fetch_add(&image->users, 1);
    } else {
        image = NULL;
    }
    spin_unlock(&images_lock);
    return image;
}

void image_unuse(struct image *image)
{
    CHECK(atomic_fetch_sub(&image->users, 1));
}

/* ---- the control service's own image ---- */

struct image *image_create_control(void)
{
    struct skep_image_spec spec = {
        .entry_offset = control_image.entry_offset,
        .page_count = control_image.page_count,
        .segment_count = control_image.segment_count,
        .name = "control",
    };
    memcpy(spec.segments, control_image.segments,
           spec.segment_count * sizeof(struct skep_image_segment));
    CHECK(spec_valid(&spec));
    pfn_t frame = frame_alloc(0, SKEP_FRAME_OBJECT, OWNER_IMAGE);
    CHECK(frame);
    struct image *image = frame_data(frame);
    image->spec = spec;
    image->handle = 1; /* of no generation: it is in no table */
    paddr_t base = arch_kernel_paddr(control_image.pages);
    for (uint32_t i = 0; i < spec.page_count; i++) {
        pfn_t pfn = paddr_to_pfn(base) + i;
        frame_adopt(pfn, SKEP_FRAME_IMAGE, OWNER_IMAGE);
        *page_slot_make(image, i) = pfn;
    }
    image->sealed = true;
    return image;
}
