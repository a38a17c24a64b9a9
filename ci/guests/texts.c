/*
 * texts.c - characters beyond ASCII: the locale C.UTF-8, wide ones, and iconv(); and the formats of printf() that
 * need more than an argument after the other.
 * Prints what it finds; the same program does on Linux, and prints the same.
 */
#include <iconv.h>
#include <langinfo.h>
#include <limits.h>
#include <locale.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <wchar.h>
#include <wctype.h>

#include "say.h"

static void test_locale(void)
{
    say("one byte each", MB_CUR_MAX == 1);
    say("C at first", strcmp(setlocale(LC_ALL, NULL), "C"));
    say("C.UTF-8", setlocale(LC_ALL, "C.UTF-8") != NULL);
    say("named", strcmp(setlocale(LC_CTYPE, NULL), "C.UTF-8"));
    say("several bytes each", MB_CUR_MAX >= 4);
    puts(nl_langinfo(CODESET));
    say("C again", setlocale(LC_ALL, "C") != NULL && MB_CUR_MAX == 1);
    setlocale(LC_ALL, "C.UTF-8");
}

/* In the locale that the calling thread has. */
static void say_locale(const char *what)
{
    wchar_t wide;
    printf("%s: %d bytes, %s, %d\n", what, MB_CUR_MAX > 1,
           MB_CUR_MAX > 1 ? nl_langinfo(CODESET) : "", mbtowc(&wide, "\xc3\xa9", 2) == 2);
}

static void *with_locale(void *locale)
{
    say_locale("a new thread");
    say("its locale", uselocale((locale_t)0) == LC_GLOBAL_LOCALE);
    say("was none", uselocale(locale) == LC_GLOBAL_LOCALE);
    say("is", uselocale((locale_t)0) == locale);
    say_locale("with its own");
    puts(localeconv()->decimal_point);
    return NULL;
}

/* Each thread may have another than setlocale()'s. */
static void test_locales_of_threads(void)
{
    pthread_t thread;
    locale_t wide = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);
    locale_t narrow = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    say("locales", wide != (locale_t)0 && narrow != (locale_t)0);
    setlocale(LC_ALL, "C");
    say_locale("all");
    pthread_create(&thread, NULL, with_locale, wide);
    pthread_join(thread, NULL);
    say_locale("all still");
    setlocale(LC_ALL, "C.UTF-8");
    say_locale("all now");
    pthread_create(&thread, NULL, with_locale, narrow);
    pthread_join(thread, NULL);
    say("this one, too", uselocale(narrow) == LC_GLOBAL_LOCALE);
    say_locale("this one");
    printf("%s\n", setlocale(LC_CTYPE, NULL));
    say("as all", uselocale(LC_GLOBAL_LOCALE) == narrow);
    say_locale("as all");
    locale_t copy = duplocale(wide);
    say("copy", copy != (locale_t)0 && copy != wide);
    freelocale(wide);
    say("changed", uselocale(copy) == LC_GLOBAL_LOCALE);
    say_locale("changed");
    uselocale(LC_GLOBAL_LOCALE);
    say("ctype alone", (copy = newlocale(LC_CTYPE_MASK, "C", copy)) != (locale_t)0);
    uselocale(copy);
    say_locale("ctype");
    uselocale(LC_GLOBAL_LOCALE);
    freelocale(copy);
    freelocale(narrow);
    say("no such",
        newlocale(LC_ALL_MASK, "no such", (locale_t)0) == (locale_t)0 && errno == ENOENT);
    say("wrong", newlocale(1 << 20, "C", (locale_t)0) == (locale_t)0 && errno == EINVAL);
}

/* What the environment says. */
static void test_locale_of_environment(void)
{
    unsetenv("LC_ALL"), unsetenv("LC_CTYPE"), unsetenv("LANG");
    puts(setlocale(LC_ALL, ""));
    setenv("LANG", "C.UTF-8", 1);
    puts(setlocale(LC_ALL, ""));
    say_locale("LANG");
    setenv("LC_CTYPE", "POSIX", 1);
    puts(setlocale(LC_CTYPE, ""));
    setenv("LC_ALL", "C.UTF-8", 1);
    puts(setlocale(LC_CTYPE, ""));
    say_locale("LC_ALL");
    setenv("LC_ALL", "no such", 1);
    say("no such", setlocale(LC_ALL, "") == NULL);
    say_locale("as before");
    unsetenv("LC_ALL"), unsetenv("LC_CTYPE"), unsetenv("LANG");
}

static void say_wide(const char *what, const char *bytes, size_t count, mbstate_t *state)
{
    wchar_t wide = 0;
    ssize_t result = (ssize_t)mbrtowc(&wide, bytes, count, state);
    printf("%s: %zd %lx\n", what, result, result < 0 ? 0 : (unsigned long)wide);
}

