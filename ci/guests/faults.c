/*
 * faults.c - handlers of faults: what they are told, what they may change, where they run and how they leave. Prints what it
 * finds; the same program does on Linux, and prints the same. With an argument it ends of a fault.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"
#include "say.h"

#define PAGE          4096
#define ALTERNATE     32768
#define TIMES         10000
#define THREADS       4
#define NOINLINE      __attribute__((noinline))
#define NOT_CANONICAL 0x800000000000
#define UPPER_HALF    0xffff800000100000

typedef void handler(int, siginfo_t *, void *);

static void handle(int signal, handler *function, int flags)
{
    struct sigaction action = {.sa_sigaction = function, .sa_flags = SA_SIGINFO | flags};
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(signal, &action, NULL) == 0);
}

static void handle_all(handler *function, int flags)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        handle(signals[i], function, flags);
}

static char *pages(size_t count, int prot)
{
    char *at = mmap(NULL, count * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED);
    return at;
}

static NOINLINE uint64_t read_at(uint64_t address)
{
    uint64_t value;
    __asm__ volatile("movq (%1), %0" : "=r"(value) : "r"(address) : "memory");
    return value;
}

static NOINLINE void write_at(uint64_t address)
{
    __asm__ volatile("movb $1, (%0)" : : "r"(address) : "memory");
}

static bool blocks(int signal)
{
    sigset_t set;
    CHECK(sigprocmask(SIG_BLOCK, NULL, &set) == 0);
    return sigismember(&set, signal);
}

/*
 * What a handler is told
 */

static sigjmp_buf back;
static siginfo_t told;
static uint64_t told_rip, told_vector, told_error, told_cr2;

static void leave(int signal, siginfo_t *info, void *context)
{
    const greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    CHECK(blocks(signal));
    told = *info;
    told_rip = (uint64_t)registers[REG_RIP];
    told_vector = (uint64_t)registers[REG_TRAPNO];
    told_error = (uint64_t)registers[REG_ERR];
    told_cr2 = (uint64_t)registers[REG_CR2];
    siglongjmp(back, 1);
}

static uint64_t somewhere; /* what a fault is about */

static void read_somewhere(void)
{
    read_at(somewhere);
}

static void write_somewhere(void)
{
    write_at(somewhere);
}

static void run_somewhere(void)
{
    ((void (*)(void))somewhere)();
}

static NOINLINE void divide(void)
{
    __asm__ volatile("xorl %%ecx, %%ecx\n\t"
                     "movl $1, %%eax\n\t"
                     "cltd\n\t"
                     "idivl %%ecx"
                     :
                     :
                     : "rax", "rcx", "rdx", "cc");
}

static void divide_float(void)
{
    static const uint16_t control = 0x37b; /* without the mask of division by zero */
    __asm__ volatile("fninit\n\t"
                     "fldcw %0\n\t"
                     "fld1\n\t"
                     "fldz\n\t"
                     "fdivrp\n\t"
                     "fwait"
                     :
                     : "m"(control)
                     : "st", "st(1)");
}

static void run_nonsense(void)
{
    __asm__ volatile("ud2");
}

static void be_privileged(void)
{
    __asm__ volatile("hlt");
}

static void stop_here(void)
{
    __asm__ volatile("int3");
}

static const char *name_of_address(void)
{
    uint64_t address = (uint64_t)told.si_addr;
    return address == 0          ? "none"
           : address == told_rip ? "the instruction's"
           : address == told_cr2 ? "the page's"
                                 : "another";
}

/* at: the address that it is to be about, 0 = as it comes. */
static void tell(const char *what, void (*function)(void), uint64_t at)
{
    somewhere = at;
    told_cr2 = 0;
    if (sigsetjmp(back, 1) == 0) {
        function();
        CHECK(false);
    }
    CHECK(!blocks(told.si_signo));
    CHECK(at == 0 || told.si_addr == NULL || told.si_addr == (void *)at);
    CHECK(told_vector != 14 || told_error & 4);
    printf("%s: %s, code %d, address %s, vector %d, %s\n", what, strsignal(told.si_signo),
           told.si_code, name_of_address(), (int)told_vector,
           told_vector != 14   ? "no page fault"
           : told_error & 0x10 ? "runs"
           : told_error & 2    ? "writes"
                               : "reads");
}

