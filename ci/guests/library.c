/*
 * library.c - functions of POSIX's library that need little of a system: patterns, folders as lists, lines, dates, jumps,
 * and what threads are to be like. Prints what it finds; the same program does on Linux, and prints the same.
 */
#include <sys/param.h> /* first: what it brings must not be other than the library's */

#include <byteswap.h>
#include <dirent.h>
#include <endian.h>
#include <err.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <ftw.h>
#include <getopt.h>
#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <regex.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "say.h"

static void test_patterns(void)
{
    regex_t pattern;
    regmatch_t parts[3];
    char message[64];
    say("suffix", fnmatch("*.conf", "a.conf", 0));
    say("other", fnmatch("*.conf", "a.txt", 0) == FNM_NOMATCH);
    say("slash", fnmatch("*", "a/b", FNM_PATHNAME) == FNM_NOMATCH);
    say("set", fnmatch("[a-c]?", "bz", 0));
    say("hidden", fnmatch("*", ".a", FNM_PERIOD) == FNM_NOMATCH);
    say("compiled", regcomp(&pattern, "^([a-z]+)=([0-9]+)$", REG_EXTENDED));
    say("found", regexec(&pattern, "port=8080", 3, parts, 0));
    say("begin", parts[2].rm_so);
    say("end", parts[2].rm_eo);
    say("not found", regexec(&pattern, "port=", 3, parts, 0) == REG_NOMATCH);
    say("a message", regerror(REG_NOMATCH, &pattern, message, sizeof(message)) > 1);
    regfree(&pattern);
    say("wrong", regcomp(&pattern, "(", REG_EXTENDED) == REG_EPAREN);
}

static int only_text(const struct dirent *entry)
{
    return fnmatch("*.txt", entry->d_name, 0) == 0;
}

static int walked, depth;

static int walk(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)path, (void)status;
    walked += kind == FTW_F || kind == FTW_D;
    depth = place->level > depth ? place->level : depth;
    return 0;
}

static int give_up(const char *path, int error)
{
    (void)path;
    return error == ENOENT;
}

static void test_folders(void)
{
    struct dirent **list, entry, *next;
    glob_t found;
    say("glob", glob("tree/*.txt", 0, NULL, &found));
    for (int i = 0; i < (int)found.gl_pathc; i++)
        puts(found.gl_pathv[i]);
    globfree(&found);
    say("no such", glob("tree/*.conf", 0, NULL, &found) == GLOB_NOMATCH);
    globfree(&found);
    say("aborted", glob("nowhere/*.conf", 0, give_up, &found) == GLOB_ABORTED);
    globfree(&found);
    say("itself", glob("tree/*.conf", GLOB_NOCHECK, NULL, &found));
    say("one", (long)found.gl_pathc);
    globfree(&found);
    int count = scandir("tree", &list, only_text, alphasort);
    say("list", count);
    for (int i = 0; i < count; i++) {
        puts(list[i]->d_name);
        free(list[i]);
    }
    free(list);
    say("no folder", scandir("no such", &list, NULL, NULL));
    DIR *folder = opendir("tree");
    int names = 0;
    while (readdir_r(folder, &entry, &next) == 0 && next != NULL)
        names += next->d_name[0] != '.';
    closedir(folder);
    say("names", names);
    say("walk", nftw("tree", walk, 8, FTW_PHYS));
    say("seen", walked);
    say("deep", depth);
}

static void test_lines(void)
{
    char text[] = "one\n\nthree,four", *line = NULL, base[] = "/usr/lib/", folder[] = "/usr/lib";
    size_t room = 0;
    FILE *file = fmemopen(text, strlen(text), "r");
    say("line", getline(&line, &room, file));
    say("empty", getline(&line, &room, file));
    say("part", getdelim(&line, &room, ',', file));
    say("rest", getline(&line, &room, file) > 0 && strncmp(line, "four", 4) == 0);
    say("end", getline(&line, &room, file) == -1 && feof(file));
    fclose(file);
    free(line);
    flockfile(stdout);
    say("mine", ftrylockfile(stdout));
    funlockfile(stdout);
    funlockfile(stdout);
    puts(basename(base));
    puts(dirname(folder));
}

