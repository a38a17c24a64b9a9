/*
 * queue.pml - with EVENT_IDX no kick and no event of a virtqueue is lost, though most are left out.
 *
 * A guest with two vCPUs makes buffers available and kicks if the back-end asked for it; ring 0 takes them, gives them
 * back and raises the queue's event if the guest asked for it. Stores stay in a CPU's store buffer, in order, until they
 * are written, at any time or at a fence; loads don't wait for them (x86's memory model). Indexes wrap at 4, amid the
 * run, as real ones do at 65536.
 *
 * What stands for what:
 *   add            guestlib/src/virtqueue.c: skep_virtqueue_add, and what asks whether to kick; the guest's own lock held
 *   kick           hv/io/io.c: io_queue_kick        hv/io/port.c: port_send send_begin send_end send_some
 *   take           hv/io/queue.c: queue_peek queue_take queue_push
 *   arm            hv/io/queue.c: queue_arm
 *   tell           hv/io/queue.c: queue_event_due   hv/io/port.c: tell
 *   collect        the guest's end of the used ring: used_event, a fence, the last look
 *
 * Checked: all buffers are taken, and the guest learns that all have come back (no invalid end state).
 *
 * Mutations, each of which must fail:
 *   -DNO_ARM_FENCE      queue_arm(): the last look comes before avail_event is visible
 *   -DNO_ARM_LOOK       queue_arm(): no last look
 *   -DNO_ADD_FENCE      the guest reads avail_event before its index is visible
 *   -DNO_TELL_FENCE     queue_event_due() reads used_event before used->index is visible
 *   -DNO_COLLECT_FENCE  the guest's last look comes before its used_event is visible
 *   -DNO_COLLECT_LOOK   the guest waits without a last look
 *   -DWRONG_WINDOW      ring_event_due() compares with the index alone, not with what was told before
 *   -DSENDING_UNLOCKED  port_send() gives up `sending` after it has let go of port.lock
 */
#define BUFFERS 3
#define WRAP    4
#define FIRST   2 /* the indexes' first value */

mtype = { AVAIL_INDEX, AVAIL_EVENT, USED_INDEX, USED_EVENT };

/* Memory. */
byte avail_index = FIRST, avail_event = FIRST, used_index = FIRST, used_event = FIRST;
/* Store buffers: of the guest's vCPUs, and of the CPU in ring 0 that acts for each of them. */
chan stores[2] = [4] of { mtype, byte };

bit guest_lock, port_lock, sending;
byte added, added_told;         /* the guest's: buffers made available, of which the back-end was told */
byte next_avail = FIRST, next_used = FIRST, told = FIRST; /* ring 0's */
byte collected;
bit event;                      /* raised, for vCPU 1 */
byte finished;

/* Virtio 1.2, section 2.7.10: the event lies in what was added since `before`. */
#ifdef WRONG_WINDOW
#define DUE(ev, new, before) ((ev) == ((new) + WRAP - 1) % WRAP && ((new) + 3 - (before)) % WRAP == 0)
#else
#define DUE(ev, new, before) (((new) + WRAP - (ev) - 1) % WRAP < ((new) + WRAP - (before)) % WRAP)
#endif

#define FENCE empty(stores[me])

/* A load of one's own latest store isn't needed here: each word is read by the other side only. */
inline kick()
{
    bit begun = 0, due = 0, later = 0;
again:
    atomic { port_lock == 0 -> port_lock = 1 }
    if
    :: !sending -> sending = 1; begun = 1
    :: else
    fi;
    do
    :: begun && avail_index != next_avail ->
        next_avail = (next_avail + 1) % WRAP;
        next_used = (next_used + 1) % WRAP;
        stores[me]!USED_INDEX(next_used);
        /* A frame for another port is delivered without the lock. */
        if
        :: FENCE; port_lock = 0; atomic { port_lock == 0 -> port_lock = 1 }
        :: true
        :: later = 1; break /* the go is used up: io_work() comes back */
        fi
    :: begun && avail_index == next_avail ->
        stores[me]!AVAIL_EVENT(next_avail);
#ifndef NO_ARM_FENCE
        FENCE;
#endif
#ifdef NO_ARM_LOOK
        break
#else
        if :: avail_index == next_avail -> break :: else fi
#endif
    :: !begun -> break
    od;
#ifndef SENDING_UNLOCKED
    if :: begun -> sending = 0 :: else fi;
#endif
    if
    :: begun && told != next_used ->
#ifndef NO_TELL_FENCE
        FENCE;
#endif
        due = DUE(used_event, next_used, told);
        told = next_used;
        if :: due -> event = 1 :: else fi
    :: else
    fi;
    FENCE; /* giving a lock back is a store behind the others */
    port_lock = 0;
#ifdef SENDING_UNLOCKED
    if :: begun -> sending = 0 :: else fi;
#endif
    begun = 0; due = 0;
    if :: later -> later = 0; goto again :: else fi
}

/* Makes buffers available, one at a time; kicks when asked. */
proctype sender(byte me)
{
    bit kick_due = 0;
    do
    :: atomic { guest_lock == 0 -> guest_lock = 1 }
        if
        :: added < BUFFERS ->
            added++;
            stores[me]!AVAIL_INDEX((FIRST + added) % WRAP);
#ifndef NO_ADD_FENCE
            FENCE;
#endif
            kick_due = DUE(avail_event, (FIRST + added) % WRAP, (FIRST + added_told) % WRAP);
            added_told = added;
            FENCE;
            guest_lock = 0;
            if :: kick_due -> kick() :: else fi
        :: else -> guest_lock = 0; break
        fi
    od;
    finished++
}

/* Collects what came back, on a vCPU that waits for the event. Its stores are in the second buffer's place only
 * between kicks, so it has one of its own. */
chan own[1] = [2] of { mtype, byte };
proctype collector()
{
    byte seen = FIRST;
    do
    :: seen != used_index ->
        seen = (seen + 1) % WRAP;
        collected++
    :: seen == used_index && collected < BUFFERS ->
        own[0]!USED_EVENT(seen);
#ifndef NO_COLLECT_FENCE
        empty(own[0]);
#endif
        if
#ifndef NO_COLLECT_LOOK
        :: seen != used_index
#endif
        :: else -> event == 1; event = 0
        fi
    :: collected == BUFFERS -> break
    od;
    finished++
}

proctype hardware()
{
    byte value;
end:
    do
    :: atomic { stores[0]?AVAIL_INDEX(value) -> avail_index = value }
    :: atomic { stores[0]?AVAIL_EVENT(value) -> avail_event = value }
    :: atomic { stores[0]?USED_INDEX(value) -> used_index = value }
    :: atomic { stores[1]?AVAIL_INDEX(value) -> avail_index = value }
    :: atomic { stores[1]?AVAIL_EVENT(value) -> avail_event = value }
    :: atomic { stores[1]?USED_INDEX(value) -> used_index = value }
    :: atomic { own[0]?USED_EVENT(value) -> used_event = value }
    od
}

init {
    atomic {
        run sender(0);
        run sender(1);
        run collector();
        run hardware()
    }
    finished == 3
}