static void kinds(void)
{
    char *reads = pages(1, PROT_READ), *nothing = pages(1, PROT_NONE), *gone = pages(1, PROT_READ);
    char *data = pages(1, PROT_READ | PROT_WRITE);
    CHECK(munmap(gone, PAGE) == 0);
    handle_all(leave, 0);
    tell("near NULL", read_somewhere, 8);
    tell("what is gone", read_somewhere, (uint64_t)gone);
    tell("what is gone", write_somewhere, (uint64_t)gone + 7);
    tell("no right", read_somewhere, (uint64_t)nothing);
    tell("no right to write", write_somewhere, (uint64_t)reads + 100);
    tell("data", run_somewhere, (uint64_t)data);
    tell("not canonical", read_somewhere, NOT_CANONICAL);
    tell("the kernel's", read_somewhere, UPPER_HALF);
    tell("division", divide, 0);
    tell("division of floats", divide_float, 0);
    tell("no instruction", run_nonsense, 0);
    tell("privileged", be_privileged, 0);
    tell("breakpoint", stop_here, 0);
    CHECK(munmap(reads, PAGE) == 0 && munmap(nothing, PAGE) == 0 && munmap(data, PAGE) == 0);
}

/*
 * What a handler changes
 */

#define SPAN 64

static char *span;
static int repaired;

static void repair(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)context;
    char *page = (char *)((uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1));
    CHECK(page >= span && page < span + SPAN * PAGE);
    CHECK(mprotect(page, PAGE, PROT_READ | PROT_WRITE) == 0);
    repaired++;
}

/* As a collector of garbage has it: each page is protected until it is touched. */
static void repairs(void)
{
    span = pages(SPAN, PROT_NONE);
    handle(SIGSEGV, repair, 0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < SPAN; i++)
            span[i * PAGE + i] = (char)(span[i * PAGE + i] + i);
        CHECK(mprotect(span, SPAN * PAGE, PROT_NONE) == 0);
    }
    int sum = 0;
    for (int i = 0; i < SPAN; i++)
        sum += span[i * PAGE + i];
    printf("repairs: %d, sum %d\n", repaired, sum);
    CHECK(munmap(span, SPAN * PAGE) == 0);
}

