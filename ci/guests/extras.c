/*
 * extras.c - functions that Linux and the BSDs have beside POSIX, or that POSIX has for what isn't here. Prints what it finds; the
 * same program does on Linux, and prints the same.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <libintl.h>
#include <malloc.h>
#include <netinet/ether.h>
#include <nl_types.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <utmpx.h>

#include "check.h"
#include "say.h"

static void test_clocks(void)
{
    struct timespec at, step = {.tv_sec = -1}, now;
    struct timeval left = {.tv_sec = 7};
    say("get", timespec_get(&at, TIME_UTC) == TIME_UTC);
    clock_gettime(CLOCK_REALTIME, &now);
    say("the same clock", now.tv_sec - at.tv_sec <= 10 && now.tv_sec >= at.tv_sec);
    say("no base", timespec_get(&at, 77));
    say("step", timespec_getres(&step, TIME_UTC) == TIME_UTC);
    say("short", step.tv_sec == 0 && step.tv_nsec > 0);
    say("nothing left", adjtime(NULL, &left));
    say("none", left.tv_sec);
#ifdef __skep__
    CHECK(settimeofday(&left, NULL) == -1 && errno == EPERM);
    CHECK(adjtime(&left, NULL) == -1 && errno == EPERM);
#endif
}

static void test_descriptors(void)
{
    int fds[2], high = 40;
    CHECK(pipe(fds) == 0 && dup2(fds[0], high) == high && dup2(fds[1], high + 1) == high + 1);
    say("wrong", close_range(41, 40, 0));
    say("flags", close_range(40, 41, 0x80));
    say("range", close_range((unsigned)high, (unsigned)high, 0));
    say("gone", fcntl(high, F_GETFD));
    say("is there", fcntl(high + 1, F_GETFD) >= 0);
    closefrom(fds[0]);
    say("all", fcntl(high + 1, F_GETFD) == -1 && fcntl(fds[1], F_GETFD) == -1);
    say("output", fcntl(1, F_GETFD) >= 0);
    char *folder = get_current_dir_name(), path[1024];
    say("folder", folder != NULL && strcmp(folder, getcwd(path, sizeof(path))) == 0);
    free(folder);
    say("may", euidaccess("/", R_OK));
    say("missing", eaccess("/no such", F_OK));
    say("none to keep", syncfs(-1));
    say("keep", syncfs(1));
}

static void test_memory(void)
{
    static char page[8192];
    say("lock", mlock(page, 4096));
    say("unlock", munlock(page, 4096));
    say("no flags", mlockall(0));
    say("wrong", mlockall(64));
    say("unlock all", munlockall());
#ifdef __skep__ /* Linux has a limit, and a length that wraps around */
    CHECK(mlock(page, SIZE_MAX - 4096) == -1 && errno == ENOMEM);
    CHECK(mlockall(MCL_CURRENT | MCL_FUTURE) == 0);
#endif
}

static void test_ranges(void)
{
    int fds[2];
    CHECK(pipe(fds) == 0);
    say("no file", fallocate(-1, 0, 0, 1));
    say("nor range", sync_file_range(-1, 0, 0, 0));
    say("of a pipe", fallocate(fds[1], 0, 0, 1));
    say("nothing", fallocate(fds[1], 0, 0, 0));
    say("before it", fallocate(fds[1], 0, -1, 1));
    say("a pipe's range", sync_file_range(fds[0], 0, 0, 0));
    say("flags", sync_file_range(fds[0], 0, 0, 64));
    say("negative", sync_file_range(fds[0], -1, 0, 0));
    say("ahead", readahead(fds[0], 0, 10));
    say("of none", readahead(-1, 0, 10));
    say("times", futimes(-1, NULL));
    say("nothing's", lutimes("/no such", NULL));
    say("wrong", futimes(-1, (struct timeval[2]){{0, -1}, {0, 0}}));
    say("rename", renameat2(AT_FDCWD, "/no such", AT_FDCWD, "/neither", 0));
    say("flags", renameat2(AT_FDCWD, "/no such", AT_FDCWD, "/neither", 0x1000));
    say("attribute", getxattr("/no such", "user.a", NULL, 0));
    say("list", flistxattr(-1, NULL, 0));
    close(fds[0]), close(fds[1]);
#ifdef __skep__
    struct stat status;
    int fd = open("/dev/null", O_RDWR);
    CHECK(fd >= 0 && fstat(fd, &status) == 0);
    CHECK(setxattr("/", "user.a", "b", 1, 0) == -1 && errno == ENOTSUP);
    CHECK(fremovexattr(fd, "user.a") == -1 && errno == ENOTSUP);
    CHECK(fallocate(fd, 0, 0, 1) == -1 && errno == EOPNOTSUPP);
    CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 1) == -1 && errno == EOPNOTSUPP);
    close(fd);
