/*
 * epoll.c - instances of epoll: sets of descriptors to wait for, whose cost doesn't grow with their number.
 *
 * A watch joins an instance and a file. Whoever makes a file ready calls skep_poll_notify_source(), which puts the file's
 * watches on their instances' ready lists; who waits takes them from there and asks each file what holds now. One that
 * is ready is put back, unless it is edge-triggered or for one shot; one that isn't waits for the next notification.
 *
 * As on Linux, a watch belongs to the open file, not to the descriptor: it goes with the file's last descriptor. An
 * instance can watch another one, as long as none watches itself in the end and chains are short. With EPOLLEXCLUSIVE
 * other instances hear of a file all the same.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "fd_internal.h"
#include "shim.h"

struct instance {
    struct skep_watch *watches; /* all of it, guarded by the lock */
    struct skep_watch *ready_first, **ready_end;
    unsigned ready_count;
    _Atomic uint32_t changes;       /* counts what becomes ready; epoll_wait() waits on it */
    struct skep_poll_source source; /* for instances that watch this one */
};

struct skep_watch {
    struct instance *instance;
    struct skep_file *file;
    struct skep_poll_source *source;
    int fd;
    struct epoll_event wanted;
    struct skep_watch *next, **link; /* of the instance's */
    struct skep_watch *next_of_source;
    struct skep_watch *next_ready, **ready_link; /* NULL: not on the ready list */
    uint32_t news;                               /* counts how often it became ready */
    bool spent;                                  /* its one shot was told */
    bool removed;                                /* the last of its users frees it */
    unsigned users;
};

/* Guards watches. Held for some dozen instructions for each watch of a source. Event handlers take it. */
static struct skep_spinlock lock;

/*
 * Ready lists. The lock is held.
 */

static void make_ready(struct skep_watch *watch)
{
    struct instance *instance = watch->instance;
    watch->news++;
    if (watch->ready_link != NULL)
        return;
    watch->next_ready = NULL;
    watch->ready_link = instance->ready_end;
    *watch->ready_link = watch;
    instance->ready_end = &watch->next_ready;
    instance->ready_count++;
}

static void unmake_ready(struct skep_watch *watch)
{
    struct instance *instance = watch->instance;
    if (watch->ready_link == NULL)
        return;
    *watch->ready_link = watch->next_ready;
    if (watch->next_ready != NULL)
        watch->next_ready->ready_link = watch->ready_link;
    else
        instance->ready_end = watch->ready_link;
    watch->ready_link = NULL;
    instance->ready_count--;
}

static struct skep_watch *take_ready(struct instance *instance)
{
    struct skep_watch *watch = instance->ready_first;
    if (watch == NULL)
        return NULL;
    /* What is freed was taken off before. */
    unmake_ready(watch); /* NOLINT(clang-analyzer-unix.Malloc) */
    return watch;
}

/* One thread that waits for the instance's events, and those that poll its descriptor. */
static void wake(struct instance *instance)
{
    atomic_fetch_add_explicit(&instance->changes, 1, memory_order_release);
    skep_wake(&instance->changes, 1);
    skep_poll_notify();
}

/* Instances that watch the source, and those that watch them. Chains are short. The lock is held. */
static void tell_watches(const struct skep_poll_source *source)
{
    for (struct skep_watch *watch = source->watches; watch != NULL; watch = watch->next_of_source) {
        make_ready(watch);
        wake(watch->instance);
        tell_watches(&watch->instance->source);
    }
}

void skep_posix_epoll_changed(struct skep_poll_source *source)
{
    bool were_masked = skep_spin_lock(&lock);
    tell_watches(source);
    skep_spin_unlock(&lock, were_masked);
}

/* For another thread, of whoever waits for the instance: something is left in it. */
static void tell_others(struct instance *instance)
{
    wake(instance);
    if (skep_poll_is_watched(&instance->source))
        skep_posix_epoll_changed(&instance->source);
}

/*
 * Watches
 */

/* The lock is held. */
static struct skep_watch *find(struct instance *instance, struct skep_poll_source *source, int fd)
{
    struct skep_watch *watch = source->watches;
    while (watch != NULL && (watch->instance != instance || watch->fd != fd))
        watch = watch->next_of_source;
    return watch;
}

/* The lock is held. */
static void attach(struct skep_watch *watch)
{
    struct instance *instance = watch->instance;
    watch->next = instance->watches;
    watch->link = &instance->watches;
    if (watch->next != NULL)
        watch->next->link = &watch->next;
    instance->watches = watch;
    watch->next_of_source = watch->source->watches;
    /* Sequentially consistent: pairs with skep_poll_notify_source(). */
    atomic_store_explicit(&watch->source->watches, watch, memory_order_seq_cst);
}