/* realloc() and fread() touch it amid their work, and go on. */
static void repairs_within_calls(void)
{
    char *block = malloc((size_t)SPAN * PAGE), *moved;
    CHECK(block != NULL);
    span = (char *)(((uintptr_t)block + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
    memset(block, 'x', (size_t)SPAN * PAGE);
    repaired = 0;
    CHECK(mprotect(span + PAGE, 4 * (size_t)PAGE, PROT_NONE) == 0);
    char *between = malloc(PAGE); /* so that it can't grow in its place */
    CHECK((moved = realloc(block, (size_t)SPAN * 8 * PAGE)) != NULL);
    for (int i = 0; i < SPAN * PAGE; i++)
        CHECK(moved[i] == 'x');
    free(between);
    free(moved);
    printf("within realloc(): %s\n", repaired > 0 ? "repaired" : "moved without a look");

    char text[] = "some text";
    FILE *file = fmemopen(text, 9, "r");
    span = pages(SPAN, PROT_NONE);
    repaired = 0;
    CHECK(file != NULL && fread(span, 1, 9, file) == 9 && memcmp(span, text, 9) == 0);
    CHECK(fclose(file) == 0);
    printf("within fread(): %d\n", repaired);
    CHECK(munmap(span, SPAN * PAGE) == 0);
}

static void skip(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    volatile double clobbers = (double)registers[REG_RBX] * 3.25;
    __asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n\t"
                     "pcmpeqd %%xmm7, %%xmm7"
                     :
                     :
                     : "xmm0", "xmm7");
    registers[REG_RAX] = registers[REG_RBX] + 1 + (clobbers < 0);
    registers[REG_RIP] += 2; /* of the instruction below */
    sched_yield();           /* may go on elsewhere */
}

/* What a load gives that can't be done. All else that the thread computes with stays. */
static long load_skipped(long number, double *kept)
{
    long loaded;
    double value = 0;
    __asm__ volatile("movsd %[kept], %%xmm7\n\t"
                     "xorl %%eax, %%eax\n\t"
                     ".byte 0x8b, 0x00\n\t" /* movl (%rax), %eax */
                     "movsd %%xmm7, %[value]"
                     : "=a"(loaded), [value] "=m"(value)
                     : "b"(number), [kept] "m"(*kept)
                     : "xmm7", "cc", "memory");
    *kept = value;
    return loaded;
}

static void registers(void)
{
    double kept = 1.5;
    handle(SIGSEGV, skip, 0);
    long loaded = load_skipped(41, &kept);
    printf("skipped: %ld, kept %g\n", loaded, kept);
}

static int steps;

static void step(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    CHECK(info->si_code == TRAP_TRACE);
    if (++steps == 3)
        ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~0x100ll;
}

static void single_steps(void)
{
    handle(SIGTRAP, step, 0);
    __asm__ volatile("subq $128, %%rsp\n\t"
                     "pushfq\n\t"
                     "orq $0x100, (%%rsp)\n\t"
                     "popfq\n\t"
                     "nop\n\t"
                     "nop\n\t"
                     "nop\n\t"
                     "nop\n\t"
                     "addq $128, %%rsp"
                     :
                     :
                     : "cc", "memory");
    printf("single steps: %d\n", steps);
}

static void go_on(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    (void)context;
    steps++;
}

static void breakpoints(void)
{
    handle(SIGTRAP, go_on, 0);
    steps = 0;
    for (int i = 0; i < 100; i++)
        stop_here();
    printf("breakpoints: %d\n", steps);
}

/*
 * Where a handler runs
 */

static _Thread_local char *alternate;
static _Thread_local sigjmp_buf out;

static void on_alternate(int signal, siginfo_t *info, void *context)
{
    char here;
    (void)signal;
    CHECK(info->si_addr != NULL);
    CHECK(&here > alternate && &here < alternate + ALTERNATE);
    CHECK(((ucontext_t *)context)->uc_stack.ss_sp == alternate);
    siglongjmp(out, 1);
}

static NOINLINE int overflow(int depth)
{
    volatile char frame[512];
    frame[0] = (char)depth;
    return depth < 0 ? 0 : overflow(depth + 1) + frame[0];
}

static void take_alternate(void)
{
    stack_t stack = {.ss_sp = alternate = malloc(ALTERNATE), .ss_size = ALTERNATE};
    CHECK(alternate != NULL && sigaltstack(&stack, NULL) == 0);
}

static void drop_alternate(void)
{
    stack_t none = {.ss_flags = SS_DISABLE};
    CHECK(sigaltstack(&none, NULL) == 0);
    free(alternate);
}

static void *overflow_often(void *times)
{
    volatile long done = 0;
    take_alternate();
    while (done < (long)times) {
        done++;
        if (sigsetjmp(out, 1) == 0)
            overflow(0);
    }
    drop_alternate();
    return (void *)done;
}

static void overflows(void)
{
    void *result;
    pthread_t thread;
    handle(SIGSEGV, on_alternate, SA_ONSTACK);
    printf("overflows: %ld\n", (long)overflow_often((void *)3));
    CHECK(pthread_create(&thread, NULL, overflow_often, (void *)50) == 0);
    CHECK(pthread_join(thread, &result) == 0);
    printf("overflows of a thread: %ld\n", (long)result);
}

/*
 * Handlers within handlers, and within locks
 */

static sigjmp_buf inner;
static int depth;

static void leave_inner(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    (void)context;
    siglongjmp(inner, 1);
}

static void divides(int signal, siginfo_t *info, void *context)
{
    (void)info;
    (void)context;
    if (sigsetjmp(inner, 1) == 0)
        divide();
    CHECK(blocks(signal) && !blocks(SIGFPE));
    siglongjmp(back, 1);
}

static void fault_again(int signal, siginfo_t *info, void *context)
{
    (void)info;
    (void)context;
    CHECK(!blocks(signal));
    if (++depth < 5)
        read_at(8);
    siglongjmp(back, 1);
}

static void nested(void)
{
    handle(SIGSEGV, divides, 0);
    handle(SIGFPE, leave_inner, 0);
    if (sigsetjmp(back, 1) == 0)
        read_at(8);
    puts("a division within a page fault: handled");
    handle(SIGSEGV, fault_again, SA_NODEFER);
    if (sigsetjmp(back, 1) == 0)
        read_at(8);
    printf("page faults within page faults: %d\n", depth);
}

static void within_a_lock(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    handle(SIGSEGV, leave, 0);
    CHECK(pthread_mutex_lock(&lock) == 0);
    if (sigsetjmp(back, 1) == 0)
        read_at(8);
    CHECK(pthread_mutex_trylock(&lock) != 0);
    CHECK(pthread_mutex_unlock(&lock) == 0);
    CHECK(pthread_mutex_trylock(&lock) == 0 && pthread_mutex_unlock(&lock) == 0);
    puts("within a lock: kept");
}

/* sigaction() itself, of memory that isn't there: libc's own lock is free in the handler, or nothing ever ends. */
static void within_sigaction(void)
{
    struct sigaction *volatile nowhere = (struct sigaction *)8;
    handle(SIGSEGV, leave, 0);
    if (sigsetjmp(back, 1) == 0 && sigaction(SIGUSR1, nowhere, NULL) != 0)
        siglongjmp(back, 1); /* Linux' kernel says that it isn't there */
    handle(SIGSEGV, leave, 0);
    puts("within sigaction(): goes on");
}

/*
 * Bad addresses that the program gives to the library: who leaves by siglongjmp() has left nothing locked that others need.
 */

static char *volatile nowhere = (char *)24;

static void set_to_it(void)
{
    setenv("SOMETHING", nowhere, 1);
}

static void set_its_name(void)
{
    setenv(nowhere, "something", 1);
}

static void unset_it(void)
{
    unsetenv(nowhere);
}

static void put_it(void)
{
    putenv(nowhere);
}

static void get_it(void)
{
    printf("%s\n", getenv(nowhere));
}

static void copy_it(void)
{
    nowhere = strdup(nowhere);
}

static void print_it(void)
{
    char text[64];
    snprintf(text, sizeof(text), "%d %s", 1, nowhere + 1);
}

static FILE *memory_stream;

static void print_it_to_stream(void)
{
    fprintf(memory_stream, "%d %s", 1, nowhere + 1);
}

static void put_it_to_stream(void)
{
    fputs(nowhere + 1, memory_stream);
}

static void *use_library(void *unused)
{
    void *memory = malloc(100), *large = malloc(1000000);
    CHECK(memory != NULL && large != NULL);
    free(large);
    free(memory);
    CHECK(setenv("ANYTHING", "is there", 1) == 0);
    CHECK(strcmp(getenv("ANYTHING"), "is there") == 0 && unsetenv("ANYTHING") == 0);
    CHECK(fprintf(memory_stream, "%s", "text") == 4);
    CHECK(ftrylockfile(memory_stream) == 0);
    funlockfile(memory_stream);
    return unused;
}

static void use_it_in_thread(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, use_library, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void *try_to_lock(void *stream)
{
    if (ftrylockfile(stream) != 0)
        return NULL;
    funlockfile(stream);
    return stream;
}

static bool is_free_to_others(void)
{
    void *result;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, try_to_lock, memory_stream) == 0);
    CHECK(pthread_join(thread, &result) == 0);
    return result != NULL;
}