/* One of these is no variable, as a program may find in what it was given. */
static void test_environment(void)
{
    static char one[] = "one=1", none[] = "no variable", two[] = "two=2";
    static char *odd[] = {one, none, two, NULL};
    environ = odd;
    say("clear", clearenv());
    say("gone", getenv("one") == NULL && getenv("two") == NULL);
    say("set", setenv("three", "3", 1));
    puts(getenv("three"));
    char entry[] = "five=5", four[] = "four=4", *own[] = {four, NULL}, *before;
    environ = own;
    say("of its own", setenv("five", "5", 1));
    before = getenv("five");
    say("other", setenv("five", "6", 1));
    printf("%s %s %s\n", getenv("four"), before, getenv("five"));
    say("kept", setenv("five", "7", 0));
    say("put", putenv(entry));
    entry[5] = '8';
    puts(getenv("five"));
    char name[] = "four";
    say("without", putenv(name));
    say("gone", getenv("four") == NULL);
    say("no name", setenv("", "1", 1));
    say("nor that", setenv("a=b", "1", 1));
    environ = NULL;
    say("nothing", unsetenv("five"));
    for (int i = 0; i < 40; i++)
        setenv((char[]){'n', (char)('0' + i), '\0'}, "x", 1);
    say("many", getenv("n0") != NULL && getenv("nW") != NULL && getenv("nX") == NULL);
    int cleared = 0;
    while (cleared < 200000 && clearenv() == 0 && setenv("again", "x", 1) == 0)
        cleared++; /* each with an array that took memory anew would be more than there is */
    say("cleared", cleared);
}

static void *take_numbers(void *unused)
{
    static long numbers[3];
    numbers[0] = rand();
    numbers[1] = random();
    numbers[2] = lrand48();
    return numbers;
}

static void print_numbers(unsigned short own[3])
{
    for (int i = 0; i < 2; i++) {
        printf("%ld", lrand48());
        printf(" %ld", mrand48());
        printf(" %.6f", drand48());
        printf(" %ld", nrand48(own));
        printf(" %ld", jrand48(own));
        printf(" %.6f\n", erand48(own));
    }
}

/* One sequence for all threads. Those of 48 bits are the same everywhere. */
static void test_random_numbers(void)
{
    unsigned short own[] = {1, 2, 3}, parameters[] = {1, 2, 3, 4, 5, 6, 7};
    pthread_t thread;
    void *numbers = NULL;
    srand(5);
    srandom(6);
    srand48(7);
    const long expected[3] = {rand(), random(), lrand48()};
    srand(5);
    srandom(6);
    srand48(7);
    pthread_create(&thread, NULL, take_numbers, NULL);
    pthread_join(thread, &numbers);
    say("one sequence", numbers != NULL && memcmp(numbers, expected, sizeof(expected)) == 0);
    say("goes on", rand() != expected[0] && random() != expected[1]);
    srand48(7);
    print_numbers(own);
    const unsigned short *former = seed48(own);
    printf("%04x%04x%04x\n", former[2], former[1], former[0]);
    print_numbers(own);
    lcong48(parameters);
    print_numbers(own);
    srand48(-1);
    print_numbers(own);
}

/* Messages, after whatever the program's name is. */
static void test_messages(void)
{
    int pipes[2], errors = dup(2);
    char text[256] = {0};
    fflush(stdout);
    CHECK(pipe(pipes) == 0 && dup2(pipes[1], 2) == 2);
    errno = ENOENT;
    warn("file %d", 3);
    warnx("%s", "plain");
    errno = EINVAL;
    warn(NULL);
    CHECK(dup2(errors, 2) == 2 && read(pipes[0], text, sizeof(text) - 1) > 0);
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        puts(strstr(line, ": "));
    close(pipes[0]), close(pipes[1]), close(errors);
}

static void test_orders(void)
{
    printf("%x %x %llx\n", htobe16(0x1234), be32toh(0x12345678),
           (unsigned long long)htobe64(0x123456789abcdef0));
    printf("%x %x %llx\n", bswap_16(0x1234), bswap_32(0x12345678),
           (unsigned long long)bswap_64(0x123456789abcdef0));
    printf("%x %x\n", htole16(0x1234), le32toh(0x12345678));
}

static void test_long_doubles(void)
{
    char text[80];
    long double value = 3.14L, read = 0;
    printf("%.17Lg %.21Lg %Lf %.3Le %Lg\n", value, value, value, value * 1e4000L, 1e-4940L);
    printf("%.17Lf\n", strtold("3.1415", NULL));
    printf("%Lf %Lg %Lg\n", -0.0L, 1 / 0.0L, -1 / 0.0L);
    printf("%.60f %.17g %g %e\n", 0.1, 0.1, 1e-320, 1.7976931348623157e308);
    snprintf(text, sizeof(text), "%.21Lg", strtold("0.1", NULL));
    puts(text);
    say("scanned", sscanf("2.718281828459045235 1", "%Lf", &read)); /* NOLINT: it is right */
    say("whole", read == 2.718281828459045235L);
}

