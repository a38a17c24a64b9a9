/*
 * patterns.c - what patterns of names match, in texts and in folders, and walks through folders. Prints what it finds; the
 * same program does on Linux, and prints the same.
 */
#include <fnmatch.h>
#include <ftw.h>
#include <glob.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "say.h"

static void test_texts(void)
{
    static const struct {
        const char *pattern, *text;
        int flags;
    } cases[] = {
        {"*", "", 0},
        {"*.conf", "a.conf", 0},
        {"a*b*c", "aXbXbc", 0},
        {"a*b*c", "aXbXcd", 0},
        {"?", "", 0},
        {"?\?", "ab", 0},
        {"?", "\u00e9", 0},
        {"[a-c]x", "bx", 0},
        {"[!a-c]x", "bx", 0},
        {"[]-]", "-", 0},
        {"[]", "[]", 0},
        {"[a", "[a", 0},
        {"[\u00e0-\u00fc]", "\u00e9", 0},
        {"[[:digit:]][[:alpha:]_]*", "5x", 0},
        {"[[:upper:]]", "x", 0},
        {"[![:space:]]", "x", 0},
        {"\\*", "*", 0},
        {"\\*", "x", 0},
        {"\\*", "\\x", FNM_NOESCAPE},
        {"[\\]]", "]", 0},
        {"*", "a/b", 0},
        {"*", "a/b", FNM_PATHNAME},
        {"*/b", "a/b", FNM_PATHNAME},
        {"a?b", "a/b", FNM_PATHNAME},
        {"a[/]b", "a/b", FNM_PATHNAME},
        {"*", ".a", FNM_PERIOD},
        {"?a", ".a", FNM_PERIOD},
        {"[.]a", ".a", FNM_PERIOD},
        {".*", ".a", FNM_PERIOD},
        {"a/*", "a/.b", FNM_PERIOD},
        {"a/*", "a/.b", FNM_PERIOD | FNM_PATHNAME},
        {"a*", "a/b", FNM_LEADING_DIR | FNM_PATHNAME},
        {"a", "ab/c", FNM_LEADING_DIR},
        {"A*[B-D]", "abbc", FNM_CASEFOLD},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        say(cases[i].pattern, fnmatch(cases[i].pattern, cases[i].text, cases[i].flags) == 0);
}

static int note_error(const char *path, int error)
{
    printf("%s: %s\n", path, error == ENOENT ? "not there" : "another error");
    return 0;
}

static int give_up(const char *path, int error)
{
    (void)path, (void)error;
    return 1;
}

static void say_paths(const char *what, int result, const glob_t *found)
{
    printf("%s: %s", what,
           result == 0              ? "found"
           : result == GLOB_NOMATCH ? "none"
           : result == GLOB_ABORTED ? "aborted"
                                    : "another error");
    for (size_t i = 0; result == 0 && i < found->gl_pathc; i++)
        printf(" %s", found->gl_pathv[i + found->gl_offs]);
    puts("");
}

static void say_glob(const char *pattern, int flags, int (*error)(const char *path, int number))
{
    glob_t found = {0};
    say_paths(pattern, glob(pattern, flags, error, &found), &found);
    globfree(&found);
}

static void test_paths(void)
{
    glob_t found = {.gl_offs = 2};
    say_glob("tree/*", 0, NULL);
    say_glob("tree/*", GLOB_MARK, NULL);
    say_glob("tree/*/*", 0, NULL);
    say_glob("*/deep/*/f*.txt", 0, NULL);
    say_glob("tree//d?ep/er/file.txt", 0, NULL);
    say_glob("tree/[[:alpha:]]*.html", 0, NULL);
    say_glob("tree/\\index.html", 0, NULL);
    say_glob("tree/\\index.html", GLOB_NOESCAPE, NULL);
    say_glob("tree/www/", 0, NULL);
    say_glob("tree/none", 0, NULL);
    say_glob("tree/none", GLOB_NOMAGIC, NULL);
    say_glob("tree/*.none", GLOB_NOCHECK, NULL);
    say_glob("tree/*.none", GLOB_NOMAGIC, NULL);
    say_glob("tree/{index.html,www/{app,no}.conf}", GLOB_BRACE, NULL);
    say_glob("tree/{none,no}", GLOB_BRACE | GLOB_NOCHECK, NULL);
    say_glob("tree/{index.html", GLOB_BRACE, NULL);
    say_glob("none/*", 0, NULL);
    say_glob("none/*", 0, note_error);
    say_glob("none/*", 0, give_up);
    say_glob("none/*", GLOB_ERR, NULL);
    say_glob("tree/index.html/*", GLOB_ERR, NULL);
    say("first", glob("tree/*.html", GLOB_DOOFFS, NULL, &found));
    say("second", glob("tree/*.txt", GLOB_DOOFFS | GLOB_APPEND, NULL, &found));
    say("room", found.gl_pathv[0] == NULL && found.gl_pathv[1] == NULL);
    say_paths("both", 0, &found);
    globfree(&found);
}

static struct {
    int folders, left, files, misplaced, deepest;
} walked;

static int count(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    walked.folders += type == FTW_D;
    walked.left += type == FTW_DP;
    walked.files += type == FTW_F;
    walked.misplaced += access(path + where->base, F_OK) != 0;
    walked.deepest = where->level > walked.deepest ? where->level : walked.deepest;
    return 0;
}

static int stop_at_file(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)path, (void)status, (void)where;
    return type == FTW_F ? 42 : 0;
}

static int say_base(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    printf("%s: %d, %s\n", path, type == FTW_F, path + where->base);
    return 0;
}

static void say_walk(const char *what, int descriptors, int flags)
{
    memset(&walked, 0, sizeof(walked));
    say(what, nftw("tree", count, descriptors, flags));
    printf("%d folders, %d left, %d files, %d levels\n", walked.folders, walked.left, walked.files,
           walked.deepest);
    if (flags & FTW_CHDIR)
        say("misplaced", walked.misplaced);
}

static void test_walks(void)
{
    char before[1024], after[1024];
    say_walk("walk", 10, 0);
    say_walk("one descriptor", 1, FTW_PHYS);
    say_walk("folders last", 2, FTW_PHYS | FTW_DEPTH);
    if (getcwd(before, sizeof(before)) == NULL)
        say("no folder", -1);
    say_walk("there", 1, FTW_PHYS | FTW_CHDIR);
    say("back", getcwd(after, sizeof(after)) != NULL && strcmp(before, after) == 0);
    say("stopped", nftw("tree", stop_at_file, 3, FTW_PHYS));
    say("slashes", nftw("tree/deep/er//", say_base, 3, FTW_PHYS));
    say("a file", nftw("./tree/index.html", say_base, 3, FTW_PHYS));
    say("none", nftw("tree/none", say_base, 3, FTW_PHYS));
    say("empty", nftw("", say_base, 3, FTW_PHYS));
}

int main(void)
{
    setlocale(LC_ALL, "C.UTF-8");
    test_texts();
    test_paths();
    test_walks();
    puts("patterns: ok");
    return 0;
}
