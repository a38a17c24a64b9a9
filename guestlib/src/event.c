/*
 * event.c - who is called for which event.
 *
 * All events but a vCPU's own timer and its siblings' IPI come to vCPU 0.
 */
#include "internal.h"

struct handler {
    void (*function)(unsigned event, void *argument);
    void *argument;
};

/* Guards the handlers. Taken with upcalls masked; innermost. */
static struct skep_spinlock handlers_lock;
static struct handler handlers[SKEP_EVENT_COUNT];

static struct skep_vcpu_page *first_page(void)
{
    return (struct skep_vcpu_page *)skep_info->vcpu_pages;
}

/* What guestlib does for an event itself is never masked. */
static bool is_own(unsigned event)
{
    return event == SKEP_EVENT_SHUTDOWN || event == SKEP_EVENT_CHANGE;
}

int skep_event_handler(unsigned event, void (*function)(unsigned event, void *argument),
                       void *argument)
{
    if (event >= SKEP_EVENT_COUNT || event == SKEP_EVENT_TIMER || event == SKEP_EVENT_IPI)
        return -SKEP_EINVAL;
    uint64_t bit = 1ull << event;
    struct skep_vcpu_page *page = first_page();
    bool were_masked = skep_spin_lock(&handlers_lock);
    handlers[event] = (struct handler){function, argument};
    if (function != NULL || is_own(event))
        atomic_fetch_and_explicit(&page->mask, ~bit, memory_order_seq_cst);
    else
        atomic_fetch_or_explicit(&page->mask, bit, memory_order_seq_cst);
    skep_spin_unlock(&handlers_lock, were_masked); /* on vCPU 0, finds one that came while masked */

    /* Ring 0 sets the bit and then looks at the mask; the mask was changed above, and now the bit is
     * looked at: one of the two tells vCPU 0. If it has an IPI pending already, it has yet to fetch its
     * events, and looks for more with the new mask before it goes on or waits. */
    uint64_t wanted = ~atomic_load_explicit(&page->mask, memory_order_seq_cst);
    if (atomic_load_explicit(&page->pending, memory_order_seq_cst) & wanted & bit)
        skep_hc_event_send(0, SKEP_EVENT_IPI);
    return 0;
}

static void handle(unsigned event)
{
    spin_take(&handlers_lock);
    struct handler handler = handlers[event];
    spin_drop(&handlers_lock);
    if (event == SKEP_EVENT_CHANGE)
        skep_vcpus_adjust();
    if (handler.function != NULL)
        handler.function(event, handler.argument);
    else if (event == SKEP_EVENT_SHUTDOWN)
        skep_exit(0);
}

uint64_t skep_events_run(struct skep_vcpu_page *page)
{
    static const uint64_t schedulers = 1ull << SKEP_EVENT_TIMER | 1ull << SKEP_EVENT_IPI;
    uint64_t wanted = ~atomic_load_explicit(&page->mask, memory_order_relaxed);
    /* Acquire: what ring 0 wrote before it set the bits, such as a queue's index, is seen. */
    uint64_t events =
        wanted & atomic_fetch_and_explicit(&page->pending, ~wanted, memory_order_acq_rel);
    for (uint64_t left = events & ~schedulers; left != 0; left &= left - 1)
        handle((unsigned)__builtin_ctzll(left));
    return events;
}
