/*
 * corners.c - rare cases of printf(), strtod(), wide characters and the like. Prints what it finds; the same program does on
 * Linux, and prints the same.
 */
#include <errno.h>
#include <float.h>
#include <getopt.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#include "check.h"
#include "say.h"

#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-overflow"
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"

static void test_floats(void)
{
    static const char *const formats[] = {
        "%a",   "%.0a",  "%.1a",   "%.3a",  "%20a",  "%020a", "%+a",   "%#.0a",   "%.20a", "%e",
        "%.0e", "%#.0e", "%20.3e", "%f",    "%.0f",  "%#.0f", "%.1f",  "%020.2f", "%g",    "%G",
        "%.0g", "%#g",   "%#.0g",  "%#.3g", "%.17g", "%+g",   "%#20g", "%.1g",    "%.2g",
    };
    static const double values[] = {0.0,
                                    -0.0,
                                    1.0,
                                    -1.5,
                                    0.1,
                                    0.5,
                                    1.5,
                                    2.5,
                                    100000.0,
                                    123456.0,
                                    1234567.0,
                                    1e-4,
                                    1e-5,
                                    9.9999e-5,
                                    2.2250738585072014e-308,
                                    1.7976931348623157e308,
                                    1e22,
                                    1e23,
                                    0.3,
                                    1.0 / 3,
                                    99.95,
                                    0.05,
                                    1e15,
                                    1e16,
                                    1e17,
                                    INFINITY,
                                    -INFINITY,
                                    NAN};
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        printf("%s:", formats[i]);
        for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++) {
            printf(" ");
            printf(formats[i], values[j]);
        }
        puts("");
    }
    static const char *const long_formats[] = {"%Le", "%.25Le", "%Lf", "%Lg", "%#Lg", "%.30Lg"};
    static const long double long_values[] = {
        0.0L,          1.0L,   -0.1L, 1.0L / 3, 3.6e-4951L, 1.18973149535723176502e+4932L,
        3.3621e-4932L, 1e100L, 2.5L,  INFINITY, -NAN};
    for (size_t i = 0; i < sizeof(long_formats) / sizeof(long_formats[0]); i++) {
        printf("%s:", long_formats[i]);
        for (size_t j = 0; j < sizeof(long_values) / sizeof(long_values[0]); j++) {
            char text[6000];
            snprintf(text, sizeof(text), long_formats[i], long_values[j]);
            printf(" %.70s(%d)", text, (int)strlen(text));
        }
        puts("");
    }
}