/* With errno, and exact. */
static void test_remainders(void)
{
    double (*volatile remainder_of)(double, double) = fmod;
    long double (*volatile long_remainder_of)(long double, long double) = fmodl;
    printf("%.17g %.17g %.17g\n", remainder_of(1e300, 3.7), remainder_of(-5.5, 0x1p-1074),
           remainder_of(0x1p-1060, 0x3p-1074));
    printf("%.17g %.17g %.21Lg\n", remainder(7.5, 2), (double)fmodf(1e30f, 0.3f),
           long_remainder_of(1e4000L, 0.7L));
    errno = 0;
    say("by 0", isnan(remainder_of(1, 0)) && errno == EDOM);
    errno = 0;
    say("of infinity", isnan(remainder_of(HUGE_VAL, 2)));
    say("by infinity", remainder_of(2, HUGE_VAL) == 2);
}

/* Rounded once: the products are 1 - 2^-104, 1 - 2^-46 and 1 - 2^-126. */
static void test_fused(void)
{
    double (*volatile fused)(double, double, double) = fma;
    float (*volatile float_fused)(float, float, float) = fmaf;
    long double (*volatile long_fused)(long double, long double, long double) = fmal;
    printf("%.17g\n", fused(1 + 0x1p-52, 1 - 0x1p-52, -1));
    printf("%.17g\n", (double)float_fused(1 + 0x1p-23f, 1 - 0x1p-23f, -1));
    printf("%.21Lg\n", long_fused(1 + 0x1p-63L, 1 - 0x1p-63L, -1));
    printf("%.17g %.17g\n", fused(0x1p-540, 0x1p-540, 0x1p-1074),
           fused(0x1p1000, 0x1p1000, -HUGE_VAL));
    printf("%.17g\n", (double)float_fused(0x1p-75f, 0x1p-75f, 0x1p-149f));
}

/* With errno and the sign of 0. */
static void test_roots(void)
{
    volatile double two = 2, minus_one = -1, minus_half = -0.5, half = 2.5;
    double (*volatile root)(double) = sqrt; /* or the compiler has the instruction itself */
    float (*volatile float_root)(float) = sqrtf;

    printf("%a %a %a\n", root(two), (double)float_root(2), hypot(3, two * 2));
    say("root of a long double", sqrtl(two) == 0x1.6a09e667f3bcc908p+0L);
    errno = 0;
    say("root of a negative number", isnan(root(minus_one)) && errno == EDOM);
    errno = 0;
    say("root of a negative float", isnan(float_root(-1)) && errno == EDOM);
    errno = 0;
    say("root of no number", isnan(root((double)NAN)) && errno == 0);
    printf("%g %g %g %g\n", root(-0.0), floor(minus_half), ceil(minus_half), trunc(minus_half));
    printf("%g %g %g %g\n", rint(half), round(half), trunc(-half), (double)floorf(-2.5f));
}

static void say_date(const char *what, struct tm time)
{
    time_t seconds = timegm(&time);
    printf("%s: %lld, %d-%02d-%02d, day %d\n", what, (long long)seconds, time.tm_year + 1900,
           time.tm_mon + 1, time.tm_mday, time.tm_wday);
}

static void test_dates(void)
{
    say_date("epoch", (struct tm){.tm_year = 70, .tm_mday = 1});
    say_date("before", (struct tm){.tm_year = 69, .tm_mon = 11, .tm_mday = 31, .tm_hour = 23});
    say_date("leap day", (struct tm){.tm_year = 100, .tm_mon = 1, .tm_mday = 29});
    say_date("no leap day", (struct tm){.tm_year = 200, .tm_mon = 1, .tm_mday = 29});
    say_date("far", (struct tm){.tm_year = 1100, .tm_mon = 5, .tm_mday = 15, .tm_sec = 59});
    say_date("long ago", (struct tm){.tm_year = -400, .tm_mon = 0, .tm_mday = 1});
    say_date("beyond", (struct tm){.tm_year = 120, .tm_mon = 14, .tm_mday = 40, .tm_min = -90});
    say_date("behind", (struct tm){.tm_year = 120, .tm_mon = -13, .tm_mday = 0});
    time_t at = 0;
    for (int i = 0; i < 4000; i++, at += 86400 * 37 + 12345) {
        struct tm time;
        CHECK(gmtime_r(&at, &time) != NULL && timegm(&time) == at);
    }
}

static void say_zone(const char *zone, time_t at)
{
    struct tm time;
    char text[80];
    if (zone != NULL)
        setenv("TZ", zone, 1);
    else
        unsetenv("TZ");
    tzset();
    CHECK(localtime_r(&at, &time) != NULL);
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z %Z %s", &time);
    printf("%s: %s, %ld %s %d\n", zone, text, time.tm_gmtoff, time.tm_zone, time.tm_isdst);
    printf("%s %s %ld %d\n", tzname[0], tzname[1], timezone, daylight != 0);
    time.tm_gmtoff = -1;
    time.tm_zone = NULL;
    CHECK(mktime(&time) == at);
    printf("again: %ld %s\n", time.tm_gmtoff, time.tm_zone);
}

