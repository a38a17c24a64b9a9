/*
 * mappings.c - mmap() of memory and of files. Prints what it finds; the same program does on Linux, and prints the
 * same. It maps its own source, which lies in the current folder.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "say.h"

enum { PAGE = 4096 };

static void say_good(const char *what, int good)
{
    printf("%s: %s\n", what, good ? "ok" : error_name());
}

static void say_map(const char *what, size_t bytes, int prot, int flags, int fd, off_t offset)
{
    void *memory = mmap(NULL, bytes, prot, flags, fd, offset);
    say_good(what, memory != MAP_FAILED);
    if (memory != MAP_FAILED)
        CHECK(munmap(memory, bytes) == 0);
}

static char *map_memory(size_t bytes)
{
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED && (uintptr_t)memory % PAGE == 0);
    return memory;
}

static int is_zeroed(const char *memory, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (memory[i] != 0)
            return 0;
    return 1;
}

static void test_memory(void)
{
    enum { BYTES = 9 * PAGE + 5 };
    char *memory = map_memory(BYTES);
    printf("zeroed %d\n", is_zeroed(memory, 10 * PAGE));
    memset(memory, 7, BYTES);
    say_good("read only", mprotect(memory, PAGE, PROT_READ) == 0);
    printf("still there %d\n", memory[0] == 7 && memory[PAGE] == 7);
    say_good("none", mprotect(memory + PAGE, PAGE, PROT_NONE) == 0);
    say_good("both again", mprotect(memory, 10 * PAGE, PROT_READ | PROT_WRITE) == 0);
    printf("still there %d\n", memory[PAGE] == 7);
    say_good("amid", munmap(memory + 3 * PAGE, PAGE + 1) == 0);
    say_good("protected a gap", mprotect(memory, 10 * PAGE, PROT_READ | PROT_WRITE) == 0);
    printf("around %d\n", memory[3 * PAGE - 1] == 7 && memory[5 * PAGE] == 7);
    say_good("all, with the gap", munmap(memory, BYTES) == 0);
    say_good("twice", munmap(memory, BYTES) == 0);
    say_good("protected nothing", mprotect(memory, PAGE, PROT_READ) == 0);
    say_good("reserved", (memory = mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANON, -1,
                                        0)) != MAP_FAILED);
    CHECK(mprotect(memory + PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
    memory[PAGE] = 1;
    CHECK(munmap(memory, 4 * PAGE) == 0);
}

/* What is given back can be had again, far more often than there is memory. */
static void test_often(void)
{
    for (int i = 0; i < 2000; i++) {
        char *memory = map_memory(64 * PAGE);
        memory[i % 64 * PAGE] = 1;
        CHECK(munmap(memory, 64 * PAGE) == 0);
    }
    printf("often\n");
}