static void test_integers(void)
{
    static const char *const formats[] = {
        "%d",      "%5d|",   "%-5d|", "%05d", "%+d",  "% d",    "%.0d",  "%.3d",  "%8.3d|",
        "%-8.3d|", "%08.3d", "%x",    "%#x",  "%#X",  "%#o",    "%#.0x", "%#.0o", "%#10x|",
        "%-#10x|", "%#010x", "%.5x",  "%hhd", "%hd",  "%hhu",   "%u",    "%i",    "%+u",
        "%c|",     "%5c|",   "%-5c|", "%'d",  "%+ d", "%-05d|", "%#.5o"};
    static const int values[] = {0, 1, -1, 9, 300, -300, 65536, INT_MAX, INT_MIN};
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        printf("%s:", formats[i]);
        for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++) {
            char text[100] = "";
            int n = snprintf(text, sizeof(text), formats[i], values[j]);
            printf(" ");
            for (int k = 0; k < n && k < 99; k++)
                printf((unsigned char)text[k] < 32 || (unsigned char)text[k] > 126 ? "\\%02x"
                                                                                   : "%c",
                       (unsigned char)text[k]);
        }
        puts("");
    }
    printf("%jd %ju %td %zu %zd %lld %hhx %ld\n", (intmax_t)INTMAX_MIN, (uintmax_t)UINTMAX_MAX,
           (ptrdiff_t)-5, (size_t)7, (ssize_t)-7, LLONG_MIN, 0x1ff, LONG_MAX);
    printf("%p %20p|%-20p|\n", (void *)0x1234, (void *)0x1234, (void *)0x1234);
    printf("%s|%10s|%-10s|%.2s|%10.2s|%.0s|%s\n", "text", "text", "text", "text", "text", "text",
           (char *)NULL);
    printf("%*d|%-*d|%*d|%.*d|%.*d|%*.*f\n", 5, 1, 5, 1, -5, 1, 3, 1, -3, 1, 10, 2, 3.14159);
    printf("%%|%d\n", 7);
    printf("%ls|%5ls|%.2ls|%lc|%C|%S\n", L"wide", L"w", L"wide", (wint_t)L'c', (wint_t)L'd', L"S");
    char text[20];
    int count = -1;
    say("n", snprintf(text, sizeof(text), "abc%ndef", &count));
    say("counted", count);
    signed char small = 5;
    say("hhn", snprintf(text, sizeof(text), "abc%hhndef", &small) * 100 + small);
    say("no room", snprintf(text, 0, "%d", 12345));
    say("some", snprintf(text, 3, "%d", 12345));
    puts(text);
    say("wide", snprintf(text, sizeof(text), "%100000d", 1));
    say("precise", snprintf(text, sizeof(text), "%.100000d", 1));
    say("precise", snprintf(text, sizeof(text), "%.5000f", 1.0 / 3));
    say("precise", snprintf(text, sizeof(text), "%.5000g", 1.0 / 3));
    say("precise", snprintf(text, sizeof(text), "%#.5000g", 1.0));
    say("precise", snprintf(text, sizeof(text), "%.5000e", 1e300));
    say("precise", snprintf(text, sizeof(text), "%.5000a", 1e300));
}

/* Widths and precisions that no int has. */
static void test_too_wide(void)
{
    static const char *const formats[] = {
        "%2147483648d",  "%.2147483648d",           "ab%-4294967297dc", "%99999999999999999999d",
        "%08589934593x", "%.18446744073709551617f", "%2147483648s",
    };
    static const wchar_t *const wide_formats[] = {L"%2147483648d", L"%.4294967297d"};
    char text[40];
    wchar_t wide[40];
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        errno = 0;
        int result = strchr(formats[i], 'f') != NULL ? snprintf(text, sizeof(text), formats[i], 1.0)
                     : strchr(formats[i], 's') != NULL
                         ? snprintf(text, sizeof(text), formats[i], "")
                         : snprintf(text, sizeof(text), formats[i], 1);
        printf("%s: %d %d\n", formats[i], result, errno == EOVERFLOW);
    }
    for (size_t i = 0; i < sizeof(wide_formats) / sizeof(wide_formats[0]); i++) {
        errno = 0;
        int result = swprintf(wide, sizeof(wide) / sizeof(wide[0]), wide_formats[i], 1);
        printf("%ls: %d %d\n", wide_formats[i], result, errno == EOVERFLOW);
    }
    errno = 0;
    printf("%d", printf("to a stream%2147483648d", 1));
    printf(" %d\n", errno == EOVERFLOW);
}

#ifdef __skep__
static void check_overflow(int result)
{
    CHECK(result == -1 && errno == EOVERFLOW);
    errno = 0;
}
#endif

/* What an int has, but not what would be returned. Linux says so, too, or has no memory, but works on it for many seconds and
 * gigabytes. */
