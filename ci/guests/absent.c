/*
 * absent.c - what programs ask for in vain: shared libraries, a terminal's size, a time zone of the kernel's. The same on Linux, where
 * these aren't there either.
 */
#include <dlfcn.h>
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#include "check.h"
#include "say.h"

static void test_libraries(void)
{
    say("no error", dlerror() == NULL);
    say("dlopen", dlopen("/no/such/library.so", RTLD_NOW | RTLD_LOCAL) != NULL);
    say("its reason", dlerror() != NULL);
    say("once", dlerror() == NULL);
    int local = 0;
    Dl_info info;
    say("dladdr", dladdr(&local, &info));
}

static void test_size(void)
{
    int fds[2];
    struct winsize size;
    CHECK(pipe(fds) == 0);
    say("size", ioctl(fds[0], TIOCGWINSZ, &size) == -1 && errno == ENOTTY);
    close(fds[0]);
    close(fds[1]);
}

static void test_zone(void)
{
    struct timeval now;
    struct timezone zone = {.tz_minuteswest = -7, .tz_dsttime = -7};
    say("gettimeofday", gettimeofday(&now, &zone));
    say("west", zone.tz_minuteswest);
    say("summer", zone.tz_dsttime);
}

int main(void)
{
    test_libraries();
    test_size();
    test_zone();
    printf("absent: ok\n");
    return 0;
}
