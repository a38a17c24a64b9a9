/*
 * stats.c - tells of itself, and stays: with "good" by skep_stat(), counting on; with "bad" what no correct program says.
 */
#include <stdatomic.h>
#include <string.h>

#include "check.h"
#include "skep/guest.h"
#include "skep/thread.h"

static void tell_good(void)
{
    _Atomic uint64_t *rounds = skep_stat("rounds");
    char name[8] = "n00";

    CHECK(skep_stat("rounds") == rounds && skep_stat("round") != rounds);
    *skep_stat("largest") = UINT64_MAX;
    *skep_stat("twenty_three_characters") = 23;
    CHECK(skep_stat("twenty_four_characters_x") == skep_stat(""));
    /* More than there is room for: the last ones are seen by nobody. */
    for (int i = 0; i < 40; i++) {
        name[1] = (char)('0' + i / 10);
        name[2] = (char)('0' + i % 10);
        *skep_stat(name) = (uint64_t)i;
    }
    CHECK(skep_stat("rounds") == rounds && skep_stat("n39") == skep_stat(""));
    printf("told\n");
    for (;;) {
        atomic_fetch_add(rounds, 1);
        skep_sleep_until(skep_clock_ns() + 10000000);
    }
}

static void tell_bad(void)
{
    static const char *const names[] = {"fine", "Fine", "1st",      "_a",   "a-b", "a\"b",
                                        "a\nb", "a b",  "\xc3\xa4", "fine", "fine"};
    struct skep_stat *stats =
        (struct skep_stat *)(skep_start_info()->vcpu_pages + SKEP_STATS_OFFSET);

    memset(stats, 'x', SKEP_STATS_MAX * sizeof(*stats)); /* names without an end */
    for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
        memset(&stats[2 * i], 0, sizeof(*stats));
        snprintf(stats[2 * i].name, sizeof(stats[2 * i].name), "%s", names[i]);
        stats[2 * i].value = i + 7;
    }
    printf("told\n");
    for (;;)
        skep_sleep_until(SKEP_FOREVER);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    printf("begins\n"); /* so that the heap has told its number before all places are taken */
    if (strcmp(argv[1], "good") == 0)
        tell_good();
    tell_bad();
    return 0;
}