static void test_far_too_wide(void)
{
#ifdef __skep__
    char text[40];
    wchar_t wide[40];
    errno = 0;
    check_overflow(snprintf(text, sizeof(text), "%.2147483647f", 1.0));
    check_overflow(snprintf(text, sizeof(text), "%.2147483647e", 1.0));
    check_overflow(snprintf(text, sizeof(text), "%#.2147483647g", 1.0));
    check_overflow(snprintf(text, sizeof(text), "%.2147483647a", 1.0));
    check_overflow(snprintf(text, sizeof(text), "%.2147483647Lf", LDBL_MAX));
    check_overflow(snprintf(text, sizeof(text), "%.*f", INT_MAX - 4999, 1.0));
    check_overflow(snprintf(text, sizeof(text), "%*d", INT_MIN, 1));
    check_overflow(swprintf(wide, 40, L"%.2147483647f", 1.0));
    check_overflow(swprintf(wide, 40, L"%.2147483647e", 1.0));
    check_overflow(swprintf(wide, 40, L"%*d", INT_MIN, 1));
#endif
}

static void test_strtod(void)
{
    static const char *const texts[] = {
        "",
        " ",
        "+",
        "-",
        ".",
        "e",
        "1e",
        "1e+",
        "1e-",
        "1.e5",
        ".5",
        "-.5e-3x",
        "0x",
        "0x.",
        "0x1",
        "0x1p",
        "0x1p+",
        "0x1.8p1",
        "0x.8p4",
        "0X1P-1074",
        "0x1p-1075",
        "0x1.8p-1075",
        "0x1.00000000000008p0",
        "0x1.000000000000081p0",
        "0x1.000000000000180p0",
        "0x1.fffffffffffff8p1023",
        "0x1p1024",
        "0x1p99999999999",
        "0x0p99999999999",
        "inf",
        "INFINITY",
        "infinit",
        "-inf",
        "nan",
        "NAN(123)",
        "nan(",
        "nan(abc)x",
        "nan(a-b)",
        "-nan",
        "infx",
        "1e308",
        "1.8e308",
        "1e309",
        "1e-308",
        "2.2250738585072011e-308",
        "2.2250738585072014e-308",
        "4.9e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "1e-400",
        "0e999999999999",
        "1e99999999999999999999",
        "1e-99999999999999999999",
        "9007199254740993",
        "9007199254740992.5",
        "9007199254740993.00000000000000000000000000001",
        "0.1",
        "123456789012345678901234567890",
        "\t\n 12",
        "1,5",
        "1_000",
        "00000000000000000000000000000000000000001.5",
        "0.000000000000000000000000000000000000000000000000000000001e57",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "179769313486231580793728971405301e276",
        "6.9294956446009195e15",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char *end;
        errno = 0;
        double number = strtod(texts[i], &end);
        printf("\"%s\": %.20g, %d%s", texts[i], number, (int)(end - texts[i]),
               errno == ERANGE ? ", range"
               : errno         ? ", errno"
                               : "");
        errno = 0;
        float single = strtof(texts[i], &end);
        printf("; %.10g, %d%s", (double)single, (int)(end - texts[i]),
               errno == ERANGE ? ", range"
               : errno         ? ", errno"
                               : "");
        errno = 0;
        long double most = strtold(texts[i], &end);
        printf("; %.25Lg, %d%s\n", most, (int)(end - texts[i]),
               errno == ERANGE ? ", range"
               : errno         ? ", errno"
                               : "");
    }
    static const char *const integers[] = {"",
                                           "0x",
                                           "0xg",
                                           "-0x10",
                                           "08",
                                           "+5",
                                           "- 5",
                                           "99999999999999999999",
                                           "-99999999999999999999",
                                           "9223372036854775807",
                                           "9223372036854775808",
                                           "-9223372036854775808",
                                           "-9223372036854775809",
                                           "0b101",
                                           "zz",
                                           " \f\v7"};
    static const int bases[] = {0, 2, 8, 10, 16, 36, 1, 37};
    for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++) {
        printf("\"%s\":", integers[i]);
        for (size_t j = 0; j < sizeof(bases) / sizeof(bases[0]); j++) {
            char *end = (char *)integers[i];
            errno = 0;
            long number = strtol(integers[i], &end, bases[j]);
            printf(" %ld,%d%s", number, (int)(end - integers[i]),
                   errno == ERANGE   ? "R"
                   : errno == EINVAL ? "I"
                                     : "");
            end = (char *)integers[i];
            errno = 0;
            unsigned long positive = strtoul(integers[i], &end, bases[j]);
            printf("/%lu,%d%s", positive, (int)(end - integers[i]),
                   errno == ERANGE   ? "R"
                   : errno == EINVAL ? "I"
                                     : "");
        }
        puts("");
    }
}

