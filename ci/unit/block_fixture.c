/*
 * block_fixture.c - guests, volumes and disks for the tests of the block back-end.
 */
#include "block_fixture.h"

#include "core/control.h"
#include "core/gmem.h"
#include "core/notify.h"

#define RAM_BYTES   (96ull << 20)
#define GUEST_BYTES (2ull << 20)
#define RESTARTS    1000

struct fake_disk disk_a, disk_b;
struct guest *control;
uint8_t *control_page;
uint64_t control_page_at;

static uint64_t image;
static struct baseline before;

/* ---- set-up ---- */

int block_fixture_boot(void **state)
{
    (void)state;
    fake_disk_add(&disk_a, DISK_BYTES, 512,
                  SKEP_DISK_FLUSH | SKEP_DISK_DISCARD | SKEP_DISK_WRITE_ZEROES, 2);
    fake_disk_add(&disk_b, DISK_BYTES, 4096, 0, 1);
    fake_boot(RAM_BYTES, 2);
    image = fake_image();
    control = fake_find(1ull << 32 | 1);
    control_page_at = control->aspace.ranges.at[control->aspace.ranges.count - 1].start;
    gmem_copy_out(control, gva(control_page_at), "", 1);
    control_page = fake_at(control, control_page_at);
    return image == 0;
}

int block_fixture_begin(void **state)
{
    (void)state;
    notified(0, 0);
    memset(disk_a.data, 0xaa, DISK_BYTES);
    baseline_take(&before);
    return 0;
}

int block_fixture_end(void **state)
{
    (void)state;
    settle();
    baseline_check(&before);
    assert_int_equal(volume_get(0, SKEP_VOLUME_NEXT, 0, 0, 0), 0);
    disk_a.immediate = false;
    disk_a.log_count = 0;
    return 0;
}

static bool any_held(void)
{
    return disk_a.held_count + disk_b.held_count > 0;
}

void work(void)
{
    for (int i = 0; i < 10000; i++) {
        fake_cpu->traps++;
        if (!io_work()) {
            return;
        }
    }
    fail_msg("there is always work left");
}

void settle(void)
{
    work();
    for (int i = 0; i < 10000 && any_held(); i++) {
        fake_disk_let_all_go(&disk_a);
        fake_disk_let_all_go(&disk_b);
        work();
    }
    assert_false(any_held());
}

/* ---- control calls ---- */

int64_t control_do(uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    const uint64_t arguments[5] = {a0, a1, a2, a3, a4};
    bool again = true;
    int64_t result = 0;
    for (int i = 0; i < RESTARTS && again; i++) {
        result = control_call(control->vcpus[0], number, arguments, &again);
    }
    return result;
}

int64_t volume_set(uint64_t volume, uint32_t what, uint64_t a, uint64_t b, uint64_t c)
{
    return control_do(SKEP_CTL_VOLUME_SET, volume, what, a, b, c);
}

int64_t volume_get(uint64_t volume, uint32_t what, uint64_t a, uint64_t b, uint64_t c)
{
    return control_do(SKEP_CTL_VOLUME_READ, volume, what, a, b, c);
}

struct skep_volume_spec volume_spec(uint32_t chunks)
{
    return (struct skep_volume_spec){.disk = 0,
                                     .chunk_bytes = CHUNK,
                                     .first_byte = FIRST_BYTE,
                                     .disk_chunks = DISK_CHUNKS,
                                     .bytes = (uint64_t)chunks * CHUNK,
                                     .id = 77,
                                     .name = "data"};
}

uint64_t volume_opened_with(const struct skep_volume_spec *spec)
{
    memcpy(control_page, spec, sizeof(*spec));
    int64_t handle = control_do(SKEP_CTL_VOLUME_OPEN, control_page_at, 0, 0, 0, 0);
    assert_true(handle > 0);
    return (uint64_t)handle;
}

uint64_t volume_opened(uint32_t chunks)
{
    struct skep_volume_spec spec = volume_spec(chunks);
    return volume_opened_with(&spec);
}

void volume_closed(uint64_t volume)
{
    assert_int_equal(volume_set(volume, SKEP_VOLUME_CLOSE, 0, 0, 0), 0);
}

void pool_give(uint64_t volume, uint32_t first, uint32_t count)
{
    uint32_t *entries = (uint32_t *)control_page;
    for (uint32_t i = 0; i < count; i++) {
        entries[i] = first + i;
        memset(disk_chunk(&disk_a, first + i), 0, CHUNK);
    }
    assert_int_equal(volume_set(volume, SKEP_VOLUME_GIVE, control_page_at, count, 0), count);
}

