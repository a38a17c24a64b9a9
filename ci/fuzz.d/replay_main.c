/*
 * replay_main.c - runs files through a harness: replay_NAME FILE-OR-FOLDER…
 *
 * Each runs twice and must take the same way. That no file was found is an error.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

#define INPUT_MAX (1u << 20)

static unsigned replayed;

static void replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(INPUT_MAX);
    if (!file || !data) {
        fprintf(stderr, "can't read %s\n", path);
        exit(1);
    }
    size_t bytes = fread(data, 1, INPUT_MAX, file);
    fclose(file);
    /* Exactly as long as the input, so that a read beyond it is found. */
    uint8_t *exact = malloc(bytes ? bytes : 1);
    if (!exact) {
        exit(1);
    }
    memcpy(exact, data, bytes);
    free(data);
    printf("%s\n", path);
    fflush(stdout);
    uint64_t first = fuzz_run(exact, bytes);
    FUZZ_CHECK(first == fuzz_run(exact, bytes));
    free(exact);
    replayed++;
}

static void replay_folder(const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char name[1024];
        if (entries[i]->d_name[0] != '.') {
            snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
            replay_file(name);
        }
        free(entries[i]);
    }
    if (count >= 0) {
        free(entries);
    } else {
        replay_file(path);
    }
}

int main(int argc, char **argv)
{
    fuzz_start();
    for (int i = 1; i < argc; i++) {
        replay_folder(argv[i]);
    }
    printf("%u inputs\n", replayed);
    return replayed == 0;
}