static void test_scanf(void)
{
    static const struct {
        const char *format, *text;
    } cases[] = {
        {"%d", "12"},          {"%d", "x"},     {"%d", ""},     {"%d", "  "},    {"%d", "+"},
        {"%d", "-5x"},         {"%i", "0x1f"},  {"%i", "010"},  {"%i", "0x"},    {"%x", "0xff"},
        {"%x", "ff"},          {"%o", "17"},    {"%u", "-1"},   {"%2d", "1234"}, {"%*d%d", "1 2"},
        {"%d%%", "5%"},        {"a%d", "a7"},   {"a %d", "a7"}, {" %d", "\n 8"}, {"%5d", "   12"},
        {"%d", "99999999999"}, {"%hhd", "300"}, {"%n", "abc"},  {"ab%n", "abc"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        long value = -7777;
        int result = sscanf(cases[i].text, cases[i].format, &value);
        printf("\"%s\" of \"%s\": %d, %d\n", cases[i].format, cases[i].text, result, (int)value);
    }
    static const struct {
        const char *format, *text;
    } words[] = {
        {"%s", " ab cd"},   {"%2s", "abc"},           {"%3c", "abcd"},  {"%c", " x"},
        {"%[a-c]", "abcd"}, {"%[^b]", "abcd"},        {"%[]a]", "]ab"}, {"%[^]]", "ab]"},
        {"%[a-]", "a-b"},   {"%5[abc]", "abcabcabc"}, {"%[x]", "abc"},  {"%s", ""},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        char text[20] = "................";
        int result = sscanf(words[i].text, words[i].format, text);
        printf("\"%s\" of \"%s\": %d, %s\n", words[i].format, words[i].text, result, text);
    }
    static const char *const numbers[] = {"1", "1.5e3x", "0x1p3", "inf",  "nan",     ".",
                                          "-", ".5",     "5.",    "0x.8", "nan(12)", "1e5000"};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        double value = -1;
        int end = -1;
        int result = sscanf(numbers[i], "%lf%n", &value, &end); /* NOLINT(cert-err34-c) */
        printf("\"%s\": %d, %g, %d\n", numbers[i], result, value, end);
    }
    char *word = NULL;
    say("m", sscanf("hello world", "%ms", &word));
    puts(word ? word : "none");
    free(word);
    word = NULL;
    say("m[", sscanf("hello world", "%m[a-z ]", &word));
    puts(word ? word : "none");
    free(word);
}

