/*
 * searches.c - regular expressions, with what GNU has beside POSIX, and searches in arrays, lists and options.
 * Prints what it finds; the same program does on Linux, and prints the same.
 */
#include <regex.h>
#include <search.h>
#include <stdlib.h>

#include "say.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static void say_match(const char *pattern, int flags, const char *text)
{
    regex_t compiled;
    regmatch_t found[4];
    printf("%s in %s: ", pattern, text);
    if (regcomp(&compiled, pattern, flags) != 0) {
        puts("wrong");
        return;
    }
    if (regexec(&compiled, text, COUNT(found), found, 0) != 0)
        puts("not found");
    else
        printf("%d,%d %d,%d %d,%d\n", (int)found[0].rm_so, (int)found[0].rm_eo, (int)found[1].rm_so,
               (int)found[1].rm_eo, (int)found[2].rm_so, (int)found[2].rm_eo);
    regfree(&compiled);
}

static void test_extended(void)
{
    static const char *const cases[][2] = {
        {"\\bfoo\\b", "a foo b"},
        {"\\bfoo\\b", "afoo"},
        {"\\b", "ab"},
        {"\\bcat\\b", "concat cat"},
        {"\\<foo\\>", "a foo b"},
        {"foo\\>", "foobar foo"},
        {"foo\\b$", "foo"},
        {"^\\bfoo\\>$", "foo"},
        {"\\b\\<a", "a"},
        {"\\b\\b\\<a$", "b a"},
        {"\\w+", "  ab_1 "},
        {"\\W+", "ab  c"},
        {"\\W", "a"},
        {"\\w{3}", "ab1"},
        {"\\s+", "a \tb"},
        {"\\S+", " ab "},
        {"[\\w]", "w"},
        {"^\\s*(\\w+)\\s*=\\s*(.*)\\s*$", "  key = value x"},
        {"(\\w+) \\1", "say hello hello"},
        {"(a)(b)\\2\\1", "abba"},
        {"\\2(a)", "a"},
        {"", "a"},
        {"()", "a"},
        {"a||b", "b"},
        {"(|a)b", "ab"},
        {"(a|)b", "ab"},
        {"(a||b)c", "bc"},
        {"|x", "x"},
        {"x|", "yx"},
        {"()+x", "x"},
        {"(|){3}x", "x"},
        {"a(|b)c", "abc"},
        {"(^a|b$)+", "ab"},
        {"a{2,3}", "aaaa"},
        {"\\d", "d5"},
        {"[[:alpha:]]+", "12ab"},
        {"(a*)(ab)*(b*)", "abb"},
        {"a|ab", "ab"},
        {"[a", "a"},
        {"(a", "a"},
        {"\\", "a"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        say_match(cases[i][0], REG_EXTENDED, cases[i][1]);
    say_match("\\<[a-z]+\\>", REG_EXTENDED | REG_ICASE, "FOO bar");
    say_match("\\s*$", REG_EXTENDED | REG_NEWLINE, "a \nb");
}

static void test_basic(void)
{
    static const char *const cases[][2] = {
        {"a\\+", "baaa"},
        {"a\\?b", "ab"},
        {"a\\|b", "b"},
        {"a\\|b\\|c", "c"},
        {"^a\\|^b", "b"},
        {"a$\\|b$", "xb"},
        {"a\\|", "b"},
        {"\\|a", "a"},
        {"\\(a\\|bc\\)*d", "abcad"},
        {"\\(\\|a\\)b", "ab"},
        {"x\\+y\\?z", "xxz"},
        {"\\w\\+@\\w\\+\\.com", "me@example.com"},
        {"\\<foo\\>", "foo"},
        {"^\\(\\w*\\)=\\1", "ab=ab"},
        {"a\\{2,\\}\\|b", "aa"},
        {"*a", "*a"},
        {"^*a", "*a"},
        {"a+|b", "a+|b"},
        {"\\(a\\)\\1", "aa"},
        {"", "x"},
        {"\\(a", "a"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        say_match(cases[i][0], 0, cases[i][1]);
}

static int compare(const void *one, const void *other)
{
    return *(const int *)one - *(const int *)other;
}

static void test_arrays(void)
{
    int numbers[8] = {5, 3, 9}, known = 9, new = 7;
    size_t count = 3;
    say("found", (int *)lfind(&known, numbers, &count, sizeof(int), compare) == numbers + 2);
    say("not found", lfind(&new, numbers, &count, sizeof(int), compare) == NULL && count == 3);
    say("not added", (int *)lsearch(&known, numbers, &count, sizeof(int), compare) == numbers + 2);
    say("added", (int *)lsearch(&new, numbers, &count, sizeof(int), compare) == numbers + 3);
    say("last", count == 4 ? numbers[3] : 0);
}

static void test_lists(void)
{
    struct element {
        struct element *next, *former;
        int number;
    } one = {.number = 1}, two = {.number = 2}, three = {.number = 3};
    insque(&one, NULL);
    insque(&three, &one);
    insque(&two, &one);
    for (const struct element *at = &one; at != NULL; at = at->next)
        say("next", at->number);
    for (const struct element *at = &three; at != NULL; at = at->former)
        say("former", at->number);
    remque(&two);
    say("without", one.next == &three && three.former == &one);
    remque(&one);
    say("alone", three.former == NULL && three.next == NULL);
}

static void test_options(void)
{
    static char ro[] = "ro", rw[] = "rw", size[] = "size", name[] = "name";
    static char *const names[] = {ro, rw, size, name, NULL};
    char text[] = "ro,size=10,,name=x=y,bad,worse=1,siz,rw", *at = text, *value;
    while (*at != 0) {
        int index = getsubopt(&at, names, &value);
        printf("%d %s\n", index, value != NULL ? value : "without");
    }
}

int main(void)
{
    test_extended();
    test_basic();
    test_arrays();
    test_lists();
    test_options();
    puts("searches: ok");
    return 0;
}
