/*
 * absent.c - what programs ask for in vain: shared libraries, pseudo-terminals, a terminal's size, a time zone of the kernel's. The same on Linux, where
 * these aren't there either, but for the network.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <netinet/in.h>
#include <stdlib.h>
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

/* Whether the function is in the program's first object, where it may be executed. */
static int look(struct dl_phdr_info *info, size_t bytes, void *context)
{
    int found = 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t offset = (uintptr_t)context - info->dlpi_addr - segment->p_vaddr;
        found |= segment->p_type == PT_LOAD && (segment->p_flags & PF_X) != 0 &&
                 offset < segment->p_memsz;
    }
    say("unnamed", info->dlpi_name[0] == 0);
    say("whole", bytes >= sizeof(*info));
    say("found", found);
    return 7;
}

static void test_objects(void)
{
    say("the function's result", dl_iterate_phdr(look, (void *)look));
}

static void test_pseudo_terminals(void)
{
    int fds[2], none = 1;
    CHECK(pipe(fds) == 0);
#ifdef __skep__
    none = posix_openpt(O_RDWR | O_NOCTTY) == -1 && errno == ENOENT;
#endif
    say("none", none);
    say("no master", grantpt(fds[0]) == -1 && errno == EINVAL);
    say("unlocked", unlockpt(fds[0]) == -1 && errno == EINVAL);
    say("no name", ptsname(fds[0]) == NULL && errno == ENOTTY);
    char name[64];
    say("nor here", ptsname_r(fds[0], name, sizeof(name)) == ENOTTY);
    close(fds[0]);
    close(fds[1]);
    say("no file", ptsname(fds[0]) == NULL && errno == EBADF);
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
    struct ip_mreq_source sources = {.imr_interface.s_addr = 0};
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(fd >= 0 && inet_pton(AF_INET, "232.1.1.1", &sources.imr_multiaddr) == 1);
    fails &=
        setsockopt(fd, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &sources, sizeof(sources)) == -1 &&
        errno == ENOPROTOOPT;
    close(fd);
#endif
    say("no network to join a group in", fails);
}

int main(void)
{
    test_libraries();
    test_objects();
    test_pseudo_terminals();
    test_size();
    test_zone();
    test_network();
    printf("absent: ok\n");
    return 0;
}
