/*
 * test_io_model.c - a volume against a model: requests, copies, commits and shares in any order, on a disk that is done
 * with its requests in any order. Chunks that are free again are overwritten at once, as if by their next owner.
 */
#include "block_fixture.h"

#define SECTORS (CHUNK / 512)

static struct rider rider;
static uint64_t volume;

#define MODEL_CHUNKS 8u
#define MODEL_BLOCKS (MODEL_CHUNKS * SECTORS / 8) /* of 4096 bytes */
#define MODEL_STEPS  20000
#define MODEL_PAGES  60u

/* What each block may contain: the value that it has, and one of a write that is underway. */
static uint8_t model[MODEL_BLOCKS];
static uint8_t owner_of_block[MODEL_BLOCKS]; /* request + 1 that is at it */

static struct {
    bool live, write;
    uint32_t block, count, page;
    uint8_t value;
} underway[RIDER_REQUESTS];

static uint32_t free_chunks[DISK_CHUNKS], free_count;
static uint64_t seed;

static uint32_t any(uint32_t below)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(seed >> 33) % below;
}

static bool is_free(uint32_t block, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (owner_of_block[block + i] != 0) {
            return false;
        }
    }
    return true;
}

/* No two requests that are underway share a page or a block. */
static void model_request(void)
{
    uint32_t i = rider.next % RIDER_REQUESTS, kind = any(8);
    uint32_t block = any(MODEL_BLOCKS), count = 1 + any(4);
    bool range = kind == 6;
    if (kind == 7 || (range && any(2) == 0)) {
        count = CHUNK / 4096; /* a whole chunk */
        block -= block % count;
    }
    if (underway[i].live || block + count > MODEL_BLOCKS || !is_free(block, count)) {
        return;
    }
    uint32_t page = any(MODEL_PAGES - count);
    for (uint32_t j = 0; j < RIDER_REQUESTS; j++) {
        bool apart =
            underway[j].page >= page + count || page >= underway[j].page + underway[j].count;
        if (underway[j].live && !apart) {
            return;
        }
    }
    bool write = kind < 4 || kind == 7 || range;
    uint8_t value = range ? 0 : (uint8_t)(1 + any(255));
    for (uint32_t j = 0; j < count; j++) {
        owner_of_block[block + j] = (uint8_t)(i + 1);
        memset(rider_data(&rider, page + j), write ? value : 0xee, PAGE_SIZE);
    }
    underway[i].live = true;
    underway[i].write = write;
    underway[i].block = block;
    underway[i].count = count;
    underway[i].page = page;
    underway[i].value = value;
    if (range) {
        rider_range(&rider, SKEP_BLOCK_T_WRITE_ZEROES, block * 8ull, count * 8);
    } else {
        rider_add(&rider, write ? SKEP_BLOCK_T_OUT : SKEP_BLOCK_T_IN, block * 8ull, page,
                  count * 4096);
    }
}

static void model_collect(void)
{
    for (uint32_t i = 0; i < RIDER_REQUESTS; i++) {
        if (!underway[i].live || rider_status(&rider, i) == NOT_DONE) {
            continue;
        }
        assert_int_equal(rider_status(&rider, i), SKEP_BLOCK_S_OK);
        underway[i].live = false;
        for (uint32_t j = 0; j < underway[i].count; j++) {
            uint32_t block = underway[i].block + j;
            owner_of_block[block] = 0;
            if (underway[i].write) {
                model[block] = underway[i].value;
            } else {
                assert_int_equal(rider_data(&rider, underway[i].page + j)[0], model[block]);
                assert_int_equal(rider_data(&rider, underway[i].page + j)[4095], model[block]);
            }
        }
    }
}

/* The control service's part: what is free once a change is durable is zeroed and given again. */
static void model_commit(void)
{
    struct skep_volume_change list[40];
    uint32_t most = 1 + any(40);
    int64_t count = volume_get(volume, SKEP_VOLUME_CHANGES, control_page_at, most, 0);
    assert_true(count >= 0 && count <= most);
    memcpy(list, control_page, (size_t)count * sizeof(list[0]));
    for (int64_t i = 0; i < count; i++) {
        if (list[i].from != SKEP_CHUNK_NONE) {
            uint32_t chunk = list[i].from & ~SKEP_CHUNK_SHARED;
            memset(disk_chunk(&disk_a, chunk), 0xbb, CHUNK); /* somebody else's meanwhile */
            free_chunks[free_count++] = chunk;
        }
    }
    if (count > 0) {
        assert_int_equal(volume_set(volume, SKEP_VOLUME_COMMIT, list[count - 1].sequence + 1, 0, 0),
                         0);
    }
}