/* The lock is held. Returns the watch if the caller is to free it, when it has released the lock. */
static struct skep_watch *detach(struct skep_watch *watch)
{
    unmake_ready(watch);
    *watch->link = watch->next;
    if (watch->next != NULL)
        watch->next->link = watch->link;
    struct skep_watch *before = watch->source->watches;
    if (before == watch)
        atomic_store_explicit(&watch->source->watches, watch->next_of_source, memory_order_relaxed);
    else {
        while (before->next_of_source != watch)
            before = before->next_of_source;
        before->next_of_source = watch->next_of_source;
    }
    watch->removed = true;
    return watch->users == 0 ? watch : NULL;
}

void skep_posix_epoll_forget(struct skep_poll_source *source)
{
    while (atomic_load_explicit(&source->watches, memory_order_relaxed) != NULL) {
        bool were_masked = skep_spin_lock(&lock);
        struct skep_watch *gone = source->watches != NULL ? detach(source->watches) : NULL;
        skep_spin_unlock(&lock, were_masked);
        free(gone);
    }
}

static short wanted_of(const struct skep_watch *watch)
{
    return (short)((watch->wanted.events & 0xffff) | EPOLLERR | EPOLLHUP);
}

static short ask(struct skep_file *file)
{
    short now = file->ops->poll(file);
    if (now & POLLIN)
        now |= POLLRDNORM;
    if (now & POLLOUT)
        now |= POLLWRNORM;
    return now;
}

/*
 * Waiting
 */

static unsigned ready_count(struct instance *instance)
{
    bool were_masked = skep_spin_lock(&lock);
    unsigned count = instance->ready_count;
    skep_spin_unlock(&lock, were_masked);
    return count;
}

/* The next watch that may be ready and whose file is open, with references to both. */
static struct skep_watch *use_next(struct instance *instance)
{
    struct skep_watch *watch;
    bool were_masked = skep_spin_lock(&lock);
    do
        watch = take_ready(instance);
    while (watch != NULL && !skep_posix_fd_hold(watch->file));
    if (watch != NULL)
        watch->users++;
    skep_spin_unlock(&lock, were_masked);
    return watch;
}

/* Whether a file's events are wanted now. The lock is held. */
static bool is_wanted(const struct skep_watch *watch, short now)
{
    return !watch->removed && !watch->spent && (now & wanted_of(watch)) != 0;
}

/* Ends the use of a watch. The lock is held. As detach(). */
static struct skep_watch *unuse(struct skep_watch *watch)
{
    return --watch->users == 0 && watch->removed ? watch : NULL;
}

/* Ends the use of a watch whose file has those events now. True: they are wanted and in *out. */
static bool use_end(struct skep_watch *watch, short now, struct epoll_event *out)
{
    bool were_masked = skep_spin_lock(&lock);
    bool told = is_wanted(watch, now);
    if (told) {
        *out = (struct epoll_event){(uint32_t)(now & wanted_of(watch)), watch->wanted.data};
        if (watch->wanted.events & EPOLLONESHOT)
            watch->spent = true;
        else if (!(watch->wanted.events & EPOLLET))
            make_ready(watch);
    }
    struct skep_watch *gone = unuse(watch);
    skep_spin_unlock(&lock, were_masked);
    free(gone);
    return told;
}

/* Goes once through what was ready. */
static int collect(struct instance *instance, struct epoll_event *events, int max)
{
    int found = 0;
    for (unsigned left = ready_count(instance); left > 0 && found < max; left--) {
        struct skep_watch *watch = use_next(instance);
        if (watch == NULL)
            break;
        struct skep_file *file = watch->file;
        short now = ask(file);
        found += use_end(watch, now, &events[found]);
        skep_fd_put(file);
    }
    return found;
}

static int wait_until(struct instance *instance, struct epoll_event *events, int max,
                      uint64_t deadline_ns, uint64_t interrupts)
{
    for (;;) {
        uint32_t seen = atomic_load_explicit(&instance->changes, memory_order_acquire);
        int found = collect(instance, events, max);
        if (found != 0 && ready_count(instance) != 0)
            tell_others(instance); /* what is left or still ready */
        if (found != 0)
            return found;
        if (deadline_ns == 0)
            return 0;
        int result = skep_wait_interruptibly(&instance->changes, seen, deadline_ns, &interrupts,
                                             SKEP_NEVER_RESTARTS);
        if (result == -EINTR)
            return -EINTR;
        if (result == -ETIMEDOUT)
            deadline_ns = 0;
    }
}

