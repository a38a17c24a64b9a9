/*
 * absent.c - what programs ask for in vain: shared libraries, a terminal's size, a time zone of the kernel's. The same on Linux, where
 * these aren't there either, but for the network.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
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

static void test_network(void)
{
    int fails = 1;
#ifdef __skep__
    struct ipv6_mreq group = {.ipv6mr_interface = 0};
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    CHECK(fd >= 0 && inet_pton(AF_INET6, "ff02::1:77", &group.ipv6mr_multiaddr) == 1);
    fails = setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &group, sizeof(group)) == -1 &&
            errno == ENODEV;
    close(fd);
#endif
    say("no network to join a group in", fails);
}

int main(void)
{
    test_libraries();
    test_size();
    test_zone();
    test_network();
    printf("absent: ok\n");
    return 0;
}