void map_one(uint64_t volume, uint32_t chunk, uint32_t entry)
{
    memcpy(control_page, &entry, sizeof(entry));
    assert_int_equal(volume_set(volume, SKEP_VOLUME_MAP, chunk, control_page_at, 1), 0);
}

uint32_t mapped(uint64_t volume, uint32_t chunk)
{
    uint32_t entry;
    assert_int_equal(volume_get(volume, SKEP_VOLUME_MAPPED, chunk, control_page_at, 1), 1);
    memcpy(&entry, control_page, sizeof(entry));
    return entry;
}

struct skep_volume_status status_of(uint64_t volume)
{
    struct skep_volume_status status;
    assert_int_equal(volume_get(volume, SKEP_VOLUME_STATUS, control_page_at, 0, 0), 0);
    memcpy(&status, control_page, sizeof(status));
    return status;
}

uint32_t changes(uint64_t volume, struct skep_volume_change *change)
{
    int64_t count = volume_get(volume, SKEP_VOLUME_CHANGES, control_page_at, 1000, 0);
    assert_true(count >= 0);
    memcpy(change, control_page, sizeof(*change));
    return (uint32_t)count;
}

void commit_all(uint64_t volume)
{
    struct skep_volume_status status = status_of(volume);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_COMMIT, status.sequence, 0, 0), 0);
}

uint8_t *disk_chunk(struct fake_disk *disk, uint32_t chunk)
{
    return disk->data + FIRST_BYTE + (uint64_t)chunk * CHUNK;
}

uint32_t notified(uint64_t handle, uint32_t reason)
{
    struct skep_notification entries[16];
    uint32_t found = 0, count;
    while ((count = notify_take(entries, ARRAY_COUNT(entries))) > 0) {
        for (uint32_t i = 0; i < count; i++) {
            found += entries[i].handle == handle && entries[i].reason == reason;
        }
    }
    return found;
}

/* ---- guests ---- */

static struct skep_guest_spec rider_spec(uint64_t volume, uint32_t flags)
{
    return (struct skep_guest_spec){
        .image = image,
        .memory_bytes = GUEST_BYTES,
        .stack_bytes = RIDER_PAGES * PAGE_SIZE,
        .vcpu_count = 1,
        .vcpu_max = 1,
        .weight = 100,
        .console_bytes = 4096,
        .block_count = 1,
        .block = {{.volume = volume, .flags = flags}},
        .name = "rider",
    };
}

int64_t rider_refused(uint64_t volume, uint32_t flags)
{
    struct skep_guest_spec spec = rider_spec(volume, flags);
    return guest_create(control, &spec);
}

static uint64_t stack_of(const struct guest *guest)
{
    const struct skep_start_info *info = frame_data(guest->start_info[0]);
    return info->stack_base;
}

void rider_queue(struct rider *rider, uint32_t number, uint32_t size)
{
    struct skep_queue_setup setup = {
        .queue = SKEP_QUEUE_BLOCK_0 + number,
        .size = size,
        .desc = rider->base,
        .avail = rider->base + PAGE_SIZE,
        .used = rider->base + 2 * PAGE_SIZE,
    };
    assert_int_equal(io_queue_setup(rider->vcpu, &setup), 0);
    rider->desc = (struct skep_vring_desc *)rider->page[0];
    rider->avail = (struct skep_vring_avail *)rider->page[1];
    rider->used = (struct skep_vring_used *)rider->page[2];
}

void rider_create(struct rider *rider, uint64_t volume, uint32_t flags)
{
    struct skep_guest_spec spec = rider_spec(volume, flags);
    int64_t handle = guest_create(control, &spec);
    assert_true(handle > 0);
    memset(rider, 0, sizeof(*rider));
    rider->guest = fake_find((uint64_t)handle);
    rider->vcpu = rider->guest->vcpus[0];
    rider->base = stack_of(rider->guest);
    assert_int_equal(guest_start(rider->guest), 0);
    for (uint32_t i = 0; i < RIDER_PAGES; i++) {
        paddr_t at;
        assert_int_equal(gmem_pin(rider->guest, gva(rider->base + i * PAGE_SIZE), true, &at), 0);
        rider->page[i] = arch_direct(at);
        gmem_unpin(at);
    }
    rider_queue(rider, 0, 256);
}