static void test_errors(void)
{
    const int memory = MAP_PRIVATE | MAP_ANONYMOUS;
    int fds[2], null = open("/dev/null", O_RDWR);
    char *mapped = map_memory(PAGE);
    CHECK(pipe(fds) == 0 && null >= 0);
    say_map("nothing", 0, PROT_READ, memory, -1, 0);
    say_map("far too much", SIZE_MAX / 4, PROT_READ, memory, -1, 0);
    say_map("neither shared nor private", PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0);
    say_map("shared", PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    say_map("no file", PAGE, PROT_READ, MAP_PRIVATE, -1, 0);
    say_map("pipe to write", PAGE, PROT_READ, MAP_PRIVATE, fds[1], 0);
    say_map("pipe to read", PAGE, PROT_READ, MAP_PRIVATE, fds[0], 0);
    say_map("device", PAGE, PROT_READ, MAP_PRIVATE, null, 0);
    say_map("unaligned", PAGE, PROT_READ, MAP_PRIVATE, null, 5);
    say_good("unmap unaligned", munmap(mapped + 1, PAGE) == 0);
    say_good("unmap nothing", munmap(mapped, 0) == 0);
    say_good("protect unaligned", mprotect(mapped + 1, PAGE, PROT_READ) == 0);
    say_good("protect nothing", mprotect(mapped, 0, PROT_READ) == 0);
    say_good("advice", posix_madvise(mapped, PAGE, POSIX_MADV_SEQUENTIAL) == 0);
    say_good("sync", msync(mapped, PAGE, MS_SYNC) == 0);
    CHECK(munmap(mapped, PAGE) == 0);
    close(null), close(fds[0]), close(fds[1]);
}

static void test_file(void)
{
    char begin[PAGE + 100];
    struct stat status;
    int fd = open("mappings.c", O_RDONLY);
    CHECK(fd >= 0 && fstat(fd, &status) == 0 &&
          pread(fd, begin, sizeof(begin), 0) == sizeof(begin));
    size_t bytes = (size_t)status.st_size, whole = (bytes + PAGE - 1) / PAGE * PAGE;
    const char *all = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(all != MAP_FAILED);
    printf("file %d\n", memcmp(all, begin, sizeof(begin)) == 0);
    printf("its end %d\n", all[bytes - 1] == '\n' && is_zeroed(all + bytes, whole - bytes));
    char *rest = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, PAGE);
    CHECK(rest != MAP_FAILED);
    printf("second page %d\n", memcmp(rest, begin + PAGE, 100) == 0);
    memset(rest, 0, PAGE);
    printf("private %d\n", memcmp(all + PAGE, begin + PAGE, 100) == 0);
    say_map("written back", PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    printf("closed %d\n", memcmp(all, begin, PAGE) == 0);
    CHECK(munmap(rest, PAGE) == 0 && munmap((void *)all, bytes) == 0);
}

/* As memory of no file is. */
static void test_zeros(void)
{
    int fd = open("/dev/zero", O_RDWR), reads = open("/dev/zero", O_RDONLY);
    CHECK(fd >= 0 && reads >= 0);
    say_map("zeros to write alone", PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, reads, 0);
    char *own = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, reads, 0);
    char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(own != MAP_FAILED && shared != MAP_FAILED && own != shared);
    close(fd), close(reads);
    printf("zeros %d\n", is_zeroed(own, 2 * PAGE) && is_zeroed(shared, PAGE));
    memset(own, 1, 2 * PAGE);
    memset(shared, 2, PAGE);
    printf("kept %d\n", own[PAGE] == 1 && shared[PAGE - 1] == 2);
    CHECK(munmap(own, 2 * PAGE) == 0 && munmap(shared, PAGE) == 0);
}

/* A region that is reserved, and used in parts: as allocators have it. */
static void test_fixed(void)
{
    enum { PAGES = 4096 }; /* 16 MiB, more than the guest has */
    const int how = MAP_PRIVATE | MAP_ANONYMOUS, fixed = how | MAP_FIXED;
    const int both = PROT_READ | PROT_WRITE;
    char *region = mmap(NULL, PAGES * PAGE, PROT_NONE, how | MAP_NORESERVE, -1, 0);
    CHECK(region != MAP_FAILED);
    for (int round = 0; round < 100; round++) {
        char *part = region + (size_t)(round * 40 % PAGES) * PAGE;
        CHECK(mmap(part, 16 * PAGE, both, fixed, -1, 0) == part && is_zeroed(part, 16 * PAGE));
        memset(part, round + 1, 16 * PAGE);
        CHECK(mmap(part + PAGE, PAGE, both, fixed, -1, 0) == part + PAGE);
        CHECK(is_zeroed(part + PAGE, PAGE) && part[PAGE - 1] == round + 1);
        CHECK(part[2 * PAGE] == round + 1);
        CHECK(mmap(part, 16 * PAGE, PROT_NONE, fixed | MAP_NORESERVE, -1, 0) == part);
    }
    printf("fixed: in parts\n");
    char *end = region + 100 * PAGE;
    CHECK(munmap(end, PAGE) == 0);
    say_good("over a gap", mmap(end - PAGE, 3 * PAGE, both, fixed, -1, 0) == end - PAGE);
    memset(end - PAGE, 1, 3 * PAGE);

    int fd = open("mappings.c", O_RDONLY);
    char begin[100];
    CHECK(fd >= 0 && pread(fd, begin, sizeof(begin), 0) == sizeof(begin));
    say_good("a file's", mmap(end, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) == end);
    printf("its text %d\n",
           memcmp(end, begin, sizeof(begin)) == 0 && end[-1] == 1 && end[PAGE] == 1);
    close(fd);
    say_good("no page's begin", mmap(end + 1, PAGE, both, fixed, -1, 0) != MAP_FAILED);
    say_good("of nothing", mmap(end, 0, both, fixed, -1, 0) != MAP_FAILED);
    say_good("beyond",
             mmap((char *)(SIZE_MAX / 2 + 1 - PAGE), PAGE, both, fixed, -1, 0) != MAP_FAILED);
    CHECK(munmap(region, PAGES * PAGE) == 0);
}