#endif
    dev_t device = makedev(3, 77);
    say("major", major(device));
    say("minor", minor(device));
}

static void test_auxiliary(void)
{
    say("page", (long)getauxval(AT_PAGESZ));
    say("user", getauxval(AT_UID) == getuid());
    say("secure", (long)getauxval(AT_SECURE));
    unsigned long random = getauxval(AT_RANDOM);
    say("random", random != 0 && getauxval(AT_RANDOM) == random);
    puts((const char *)getauxval(AT_PLATFORM)); /* NOLINT: that is what it gives */
    errno = 0;
    say("unknown", getauxval(12345) == 0 && errno == ENOENT);
}

static void test_words(void)
{
    static const int errors[] = {0, ENOENT, EAGAIN, EINTR, ENOTRECOVERABLE, EILSEQ, ECANCELED};
    static const int signals[] = {SIGHUP, SIGTERM, SIGKILL, SIGCHLD, SIGUSR1, SIGWINCH, SIGSYS};
    for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
        printf("%s: %s\n", strerrorname_np(errors[i]), strerrordesc_np(errors[i]));
    say("no error", strerrorname_np(-1) == NULL && strerrorname_np(9999) == NULL);
    say("nor its text", strerrordesc_np(9999) == NULL);
    for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
        printf("%s: %s\n", sigabbrev_np(signals[i]), sigdescr_np(signals[i]));
    const char *first = sigabbrev_np(SIGHUP), *second = sigabbrev_np(SIGIO);
    printf("%s and %s\n", first, second);
    say("no signal", sigabbrev_np(0) == NULL && sigdescr_np(9999) == NULL);
    say("real-time", sigabbrev_np(SIGRTMIN) == NULL);
    puts(gettext("message"));
    puts(dcgettext("domain", "other", 0));
    puts(ngettext("one", "many", 1));
    puts(dngettext("domain", "one", "many", 0));
    puts(textdomain(NULL));
    puts(textdomain("mine"));
    puts(textdomain(NULL));
    puts(textdomain(""));
    puts(bindtextdomain("mine", "/somewhere"));
    say("no domain", bindtextdomain("", "/somewhere") == NULL);
    nl_catd catalog = catopen("no such catalog", 0);
    say("catalog", catalog == (nl_catd)-1 && errno == ENOENT);
    puts(catgets(catalog, 1, 2, "default"));
    say("close", catclose(catalog));
}

static volatile sig_atomic_t taken;

static void take(int signal)
{
    taken = signal;
}

