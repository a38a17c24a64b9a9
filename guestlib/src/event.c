/*
 * event.c - who is called for which event.
 */
#include "internal.h"

struct handler {
    void (*function)(unsigned event, void *argument);
    void *argument;
};

static struct handler handlers[SKEP_EVENT_COUNT];

static _Atomic uint64_t *mask_word(void)
{
    return &((struct skep_vcpu_page *)skep_info->vcpu_pages)->mask;
}

int skep_event_handler(unsigned event, void (*function)(unsigned event, void *argument),
                       void *argument)
{
    if (event >= SKEP_EVENT_COUNT || event == SKEP_EVENT_TIMER || event == SKEP_EVENT_IPI)
        return -SKEP_EINVAL;
    bool were_masked = skep_upcalls_mask();
    uint64_t bit = 1ull << event;
    handlers[event] = (struct handler){function, argument};
    if (function != NULL || event == SKEP_EVENT_SHUTDOWN)
        atomic_fetch_and_explicit(mask_word(), ~bit, memory_order_seq_cst);
    else
        atomic_fetch_or_explicit(mask_word(), bit, memory_order_seq_cst);
    skep_upcalls_restore(were_masked); /* finds an event that came while it was masked */
    return 0;
}

uint64_t skep_events_run(struct skep_vcpu_page *page)
{
    uint64_t wanted = ~atomic_load_explicit(&page->mask, memory_order_relaxed);
    /* Acquire: what ring 0 wrote before it set the bits, such as a queue's index, is seen. */
    uint64_t events =
        wanted & atomic_fetch_and_explicit(&page->pending, ~wanted, memory_order_acq_rel);
    for (uint64_t left = events; left != 0; left &= left - 1) {
        unsigned event = (unsigned)__builtin_ctzll(left);
        if (handlers[event].function != NULL)
            handlers[event].function(event, handlers[event].argument);
        else if (event == SKEP_EVENT_SHUTDOWN)
            skep_exit(0);
    }
    return events;
}
