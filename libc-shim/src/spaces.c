/*
 * spaces.c - which wide characters are white space. newlib looks into a table of what kind each character of Unicode is, and
 * into tables of Japanese ones: all programs that call sscanf() would have 28 KiB of these.
 */
#include <langinfo.h>
#include <locale.h>
#include <string.h>
#include <wctype.h>

/* As Linux has it: spaces at which no line may be broken aren't any. */
static int is_in_unicode(wint_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a && c != 0x2007) || c == 0x2028 || c == 0x2029 ||
           c == 0x205f || c == 0x3000;
}

/* Of the encodings whose wide characters aren't Unicode's each has one space beyond ASCII; the above are none of theirs. */
int iswspace_l(wint_t c, locale_t locale)
{
    if (is_in_unicode(c))
        return 1;
    const char *encoding = c == 0x2121   ? "JIS"
                           : c == 0x8140 ? "SJIS"
                           : c == 0xa1a1 ? "EUCJP"
                                         : NULL;
    if (encoding == NULL)
        return 0;
    return strcmp(locale != NULL ? nl_langinfo_l(CODESET, locale) : nl_langinfo(CODESET),
                  encoding) == 0;
}