/* Summer, winter, and the hours around the changes. */
static void test_zones(void)
{
    static const char *const zones[] = {
        "EST5EDT,M3.2.0,M11.1.0",
        "CET-1",
        "CET-1CEST,M3.5.0,M10.5.0/3",
        "AEST-10AEDT,M10.1.0,M4.1.0/3",
        "<+0545>-5:45",
        "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
        ":GMT0BST,M3.5.0/1,M10.5.0",
        "AAA3BBB1:30,J60/0,J300/25:15:10",
        "AAA-3:20:10BBB,59,299",
        "UTC0",
        "",
        NULL,
    };
    for (size_t i = 0; i < sizeof(zones) / sizeof(*zones); i++) {
        say_zone(zones[i], 1718000000);
        say_zone(zones[i], 1735689599);
        say_zone(zones[i], 1711843200);
        say_zone(zones[i], 1711846799);
    }
    unsetenv("TZ");
    tzset();
}

static void say_parsed(const char *text, const char *format)
{
    struct tm time = {.tm_mday = 1, .tm_gmtoff = -1}, unset;
    memset(&unset, 0xa5, sizeof(unset));
    const char *rest = strptime(text, format, &time);
    CHECK((strptime(text, format, &unset) == NULL) == (rest == NULL));
    printf("%s: %s, %d-%d-%d %d:%d:%d, %d, %d, %ld\n", text, rest, time.tm_year, time.tm_mon,
           time.tm_mday, time.tm_hour, time.tm_min, time.tm_sec, time.tm_wday, time.tm_yday,
           time.tm_gmtoff);
}

static void test_date_texts(void)
{
    time_t at = 951782400; /* 29 February */
    struct tm time = *gmtime(&at);
    char text[120];
    /* Without the compiler's warnings of years in two figures. */
    size_t (*volatile format)(char *, size_t, const char *, const struct tm *) = strftime;
    printf("%ld %s\n", time.tm_gmtoff, time.tm_zone);
    format(text, sizeof(text), "%a %A %b %B %c %C %d %D %e %F %g %G", &time);
    puts(text);
    format(text, sizeof(text), "%h %H %I %j %k %l %m %M %n %p %P %r %R %s", &time);
    puts(text);
    format(text, sizeof(text), "%S %t %T %u %U %V %w %W %x %X %y %Y %z %Z %%", &time);
    puts(text);
    time.tm_gmtoff = -12600;
    time.tm_zone = "ABC";
    strftime(text, sizeof(text), "%z %Z", &time);
    puts(text);
    say_parsed("2024-02-29 12:34:56 +0130 rest", "%Y-%m-%d %H:%M:%S %z");
    say_parsed("29 Feb 2024 -03:30", "%d %b %Y %z");
    say_parsed("2024-060T23:59:60Z", "%Y-%jT%T%z");
    say_parsed("Thu, 1 Jan 1970 00:00:00 GMT!", "%a, %d %b %Y %T %Z");
    say_parsed("+05", "%z");
    say_parsed("0500", "%z");
    say_parsed("+0560", "%z");
    say_parsed("+050", "%z");
    say_parsed("1718000000", "%s");
    say_parsed("20240229123456", "%Y%m%d%H%M%S");
    say_parsed("32", "%d");
    say_parsed("24:00", "%H:%M");
    say_parsed("13", "%m");
    say_parsed("12 am", "%I %p");
    say_parsed("20 24-3-1", "%C %y-%m-%d");
    say_parsed("2024 10 2", "%Y %U %w");
    say_parsed("2024 10 Sun", "%Y %W %a");
    say_parsed("2023-W52-7", "%G-W%V-%u");
    say_parsed("69-1-1", "%y-%m-%d");
    say_parsed("x1", "%nx%t%d");
}

/* Flags, widths, and what isn't one. */
static void test_date_flags(void)
{
    static const char *const formats[] = {
        "%-d %-m/%-H:%-M", "%_d|%_m|%_H", "%05d|%5d|%_5d", "%^a %^B %#b", "%#Z %#p %P",
        "%10Y|%-j",        "%12c|%^c",    "%012F|%-e|%0e", "%Q %-",       "%Ey %Om %EY",
    };
    struct tm time = {.tm_year = 106, .tm_mday = 2, .tm_wday = 1, .tm_yday = 1, .tm_hour = 3};
    size_t (*volatile format)(char *, size_t, const char *, const struct tm *) = strftime;
    char text[80];
    for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
        size_t bytes = format(text, sizeof(text), formats[i], &time);
        printf("%zu %s\n", bytes, text);
    }
    say("no room", (long)format(text, 10, "%F", &time));
    say("room", (long)format(text, 11, "%F", &time));
    time.tm_year = 10000 - 1900;
    format(text, sizeof(text), "%F %G %y", &time);
    puts(text);
    for (time.tm_year = 95; time.tm_year < 125; time.tm_year++) {
        time.tm_mon = time.tm_hour = 0;
        time.tm_mday = 1;
        timegm(&time);
        format(text, sizeof(text), "%G-W%V-%u %g %U %W %j", &time);
        puts(text);
    }
}

