/*
 * pack.c - looks into packs of read-only files.
 *
 * To a key (a part of a path, whole names only) an entry is before, behind, or "of" it: the file itself or one below. Those
 * of a key stand together, so two searches give them, and the second one where the next name of the folder begins.
 */
#include "pack.h"

#include <errno.h>
#include <string.h>

struct key {
    const char *text;
    size_t bytes;
};

enum kind { NOTHING, IS_FILE, IS_FOLDER };

static const char *path_at(const struct skep_files *pack, uint32_t index)
{
    return (const char *)pack + pack->entries[index].path;
}

/* '/' and the end of a path come before all other bytes. */
static unsigned rank(char c)
{
    return c == 0 ? 0 : c == '/' ? 1 : (unsigned)(unsigned char)c + 1;
}

/* < 0: before the key, 0: of it, > 0: behind it. */
static int compare(const char *path, struct key key)
{
    for (size_t i = 0; i < key.bytes; i++)
        if (path[i] != key.text[i])
            return rank(path[i]) < rank(key.text[i]) ? -1 : 1;
    return key.bytes == 0 || path[key.bytes] == 0 || path[key.bytes] == '/' ? 0 : 1;
}

/* The first entry that is of the key or behind it; with `behind` the first that is behind it. */
static uint32_t search(const struct skep_files *pack, struct key key, bool behind)
{
    uint32_t low = 0, high = pack->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = compare(path_at(pack, middle), key);
        if (order < 0 || (behind && order == 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static enum kind kind_of(const struct skep_files *pack, struct key key, uint32_t *index)
{
    if (pack == NULL)
        return NOTHING;
    *index = search(pack, key, false);
    if (*index == pack->count || compare(path_at(pack, *index), key) != 0)
        return key.bytes == 0 ? IS_FOLDER : NOTHING;
    return key.bytes != 0 && path_at(pack, *index)[key.bytes] == 0 ? IS_FILE : IS_FOLDER;
}

/* What a key is, of those layers whose bit is set in *seen. Layers that it hides lose theirs. */
static enum kind look(const struct pack_tree *tree, struct key key, unsigned *seen,
                      struct pack_found *out)
{
    enum kind first = NOTHING;
    for (unsigned i = 0; i < PACK_LAYERS; i++) {
        uint32_t index = 0;
        enum kind kind = *seen & 1u << i ? kind_of(tree->layer[i], key, &index) : NOTHING;
        if (kind == NOTHING || (first != NOTHING && kind == IS_FILE) || first == IS_FILE) {
            *seen &= ~(1u << i);
            continue;
        }
        if (first != NOTHING)
            continue;
        first = kind;
        out->pack = tree->layer[i];
        out->entry = kind == IS_FILE ? &tree->layer[i]->entries[index] : NULL;
    }
    return first;
}

static int find(const struct pack_tree *tree, const char *path, unsigned *seen,
                struct pack_found *out)
{
    struct key key = {path, 0};
    *seen = (1u << PACK_LAYERS) - 1;
    *out = (struct pack_found){0};
    while (path[key.bytes] != 0) {
        key.bytes = (size_t)(strchrnul(path + key.bytes + (key.bytes != 0), '/') - path);
        enum kind kind = look(tree, key, seen, out);
        if (kind == NOTHING)
            return -ENOENT;
        if (kind == IS_FILE && path[key.bytes] != 0)
            return -ENOTDIR;
    }
    return 0;
}

/* A file of the uppermost pack that has files: nothing hides it, nor a folder on the way, so that one search is enough. */
static bool find_uppermost(const struct pack_tree *tree, const char *path, struct pack_found *out)
{
    uint32_t index, layer = 0;
    while (layer < PACK_LAYERS && (tree->layer[layer] == NULL || tree->layer[layer]->count == 0))
        layer++;
    if (layer == PACK_LAYERS)
        return false;
    const struct skep_files *pack = tree->layer[layer];
    if (kind_of(pack, (struct key){path, strlen(path)}, &index) != IS_FILE)
        return false;
    *out = (struct pack_found){pack, &pack->entries[index]};
    return true;
}

int pack_find(const struct pack_tree *tree, const char *path, struct pack_found *out)
{
    unsigned seen;
    return find_uppermost(tree, path, out) ? 0 : find(tree, path, &seen, out);
}

/* The first name of a folder in one pack behind `after`, NULL = none. `folder` is where the names of its entries begin. */
static const char *next_in(const struct skep_files *pack, struct key folder, struct key after)
{
    uint32_t index =
        after.bytes == folder.bytes ? search(pack, folder, false) : search(pack, after, true);
    if (index == pack->count || compare(path_at(pack, index), folder) != 0)
        return NULL;
    const char *rest = path_at(pack, index) + folder.bytes;
    return *rest == '/' ? rest + 1 : folder.bytes == 0 ? rest : NULL;
}

static int compare_names(const char *a, const char *b)
{
    size_t i = 0;
    while (a[i] == b[i] && a[i] != 0 && a[i] != '/')
        i++;
    unsigned of_a = a[i] == '/' ? 0 : rank(a[i]), of_b = b[i] == '/' ? 0 : rank(b[i]);
    return of_a < of_b ? -1 : of_a > of_b;
}

/* The key of a name in a folder, or, without a name, of the folder. False: it is too long for a path. */
static bool join(const char *folder, const char *name, char text[PACK_PATH_BYTES], struct key *out)
{
    size_t folder_bytes = strlen(folder), name_bytes = strlen(name);
    size_t slash_bytes = folder_bytes != 0 && name_bytes != 0;
    size_t bytes = folder_bytes + slash_bytes + name_bytes;
    *out = (struct key){text, bytes};
    if (bytes >= PACK_PATH_BYTES)
        return false;
    char *end = mempcpy(text, folder, folder_bytes);
    end = mempcpy(end, "/", slash_bytes);
    memcpy(end, name, name_bytes + 1);
    return true;
}

static bool give_name(const char *rest, char name[PACK_NAME_BYTES], bool *is_folder)
{
    size_t length = rest != NULL ? strcspn(rest, "/") : PACK_NAME_BYTES;
    if (length >= PACK_NAME_BYTES)
        return false;
    memcpy(name, rest, length);
    name[length] = 0;
    *is_folder = rest[length] == '/';
    return true;
}

bool pack_next(const struct pack_tree *tree, const char *folder, const char *after,
               char name[PACK_NAME_BYTES], bool *is_folder)
{
    char text[PACK_PATH_BYTES];
    struct key folder_key = {folder, strlen(folder)}, after_key;
    struct pack_found unused;
    const char *best = NULL;
    unsigned seen;
    if (!join(folder, after, text, &after_key) || find(tree, folder, &seen, &unused) != 0)
        return false;
    for (unsigned i = 0; i < PACK_LAYERS; i++) {
        const char *next = seen & 1u << i && tree->layer[i] != NULL
                               ? next_in(tree->layer[i], folder_key, after_key)
                               : NULL;
        if (next != NULL && (best == NULL || compare_names(next, best) < 0))
            best = next;
    }
    return give_name(best, name, is_folder);
}