static void model_give(void)
{
    if (free_count > 0 && status_of(volume).pool_count < 4) {
        pool_give(volume, free_chunks[--free_count], 1);
    }
}

/* The snapshot is deleted at once: its chunks are free when they leave the map. A share that has begun goes on. */
static bool sharing;

static void model_share(void)
{
    if (sharing || any(40) == 0) {
        const uint64_t arguments[5] = {volume, SKEP_VOLUME_SHARE};
        sharing = volume_set_call(control, arguments) == -SKEP_EAGAIN;
    }
}

static void model_disk(void)
{
    if (disk_a.held_count > 0) {
        fake_disk_let_go(&disk_a, any(disk_a.held_count), 0);
        disk_a.log_count = 0;
    }
}

static void model_step(void)
{
    switch (any(12)) {
    case 0:
        model_commit();
        break;
    case 1:
        model_give();
        break;
    case 2:
        model_share();
        break;
    case 3:
    case 4:
    case 5:
        model_disk();
        break;
    case 6:
    case 7:
        fake_cpu->traps++;
        io_work();
        break;
    default:
        model_request();
        break;
    }
    model_collect();
}

/* Every chunk is in one place: the map, the pool, with a copy, or free; or it has left the map, which isn't durable. */
static void model_chunks_are_in_one_place(void)
{
    uint8_t seen[DISK_CHUNKS] = {0};
    uint32_t total = 0;
    for (uint32_t i = 0; i < MODEL_CHUNKS; i++) {
        uint32_t entry = mapped(volume, i);
        if (entry != SKEP_CHUNK_NONE) {
            assert_int_equal(seen[entry & ~SKEP_CHUNK_SHARED]++, 0);
        }
    }
    int64_t count = volume_get(volume, SKEP_VOLUME_POOL, control_page_at, 1000, 0);
    for (int64_t i = 0; i < count; i++) {
        assert_int_equal(seen[((uint32_t *)control_page)[i]]++, 0);
    }
    for (uint32_t i = 0; i < free_count; i++) {
        assert_int_equal(seen[free_chunks[i]]++, 0);
    }
    for (uint32_t i = 0; i < DISK_CHUNKS; i++) {
        total += seen[i];
    }
    struct skep_volume_status status = status_of(volume);
    assert_in_range(total, DISK_CHUNKS - (status.sequence - status.committed), DISK_CHUNKS);
}

static void model_end(void)
{
    for (int i = 0; i < 100; i++) {
        settle();
        model_collect();
        model_share();
        model_commit();
        model_give();
    }
    for (uint32_t i = 0; i < RIDER_REQUESTS; i++) {
        assert_false(underway[i].live);
    }
}

static void run_model(uint64_t number)
{
    seed = number;
    volume = volume_opened(MODEL_CHUNKS);
    rider_create(&rider, volume, 0);
    memset(model, 0, sizeof(model));
    memset(owner_of_block, 0, sizeof(owner_of_block));
    memset(underway, 0, sizeof(underway));
    free_count = 0;
    sharing = false;
    for (uint32_t i = 0; i < DISK_CHUNKS; i++) {
        free_chunks[free_count++] = i;
    }
    for (int i = 0; i < MODEL_STEPS; i++) {
        model_step();
        if (i % 50 == 0) {
            model_chunks_are_in_one_place();
        }
    }
    model_end();
    struct skep_volume_status status = status_of(volume);
    assert_true(status.writes > 200 && status.reads > 50 && status.discards > 20);
    assert_true(status.sequence > 200);
    for (uint32_t block = 0; block < MODEL_BLOCKS; block++) {
        read_is(&rider, block * 8ull, model[block], 4096);
        disk_a.log_count = 0;
    }
    rider_destroy(&rider);
    volume_closed(volume);
}

static void anything_is_as_in_the_model(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 8; i++) {
        run_model(i);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, block_fixture_begin, block_fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(anything_is_as_in_the_model)};
    return cmocka_run_group_tests(tests, block_fixture_boot, NULL);
}