static void test_jumps(void)
{
    static sigjmp_buf place;
    static volatile int round;
    sigset_t set, now;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    for (round = 0; round < 2; round++) {
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        int value = sigsetjmp(place, round);
        if (value == 0) {
            sigprocmask(SIG_BLOCK, &set, NULL);
            siglongjmp(place, 5);
        }
        sigprocmask(SIG_BLOCK, NULL, &now);
        say("back", value);
        say("blocked", sigismember(&now, SIGUSR1));
    }
    struct sigaction action;
    say("interrupts", siginterrupt(SIGUSR2, 1));
    say("does", sigaction(SIGUSR2, NULL, &action) == 0 && (action.sa_flags & SA_RESTART) == 0);
    say("restarts", siginterrupt(SIGUSR2, 0));
    say("does", sigaction(SIGUSR2, NULL, &action) == 0 && (action.sa_flags & SA_RESTART) != 0);
}

static void test_files(void)
{
    char first[3], second[5];
    struct iovec parts[] = {{first, 3}, {second, 5}};
    int fd = open("library.c", O_RDONLY), ends[2];
    say("parts", preadv(fd, parts, 2, 1));
    printf("%.3s|%.5s\n", first, second);
    say("beyond", preadv(fd, parts, 2, 1 << 20));
    say("not for writing", pwritev(fd, parts, 2, 0));
    say("advice", posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED));
    say("no advice", posix_fadvise(fd, 0, 0, 99) == EINVAL);
    say("nor file", posix_fadvise(99, 0, 0, POSIX_FADV_NORMAL) == EBADF);
    say("pipe", pipe(ends));
    say("advice", posix_fadvise(ends[0], 0, 0, POSIX_FADV_NORMAL) == ESPIPE);
    say("test", lockf(fd, F_TEST, 0));
    say("lock", lockf(fd, F_LOCK, 0));
    say("what", lockf(fd, 99, 0));
}

static void test_sending_files(void)
{
    int file = open("library.c", O_RDONLY), ends[2];
    char sent[64], there[64];
    off_t at = 3;
    CHECK(file >= 0 && pipe(ends) == 0);
    say("sent", sendfile(ends[1], file, &at, 10));
    say("at", at);
    CHECK(read(ends[0], sent, sizeof(sent)) == 10 && pread(file, there, 10, 3) == 10);
    say("same", memcmp(sent, there, 10));
    say("stands", lseek(file, 0, SEEK_CUR));
    say("from there", sendfile(ends[1], file, NULL, 7));
    say("moved", lseek(file, 0, SEEK_CUR));
    CHECK(read(ends[0], sent, sizeof(sent)) == 7 && pread(file, there, 7, 0) == 7);
    say("same", memcmp(sent, there, 7));
    off_t end = lseek(file, 0, SEEK_END);
    at = end - 4;
    say("rest", sendfile(ends[1], file, &at, 4096));
    say("at the end", at == end && sendfile(ends[1], file, &at, 4096) == 0);
    say("nothing", sendfile(ends[1], file, NULL, 0));
    say("from a pipe", sendfile(ends[1], ends[0], NULL, 4));
    say("to no file", sendfile(99, file, &(off_t){0}, 4));
    close(file), close(ends[0]), close(ends[1]);
}

static void test_semaphores(void)
{
    int value;
    sem_unlink("/skep-library");
    say("none", sem_open("/skep-library", 0) != SEM_FAILED ? 0 : -1);
    sem_t *one = sem_open("/skep-library", O_CREAT | O_EXCL, 0600, 2);
    sem_t *other = sem_open("/skep-library", O_CREAT, 0600, 7);
    say("the same", one != SEM_FAILED && one == other);
    say("there", sem_open("/skep-library", O_CREAT | O_EXCL, 0600, 2) != SEM_FAILED ? 0 : -1);
    say("value", sem_wait(one) == 0 && sem_getvalue(other, &value) == 0 && value == 1);
    say("unlink", sem_unlink("/skep-library"));
    say("again", sem_unlink("/skep-library"));
    say("still", sem_post(one) == 0 && sem_getvalue(other, &value) == 0 && value == 2);
    sem_t *second = sem_open("/skep-library", O_CREAT, 0600, 5);
    say("another", second != one && sem_getvalue(second, &value) == 0 && value == 5);
    say("close", sem_close(one));
    say("close", sem_close(other));
    say("close", sem_close(second));
    say("unlink", sem_unlink("/skep-library"));
    say("name", sem_open("/a/b", O_CREAT, 0600, 5) != SEM_FAILED ? 0 : -1);
}