static void test_conversions(void)
{
    mbstate_t state = {0};
    wchar_t wide, text[8];
    char bytes[16];
    say_wide("two", "\xc3\xa9", 2, &state);
    say_wide("four", "\xf0\x9f\x98\x80", 4, &state);
    say_wide("a part", "\xe2\x82", 2, &state);
    say_wide("the rest", "\xac", 1, &state);
    say("wrong", (long)mbrtowc(&wide, "\xff", 1, memset(&state, 0, sizeof(state))));
    say("too long", (long)mbrtowc(&wide, "\xc0\x80", 2, memset(&state, 0, sizeof(state))));
    say("back", (long)wcrtomb(bytes, 0x20ac, memset(&state, 0, sizeof(state))));
    say("same", memcmp(bytes, "\xe2\x82\xac", 3));
    say("a text", (long)mbstowcs(text, "h\xc3\xa9llo", 8));
    say("and back", (long)wcstombs(bytes, text, sizeof(bytes)));
    say("bytes", mblen("\xc3\xa9", 2));
    say("no character alone", btowc(0xe9) == WEOF && wctob(0xe9) == EOF);
}

/* A surrogate is no character, nor is what lies beyond the last. */
static void test_no_characters(void)
{
    mbstate_t state = {0};
    char bytes[16];
    static const char *const texts[] = {"\xed\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf",
                                        "\xee\x80\x80", "\xf4\x8f\xbf\xbf"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        say_wide("at the end", texts[i], strlen(texts[i]), memset(&state, 0, sizeof(state)));
    static const wchar_t characters[] = {0xd7ff, 0xd800, 0xdfff, 0xe000, 0x10ffff};
    for (size_t i = 0; i < sizeof(characters) / sizeof(*characters); i++)
        say("back", (long)wcrtomb(bytes, characters[i], memset(&state, 0, sizeof(state))));
}

/* Streams into memory, and of nothing. */
static void test_streams(void)
{
    wchar_t *text;
    size_t length = 99;
    FILE *stream = open_wmemstream(&text, &length);
    say("written", fputws(L"h\xe9llo \x20ac", stream) >= 0);
    say("flushed", fflush(stream));
    printf("%zu %ls\n", length, text);
    say("more", fwprintf(stream, L" %d %ls", 42, L"\xe9"));
    say("at", ftell(stream));
    fflush(stream);
    printf("%zu %ls\n", length, text);
    for (int i = 0; i < 1000; i++)
        fputwc(0x4e00 + i, stream);
    say("closed", fclose(stream));
    printf("%zu %lx %lx\n", length, (unsigned long)text[length - 1], (unsigned long)text[length]);
    free(text);
    char byte[4] = "abc";
    volatile size_t none = 0;
    FILE *null = fopen("/dev/null", "r+");
    say("elements of nothing", (long)fwrite(byte, none, 5, null));
    say("no elements", (long)fwrite(byte, 5, none, null));
    say("nor to read", (long)fread(byte, none, 5, null));
    fclose(null);
}

static void test_classes(void)
{
    say("letters", iswalpha(0xe9) && iswalpha(0x4e2d) && !iswalpha('5'));
    say("cases", iswupper(0xc9) && towlower(0xc9) == 0xe9 && towupper(0x3b1) == 0x391);
    say("named", iswctype(0xe9, wctype("alpha")) && towctrans(0xe9, wctrans("toupper")) == 0xc9);
    say("blanks", iswspace(0x3000) && iswpunct(0x2014));
    say("width", wcwidth(0x4e2d));
    say("none", wcwidth(0x301));
    say("without case", wcscasecmp(L"\xc9", L"\xe9"));
}

/* newlib's wide characters of Japanese encodings aren't Unicode. Linux may lack these locales. */
static void test_spaces(void)
{
    unsigned long count = 0, sum = 0;
    for (wint_t c = 0; c < 0x110000; c++)
        if (iswspace(c) != 0)
            count++, sum = sum * 31 + c;
    printf("%lu spaces, %lx\n", count, sum);
    say("none", iswspace(WEOF) == 0);
    static const struct {
        const char *locale, *space, *other;
    } japanese[] = {{"ja_JP.eucJP", "\xa1\xa1", "\xa1\xa2"},
                    {"ja_JP.SJIS", "\x81\x40", "\x81\x41"}};
    for (unsigned i = 0; i < 2; i++) {
        wchar_t space, other;
        bool there = setlocale(LC_CTYPE, japanese[i].locale) != NULL;
        say("of Japanese",
            !there || (mbtowc(&space, japanese[i].space, 2) == 2 && iswspace((wint_t)space) != 0 &&
                       mbtowc(&other, japanese[i].other, 2) == 2 && iswspace((wint_t)other) == 0));
    }
    setlocale(LC_ALL, "C.UTF-8");
    say("others", iswspace(0x2121) || iswspace(0x8140) || iswspace(0xa1a1));
}

static void test_formats(void)
{
    wchar_t wide[32];
    printf("%ls %lc %.3ls\n", L"\xe9t\xe9", 0x20ac, L"\xe9\xe9\xe9");
    say("wide", swprintf(wide, 32, L"%ls %s", L"x", "\xc3\xa9"));
    printf("%ls\n", wide);
}

/* Arguments by number, and what errno means. */
static void test_arguments(void)
{
    char text[64], *made;
    printf("%2$s, %1$s: %3$.*4$f [%6$*5$d]\n", "world", "hello", 3.14159, 2, 6, 42);
    say("bytes", snprintf(text, sizeof(text), "%2$d%%%1$d $", 1, 2));
    puts(text);
    say("made", asprintf(&made, "%2$Lg %1$c", 'x', 2.5L));
    puts(made);
    free(made);
    fprintf(stdout, "%1$d %1$d\n", 7);
    errno = ENOENT;
    printf("%m, %d\n", 1);
    errno = EAGAIN;
    say("in a text", snprintf(text, sizeof(text), "%.8m|%2d", 5));
    puts(text);
    errno = EPERM;
    say("wide", swprintf((wchar_t[64]){0}, 64, L"%m"));
}

/* Converts a text and says the bytes. */
static void convert(const char *to, const char *from, const char *text)
{
    iconv_t way = iconv_open(to, from);
    char in[32], out[64], *next_in = in, *next_out = out;
    size_t left_in = strlen(strcpy(in, text)), left_out = sizeof(out);
    printf("%s from %s: ", to, from);
    say("result", (long)iconv(way, &next_in, &left_in, &next_out, &left_out));
    for (const char *byte = out; byte != next_out; byte++)
        printf("%02x ", (unsigned char)*byte);
    printf("and %zu left\n", left_in);
    iconv_close(way);
}

static void test_iconv(void)
{
    convert("UTF-8", "ISO-8859-1", "caf\xe9");
    convert("ISO-8859-15", "UTF-8", "\xe2\x82\xac");
    convert("UTF-16BE", "UTF-8", "\xf0\x9f\x98\x80");
    convert("UCS-4LE", "UTF-8", "\xc3\xa9");
    convert("UTF-8", "KOI8-R", "\xcd\xc9\xd2");
    convert("UTF-8", "CP1252", "\x80");
    convert("UTF-8", "EUC-JP", "\xc6\xfc\xcb\xdc");
    convert("US-ASCII", "UTF-8", "abc\xff");
    convert("US-ASCII", "UTF-8", "ab\xc3");
    convert("UTF-8", "UTF-8", "\xc3\xa9\xff");
    convert("UTF-8", "UTF-8", "");
    errno = 0;
    say("no such", iconv_open("UTF-8", "no such") == (iconv_t)-1 && errno == EINVAL);
    errno = 0;
    say("nor to it", iconv_open("no such", "UTF-8") == (iconv_t)-1 && errno == EINVAL);
}

/* Room for some of it only. */
static void test_iconv_in_parts(void)
{
    char in[] = "a\xc3\xa9z", out[8] = {0}, *next_in = in, *next_out = out;
    size_t left_in = 4, left_out = 2;
    iconv_t way = iconv_open("UTF-8", "UTF-8");
    say("no room",
        iconv(way, &next_in, &left_in, &next_out, &left_out) == (size_t)-1 && errno == E2BIG);
    printf("%zu %zu %td %td\n", left_in, left_out, next_in - in, next_out - out);
    left_out = 3;
    say("fits", (long)iconv(way, &next_in, &left_in, &next_out, &left_out));
    printf("%zu %zu %s\n", left_in, left_out, out);
    next_in = in, left_in = 2, next_out = out, left_out = 8;
    say("a part",
        iconv(way, &next_in, &left_in, &next_out, &left_out) == (size_t)-1 && errno == EINVAL);
    printf("%zu %zu\n", left_in, left_out);
    say("reset", (long)iconv(way, NULL, NULL, NULL, NULL));
    say("closed", iconv_close(way));
}

/* What is read: space before a percent sign, BSD's length. */
static void test_reading(void)
{
    char text[8] = "";
    int one = 0, other = 0;
    long long large = 0;
    say("a percent sign", sscanf("12 % ab", "%d%%%7s", &one, text)); /* NOLINT: numbers fit */
    puts(text);
    say("a large one", sscanf("-123456789012", "%qd", &large)); /* NOLINT */
    printf("%lld\n", large);
    say("wide", swscanf(L"7 % 8", L"%d%%%d", &one, &other)); /* NOLINT */
    printf("%d %d\n", one, other);
}

int main(void)
{
    test_locale();
    test_conversions();
    test_no_characters();
    test_streams();
    test_classes();
    test_spaces();
    test_formats();
    test_arguments();
    test_reading();
    test_iconv();
    test_iconv_in_parts();
    test_locales_of_threads();
    test_locale_of_environment();
    puts("texts: ok");
    return 0;
}
