/*
 * sched.h - newlib's, and the functions that it declares for other systems only.
 */
#ifndef SKEP_SCHED_H
#define SKEP_SCHED_H

#include_next <sched.h>

#ifdef __cplusplus
extern "C" {
#endif

int sched_getscheduler(pid_t process);
int sched_setscheduler(pid_t process, int policy, const struct sched_param *parameters);
int sched_getparam(pid_t process, struct sched_param *parameters);
int sched_setparam(pid_t process, const struct sched_param *parameters);
int sched_get_priority_max(int policy);
int sched_get_priority_min(int policy);

/* How long a thread runs while others wait. */
int sched_rr_get_interval(pid_t process, struct timespec *interval);

#if __GNU_VISIBLE

/* Sets of CPUs, as CPU_SET(3) of Linux' manual has them; those with _S take sets of that many bytes. */
#define CPU_SETSIZE 1024

typedef struct {
    unsigned long __bits[CPU_SETSIZE / 64];
} cpu_set_t;

static __inline__ unsigned long *__cpu_word(unsigned cpu, size_t bytes, const cpu_set_t *set)
{
    return cpu / 8 < bytes ? (unsigned long *)&set->__bits[cpu / 64] : (unsigned long *)0;
}

static __inline__ void __cpu_change(unsigned cpu, size_t bytes, cpu_set_t *set, int add)
{
    unsigned long *word = __cpu_word(cpu, bytes, set), bit = 1ul << cpu % 64;
    if (word)
        *word = add ? *word | bit : *word & ~bit;
}

static __inline__ int __cpu_has(unsigned cpu, size_t bytes, const cpu_set_t *set)
{
    const unsigned long *word = __cpu_word(cpu, bytes, set);
    return word && (*word >> cpu % 64 & 1) != 0;
}

static __inline__ int __cpu_count(size_t bytes, const cpu_set_t *set)
{
    int count = 0;
    size_t i;
    for (i = 0; i < bytes / sizeof(long); i++)
        count += __builtin_popcountl(set->__bits[i]);
    return count;
}

static __inline__ void __cpu_combine(size_t bytes, cpu_set_t *out, const cpu_set_t *one,
                                     const cpu_set_t *other, char how)
{
    size_t i;
    for (i = 0; i < bytes / sizeof(long); i++) {
        unsigned long a = one->__bits[i], b = other->__bits[i];
        out->__bits[i] = how == '&' ? a & b : how == '|' ? a | b : a ^ b;
    }
}

#define CPU_ZERO_S(bytes, set)          ((void)__builtin_memset((set), 0, (bytes)))
#define CPU_SET_S(cpu, bytes, set)      __cpu_change((unsigned)(cpu), (bytes), (set), 1)
#define CPU_CLR_S(cpu, bytes, set)      __cpu_change((unsigned)(cpu), (bytes), (set), 0)
#define CPU_ISSET_S(cpu, bytes, set)    __cpu_has((unsigned)(cpu), (bytes), (set))
#define CPU_COUNT_S(bytes, set)         __cpu_count((bytes), (set))
#define CPU_EQUAL_S(bytes, one, other)  (__builtin_memcmp((one), (other), (bytes)) == 0)
#define CPU_AND_S(bytes, out, one, two) __cpu_combine((bytes), (out), (one), (two), '&')
#define CPU_OR_S(bytes, out, one, two)  __cpu_combine((bytes), (out), (one), (two), '|')
#define CPU_XOR_S(bytes, out, one, two) __cpu_combine((bytes), (out), (one), (two), '^')

#define CPU_ZERO(set)          CPU_ZERO_S(sizeof(cpu_set_t), set)
#define CPU_SET(cpu, set)      CPU_SET_S(cpu, sizeof(cpu_set_t), set)
#define CPU_CLR(cpu, set)      CPU_CLR_S(cpu, sizeof(cpu_set_t), set)
#define CPU_ISSET(cpu, set)    CPU_ISSET_S(cpu, sizeof(cpu_set_t), set)
#define CPU_COUNT(set)         CPU_COUNT_S(sizeof(cpu_set_t), set)
#define CPU_EQUAL(one, other)  CPU_EQUAL_S(sizeof(cpu_set_t), one, other)
#define CPU_AND(out, one, two) CPU_AND_S(sizeof(cpu_set_t), out, one, two)
#define CPU_OR(out, one, two)  CPU_OR_S(sizeof(cpu_set_t), out, one, two)
#define CPU_XOR(out, one, two) CPU_XOR_S(sizeof(cpu_set_t), out, one, two)

#define CPU_ALLOC_SIZE(count) (((size_t)(count) + 63) / 64 * sizeof(long))
#define CPU_ALLOC(count)      ((cpu_set_t *)__builtin_malloc(CPU_ALLOC_SIZE(count)))
#define CPU_FREE(set)         __builtin_free(set)

/* On which CPUs a thread may run: kept, told and inherited, without effect, for threads run wherever a CPU is free. `thread` is
 * 0, gettid()'s result, or 1 for the first thread: ESRCH of others. EINVAL: the set has none of the guest's CPUs; it is too small
 * for them, or no whole number of longs. */
int sched_setaffinity(pid_t thread, size_t bytes, const cpu_set_t *set);
int sched_getaffinity(pid_t thread, size_t bytes, cpu_set_t *set);

#endif

#ifdef __cplusplus
}
#endif

#endif