static void test_signals(void)
{
    sigset_t one, two, out;
    sigemptyset(&one);
    say("empty", sigisemptyset(&one));
    sigaddset(&one, SIGUSR1);
    sigemptyset(&two);
    sigaddset(&two, SIGUSR2);
    say("not empty", sigisemptyset(&one));
    sigorset(&out, &one, &two);
    say("or", sigismember(&out, SIGUSR1) && sigismember(&out, SIGUSR2));
    sigandset(&out, &one, &two);
    say("and", sigisemptyset(&out));
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    say("first", sigset(SIGUSR1, take) == SIG_DFL);
    say("hold", sigset(SIGUSR1, SIG_HOLD) == take);
    raise(SIGUSR1);
    say("held", taken);
    say("was held", sigset(SIGUSR1, take) == SIG_HOLD);
    say("taken", taken == SIGUSR1);
    taken = 0;
    say("hold again", sighold(SIGUSR1));
    raise(SIGUSR1);
    say("not yet", taken);
    say("release", sigrelse(SIGUSR1));
    say("then", taken == SIGUSR1);
    say("ignore", sigignore(SIGUSR1));
    taken = 0;
    raise(SIGUSR1);
    say("ignored", taken);
    sigset(SIGUSR1, take);
    sighold(SIGUSR1);
    raise(SIGUSR1);
#ifdef __skep__ /* Linux' headers give it BSD's meaning */
    CHECK(sigpause(SIGUSR1) == -1 && errno == EINTR);
#else
    sigrelse(SIGUSR1);
#endif
    say("waited", taken == SIGUSR1);
    sigrelse(SIGUSR1);
    say("wrong", sighold(9999));
    say("nor that", sigset(9999, take) == SIG_ERR && errno == EINVAL);
    say("nor this", sigignore(SIGKILL));
}

/* What is written to the standard error output meanwhile, behind the program's name. */
static void print_errors(void (*write_them)(void))
{
    int pipes[2], errors = dup(2);
    char text[2048] = {0};
    fflush(stdout);
    CHECK(pipe(pipes) == 0 && dup2(pipes[1], 2) == 2);
    write_them();
    CHECK(dup2(errors, 2) == 2 && read(pipes[0], text, sizeof(text) - 1) > 0);
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        puts(strchr(line, ':') != NULL ? strchr(line, ':') : line);
    close(pipes[0]), close(pipes[1]), close(errors);
}

static void name_nobody(void)
{
    fputs("nobody: ", stderr);
}

static void write_errors(void)
{
    error(0, ENOENT, "file %d", 3);
    error(0, 0, "plain");
    error_at_line(0, 0, "a.c", 7, "here");
    error_one_per_line = 1;
    error_at_line(0, 0, "a.c", 7, "first that counts");
    error_at_line(0, EINVAL, "a.c", 8, "there");
    error_at_line(0, 0, "a.c", 8, "not again");
    error_at_line(0, 0, "b.c", 8, "elsewhere");
    error_at_line(0, 0, NULL, 9, "nowhere");
    error_at_line(0, 0, NULL, 9, "nowhere again");
    error_print_progname = name_nobody;
    error(0, 0, "mine");
    error_print_progname = NULL;
}

static void test_errors(void)
{
    print_errors(write_errors);
    say("messages", error_message_count);
}

static void test_addresses(void)
{
    static const char *const networks[] = {"10",   "10.1",      "192.168.7", "0x7f.1", "017.2.3.4",
                                           "256",  "1.2.3.4.5", "",          "a",      "1.",
                                           "1..2", "1 ",        "1 x",       "1 .2",   "1\t "};
    static const char *const hosts[] = {"10.1.2.3", "172.16.1.2", "192.168.7.9", "127.0.0.1"};
    static const char *const stations[] = {"02:00:5e:10:00:1F", "2:0:5e:10:0:1f", "1:2:3:4:5",
                                           "1:2:3:4:5:g",       "1:2:3:4:5:6x",   "1:2:3:4:5:6 x",
                                           "1:2:3:4:5:6:"};
    for (size_t i = 0; i < sizeof(networks) / sizeof(*networks); i++)
        printf("network %s: %x\n", networks[i], inet_network(networks[i]));
    for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++) {
        struct in_addr host = {inet_addr(hosts[i])};
        printf("%s: %x %x\n", hosts[i], inet_netof(host), inet_lnaof(host));
        puts(inet_ntoa(inet_makeaddr(inet_netof(host), inet_lnaof(host))));
    }
    static const in_addr_t nets[] = {0x7f, 0x80, 0xffff, 0x10000, 0xffffff, 0x1000000, 0xfeffffff};
    for (size_t i = 0; i < sizeof(nets) / sizeof(*nets); i++)
        puts(inet_ntoa(inet_makeaddr(nets[i], 0x01020305)));
    for (size_t i = 0; i < sizeof(stations) / sizeof(*stations); i++) {
        struct ether_addr *address = ether_aton(stations[i]);
        puts(address != NULL ? ether_ntoa(address) : "none");
    }
}