static volatile sig_atomic_t interrupted;

static void note_it(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info, (void)context;
    interrupted = 1;
}

static void *interrupt_it(void *thread)
{
    CHECK(pthread_kill(*(pthread_t *)thread, SIGUSR1) == 0);
    return NULL;
}

/* Whether a handler runs while the thread only computes. */
static bool is_interrupted(void)
{
    pthread_t self = pthread_self(), other;
    interrupted = 0;
    handle(SIGUSR1, note_it, 0);
    CHECK(pthread_create(&other, NULL, interrupt_it, &self) == 0);
    for (volatile long i = 0; !interrupted && i < 1000000000; i++)
        ;
    bool result = interrupted;
    CHECK(pthread_join(other, NULL) == 0);
    return result;
}

/* A stream is locked when it was at the jump, not when it was where that leads to. */
static void jumps_between_locks(void)
{
    if (sigsetjmp(back, 1) == 0) {
        flockfile(memory_stream);
        print_it_to_stream();
    }
    funlockfile(memory_stream);
    say("locked before a jump, unlocked after it", is_interrupted() && is_free_to_others());
    flockfile(memory_stream);
    if (sigsetjmp(back, 1) == 0) {
        funlockfile(memory_stream);
        print_it_to_stream();
    }
    say("unlocked before a jump", is_interrupted() && is_free_to_others());
    FILE *locked = fmemopen(NULL, 100, "w+");
    CHECK(locked != NULL);
    flockfile(locked);
    CHECK(fclose(locked) == 0);
    say("closed while it is locked", is_interrupted() && is_free_to_others());
}