static void test_wide(void)
{
    say("locale", setlocale(LC_ALL, "C.UTF-8") != NULL);
    static const char *const texts[] = {"a",    "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
                                        "\xc3", "\xff",     "\xe2\x82",     "\xe2\x28\xa1"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        mbstate_t state = {0};
        wchar_t wide = 0x7777;
        errno = 0;
        long result = (long)mbrtowc(&wide, texts[i], strlen(texts[i]), &state);
        printf("mbrtowc %d: %ld, %x, %s%s\n", (int)i, result, (unsigned)wide,
               errno == EILSEQ ? "illegal" : "", mbsinit(&state) ? "" : " amid");
        memset(&state, 0, sizeof(state));
        wide = 0x7777;
        errno = 0;
        const char *at = texts[i];
        printf("bytes:");
        do {
            result = (long)mbrtowc(&wide, at, 1, &state);
            printf(" %ld", result);
            if (result == -1)
                break;
        } while (*++at);
        printf(", %x%s\n", (unsigned)wide, result != -1 && !mbsinit(&state) ? " amid" : "");
        memset(&state, 0, sizeof(state));
        say("mbrlen", (int)mbrlen(texts[i], strlen(texts[i]), &state));
        say("mblen", mblen(texts[i], strlen(texts[i])));
        wchar_t all[10];
        const char *from = texts[i];
        memset(&state, 0, sizeof(state));
        long converted = (long)mbsrtowcs(all, &from, 10, &state);
        printf("mbsrtowcs %ld %d\n", converted, from ? (int)(from - texts[i]) : -1);
        say("mbstowcs", (long)(int)mbstowcs(NULL, texts[i], 0));
    }
    static const wchar_t *const wides[] = {L"a\u20acb",   L"",           L"\xd800",
                                           L"\U0010ffff", L"\xffffffff", L"xyz\xd800"};
    for (size_t i = 0; i < sizeof(wides) / sizeof(wides[0]); i++) {
        char out[20];
        for (size_t room = 0; room < 8; room++) {
            mbstate_t state = {0};
            const wchar_t *from = wides[i];
            memset(out, '.', sizeof(out));
            errno = 0;
            long result = (long)wcsrtombs(out, &from, room, &state);
            printf(" %ld/%d%s", result, from ? (int)(from - wides[i]) : -1, errno ? "!" : "");
        }
        mbstate_t state = {0};
        const wchar_t *from = wides[i];
        printf("; %ld %ld", (long)wcsrtombs(NULL, &from, 0, &state),
               (long)wcstombs(NULL, wides[i], 0));
        from = wides[i];
        printf(" %ld\n", (long)wcsnrtombs(out, &from, 2, 20, &state));
    }
    say("wctob", wctob(L'a'));
    say("wctob", wctob(0xe4));
    say("btowc", (long)btowc('a'));
    say("btowc", (int)btowc(0xe4));
    static const wint_t characters[] = {'a',     'Z',    '0',   ' ',   0xe4,   0xc4,
                                        0xdf,    0x20ac, 0x416, 0x436, 0x4e00, 0x3000,
                                        0x1f600, 0x130,  0x131, 0x1e9e};
    for (size_t i = 0; i < sizeof(characters) / sizeof(characters[0]); i++) {
        wint_t c = characters[i];
        printf("%x: %d%d%d%d%d%d%d%d %x %x %d\n", (unsigned)c, !!iswalpha(c), !!iswdigit(c),
               !!iswspace(c), !!iswupper(c), !!iswlower(c), !!iswpunct(c), !!iswprint(c),
               !!iswcntrl(c), (unsigned)towupper(c), (unsigned)towlower(c), wcwidth((wchar_t)c));
    }
    wchar_t out[40];
    char narrow[40];
    say("swprintf", swprintf(out, 40, L"%d %ls %s %c %lc", 5, L"w\u20ac", "n\xe2\x82\xac", 'c',
                             (wint_t)0x20ac));
    say("as bytes", (long)wcstombs(narrow, out, 40));
    puts(narrow);
    CHECK(swprintf(out, 3, L"%d", 12345) < 0 && swprintf(out, 0, L"%d", 1) < 0);
    int number = 0;
    wchar_t word[20];
    say("swscanf", swscanf(L"12 w\u20acrd", L"%d %ls", &number, word));
    say("number", number);
    say("word", (long)wcslen(word));
    say("precision", snprintf(narrow, sizeof(narrow), "%.2ls|", L"\u20ac\u20ac"));
    say("precision", snprintf(narrow, sizeof(narrow), "%.4ls|", L"\u20ac\u20ac"));
    say("precision", swprintf(out, 40, L"%.2s|", "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"));
    say("illegal", snprintf(narrow, sizeof(narrow), "%ls", L"\xd800"));
}