static void test_absent(void)
{
    setutxent();
    struct utmpx entry = {.ut_type = USER_PROCESS};
    say("nobody", getutxid(&entry) == NULL && getutxline(&entry) == NULL);
    endutxent();
    say("key", ftok("/", 'a') != -1 && ftok("/", 'a') == ftok("/.", 'a'));
    say("other key", ftok("/", 'a') != ftok("/", 'b'));
    say("no key", ftok("/no such", 'a'));
    struct termios settings = {0};
    say("speed", cfsetspeed(&settings, B9600));
    say("both", cfgetispeed(&settings) == B9600 && cfgetospeed(&settings) == B9600);
    char name[64];
    say("domain", getdomainname(name, sizeof(name)));
#ifdef __skep__
    short flags;
    CHECK(strcmp(name, "(none)") == 0);
    CHECK(sethostname("a", 1) == -1 && errno == EPERM);
    CHECK(setdomainname("a", 1) == -1 && errno == EPERM);
    CHECK(posix_spawnattr_getflags(NULL, &flags) == ENOSYS);
    CHECK(pututxline(&entry) == NULL && errno == EPERM);
#endif
}

#ifdef __skep__
static void test_bsd(void)
{
    const char *problem = "none";
    char secret[4] = "abc";
    CHECK(strtonum("12", 1, 20, &problem) == 12 && problem == NULL);
    CHECK(strtonum("21", 1, 20, &problem) == 0 && errno == ERANGE);
    CHECK(strcmp(problem, "too large") == 0);
    CHECK(strtonum("-1", 1, 20, &problem) == 0 && strcmp(problem, "too small") == 0);
    CHECK(strtonum("99999999999999999999", 0, 20, &problem) == 0);
    CHECK(strcmp(problem, "too large") == 0 && errno == ERANGE);
    CHECK(strtonum("1x", 1, 20, &problem) == 0 && errno == EINVAL);
    CHECK(strcmp(problem, "invalid") == 0);
    CHECK(strtonum("", 0, 20, NULL) == 0 && errno == EINVAL);
    CHECK(strtonum("1", 2, 1, NULL) == 0 && errno == EINVAL);
    setproctitle("%s %d", "title", 1);
    CHECK(mallopt(M_TRIM_THRESHOLD, 1) == 1 && malloc_trim(0) == 0);
    memset_explicit(secret, 0, sizeof(secret));
    CHECK(secret[0] == 0 && secret[2] == 0);
}

static void write_signal(void)
{
    psiginfo(&(siginfo_t){.si_signo = SIGINT, .si_pid = 1}, "got");
    psiginfo(&(siginfo_t){.si_signo = SIGSEGV, .si_code = SEGV_MAPERR}, NULL);
}
#endif

int main(void)
{
    test_clocks();
    test_descriptors();
    test_memory();
    test_ranges();
    test_auxiliary();
    test_words();
    test_signals();
    test_errors();
    test_addresses();
    test_absent();
#ifdef __skep__
    test_bsd();
    int errors = dup(2), pipes[2];
    char text[256] = {0};
    CHECK(pipe(pipes) == 0 && dup2(pipes[1], 2) == 2);
    write_signal();
    CHECK(dup2(errors, 2) == 2 && read(pipes[0], text, sizeof(text) - 1) > 0);
    CHECK(strncmp(text, "got: Interrupt (code 0, of process 1 and user 0)\n", 49) == 0);
    CHECK(strncmp(text + 49, "Segmentation fault (code 1, at ", 31) == 0);
#endif
    printf("extras: ok\n");
    return 0;
}
