/*
 * identity.c - whose process this is, what limits it has, and which users there are. Prints what it finds; the same
 * program does on Linux, whoever runs it there, and prints the same.
 */
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "say.h"

static void test_users(void)
{
    struct passwd user, *found;
    struct group group, *found_group;
    char buffer[1024];
    say("root", strcmp(getpwuid(0)->pw_name, "root") == 0);
    say("its number", getpwnam("root")->pw_uid);
    say("nobody", getpwnam("nobody")->pw_uid);
    say("no such user", getpwnam("no such user") == NULL);
    say("nor number", getpwuid(4711) == NULL);
    say("by name", getpwnam_r("root", &user, buffer, sizeof(buffer), &found));
    say("same", found == &user && user.pw_uid == 0 && user.pw_gid == 0);
    say("by number", getpwuid_r(4711, &user, buffer, sizeof(buffer), &found));
    say("none", found == NULL);
    say("group", strcmp(getgrgid(0)->gr_name, "root") == 0 && getgrnam("root")->gr_gid == 0);
    say("by name", getgrnam_r("root", &group, buffer, sizeof(buffer), &found_group));
    say("same", found_group == &group && group.gr_gid == 0 && group.gr_mem != NULL);
    say("no such group", getgrnam("no such group") == NULL);
    setpwent();
    say("first", strcmp(getpwent()->pw_name, "root") == 0);
    endpwent();
    setgrent();
    say("first", strcmp(getgrent()->gr_name, "root") == 0);
    endgrent();
}

/* What anybody may do, and then what only root may, after which it isn't root any more: what follows does as nobody. */
static void test_identity(void)
{
    uid_t real, effective, saved;
    gid_t list[NGROUPS_MAX];
    say("same user", setuid(getuid()));
    say("same group", setgid(getgid()));
    say("as it was", setreuid(-1, -1));
    say("all", setresuid(getuid(), geteuid(), -1));
    say("ids", getresuid(&real, &effective, &saved));
    say("are", real == getuid() && effective == geteuid() && saved == geteuid());
    say("none", seteuid(-1));
    say("groups", getgroups(0, NULL) >= 0);
    if (geteuid() == 0) {
        CHECK(setgroups(2, (gid_t[]){7, 8}) == 0 && getgroups(NGROUPS_MAX, list) == 2);
        CHECK(list[0] == 7 && list[1] == 8 && getgroups(1, list) == -1 && errno == EINVAL);
        CHECK(initgroups("root", 9) == 0 && getgroups(NGROUPS_MAX, list) >= 1);
        CHECK(setresgid(5, 6, 7) == 0 && getgid() == 5 && getegid() == 6);
        CHECK(setegid(7) == 0 && getegid() == 7 && setregid(7, 5) == 0 && getgid() == 7);
        CHECK(seteuid(1000) == 0 && getuid() == 0 && geteuid() == 1000);
        CHECK(setgroups(0, NULL) == -1 && errno == EPERM && setegid(99) == -1 && errno == EPERM);
        CHECK(seteuid(0) == 0 && setgid(65534) == 0 && setuid(1000) == 0);
        CHECK(getuid() == 1000 && geteuid() == 1000 && getegid() == 65534);
    }
    say("another user", setuid(0));
    say("another group", setgid(4711));
    say("for a while", seteuid(4711));
    say("groups", setgroups(0, NULL));
}

static void test_process(void)
{
    say("group", getpgid(0) == getpgrp() && getsid(0) >= 0);
    say("no process", getpgid(INT_MAX));
    say("nor that", setpgid(INT_MAX, 0));
    say("terminal", tcgetpgrp(99));
    say("children", waitpid(-1, NULL, 0));
    say("children", waitid(P_ALL, 0, NULL, WEXITED));
    say("children", wait4(-1, NULL, WNOHANG, NULL));
    umask(027);
    say("mask", umask(07777));
    say("mask", umask(022));
}