/* What is written in one thread can be read in another one. */
static void *pass_on(void *fds)
{
    const int *ends = fds;
    char text[4] = "";
    CHECK(write(ends[1], "abc", 3) == 3 && read(ends[0], text, 3) == 3);
    CHECK(strcmp(text, "abc") == 0);
    return NULL;
}

/* Where Linux says EFAULT there is a fault. A record would be lost there if it couldn't be read. */
static void leave_amid(int fds[2], bool records)
{
    pthread_t thread;
    char left[10] = "";
    if (sigsetjmp(back, 1) == 0)
        CHECK(write(fds[1], nowhere + 1, 100) == -1 && errno == EFAULT);
    CHECK(write(fds[1], "something", 9) == 9);
    if (!records && sigsetjmp(back, 1) == 0)
        CHECK(read(fds[0], nowhere + 1, 100) == -1 && errno == EFAULT);
    CHECK(is_interrupted());
    CHECK(read(fds[0], left, 9) == 9 && strcmp(left, "something") == 0);
    CHECK(pthread_create(&thread, NULL, pass_on, fds) == 0 && pthread_join(thread, NULL) == 0);
}

static void within_pipes(void)
{
    int pipes[2], sockets[2], records[2];
    CHECK(pipe(pipes) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, records) == 0);
    handle_all(leave, 0);
    leave_amid(pipes, false);
    puts("a pipe goes on");
    leave_amid(sockets, false);
    puts("and a stream");
    leave_amid(records, true);
    puts("and records");
    for (int i = 0; i < 2; i++)
        close(pipes[i]), close(sockets[i]), close(records[i]);
}

static void within_library(void)
{
    static void (*const functions[])(void) = {
        set_to_it, set_its_name, unset_it,           put_it,          get_it,
        copy_it,   print_it,     print_it_to_stream, put_it_to_stream};
    volatile int left = 0;
    static char text[1000];
    memory_stream = fmemopen(text, sizeof(text), "w");
    CHECK(memory_stream != NULL);
    handle_all(leave, 0);
    for (volatile size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        if (sigsetjmp(back, 1) == 0)
            functions[i]();
        else
            left++;
        use_it_in_thread();
    }
    printf("within the library: left %d times\n", left);

    flockfile(memory_stream);
    if (sigsetjmp(back, 1) == 0)
        print_it_to_stream();
    say("a stream that is locked", is_free_to_others());
    if (sigsetjmp(back, 1) == 0) {
        flockfile(memory_stream);
        print_it_to_stream();
    }
    funlockfile(memory_stream);
    say("and once more", is_free_to_others());
    funlockfile(memory_stream);
    say("and no more", is_free_to_others());
    jumps_between_locks();
    CHECK(fclose(memory_stream) == 0);
}

