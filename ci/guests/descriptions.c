/*
 * descriptions.c - what errors, signals and failed look-ups are called, and which look-ups fail. Prints it; the same
 * program does on Linux, and prints the same.
 */
#include <locale.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "say.h"

static void test_errors(void)
{
    static const int errors[] = {
        0,
        EPERM,
        ENOENT,
        ESRCH,
        EINTR,
        EIO,
        ENXIO,
        E2BIG,
        ENOEXEC,
        EBADF,
        ECHILD,
        EAGAIN,
        ENOMEM,
        EACCES,
        EFAULT,
        ENOTBLK,
        EBUSY,
        EEXIST,
        EXDEV,
        ENODEV,
        ENOTDIR,
        EISDIR,
        EINVAL,
        ENFILE,
        EMFILE,
        ENOTTY,
        ETXTBSY,
        EFBIG,
        ENOSPC,
        ESPIPE,
        EROFS,
        EMLINK,
        EPIPE,
        EDOM,
        ERANGE,
        ENOMSG,
        EIDRM,
        ECHRNG,
        EL2NSYNC,
        EL3HLT,
        EL3RST,
        ELNRNG,
        EUNATCH,
        ENOCSI,
        EL2HLT,
        EDEADLK,
        ENOLCK,
        EBADE,
        EBADR,
        EXFULL,
        ENOANO,
        EBADRQC,
        EBADSLT,
        EDEADLOCK,
        EBFONT,
        ENOSTR,
        ENODATA,
        ETIME,
        ENOSR,
        ENONET,
        ENOPKG,
        EREMOTE,
        ENOLINK,
        EADV,
        ESRMNT,
        ECOMM,
        EPROTO,
        EMULTIHOP,
        EDOTDOT,
        EBADMSG,
        ENOTUNIQ,
        EBADFD,
        EREMCHG,
        ELIBACC,
        ELIBBAD,
        ELIBSCN,
        ELIBMAX,
        ELIBEXEC,
        ENOSYS,
        ENOTEMPTY,
        ENAMETOOLONG,
        ELOOP,
        EOPNOTSUPP,
        EPFNOSUPPORT,
        ECONNRESET,
        ENOBUFS,
        EAFNOSUPPORT,
        EPROTOTYPE,
        ENOTSOCK,
        ENOPROTOOPT,
        ESHUTDOWN,
        ECONNREFUSED,
        EADDRINUSE,
        ECONNABORTED,
        ENETUNREACH,
        ENETDOWN,
        ETIMEDOUT,
        EHOSTDOWN,
        EHOSTUNREACH,
        EINPROGRESS,
        EALREADY,
        EDESTADDRREQ,
        EMSGSIZE,
        EPROTONOSUPPORT,
        ESOCKTNOSUPPORT,
        EADDRNOTAVAIL,
        ENETRESET,
        EISCONN,
        ENOTCONN,
        ETOOMANYREFS,
        EUSERS,
        EDQUOT,
        ESTALE,
        ENOTSUP,
        EILSEQ,
        EOVERFLOW,
        ECANCELED,
        ENOTRECOVERABLE,
        EOWNERDEAD,
        EWOULDBLOCK,
        99999,
        -5,
    };
    for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
        puts(strerror(errors[i]));
}

int __xpg_strerror_r(int error, char *out, size_t room); /* strerror_r() without _GNU_SOURCE */

static void test_buffers(void)
{
    char text[64], small[5];
    say("known", __xpg_strerror_r(EAGAIN, text, sizeof(text)));
    puts(text);
    say("unknown", __xpg_strerror_r(4711, text, sizeof(text)) == EINVAL);
    puts(text);
    say("small", __xpg_strerror_r(EAGAIN, small, sizeof(small)) == ERANGE);
    puts(small);
    puts(strerror_r(EBADF, text, sizeof(text)));
    puts(strerror_r(4711, text, sizeof(text)));
    puts(strerror_l(ENOTTY, newlocale(LC_ALL_MASK, "C", (locale_t)0)));
}

static void test_signals(void)
{
    static const int signals[] = {
        SIGHUP,    SIGINT,  SIGQUIT,  SIGILL,  SIGTRAP, SIGABRT, SIGFPE,  SIGKILL,
        SIGBUS,    SIGSEGV, SIGSYS,   SIGPIPE, SIGALRM, SIGTERM, SIGURG,  SIGSTOP,
        SIGTSTP,   SIGCONT, SIGCHLD,  SIGTTIN, SIGTTOU, SIGIO,   SIGXCPU, SIGXFSZ,
        SIGVTALRM, SIGPROF, SIGWINCH, SIGUSR1, SIGUSR2, 0,       999,
    };
    for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
        puts(strsignal(signals[i]));
}

/* What is written to the standard error, as lines. */
static void test_lines(void)
{
    int pipes[2], errors = dup(2);
    char text[256] = {0};
    CHECK(pipe(pipes) == 0 && dup2(pipes[1], 2) == 2);
    errno = EPERM;
    perror("who");
    errno = 4711;
    perror(NULL);
    psignal(SIGABRT, "why");
    psignal(SIGTERM, NULL);
    CHECK(dup2(errors, 2) == 2 && read(pipes[0], text, sizeof(text) - 1) > 0);
    fputs(text, stdout);
    close(pipes[0]), close(pipes[1]), close(errors);
}

