/*
 * event.pml - no event is lost and no upcall comes while upcalls are masked.
 *
 * Two vCPUs, each on a CPU of its own, send each other events and receive them: by WAIT, or by upcalls while they
 * compute, masking the event now and then. A timer passes deadlines of WAIT. Event words are sequentially consistent
 * atomics in the code, so each access is one step here. A CPU takes interrupts in ring 3 and when it idles.
 *
 * What stands for what:
 *   pending, mask, upcall_masked        struct skep_vcpu_page
 *   raise           hv/core/event.c: event_raise
 *   wake            hv/core/sched.c: sched_wake
 *   wait            hv/core/hypercall.c: wait_call wait_over   hv/core/sched.c: sched_block
 *   ring0           hv/core/main.c: core_resume upcall_wanted upcall_deliver hv/core/upcall.c: upcall_enter
 *                   hv/core/sched.c: sched_next
 *   handler's end   hv/core/hypercall.c: resume_call
 *   timer           hv/core/timer.c: timer_expire expire timer_wait_set, the last of them before the block
 *
 * Checked: each vCPU gets all that was sent to it and then a deadline's time-out, so every run ends (no invalid end
 * state); a handler is never entered again before its end (assertion).
 *
 * Mutations, each of which must fail:
 *   -DNO_BLOCK_CHECK     sched_block() doesn't look at `pending` again under the lock
 *   -DNO_DEADLINE_CHECK  wait_over() doesn't see that the deadline has been handled
 *   -DNO_RESUME_CHECK    RESUME goes to ring 3 without another look at `pending`
 *   -DNO_UNMASK_CHECK    the guest doesn't look at `pending` after it has unmasked the event
 *   -DMASK_FIRST         event_raise() looks at `mask` before it sets the bit
 *   -DNO_INTERRUPT       sched_wake() leaves a running vCPU alone
 *   -DNO_UPCALL_MASK     an upcall doesn't mask further ones
 *   -DIGNORE_MASKED      upcall_wanted() doesn't look at upcall_masked
 */
#define EVENTS 2 /* sent to each vCPU */

mtype = { BLOCKED, RUNNABLE, RUNNING };

mtype state[2] = RUNNING;
bit pending[2], mask[2], upcall_masked[2];
bit interrupt[2];
bit deadline[2];      /* one is set; 0 = TIME_NEVER */
bit timed_out[2];
byte sent[2], handled[2];
bit in_handler[2];
bit lock;             /* sched_lock */
byte done;

#define LOCK   atomic { lock == 0 -> lock = 1 }
#define UNLOCK lock = 0
#define IS_DUE(i) (pending[i] && !mask[i])

inline wake(who)
{
    LOCK;
    if
    :: state[who] == BLOCKED -> atomic { state[who] = RUNNABLE; interrupt[who] = 1 }
#ifndef NO_INTERRUPT
    :: state[who] == RUNNING -> interrupt[who] = 1
#endif
    :: else
    fi;
    UNLOCK
}

inline raise(who)
{
#ifdef MASK_FIRST
    was_masked = mask[who];
#endif
    atomic { was_pending = pending[who]; pending[who] = 1 }
    if
    :: was_pending
    :: else ->
#ifndef MASK_FIRST
        was_masked = mask[who];
#endif
        if
        :: was_masked
        :: else -> wake(who)
        fi
    fi;
    was_pending = 0;
    was_masked = 0
}

/* The way back: the CPU idles while its vCPU is blocked; an upcall is delivered if one is due. */
inline ring0()
{
    do
    :: atomic { state[me] == RUNNABLE && lock == 0 -> state[me] = RUNNING }
    :: atomic { state[me] == BLOCKED && interrupt[me] -> interrupt[me] = 0 }
    :: state[me] == RUNNING -> break
    od;
    if
#ifdef IGNORE_MASKED
    :: upcalls && IS_DUE(me) ->
#else
    :: upcalls && IS_DUE(me) && !upcall_masked[me] ->
#endif
        assert(!in_handler[me]);
        in_handler[me] = 1;
#ifndef NO_UPCALL_MASK
        upcall_masked[me] = 1
#endif
    :: else
    fi
}

/* WAIT, with a deadline or without. */
inline wait(with_deadline)
{
    if
    :: IS_DUE(me)
    :: else ->
        deadline[me] = with_deadline;
        LOCK;
        if
#ifndef NO_BLOCK_CHECK
        :: IS_DUE(me)
#endif
#ifndef NO_DEADLINE_CHECK
        :: with_deadline && !deadline[me]
#endif
        :: else -> state[me] = BLOCKED
        fi;
        UNLOCK;
        ring0()
    fi;
    deadline[me] = 0
}

/* Clears the bit, then takes what was sent: in that order. */
inline take()
{
    pending[me] = 0;
    handled[me] = sent[me]
}

inline receive_by_wait()
{
    do
    :: interrupt[me] -> interrupt[me] = 0; ring0()
    :: !interrupt[me] && handled[me] < EVENTS ->
        take();
        if :: handled[me] < EVENTS -> wait(0) :: else fi
    :: !interrupt[me] && handled[me] == EVENTS -> break
    od
}

/* Ring 3 computes and relies on upcalls. */
inline receive_by_upcalls()
{
    do
    :: interrupt[me] -> interrupt[me] = 0; ring0()
    :: !interrupt[me] && in_handler[me] ->
        take();
        if
        :: interrupt[me] -> interrupt[me] = 0; ring0() /* amid the handler */
        :: true
        fi;
        in_handler[me] = 0;
        upcall_masked[me] = 0;
#ifndef NO_RESUME_CHECK
        ring0()
#endif
    :: !interrupt[me] && !in_handler[me] && !was_critical ->
        /* A part of the program that wants no events, once. */
        was_critical = 1;
        mask[me] = 1;
        mask[me] = 0;
#ifndef NO_UNMASK_CHECK
        if :: pending[me] -> take() :: else fi
#endif
    :: !interrupt[me] && !in_handler[me] && handled[me] == EVENTS -> break
    od
}

proctype vcpu(byte me)
{
    byte other = 1 - me, i = 0;
    bit was_pending = 0, was_masked = 0, upcalls, was_critical = 0;
    if :: upcalls = 0 :: upcalls = 1 fi;
    do
    :: i < EVENTS -> atomic { i++; sent[other]++ } raise(other)
    :: i == EVENTS -> break
    od;
    if
    :: upcalls -> receive_by_upcalls()
    :: else -> receive_by_wait()
    fi;
    atomic { upcalls = 0; pending[me] = 0; upcall_masked[me] = 1 }
    /* Nothing more comes but time. */
    do
    :: timed_out[me] -> break
    :: else -> wait(1)
    od;
    done++
}

proctype timer()
{
    byte who;
end:
    do
    :: atomic { deadline[0] -> who = 0; deadline[0] = 0; timed_out[0] = 1 } wake(who)
    :: atomic { deadline[1] -> who = 1; deadline[1] = 0; timed_out[1] = 1 } wake(who)
    od
}

init {
    atomic {
        run vcpu(0);
        run vcpu(1);
        run timer()
    }
    done == 2
}