/* What is mapped of a wide span costs something, not how wide it is. */
static void test_wide(void)
{
    enum { WIDE = 96 << 20, ROUNDS = 1000 };
    const int how = MAP_PRIVATE | MAP_ANONYMOUS, both = PROT_READ | PROT_WRITE;
    char *region = mmap(NULL, WIDE, PROT_NONE, how | MAP_NORESERVE, -1, 0);
    CHECK(region != MAP_FAILED && munmap(region, WIDE) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        char *last = region + WIDE - PAGE;
        CHECK(mmap(region, PAGE, both, how | MAP_FIXED, -1, 0) == region && region[0] == 0);
        CHECK(mmap(last, PAGE, both, how | MAP_FIXED, -1, 0) == last && last[0] == 0);
        region[0] = last[0] = 1;
        CHECK(munmap(region, WIDE) == 0);
    }
    printf("wide\n");
}

static void test_given_back(void)
{
    enum { PAGES = 300, RESERVED = 4000, PART = 200 }; /* more than the guest has */
    const int how = MAP_PRIVATE | MAP_ANONYMOUS, both = PROT_READ | PROT_WRITE;
    char *memory = map_memory(PAGES * PAGE);
    char *reserved = mmap(NULL, RESERVED * PAGE, both, how | MAP_NORESERVE, -1, 0);
    CHECK(reserved != MAP_FAILED);
    for (int i = 0; i < PAGES; i++)
        memory[i * PAGE] = 7;
    for (int begin = 0; begin < RESERVED; begin += PART) {
        for (int i = begin; i < begin + PART; i++)
            reserved[i * PAGE] = 7;
        CHECK(madvise(reserved + begin * PAGE, PART * PAGE, MADV_DONTNEED) == 0);
    }
    printf("reserved, zeroed %d\n", is_zeroed(reserved, PART * PAGE));
    CHECK(mprotect(memory + 3 * PAGE, PAGE, PROT_READ) == 0);
    say_good("given back", madvise(memory + PAGE, 5 * PAGE - 1, MADV_DONTNEED) == 0);
    printf("zeroed %d\n", is_zeroed(memory + PAGE, 5 * PAGE));
    printf("beside %d\n", memory[0] == 7 && memory[6 * PAGE] == 7);
    memory[PAGE] = 8;
    say_good("free", madvise(memory + 7 * PAGE, PAGE, MADV_FREE) == 0);
    memory[7 * PAGE] = 9;
    printf("used again %d\n", memory[PAGE] == 8 && memory[7 * PAGE] == 9);
    CHECK(munmap(memory + 10 * PAGE, PAGE) == 0);
    say_good("over a gap", madvise(memory + 9 * PAGE, 3 * PAGE, MADV_DONTNEED) == 0);
    printf("around it %d %d\n", memory[9 * PAGE], memory[11 * PAGE]);
    say_good("no page's begin", madvise(memory + 1, PAGE, MADV_DONTNEED) == 0);
    say_good("nothing", madvise(memory, 0, MADV_DONTNEED) == 0);
    say_good("unknown", madvise(memory, PAGE, 9999) == 0);
    say_good("only said", posix_madvise(memory, PAGE, POSIX_MADV_DONTNEED) == 0);
    printf("still there %d\n", memory[0] == 7);
    CHECK(munmap(memory, PAGES * PAGE) == 0 && munmap(reserved, RESERVED * PAGE) == 0);
}

#ifdef __skep__
#define ADVISED(result) ((result) == -1 && errno == EINVAL)
#else
#define ADVISED(result) ((result) == 0)
#endif

/* Elsewhere it is read again; here it stays. */
static void test_file_given_back(void)
{
    char begin[2];
    int fd = open("mappings.c", O_RDONLY);
    CHECK(fd >= 0 && pread(fd, begin, 2, 0) == 2);
    char *text = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CHECK(text != MAP_FAILED);
    CHECK(ADVISED(madvise(text, PAGE, MADV_DONTNEED)));
    printf("a file's text %d\n", memcmp(text, begin, 2) == 0);
    CHECK(munmap(text, PAGE) == 0 && ADVISED(madvise(text + PAGE, PAGE, MADV_DONTNEED)));
    CHECK(mmap(text + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
               -1, 0) == text + PAGE);
    text[PAGE] = 1;
    say_good("memory in its place", madvise(text + PAGE, PAGE, MADV_DONTNEED) == 0);
    printf("zeroed %d\n", text[PAGE] == 0);
    CHECK(munmap(text + PAGE, 2 * PAGE) == 0);
    close(fd);
}