static void test_look_ups(void)
{
    static const int errors[] = {EAI_BADFLAGS, EAI_NONAME, EAI_AGAIN,      EAI_FAIL,
                                 EAI_NODATA,   EAI_FAMILY, EAI_SERVICE,    EAI_SOCKTYPE,
                                 EAI_MEMORY,   EAI_SYSTEM, EAI_ADDRFAMILY, 4711};
    for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
        puts(gai_strerror(errors[i]));
    for (int error = 0; error < 6; error++)
        puts(hstrerror(error));
}

/* Without a network: what is numbers. */
static void test_numbers(void)
{
    static const struct {
        const char *node, *service;
        int flags, family;
    } asked[] = {
        {"127.0.0.1", "80", AI_NUMERICHOST | AI_NUMERICSERV, AF_UNSPEC},
        {"127.0.0.1", "http", AI_NUMERICSERV, AF_UNSPEC},
        {"no number", "80", AI_NUMERICHOST, AF_UNSPEC},
        {"::1", "80", 0, AF_INET},
        {"127.0.0.1", "80", 0, AF_INET6},
        {"127.0.0.1", "80", AI_V4MAPPED, AF_INET6},
        {"127.0.0.1", "80", AI_V4MAPPED | AI_ALL, AF_INET6},
        {"127.0.0.1", "80", AI_CANONNAME, AF_INET},
        {"127.0.0.1", "80", 1 << 20, AF_INET},
        {NULL, "80", AI_CANONNAME, AF_INET},
        {NULL, "80", AI_PASSIVE | AI_NUMERICSERV, AF_INET},
        {NULL, NULL, 0, AF_INET},
        {"127.0.0.1", NULL, 0, AF_INET},
    };
    for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++) {
        struct addrinfo hints = {
            .ai_flags = asked[i].flags, .ai_family = asked[i].family, .ai_socktype = SOCK_STREAM};
        struct addrinfo *found = NULL;
        char host[64] = "", port[8] = "";
        int error = getaddrinfo(asked[i].node, asked[i].service, &hints, &found);
        if (error == 0)
            CHECK(getnameinfo(found->ai_addr, found->ai_addrlen, host, sizeof(host), port,
                              sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) == 0);
        printf("%zu: %d %s %s %s\n", i, error, host, port,
               error == 0 && found->ai_canonname != NULL ? found->ai_canonname : "");
        if (error == 0)
            freeaddrinfo(found);
    }
}

static void test_names_of_addresses(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};
    char host[64];
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    say("flags", getnameinfo((struct sockaddr *)&address, sizeof(address), host, sizeof(host), NULL,
                             0, 1 << 20) == EAI_BADFLAGS);
    say("too short",
        getnameinfo((struct sockaddr *)&address, 2, host, sizeof(host), NULL, 0, 0) == EAI_FAMILY);
    say("small", getnameinfo((struct sockaddr *)&address, sizeof(address), host, 5, NULL, 0,
                             NI_NUMERICHOST) == EAI_OVERFLOW);
#ifdef __skep__ /* elsewhere /etc has it */
    char port[8];
    CHECK(getnameinfo((struct sockaddr *)&address, sizeof(address), host, sizeof(host), port,
                      sizeof(port), NI_NAMEREQD) == 0);
    CHECK(strcmp(host, "localhost") == 0 && strcmp(port, "http") == 0);
    address.sin_addr.s_addr = htonl(0x0a090807);
    address.sin_port = htons(81);
    CHECK(getnameinfo((struct sockaddr *)&address, sizeof(address), host, sizeof(host), port,
                      sizeof(port), NI_NAMEREQD) == EAI_NONAME);
    CHECK(getnameinfo((struct sockaddr *)&address, sizeof(address), host, sizeof(host), port,
                      sizeof(port), 0) == 0);
    CHECK(strcmp(host, "10.9.8.7") == 0 && strcmp(port, "81") == 0);
#endif
}

/* POSIX' names of 2024, which this Linux doesn't have. */
static void test_names_of_signals(void)
{
#ifdef __skep__
    char name[SIG2STR_MAX];
    int number;
    CHECK(sig2str(SIGTERM, name) == 0 && strcmp(name, "TERM") == 0);
    CHECK(sig2str(NSIG, name) == -1 && str2sig("NONE", &number) == -1);
    for (int signal = 1; signal < NSIG; signal++)
        if (sig2str(signal, name) == 0)
            CHECK(str2sig(name, &number) == 0 && number == signal);
    static const struct {
        const char *name;
        int number;
    } some[] = {{"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT}, {"ABRT", SIGABRT},
                {"KILL", SIGKILL}, {"SEGV", SIGSEGV}, {"PIPE", SIGPIPE}, {"ALRM", SIGALRM},
                {"CHLD", SIGCHLD}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"WINCH", SIGWINCH}};
    for (unsigned i = 0; i < sizeof(some) / sizeof(some[0]); i++)
        CHECK(str2sig(some[i].name, &number) == 0 && number == some[i].number);
#endif
}

int main(void)
{
    test_names_of_signals();
    test_errors();
    test_buffers();
    test_signals();
    test_lines();
    test_look_ups();
    test_numbers();
    test_names_of_addresses();
    puts("descriptions: ok");
    return 0;
}