static void test_process(void)
{
    char name[16] = {0};
    int signal_number = -1;
    say("name", prctl(PR_SET_NAME, "a name that is too long"));
    say("is", prctl(PR_GET_NAME, name));
    puts(name);
    say("dumpable", prctl(PR_GET_DUMPABLE));
    say("not", prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
    say("is", prctl(PR_GET_DUMPABLE));
    say("how", prctl(PR_SET_DUMPABLE, 7, 0, 0, 0));
    say("privileges", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    say("none", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    say("is", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    say("not back", prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    say("signal", prctl(PR_SET_PDEATHSIG, SIGTERM));
    say("is", prctl(PR_GET_PDEATHSIG, &signal_number) == 0 && signal_number == SIGTERM);
    say("no signal", prctl(PR_SET_PDEATHSIG, 99999));
    say("no such", prctl(4711));
    say("no root", chroot("nowhere"));
    say("nor a file", chroot("library.c") == -1 && errno == ENOTDIR);
#ifdef __skep__
    CHECK(chroot("/") == 0 && chroot("tree") == -1 && errno == EPERM);
#endif
}

/* What a small file has, as text. */
static size_t file_text(const char *path, char *text, size_t room)
{
    int fd = open(path, O_RDONLY);
    size_t bytes = 0;
    for (ssize_t got; fd >= 0 && (got = read(fd, text + bytes, room - 1 - bytes)) > 0;)
        bytes += (size_t)got;
    text[bytes] = 0;
    close(fd);
    return bytes;
}

static long count(const char *text, const char *part)
{
    long found = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        found++;
    return found;
}

static void test_proc(char **argv)
{
    static char text[1 << 19];
    char line[32];
    struct stat status;
    say("arguments", file_text("/proc/self/cmdline", text, sizeof(text)) == strlen(argv[0]) + 1);
    say("first", strcmp(text, argv[0]));
    file_text("/proc/self/stat", text, sizeof(text));
    say("process", strtol(text, NULL, 10) == getpid());
    const char *behind_name = strrchr(text, ')');
    say("fields", behind_name != NULL ? count(behind_name, " ") + 2 : -1);
    file_text("/proc/self/status", text, sizeof(text));
    snprintf(line, sizeof(line), "\nPid:\t%d\n", getpid());
    say("process", count(text, line));
    const char *users = strstr(text, "\nUid:\t");
    say("user", users != NULL && strtol(users + 6, NULL, 10) == (long)getuid());
    file_text("/proc/meminfo", text, sizeof(text));
    const char *total = strstr(text, "MemTotal:");
    say("memory", total == text && strtol(text + strlen("MemTotal:"), NULL, 10) > 0);
    file_text("/proc/cpuinfo", text, sizeof(text));
    say("CPUs", count(text, "processor\t:") == sysconf(_SC_NPROCESSORS_ONLN));
    say("file", stat("/proc/self/stat", &status) == 0 && S_ISREG(status.st_mode));
    say("size", (long)status.st_size);
    say("folder", stat("/proc/self", &status) == 0 && S_ISDIR(status.st_mode));
    say("around", stat("/proc/self/../meminfo", &status));
    say("no such", open("/proc/no such", O_RDONLY));
}

/* Its type (DT_…), or -1: the folder shows no such name. */
static int listed(const char *path, const char *name)
{
    const struct dirent *entry;
    int type = -1;
    DIR *folder = opendir(path);
    CHECK(folder != NULL);
    while ((entry = readdir(folder)) != NULL)
        if (strcmp(entry->d_name, name) == 0)
            type = entry->d_type;
    closedir(folder);
    return type;
}

static void test_made_folders(void)
{
    struct stat status;
    say("devices", stat("/dev", &status) == 0 && S_ISDIR(status.st_mode));
    say("null", listed("/dev", "null") == DT_CHR);
    say("zero", listed("/dev/", "zero") == DT_CHR && listed("/dev", "zer") == -1);
    say("last", listed("/dev", "urandom") == DT_CHR);
    say("usable", access("/dev/null", R_OK | W_OK));
    say("no such", access("/dev/no such", F_OK));
    say("file", listed("/proc", "cpuinfo") == DT_REG);
    say("own", listed("/proc/self", "status") == DT_REG && listed("/proc/self", "stat") == DT_REG);
    say("not here", listed("/proc/self", "cpuinfo") == -1);
    say("no folder", opendir("/proc/self/stat") == NULL && errno == ENOTDIR);
}

static volatile sig_atomic_t alarms;

static void count_alarm(int number)
{
    (void)number;
    alarms++;
}

static void test_short_alarms(void)
{
    const struct sigaction action = {.sa_handler = count_alarm};
    sigset_t alarm_only, former;
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    sigprocmask(SIG_BLOCK, &alarm_only, &former);
    sigaction(SIGALRM, &action, NULL);
    say("none before", ualarm(900000, 0));
    useconds_t left = ualarm(0, 0);
    say("left", left > 0 && left <= 900000);
    say("too long", ualarm(1000000, 0) == (useconds_t)-1 && errno == EINVAL);
    ualarm(1000, 1000);
    while (alarms < 3)
        sigsuspend(&former);
    ualarm(0, 0);
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    sigprocmask(SIG_SETMASK, &former, NULL);
    say("alarms", alarms >= 3);
}

static void test_full_device(void)
{
    char zero = 1;
    int fd = open("/dev/full", O_RDWR);
    say("reads", read(fd, &zero, 1) == 1 && zero == 0);
    say("full", write(fd, &zero, 1) == -1 && errno == ENOSPC);
    say("at a place", pwrite(fd, &zero, 1, 9) == -1 && errno == ENOSPC);
    close(fd);
}

static void test_threads(void)
{
    pthread_attr_t attributes;
    pthread_barrierattr_t barriers;
    pthread_mutexattr_t mutexes;
    struct sched_param parameters = {0};
    int value = -1, policy = -1;
    CHECK(pthread_attr_init(&attributes) == 0);
    say("scope", pthread_attr_setscope(&attributes, PTHREAD_SCOPE_SYSTEM));
    say("other", pthread_attr_setscope(&attributes, PTHREAD_SCOPE_PROCESS) == ENOTSUP);
    say("none", pthread_attr_setscope(&attributes, 99) == EINVAL);
    say("is", pthread_attr_getscope(&attributes, &value) == 0 && value == PTHREAD_SCOPE_SYSTEM);
    say("policy", pthread_attr_setschedpolicy(&attributes, SCHED_OTHER));
    say("none", pthread_attr_setschedpolicy(&attributes, 99) == EINVAL);
    say("is", pthread_attr_getschedpolicy(&attributes, &policy) == 0 && policy == SCHED_OTHER);
    say("priority", pthread_attr_setschedparam(&attributes, &parameters));
    say("inherits", pthread_attr_setinheritsched(&attributes, PTHREAD_INHERIT_SCHED));
    say("or not", pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED));
    say("is",
        pthread_attr_getinheritsched(&attributes, &value) == 0 && value == PTHREAD_EXPLICIT_SCHED);
    say("small", pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN - 1) == EINVAL);
    say("least", pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN));
    say("own", pthread_getschedparam(pthread_self(), &policy, &parameters));
    say("is", policy == SCHED_OTHER && parameters.sched_priority == 0);
    say("same", pthread_setschedparam(pthread_self(), policy, &parameters));
    say("concurrency", pthread_setconcurrency(3) == 0 && pthread_getconcurrency() == 3);
    say("negative", pthread_setconcurrency(-1) == EINVAL);
    CHECK(pthread_mutexattr_init(&mutexes) == 0);
    say("protocol", pthread_mutexattr_setprotocol(&mutexes, PTHREAD_PRIO_NONE));
    say("none", pthread_mutexattr_setprotocol(&mutexes, 99) == EINVAL);
    say("robust", pthread_mutexattr_setrobust(&mutexes, PTHREAD_MUTEX_STALLED));
    say("is", pthread_mutexattr_getrobust(&mutexes, &value) == 0 && value == PTHREAD_MUTEX_STALLED);
    CHECK(pthread_barrierattr_init(&barriers) == 0);
    say("shared", pthread_barrierattr_setpshared(&barriers, PTHREAD_PROCESS_PRIVATE));
    say("how", pthread_barrierattr_setpshared(&barriers, 99) == EINVAL);
    say("process", sched_getscheduler(0));
    say("least", sched_get_priority_min(SCHED_RR));
    say("most", sched_get_priority_max(SCHED_FIFO));
    say("ordinary", sched_get_priority_max(SCHED_OTHER));
    say("none", sched_get_priority_max(99));
    say("parameters", sched_getparam(0, &parameters));
    say("same", sched_setscheduler(0, SCHED_OTHER, &parameters));
    say("none", sched_setscheduler(0, 99, &parameters));
}

/* Parses a command line, and prints what is found, and the order that the words have then. */
static void parse(int form, const char *letters, char **words)
{
    static const struct option longs[] = {{"alpha", no_argument, NULL, 'A'},
                                          {"alps", no_argument, NULL, 'L'},
                                          {"beta", required_argument, NULL, 'B'},
                                          {"gamma", optional_argument, NULL, 'G'},
                                          {NULL, 0, NULL, 0}};
    int count = 0, found, index = -1;
    while (words[count] != NULL)
        count++;
    optind = 0;
    opterr = 0;
    while ((found = form == 0   ? getopt(count, words, letters)
                    : form == 1 ? getopt_long(count, words, letters, longs, &index)
                                : getopt_long_only(count, words, letters, longs, &index)) != -1)
        printf("%c %s %d %d; ", found > 1 ? found : '1', optarg != NULL ? optarg : "-", index,
               found == '?' || found == ':' ? optopt : 0);
    for (int i = 0; i < count; i++)
        printf(i == optind ? "| %s " : "%s ", words[i]);
    puts("");
}

#define PARSE(form, letters, ...) \
    parse(form, letters, (char **)(const char *[]){"program", __VA_ARGS__, NULL})

static void test_options(void)
{
    PARSE(0, "ab:", "-ab", "x", "-a", "file", "-bvalue");
    PARSE(0, "+ab:", "-a", "file", "-a");
    PARSE(0, "-ab:", "-a", "file", "-a");
    PARSE(0, ":ab:", "-z", "-b");
    PARSE(0, "ab::", "-b", "x", "-bx", "--", "-a");
    PARSE(1, "ab:", "one", "--alpha", "two", "--", "-a", "three");
    PARSE(1, "ab:", "one", "--beta", "two", "--beta=3", "-b", "four", "five");
    PARSE(1, "ab:", "--gamma", "x", "--gamma=y", "--alp", "--alph", "--no", "--alpha=z", "--beta");
    PARSE(2, "ab:", "-alpha", "-a", "-beta", "x", "-bx", "-al", "-gam=5", "-", "y");
}

/* A number of a header, and what sysconf() says of it. */
#define SAY_LIMIT(name, least)                 \
    say(#name, sysconf(_SC_##name) == (name)); \
    say("enough", (name) >= (least))

static void test_limits(void)
{
    SAY_LIMIT(HOST_NAME_MAX, 64);
    SAY_LIMIT(LOGIN_NAME_MAX, _POSIX_LOGIN_NAME_MAX);
    SAY_LIMIT(TTY_NAME_MAX, _POSIX_TTY_NAME_MAX);
    SAY_LIMIT(IOV_MAX, _XOPEN_IOV_MAX);
    SAY_LIMIT(SEM_VALUE_MAX, _POSIX_SEM_VALUE_MAX);
    SAY_LIMIT(RTSIG_MAX, _POSIX_RTSIG_MAX);
    say("keys", sysconf(_SC_THREAD_KEYS_MAX) == PTHREAD_KEYS_MAX);
    say("rounds", sysconf(_SC_THREAD_DESTRUCTOR_ITERATIONS) == PTHREAD_DESTRUCTOR_ITERATIONS);
    say("paths", pathconf("/", _PC_PATH_MAX) == PATH_MAX && PATH_MAX >= _POSIX_PATH_MAX);
    say("options",
        _POSIX_MAPPED_FILES > 0 && _POSIX_SEMAPHORES > 0 && _POSIX_FSYNC > 0 && _POSIX_IPV6 > 0);
    say("bits", LONG_BIT == 64 && SSIZE_MAX == LONG_MAX);
    pthread_key_t keys[_POSIX_THREAD_KEYS_MAX - 8];
    int made = 0;
    while (made < (int)(sizeof(keys) / sizeof(*keys)) && pthread_key_create(&keys[made], NULL) == 0)
        made++;
    say("keys made", made);
    say("set", pthread_setspecific(keys[made - 1], keys));
    say("got", pthread_getspecific(keys[made - 1]) == keys);
    while (made-- > 0)
        pthread_key_delete(keys[made]);
    int null = open("/dev/null", O_RDWR);
    static const struct iovec none[IOV_MAX + 1];
    volatile int count = -1;
    say("fewer than no buffers", readv(null, none, count));
    say("too many", writev(null, none, IOV_MAX + 1));
    close(null);
}

int main(int argc, char **argv)
{
    (void)argc;
    test_options();
    test_limits();
    test_environment();
    test_random_numbers();
    test_messages();
    test_orders();
    test_long_doubles();
    test_remainders();
    test_fused();
    test_roots();
    test_patterns();
    test_folders();
    test_lines();
    test_dates();
    test_zones();
    test_date_texts();
    test_date_flags();
    test_jumps();
    test_files();
    test_sending_files();
    test_semaphores();
    test_process();
    test_proc(argv);
    test_full_device();
    test_made_folders();
    test_short_alarms();
    test_threads();
    puts("library: ok");
    return 0;
}