static char *map_text(void *place, size_t bytes, int how)
{
    int fd = open("mappings.c", O_RDONLY);
    CHECK(fd >= 0);
    char *text = mmap(place, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | how, fd, 0);
    CHECK(text != MAP_FAILED);
    close(fd);
    return text;
}

/* What comes to lie where a part of a file was is memory as any other; what is left of the file stays. */
static void test_memory_amid_file(void)
{
    char *text = map_text(NULL, 3 * PAGE, 0), end = text[2 * PAGE];
    CHECK(munmap(text + PAGE, PAGE) == 0);
    CHECK(mmap(text + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
               -1, 0) == text + PAGE);
    text[PAGE] = 1;
    say_good("amid a file", madvise(text + PAGE, PAGE, MADV_DONTNEED) == 0);
    printf("zeroed %d\n", text[PAGE] == 0);
    CHECK(ADVISED(madvise(text, PAGE, MADV_DONTNEED)));
    CHECK(ADVISED(madvise(text + 2 * PAGE, PAGE, MADV_DONTNEED)));
    printf("around it %d\n", text[0] == '/' && text[2 * PAGE] == end);
    CHECK(munmap(text, 3 * PAGE) == 0);
}

#ifdef __skep__
/* A file is gone that was to be replaced by more than there is memory for, but not what nothing can be mapped in place of.
 * Elsewhere there is enough. */
static void test_failed_in_place(void)
{
    const int how = MAP_PRIVATE | MAP_ANONYMOUS, both = PROT_READ | PROT_WRITE;
    char *text = map_text(NULL, PAGE, 0);
    CHECK(mmap(text, 1ull << 46, both, how | MAP_FIXED, -1, 0) == MAP_FAILED && text[0] == '/');
    CHECK(ADVISED(madvise(text, PAGE, MADV_DONTNEED)) && text[0] == '/');
    CHECK(mmap(text, 16 << 20, both, how | MAP_FIXED, -1, 0) == MAP_FAILED && errno == ENOMEM);
    char *memory = map_memory(PAGE);
    CHECK(memory == text); /* the first gap, again */
    CHECK(madvise(memory, PAGE, MADV_DONTNEED) == 0 && munmap(memory, PAGE) == 0);
}
#endif

static _Atomic bool enough;

static void *map_anywhere(void *unused)
{
    while (!enough) {
        char *memory = map_memory(PAGE);
        memory[0] = 1;
        CHECK(munmap(memory, PAGE) == 0);
    }
    return unused;
}

/* What is to lie anywhere doesn't come to lie where something is replaced. */
static void test_fixed_beside(void)
{
    pthread_t thread;
    char *region = map_memory(4 * PAGE);
    CHECK(pthread_create(&thread, NULL, map_anywhere, NULL) == 0);
    for (int i = 0; i < 2000; i++) {
        region[PAGE] = 1;
        CHECK(mmap(region + PAGE, PAGE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == region + PAGE);
        CHECK(region[PAGE] == 0);
    }
    enough = true;
    CHECK(pthread_join(thread, NULL) == 0 && munmap(region, 4 * PAGE) == 0);
    printf("fixed: beside others\n");
}

static void *give_back(void *region)
{
    while (!enough)
        madvise(region, 3 * PAGE, MADV_DONTNEED);
    return region;
}

/* A file that comes to lie in a gap keeps its text, whatever is given back beside it meanwhile. */
static void test_file_beside(void)
{
    static char begin[PAGE];
    pthread_t thread;
    char *text = map_text(NULL, PAGE, 0);
    memcpy(begin, text, PAGE);
    char *region = map_memory(3 * PAGE);
    CHECK(munmap(text, PAGE) == 0 && munmap(region + PAGE, PAGE) == 0);
    enough = false;
    CHECK(pthread_create(&thread, NULL, give_back, region) == 0);
    for (int i = 0; i < 300; i++) {
        text = map_text(region + PAGE, PAGE, MAP_FIXED);
        CHECK(text == region + PAGE && memcmp(text, begin, PAGE) == 0);
        CHECK(munmap(text, PAGE) == 0);
    }
    enough = true;
    CHECK(pthread_join(thread, NULL) == 0 && munmap(region, 3 * PAGE) == 0);
    printf("a file: beside others\n");
}

int main(void)
{
    test_memory();
    test_often();
    test_errors();
    test_file();
    test_zeros();
    test_fixed();
    test_fixed_beside();
    test_wide();
    test_given_back();
    test_file_given_back();
    test_memory_amid_file();
#ifdef __skep__
    test_failed_in_place();
#endif
    test_file_beside();
    printf("mappings: ok\n");
    return 0;
}