/*
 * The descriptor
 */

/* The first watch that may be ready, which stays so, and whose file is open, with references to both. */
static struct skep_watch *look_at_first(struct instance *instance, uint32_t *news)
{
    bool were_masked = skep_spin_lock(&lock);
    struct skep_watch *watch = instance->ready_first;
    while (watch != NULL && !skep_posix_fd_hold(watch->file)) {
        unmake_ready(watch);
        watch = instance->ready_first;
    }
    if (watch != NULL) {
        *news = watch->news;
        watch->users++;
    }
    skep_spin_unlock(&lock, were_masked);
    return watch;
}

/* True: the watch is ready indeed. Else it is no more, unless there were news since somebody began to look. */
static bool look_end(struct skep_watch *watch, short now, uint32_t news)
{
    bool were_masked = skep_spin_lock(&lock);
    bool result = is_wanted(watch, now);
    if (!result && watch->news == news)
        unmake_ready(watch);
    struct skep_watch *gone = unuse(watch);
    skep_spin_unlock(&lock, were_masked);
    free(gone);
    return result;
}

/* Takes nothing from the ready list that somebody else could miss there. */
static short instance_poll(struct skep_file *file)
{
    struct instance *instance = file->object;
    bool found = false;
    for (unsigned left = ready_count(instance); left > 0 && !found; left--) {
        uint32_t news;
        struct skep_watch *watch = look_at_first(instance, &news);
        if (watch == NULL)
            break;
        struct skep_file *watched = watch->file;
        found = look_end(watch, ask(watched), news);
        skep_fd_put(watched);
    }
    return found ? POLLIN : 0;
}

static struct skep_poll_source *instance_source(struct skep_file *file)
{
    struct instance *instance = file->object;
    return &instance->source;
}

static void instance_free(struct instance *instance)
{
    struct skep_watch *gone;
    do {
        bool were_masked = skep_spin_lock(&lock);
        gone = instance->watches != NULL ? detach(instance->watches) : NULL;
        skep_spin_unlock(&lock, were_masked);
        free(gone);
    } while (gone != NULL);
    free(instance);
}

static void instance_close(struct skep_file *file)
{
    instance_free(file->object);
}

static const struct skep_fd_ops instance_ops = {
    .close = instance_close,
    .poll = instance_poll,
    .source = instance_source,
};

/*
 * Chains of instances that watch each other. The lock is held.
 */

#define CHAIN_MAX 5u

/* Instances in the longest chain from this one on; beyond CHAIN_MAX if it leads to `end`. */
static unsigned chain_below(const struct instance *from, const struct instance *end,
                            unsigned before)
{
    unsigned longest = 1;
    if (from == end || before > CHAIN_MAX)
        return CHAIN_MAX + 1;
    for (const struct skep_watch *watch = from->watches; watch != NULL; watch = watch->next)
        if (watch->file->ops == &instance_ops) {
            unsigned below = 1 + chain_below(watch->file->object, end, before + 1);
            longest = below > longest ? below : longest;
        }
    return longest;
}

/* The same towards who watches it. */
static unsigned chain_above(const struct instance *from)
{
    unsigned longest = 1;
    const struct skep_watch *watch = from->source.watches;
    for (; watch != NULL; watch = watch->next_of_source) {
        unsigned above = 1 + chain_above(watch->instance);
        longest = above > longest ? above : longest;
    }
    return longest;
}

/* Whether one may watch a file: a chain would be too long, or a circle. */
static int check_chain(const struct instance *instance, const struct skep_file *file)
{
    if (file->ops != &instance_ops)
        return 0;
    return chain_above(instance) + chain_below(file->object, instance, 1) > CHAIN_MAX ? -ELOOP : 0;
}

int epoll_create1(int flags)
{
    if ((flags & ~EPOLL_CLOEXEC) != 0)
        return (int)skep_posix_result(-EINVAL);
    struct instance *instance = calloc(1, sizeof(*instance));
    if (instance == NULL)
        return (int)skep_posix_result(-ENOMEM);
    instance->ready_end = &instance->ready_first;
    int fd = skep_fd_open(&instance_ops, instance, O_RDWR | flags);
    if (fd < 0)
        instance_free(instance);
    return (int)skep_posix_result(fd);
}

int epoll_create(int size)
{
    return size > 0 ? epoll_create1(0) : (int)skep_posix_result(-EINVAL);
}