static void test_limits(void)
{
    struct rlimit limit, other;
    struct rusage usage;
    say("limit", getrlimit(RLIMIT_NOFILE, &limit));
    say("descriptors", sysconf(_SC_OPEN_MAX) == (long)limit.rlim_cur);
    say("of the table", getdtablesize() == (int)limit.rlim_cur);
    limit.rlim_cur = 64;
    say("lower", setrlimit(RLIMIT_NOFILE, &limit));
    say("is", getrlimit(RLIMIT_NOFILE, &other) == 0 && other.rlim_cur == 64);
    limit.rlim_cur = limit.rlim_max;
    say("higher", setrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = limit.rlim_max + 1;
    say("beyond", setrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_max++;
    say("too much", setrlimit(RLIMIT_NOFILE, &limit));
    say("core", getrlimit(RLIMIT_CORE, &limit));
    say("no such limit", getrlimit(4711, &limit));
    say("of itself", prlimit(0, RLIMIT_STACK, NULL, &limit));
    say("usage", getrusage(RUSAGE_SELF, &usage));
    say("of nobody", getrusage(4711, &usage));
    errno = 0;
    int begin = getpriority(PRIO_PROCESS, 0), more = begin < 7 ? 7 : 19; /* whoever started it */
    say("priority", begin >= -20 && begin < 20);
    say("of whom", getpriority(4711, 0));
    say("nicer", setpriority(PRIO_PROCESS, 0, more));
    say("nicer", getpriority(PRIO_PROCESS, 0) == more);
    say("nicest", nice(100));
}

static void test_configuration(void)
{
    struct utsname names;
    char host[65], path[64];
    say("processors", sysconf(_SC_NPROCESSORS_ONLN) >= 1);
    say("page", sysconf(_SC_PAGESIZE) == getpagesize() && getpagesize() == 4096);
    say("memory", sysconf(_SC_PHYS_PAGES) > 0);
    say("ticks", sysconf(_SC_CLK_TCK) > 0);
    say("version", sysconf(_SC_VERSION));
    say("threads", sysconf(_SC_THREADS));
    say("vectors", sysconf(_SC_IOV_MAX));
    say("nothing", sysconf(4711));
    say("name", pathconf("/", _PC_NAME_MAX));
    say("pipe", pathconf("/", _PC_PIPE_BUF));
    say("path", pathconf("/", _PC_PATH_MAX) == PATH_MAX);
    say("nowhere", pathconf("/no/such/file", _PC_NAME_MAX));
    say("descriptor", fpathconf(0, _PC_NAME_MAX) > 0 || errno == EINVAL);
    say("no descriptor", fpathconf(99, _PC_NAME_MAX));
    say("programs", (long)confstr(_CS_PATH, path, sizeof(path)) == (long)strlen(path) + 1);
    say("names", uname(&names));
    say("machine", strcmp(names.machine, "x86_64"));
    say("node", gethostname(host, sizeof(host)) == 0 && strcmp(host, names.nodename) == 0);
    say("system", names.sysname[0] != 0 && names.release[0] != 0 && names.version[0] != 0);
}

static void test_descriptors(void)
{
    int fd = open("/dev/null", O_RDWR);
    say("copy", dup3(fd, 50, O_CLOEXEC));
    say("onto itself", dup3(fd, fd, 0));
    say("flags", dup3(fd, 51, O_APPEND));
    say("from nothing", dup3(99, 51, 0));
    say("closed", close(50));
    say("again", close(50));
    close(fd);
}

/* A guest of 4 MiB has one for each of 1,024 pages. Linux' limit is whoever's who runs this. */
static void test_number_of_descriptors(void)
{
#ifdef __skep__
    int last = -1, first = dup(0);
    for (int fd = first; fd >= 0; fd = dup(0))
        last = fd;
    CHECK(errno == EMFILE && last == getdtablesize() - 1 && last == 1023);
    CHECK(dup2(0, last + 1) == -1 && errno == EBADF && last + 1 < FD_SETSIZE);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(last, &set);
    CHECK(select(last + 1, NULL, &set, NULL, NULL) == 1 && FD_ISSET(last, &set));
    for (int fd = first; fd <= last; fd++)
        close(fd);
#endif
}

static void test_name(char *path)
{
    const char *slash = strrchr(path, '/');
    say("name", program_invocation_name == path);
    say("short name", strcmp(program_invocation_short_name, slash != NULL ? slash + 1 : path) == 0);
#ifdef __skep__
    CHECK(getprogname() == program_invocation_short_name);
    setprogname("/bin/other");
    CHECK(strcmp(getprogname(), "other") == 0);
#endif
}

int main(int argc, char **argv)
{
    CHECK(argc > 0);
    test_name(argv[0]);
    test_users();
    test_process();
    test_configuration();
    test_descriptors();
    test_number_of_descriptors();
    test_identity();
    test_limits();
    puts("identity: ok");
    return 0;
}