void rider_destroy(struct rider *rider)
{
    guest_destroy(rider->guest);
    fake_settle();
    rider->guest = NULL;
}

static struct skep_vring_desc part(const struct rider *rider, uint64_t offset, uint32_t bytes,
                                   uint16_t flags, uint32_t next)
{
    return (struct skep_vring_desc){rider->base + offset, bytes, flags, (uint16_t)next};
}

static uint32_t request_begin(struct rider *rider, uint32_t type, uint64_t sector)
{
    uint32_t i = rider->next++ % RIDER_REQUESTS;
    struct skep_block_header header = {.type = type, .sector = sector};
    memcpy(rider->page[3] + i * sizeof(header), &header, sizeof(header));
    rider->page[4][i] = NOT_DONE;
    rider->desc[4 * i] = part(rider, 3 * PAGE_SIZE + i * sizeof(header), sizeof(header),
                              SKEP_VRING_DESC_NEXT, 4 * i + 1);
    rider->desc[4 * i + 2] = part(rider, 4 * PAGE_SIZE + i, 1, SKEP_VRING_DESC_WRITE, 0);
    return i;
}

void rider_offer(struct rider *rider, uint32_t request)
{
    uint16_t index = atomic_load(&rider->avail->index);
    rider->avail->ring[index % 256] = (uint16_t)(4 * request);
    atomic_store(&rider->avail->index, (uint16_t)(index + 1));
    rider_kick(rider);
}

void rider_kick(struct rider *rider)
{
    assert_int_equal(io_queue_kick(rider->vcpu, SKEP_QUEUE_BLOCK_0 + rider->device), 0);
    fake_cpu->traps++;
}

uint32_t rider_add(struct rider *rider, uint32_t type, uint64_t sector, uint32_t page,
                   uint32_t bytes)
{
    uint32_t i = request_begin(rider, type, sector);
    uint16_t write = type == SKEP_BLOCK_T_IN ? SKEP_VRING_DESC_WRITE : 0;
    rider->desc[4 * i + 1] = part(rider, (RIDER_DATA + page) * PAGE_SIZE, bytes,
                                  write | SKEP_VRING_DESC_NEXT, 4 * i + 2);
    if (bytes == 0) {
        rider->desc[4 * i].next = (uint16_t)(4 * i + 2);
    }
    rider_offer(rider, i);
    return i;
}

uint32_t rider_range(struct rider *rider, uint32_t type, uint64_t sector, uint32_t sectors)
{
    uint32_t i = request_begin(rider, type, 0);
    struct skep_block_range range = {.sector = sector, .sectors = sectors};
    memcpy(rider->page[5] + i * sizeof(range), &range, sizeof(range));
    rider->desc[4 * i + 1] = part(rider, 5 * PAGE_SIZE + i * sizeof(range), sizeof(range),
                                  SKEP_VRING_DESC_NEXT, 4 * i + 2);
    rider_offer(rider, i);
    return i;
}

uint8_t rider_status(const struct rider *rider, uint32_t request)
{
    return rider->page[4][request];
}

uint8_t *rider_data(const struct rider *rider, uint32_t page)
{
    return rider->page[RIDER_DATA + page];
}

void write_ok(struct rider *rider, uint64_t sector, uint8_t value, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i += SKEP_PAGE_SIZE) {
        memset(rider_data(rider, i / SKEP_PAGE_SIZE), value, PAGE_SIZE);
    }
    uint32_t request = rider_add(rider, SKEP_BLOCK_T_OUT, sector, 0, bytes);
    settle();
    assert_int_equal(rider_status(rider, request), SKEP_BLOCK_S_OK);
}

void read_is(struct rider *rider, uint64_t sector, uint8_t value, uint32_t bytes)
{
    memset(rider_data(rider, 0), ~value, PAGE_SIZE);
    uint32_t request = rider_add(rider, SKEP_BLOCK_T_IN, sector, 0, bytes);
    settle();
    assert_int_equal(rider_status(rider, request), SKEP_BLOCK_S_OK);
    for (uint32_t i = 0; i < bytes; i++) {
        if (rider_data(rider, i / SKEP_PAGE_SIZE)[i % SKEP_PAGE_SIZE] != value) {
            fail_msg("byte %u is %02x", i,
                     rider_data(rider, i / SKEP_PAGE_SIZE)[i % SKEP_PAGE_SIZE]);
        }
    }
}