/* The lock is held. made: the watch to add, NULL to change the one that is there. */
static int add_or_change(struct instance *instance, struct skep_poll_source *source, int fd,
                         struct skep_watch *made, const struct epoll_event *event)
{
    struct skep_watch *watch = find(instance, source, fd);
    if (made != NULL && watch != NULL)
        return -EEXIST;
    if (made == NULL && watch == NULL)
        return -ENOENT;
    int error = made != NULL ? check_chain(instance, made->file) : 0;
    if (error < 0)
        return error;
    if (made == NULL && watch->wanted.events & EPOLLEXCLUSIVE)
        return -EINVAL;
    if (made != NULL)
        attach(watch = made);
    watch->wanted = *event;
    watch->spent = false;
    make_ready(watch); /* who waits looks whether it is */
    wake(instance);
    tell_watches(&instance->source);
    return 0;
}

static int control_set(struct instance *instance, struct skep_file *file, int fd, bool adds,
                       const struct epoll_event *event)
{
    struct skep_poll_source *source = file->ops->source(file);
    struct skep_watch *made = NULL;
    if (adds) {
        made = calloc(1, sizeof(*made));
        if (made == NULL)
            return -ENOMEM;
        made->instance = instance;
        made->file = file;
        made->source = source;
        made->fd = fd;
    }
    bool were_masked = skep_spin_lock(&lock);
    int result = add_or_change(instance, source, fd, made, event);
    skep_spin_unlock(&lock, were_masked);
    if (result < 0)
        free(made);
    return result;
}

static int control_remove(struct instance *instance, struct skep_file *file, int fd)
{
    bool were_masked = skep_spin_lock(&lock);
    struct skep_watch *watch = find(instance, file->ops->source(file), fd), *gone = NULL;
    if (watch != NULL)
        gone = detach(watch);
    skep_spin_unlock(&lock, were_masked);
    free(gone);
    return watch != NULL ? 0 : -ENOENT;
}

/* EPOLLEXCLUSIVE is for what is added, no instance, and with these alone. */
static bool may_be_exclusive(int operation, const struct skep_file *file, uint32_t events)
{
    const uint32_t known = EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLET | EPOLLWAKEUP;
    return operation == EPOLL_CTL_ADD && file->ops != &instance_ops &&
           (events & ~(known | EPOLLEXCLUSIVE)) == 0;
}

static int control(struct skep_file *instance, int operation, struct skep_file *file, int fd,
                   const struct epoll_event *event)
{
    if (file->ops->source == NULL)
        return -EPERM;
    if (instance->ops != &instance_ops || file == instance)
        return -EINVAL;
    if (operation != EPOLL_CTL_DEL && event->events & EPOLLEXCLUSIVE &&
        !may_be_exclusive(operation, file, event->events))
        return -EINVAL;
    switch (operation) {
    case EPOLL_CTL_ADD:
    case EPOLL_CTL_MOD:
        return control_set(instance->object, file, fd, operation == EPOLL_CTL_ADD, event);
    case EPOLL_CTL_DEL:
        return control_remove(instance->object, file, fd);
    default:
        return -EINVAL;
    }
}

int epoll_ctl(int number, int operation, int fd, struct epoll_event *event)
{
    int result = -EBADF;
    struct skep_file *instance = skep_fd_get(number, NULL), *file = skep_fd_get(fd, NULL);
    if (instance != NULL && file != NULL)
        result = control(instance, operation, file, fd, event);
    if (instance != NULL)
        skep_fd_put(instance);
    if (file != NULL)
        skep_fd_put(file);
    return (int)skep_posix_result(result);
}

int epoll_pwait(int number, struct epoll_event *events, int max, int timeout_ms,
                const sigset_t *mask)
{
    skep_posix_may_end();
    sigset_t old;
    uint64_t interrupts = skep_interrupts_seen();
    if (mask != NULL)
        pthread_sigmask(SIG_SETMASK, mask, &old); /* a handler may leave: nothing is held yet */
    struct skep_file *file = skep_fd_get(number, NULL);
    int result = file == NULL ? -EBADF : -EINVAL;
    bool is_right = file != NULL && file->ops == &instance_ops && max > 0;
    if (is_right) {
        uint64_t deadline_ns = timeout_ms < 0 ? SKEP_FOREVER
                               : timeout_ms == 0
                                   ? 0
                                   : skep_posix_deadline_in((uint64_t)timeout_ms * 1000000);
        result = wait_until(file->object, events, max, deadline_ns, interrupts);
    }
    if (file != NULL)
        skep_fd_put(file);
    if (mask != NULL) {
        skep_posix_signals_handle();
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    return (int)skep_posix_result(result);
}

int epoll_wait(int number, struct epoll_event *events, int max, int timeout_ms)
{
    return epoll_pwait(number, events, max, timeout_ms, NULL);
}
