/*
 * texts.c - characters beyond ASCII: the locale C.UTF-8, wide ones, and iconv().
 * Prints what it finds; the same program does on Linux, and prints the same.
 */
#include <iconv.h>
#include <langinfo.h>
#include <limits.h>
#include <locale.h>
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

static void test_formats(void)
{
    wchar_t wide[32];
    printf("%ls %lc %.3ls\n", L"\xe9t\xe9", 0x20ac, L"\xe9\xe9\xe9");
    say("wide", swprintf(wide, 32, L"%ls %s", L"x", "\xc3\xa9"));
    printf("%ls\n", wide);
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
    say("no such", iconv_open("UTF-8", "no such") == (iconv_t)-1);
}

int main(void)
{
    test_locale();
    test_conversions();
    test_classes();
    test_formats();
    test_iconv();
    puts("texts: ok");
    return 0;
}