static void test_wide_streams(void)
{
    int fds[2];
    CHECK(pipe(fds) == 0);
    FILE *in = fdopen(fds[0], "r"), *out = fdopen(fds[1], "w");
    CHECK(in != NULL && out != NULL);
    say("orientation", fwide(out, 0));
    say("wide", fwide(out, 1) > 0);
    say("stays wide", fwide(out, -1) > 0);
    say("fputws", fputws(L"a\u20ac\U0001f600z\n", out) >= 0);
    say("fputwc", (long)fputwc(0xe4, out));
    say("fwprintf", fwprintf(out, L"%d|%5d\n", 1, 2));
    say("fputws", fputws(L"line\nrest", out) >= 0);
    CHECK(fflush(out) == 0 && write(fds[1], "\xff!", 2) == 2);
    say("close", fclose(out));
    wint_t c;
    while ((c = fgetwc(in)) != WEOF && c != '\n')
        printf("%x\n", (unsigned)c);
    say("ungetwc", (long)ungetwc(0x20ac, in));
    say("again", (long)fgetwc(in));
    say("next", (long)fgetwc(in));
    wchar_t line[20];
    say("line", fgetws(line, 20, in) != NULL);
    say("of", (long)wcslen(line));
    say("short line", fgetws(line, 3, in) != NULL);
    say("of", (long)wcslen(line));
    say("line", fgetws(line, 20, in) != NULL);
    say("of", (long)wcslen(line));
    for (int i = 0; i < 4; i++)
        say("rest", (long)fgetwc(in));
    errno = 0;
    say("illegal", (int)fgetwc(in));
    say("error", ferror(in) != 0);
    say("end", feof(in) != 0);
    say("close", fclose(in));
}

static void test_options(void)
{
    static const struct option longs[] = {{"alpha", no_argument, NULL, 'a'},
                                          {"alpine", required_argument, NULL, 'l'},
                                          {"beta", optional_argument, NULL, 'b'},
                                          {"gamma-ray", no_argument, NULL, 'g'},
                                          {0}};
    static const char *const lines[][8] = {
        {"p", "--alpha", "x", "--beta", "y"},
        {"p", "--beta=5", "--alpine", "7", "rest"},
        {"p", "--alp"},
        {"p", "--alpi=3"},
        {"p", "--alpine"},
        {"p", "--none"},
        {"p", "--alpha=5"},
        {"p", "-a", "-b", "x"},
        {"p", "-bx", "-lq", "-l"},
        {"p", "x", "-a", "y", "--", "-a"},
        {"p", "-gal5"},
        {"p", "-z"},
        {"p", "--", "--alpha"},
        {"p", "-", "-a"},
        {"p", "--gam"},
        {"p", "--g"},
        {"p", "-W", "alpha", "y"},
        {"p", "-Walpine=5", "x"},
        {"p", "-aW", "beta=2", "-a"},
        {"p", "x", "-W", "none"},
        {"p", "-W", "alpine"},
        {"p", "x", "-W", "alpine", "y"},
        {"p", "-a;"},
        {"p", "-aW"},
    };
    static const char *const shorts[] = {"ab::l:g", "+ab::l:g", "-ab::l:g", ":ab::l:g",
                                         "ab::l:gW;"};
    for (size_t s = 0; s < sizeof(shorts) / sizeof(shorts[0]); s++)
        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
            for (int only = 0; only < 2; only++) {
                char *arguments[9] = {0};
                int count = 0, c, index = -1;
                while (count < 8 && lines[i][count])
                    arguments[count] = (char *)lines[i][count], count++;
                optind = 0;
                opterr = 0;
                printf("%s %d %d:", shorts[s], (int)i, only);
                while ((c = (only ? getopt_long_only : getopt_long)(count, arguments, shorts[s],
                                                                    longs, &index)) != -1)
                    printf(" %c(%s,%d,%d)", c > 1 ? c : '#', optarg ? optarg : "-", index,
                           c == '?' || c == ':' ? optopt : 0);
                printf(" ; %d:", optind);
                for (int k = 1; k < count; k++)
                    printf(" %s", arguments[k]);
                puts("");
            }
}

