/*
 * shootdown.pml - frames are reused only when no CPU can reach them any more, and nobody waits for another CPU.
 *
 * Three CPUs enter and leave one guest's address space; two of them unmap a page each. A CPU that is on the address
 * space may cache any translation that it finds, at any time, in ring 0 too: it speculates. Its stores of page-table
 * entries stay in its store buffer until they are written, at any time, at a fence or when it flushes; loads don't wait
 * for them (x86's memory model, as far as it matters here).
 *
 * What stands for what:
 *   loaded_on, flush_wait, quarantine   struct aspace
 *   cached          what each CPU's TLB has: a bit for each page
 *   lock            guest.lock; ring 0 runs with interrupts off, so a CPU takes an interrupt only in ring 3 or idle
 *   enter           hv/core/sched.c: change_space   hv/core/aspace.c: aspace_enter
 *   leave           hv/core/sched.c: change_space   hv/core/aspace.c: aspace_leave
 *   unmap           hv/core/aspace.c: aspace_unmap quarantine_put shoot_down flush_self others_loaded
 *   release         hv/core/aspace.c: quarantine_release
 *   interrupt       hv/core/main.c: trap_ipi        hv/core/aspace.c: aspace_flushed
 *
 * Checked: a page is given back only when no TLB has it (assertion); every run ends, with all pages given back (no
 * invalid end state). The same is done by unmapping and by taking rights away; only the former frees.
 *
 * Mutations, each of which must fail:
 *   -DNO_FENCE          CPUs go on before the cleared entry is visible
 *   -DNO_QUARANTINE     unmapped frames are given back at once
 *   -DNO_SELF_FLUSH     the unmapping CPU keeps its own translation
 *   -DENTER_LATE        a CPU uses translations before it is in loaded_on
 *   -DFLUSH_UNLOCKED    aspace_flushed() flushes before it takes the lock
 *   -DLEAVE_UNFLUSHED   a CPU leaves loaded_on with its translations still cached
 *   -DNO_LEAVE_RELEASE  aspace_leave() doesn't give the quarantine back
 *   -DWAIT_FOR_OTHERS   the unmapping CPU waits, with the lock held, until the others have flushed
 */
#define CPUS  3
#define PAGES 2
#define VISITS 2 /* of each CPU */

byte loaded_on, flush_wait; /* a bit for each CPU */
byte present = 3;           /* page-table entries, a bit for each page */
byte buffered[CPUS];        /* entries that a CPU has cleared and that are still in its store buffer */
byte cached[CPUS];          /* TLBs */
byte quarantine;            /* pages */
byte freed;
bit interrupt[CPUS];
bit inside[CPUS];           /* the CPU is on the address space */
byte lock;                  /* 0 = free, else CPU + 1 */
byte done;

#define BIT(i) (1 << (i))
#define LOCK   atomic { lock == 0 -> lock = me + 1 }
#define UNLOCK lock = 0
#define FENCE  atomic { present = present & ~buffered[me]; buffered[me] = 0 }

inline release()
{
    atomic {
        if
        :: flush_wait == 0 && quarantine != 0 ->
            assert((quarantine & (cached[0] | cached[1] | cached[2])) == 0);
            freed = freed | quarantine;
            quarantine = 0
        :: else
        fi
    }
}

inline enter()
{
#ifdef ENTER_LATE
    inside[me] = 1;
    cached[me] = present & ~buffered[me];
    FENCE;
    loaded_on = loaded_on | BIT(me)
#else
    atomic { FENCE; loaded_on = loaded_on | BIT(me) } /* a locked instruction */
    atomic { cached[me] = 0; inside[me] = 1 }
#endif
}

inline leave()
{
    atomic {
        inside[me] = 0;
#ifndef LEAVE_UNFLUSHED
        cached[me] = 0
#endif
    }
    LOCK;
    atomic {
        FENCE;
        loaded_on = loaded_on & ~BIT(me);
        flush_wait = flush_wait & ~BIT(me)
    }
#ifndef NO_LEAVE_RELEASE
    release();
#endif
    UNLOCK;
#ifdef LEAVE_UNFLUSHED
    cached[me] = 0
#endif
}

inline unmap(page)
{
    LOCK;
    buffered[me] = buffered[me] | BIT(page);
#ifdef NO_QUARANTINE
    freed = freed | BIT(page);
    assert((freed & (cached[0] | cached[1] | cached[2])) == 0);
#else
    quarantine = quarantine | BIT(page);
#endif
#ifdef NO_FENCE
    cached[me] = 0;
#else
#ifndef NO_SELF_FLUSH
    atomic { FENCE; cached[me] = 0 }
#endif
    FENCE;
#endif
    others = loaded_on & ~BIT(me);
    if
    :: others != 0 ->
        atomic { FENCE; flush_wait = flush_wait | others } /* a locked instruction */
        atomic {
            if :: others & 1 -> interrupt[0] = 1 :: else fi;
            if :: others & 2 -> interrupt[1] = 1 :: else fi;
            if :: others & 4 -> interrupt[2] = 1 :: else fi
        }
    :: else
    fi;
#ifdef WAIT_FOR_OTHERS
    flush_wait == 0;
#endif
    release();
    UNLOCK;
    others = 0
}

/* An interrupt, in ring 3 or idle. */
inline take_interrupt()
{
    interrupt[me] = 0;
    if
    :: inside[me] && (flush_wait & BIT(me)) ->
#ifdef FLUSH_UNLOCKED
        cached[me] = 0;
        LOCK;
#else
        LOCK;
        cached[me] = 0;
#endif
        atomic { FENCE; flush_wait = flush_wait & ~BIT(me) }
        release();
        UNLOCK
    :: else
    fi
}

proctype cpu(byte me)
{
    byte visits = 0, others = 0;
    bit has_unmapped = (me >= PAGES);
    do
    :: interrupt[me] -> take_interrupt()
    :: !interrupt[me] && !inside[me] && visits < VISITS -> visits++; enter()
    :: !interrupt[me] && inside[me] && !has_unmapped -> has_unmapped = 1; unmap(me)
    :: !interrupt[me] && inside[me] && (has_unmapped || visits < VISITS) -> leave()
    :: !interrupt[me] && !inside[me] && visits == VISITS -> break
    od;
    done++;
end:
    do
    :: interrupt[me] -> take_interrupt()
    od
}

/* What happens by itself, at any time: store buffers are written, CPUs look for translations ahead. */
proctype hardware()
{
end:
    do
    :: atomic { buffered[0] -> present = present & ~buffered[0]; buffered[0] = 0 }
    :: atomic { buffered[1] -> present = present & ~buffered[1]; buffered[1] = 0 }
    :: atomic { inside[0] && (present & ~cached[0]) -> cached[0] = cached[0] | present }
    :: atomic { inside[1] && (present & ~cached[1]) -> cached[1] = cached[1] | present }
    :: atomic { inside[2] && (present & ~cached[2]) -> cached[2] = cached[2] | present }
    od
}

init {
    atomic {
        run cpu(0);
        run cpu(1);
        run cpu(2);
        run hardware()
    }
    done == CPUS;
    assert(freed == 3 && quarantine == 0 && loaded_on == 0 && flush_wait == 0)
}