static void often(void)
{
    volatile int times = 0;
    handle(SIGSEGV, leave, 0);
    while (times < TIMES) {
        times++;
        if (sigsetjmp(back, 1) == 0)
            write_at(8);
    }
    printf("left: %d times\n", times);
}

static void once(void)
{
    struct sigaction now;
    handle(SIGFPE, leave, SA_RESETHAND);
    if (sigsetjmp(back, 1) == 0)
        divide();
    CHECK(sigaction(SIGFPE, NULL, &now) == 0);
    printf("once: %s\n", now.sa_handler == SIG_DFL ? "no handler any more" : "still there");
}

/*
 * Threads
 */

static void *fault_often(void *argument)
{
    long number = (long)argument, sum = 0;
    double kept = (double)number + 0.25;
    for (int i = 0; i < 1000; i++) {
        CHECK(load_skipped(number, &kept) == number + 1);
        sum++;
    }
    CHECK(kept == (double)number + 0.25);
    return (void *)(sum + (long)overflow_often((void *)10));
}

static void in_thread(int signal, siginfo_t *info, void *context)
{
    if (info->si_addr == NULL)
        skip(signal, info, context);
    else
        on_alternate(signal, info, context);
}

static void threads(void)
{
    pthread_t all[THREADS];
    long sum = 0;
    handle(SIGSEGV, in_thread, SA_ONSTACK);
    for (long i = 0; i < THREADS; i++)
        CHECK(pthread_create(&all[i], NULL, fault_often, (void *)(i * 100)) == 0);
    for (int i = 0; i < THREADS; i++) {
        void *result;
        CHECK(pthread_join(all[i], &result) == 0);
        sum += (long)result;
    }
    printf("threads: %ld\n", sum);
}

/*
 * Ends
 */

static void say_and_fault(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    (void)context;
    static const char text[] = "handled\n";
    CHECK(write(1, text, sizeof(text) - 1) == sizeof(text) - 1);
    divide();
}

static void only_say(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    (void)context;
    static const char text[] = "handled\n";
    CHECK(write(1, text, sizeof(text) - 1) == sizeof(text) - 1);
}

static NOINLINE void end_of(const char *how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    setvbuf(stdout, NULL, _IONBF, 0);
    puts(how);
    handle_all(only_say, 0);
    if (strcmp(how, "default") == 0) {
        CHECK(signal(SIGSEGV, SIG_DFL) != SIG_ERR);
        write_at(8);
    } else if (strcmp(how, "ignored") == 0) {
        CHECK(signal(SIGSEGV, SIG_IGN) != SIG_ERR);
        write_at(8);
    } else if (strcmp(how, "blocked") == 0) {
        CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
        write_at(8);
    } else if (strcmp(how, "once") == 0) {
        handle(SIGSEGV, only_say, SA_RESETHAND);
        write_at(8); /* and again */
    } else if (strcmp(how, "nested") == 0) {
        handle(SIGFPE, say_and_fault, 0);
        divide();
    } else if (strcmp(how, "overflow") == 0) {
        overflow(0); /* and nowhere to handle it */
    } else if (strcmp(how, "gone") == 0) {
        char *low = pages(1, PROT_READ | PROT_WRITE);
        stack_t stack = {.ss_sp = low, .ss_size = MINSIGSTKSZ};
        CHECK(sigaltstack(&stack, NULL) == 0);
        handle(SIGSEGV, only_say, SA_ONSTACK);
        CHECK(munmap(low, PAGE) == 0); /* the other stack is gone */
        write_at(8);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[argc - 1], "faults") != 0) {
        end_of(argv[argc - 1]);
        return 1;
    }
    kinds();
    repairs();
    repairs_within_calls();
    registers();
    single_steps();
    breakpoints();
    overflows();
    nested();
    within_a_lock();
    within_sigaction();
    within_library();
    within_pipes();
    often();
    once();
    threads();
    puts("faults: ok");
    return 0;
}
