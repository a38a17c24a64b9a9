/*
 * keys.c - thread-specific data with destructors.
 *
 * A key is an index; a value counts only with the sequence number that the key had when it was set,
 * so that a key that is deleted and made again begins with NULL in all threads.
 */
#include <limits.h>
#include <pthread.h>

#include "shim.h"

#define KEY_COUNT ((unsigned)PTHREAD_KEYS_MAX)

static struct {
    struct skep_mutex lock; /* guards the rest, against changes */
    struct {
        bool used;
        unsigned sequence;
        void (*destructor)(void *);
    } keys[KEY_COUNT];
} table;

static _Thread_local struct {
    unsigned sequence;
    void *value;
} values[KEY_COUNT];

int pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
    int error = EAGAIN;
    skep_mutex_lock(&table.lock);
    for (unsigned i = 0; i < KEY_COUNT && error != 0; i++) {
        if (table.keys[i].used)
            continue;
        table.keys[i].used = true;
        table.keys[i].sequence++;
        table.keys[i].destructor = destructor;
        *key = i;
        error = 0;
    }
    skep_mutex_unlock(&table.lock);
    return error;
}

int pthread_key_delete(pthread_key_t key)
{
    if (key >= KEY_COUNT)
        return EINVAL;
    skep_mutex_lock(&table.lock);
    bool used = table.keys[key].used;
    table.keys[key].used = false;
    skep_mutex_unlock(&table.lock);
    return used ? 0 : EINVAL;
}

int pthread_setspecific(pthread_key_t key, const void *value)
{
    if (key >= KEY_COUNT || !table.keys[key].used)
        return EINVAL;
    values[key].sequence = table.keys[key].sequence;
    values[key].value = (void *)value;
    return 0;
}

void *pthread_getspecific(pthread_key_t key)
{
    if (key >= KEY_COUNT || values[key].sequence != table.keys[key].sequence)
        return NULL;
    return values[key].value;
}

/* The destructor of a value of this thread's, NULL = none is due. Another thread may be deleting the key,
 * and a third may get it for something else. */
static void (*destructor_of(pthread_key_t key))(void *)
{
    void (*destructor)(void *) = NULL;
    skep_mutex_lock(&table.lock);
    if (table.keys[key].used && pthread_getspecific(key) != NULL)
        destructor = table.keys[key].destructor;
    skep_mutex_unlock(&table.lock);
    return destructor;
}

/* Destructors may set values again: some rounds, as POSIX has it. */
static bool run_destructors(void)
{
    bool ran = false;
    for (pthread_key_t key = 0; key < KEY_COUNT; key++) {
        void (*destructor)(void *) = values[key].value != NULL ? destructor_of(key) : NULL;
        if (destructor == NULL)
            continue;
        void *value = values[key].value;
        values[key].value = NULL;
        destructor(value);
        ran = true;
    }
    return ran;
}

void skep_posix_keys_end(void)
{
    for (unsigned round = 0; round < PTHREAD_DESTRUCTOR_ITERATIONS && run_destructors(); round++)
        ;
}
