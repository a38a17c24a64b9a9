/*
 * scan.c - a folder's entries as one list: scandir(), its orders, and readdir_r().
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "shim.h"

struct list {
    struct dirent **entries;
    int count, room;
};

/* Makes room for one more. */
static bool grow(struct list *list)
{
    if (list->count < list->room)
        return true;
    int room = list->room != 0 ? 2 * list->room : 16;
    struct dirent **larger = reallocarray(list->entries, (size_t)room, sizeof(struct dirent *));
    if (larger == NULL)
        return false;
    list->entries = larger;
    list->room = room;
    return true;
}

static bool add(struct list *list, const struct dirent *entry)
{
    struct dirent *copy = grow(list) ? malloc(sizeof(*copy)) : NULL;
    if (copy == NULL)
        return false;
    *copy = *entry;
    list->entries[list->count++] = copy;
    return true;
}

static void free_list(struct list *list)
{
    while (list->count > 0)
        free(list->entries[--list->count]);
    free(list->entries);
}

static bool add_all(struct list *list, DIR *folder, int (*filter)(const struct dirent *))
{
    const struct dirent *entry;
    bool fits = grow(list); /* an empty list is one, too */
    while (fits && (entry = readdir(folder)) != NULL)
        if (filter == NULL || filter(entry) != 0)
            fits = add(list, entry);
    return fits;
}

int scandir(const char *path, struct dirent ***out, int (*filter)(const struct dirent *),
            int (*compare)(const struct dirent **, const struct dirent **))
{
    struct list list = {0};
    DIR *folder = opendir(path);
    if (folder == NULL)
        return -1;
    bool fits = add_all(&list, folder, filter);
    closedir(folder);
    if (!fits) {
        free_list(&list);
        return (int)skep_posix_result(-ENOMEM);
    }
    if (compare != NULL)
        qsort(list.entries, (size_t)list.count, sizeof(struct dirent *),
              (int (*)(const void *, const void *))compare);
    *out = list.entries;
    return list.count;
}

int alphasort(const struct dirent **one, const struct dirent **other)
{
    return strcoll((*one)->d_name, (*other)->d_name);
}

int versionsort(const struct dirent **one, const struct dirent **other)
{
    return strverscmp((*one)->d_name, (*other)->d_name);
}

/* Its result is the error; at the end of the folder *result is NULL. */
int readdir_r(DIR *restrict folder, struct dirent *restrict entry, struct dirent **restrict result)
{
    const struct dirent *next = readdir(folder);
    if (next != NULL)
        *entry = *next;
    *result = next != NULL ? entry : NULL;
    return 0;
}