static void test_dates(void)
{
    static const struct {
        const char *format, *text;
    } cases[] = {
        {"%Y-%m-%d", "2024-02-29"},
        {"%y", "68"},
        {"%y", "69"},
        {"%C%y", "2005"},
        {"%j", "366"},
        {"%U %a", "10 Mon"},
        {"%H:%M:%S", "23:59:60"},
        {"%I %p", "12 AM"},
        {"%p %I", "PM 1"},
        {"%T", "1:2:3"},
        {"%D", "1/2/99"},
        {"%e", " 5"},
        {"%b %B", "feb FEBRUARY"},
        {"%A", "tuesday"},
        {"%n%t%%", "  \t %"},
        {"%s", "86400"},
        {"%z", "+0130"},
        {"%z", "-01:30"},
        {"%z", "Z"},
        {"%Z", "CET"},
        {"%F", "2001-1-1"},
        {"%R", "5:07"},
        {"%r", "05:06:07 PM"},
        {"%c", "Tue Mar  5 01:02:03 2019"},
        {"%x %X", "03/05/19 01:02:03"},
        {"%u %w", "7 0"},
        {"%G %V", "2020 53"},
        {"%d", "32"},
        {"%m", "13"},
        {"%H", "24"},
        {"%k %l", " 5  6"},
        {"%h", "Jan"},
        {"%Od", "09"},
        {"%q", "1"},
        {"%Y%m%d%H", "2024022912"},
        {"%Y", "-5"},
        {"%Y", "12345"},
        {"%D %T", "12/31/69 23:59:59"},
        {"%P", "pm"},
        {"%I:%M %P", "1:30 pm"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tm time = {.tm_sec = -9,
                          .tm_min = -9,
                          .tm_hour = -9,
                          .tm_mday = -9,
                          .tm_mon = -9,
                          .tm_year = -9,
                          .tm_wday = -9,
                          .tm_yday = -9,
                          .tm_isdst = -9};
        const char *end = strptime(cases[i].text, cases[i].format, &time);
        printf("\"%s\" of \"%s\": ", cases[i].format, cases[i].text);
        if (end == NULL) {
            puts("none");
            continue;
        }
        printf("%d; %d %d %d %d %d %d %d %d %d %ld\n", (int)(end - cases[i].text), time.tm_sec,
               time.tm_min, time.tm_hour, time.tm_mday, time.tm_mon, time.tm_year, time.tm_wday,
               time.tm_yday, time.tm_isdst, time.tm_gmtoff);
    }
}

static int compare(const void *one, const void *other, void *calls)
{
    ++*(int *)calls;
    return *(const int *)one - *(const int *)other;
}

static void test_sort(void)
{
    static const size_t counts[] = {0, 1, 2, 3, 10, 1000};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        int numbers[1000], calls = 0;
        uint32_t seed = 7;
        for (size_t k = 0; k < counts[i]; k++)
            numbers[k] = (int)((seed = seed * 1664525 + 1013904223) >> 8) % 500;
        qsort_r(numbers, counts[i], sizeof(int), compare, &calls);
        int good = 1, sum = 0;
        for (size_t k = 1; k < counts[i]; k++)
            good &= numbers[k - 1] <= numbers[k];
        for (size_t k = 0; k < counts[i]; k++)
            sum += numbers[k];
        printf("sorted %d, %d, %d\n", good, sum, calls < 20000);
    }
}

int main(void)
{
    test_floats();
    test_integers();
    test_too_wide();
    test_far_too_wide();
    test_strtod();
    test_scanf();
    test_options();
    test_dates();
    test_sort();
    test_wide();
    test_wide_streams();
    puts("corners: ok");
    return 0;
}
