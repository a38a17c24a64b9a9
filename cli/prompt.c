/* prompt.c - questions to whoever sits at the terminal. */
#include "prompt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "fail.h"
#include "interrupt.h"

bool prompt_possible(void)
{
    return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

bool prompt_yes(const char *question)
{
    char answer[16] = "";

    fprintf(stderr, "%s [y/N] ", question);
    return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

/* Takes the end off a line that was read. */
static int take_line(FILE *file, const char *from, char *text, size_t room)
{
    if (!strchr(text, '\n') && !feof(file))
        return fail(EXIT_USAGE, "%s: the line is longer than %zu characters", from, room - 2);
    text[strcspn(text, "\r\n")] = '\0';
    return EXIT_OK;
}

int prompt_secret(const char *question, char *text, size_t room)
{
    struct termios before, silent;
    bool come;

    if (!prompt_possible() || tcgetattr(STDIN_FILENO, &before) != 0)
        return fail(EXIT_USAGE, "there is no terminal to ask for the %s at", question);
    interrupt_catch(); /* Ctrl-C must not leave the terminal without its echo */
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    fprintf(stderr, "%s: ", question);
    come = interrupt_read(STDIN_FILENO) && fgets(text, (int)room, stdin);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fputc('\n', stderr);
    return come ? take_line(stdin, "the terminal", text, room) : fail(EXIT_NO, "broken off");
}

int secret_from_file(const char *path, char *text, size_t room)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    int result;

    if (!file)
        return fail(EXIT_LOCAL, "%s: %s", path, strerror(errno));
    if (fgets(text, (int)room, file))
        result = take_line(file, path, text, room);
    else
        result = fail(EXIT_LOCAL, "%s: nothing could be read", path);
    if (file != stdin)
        fclose(file);
    return result;
}

void secret_forget(char *text, size_t room)
{
    explicit_bzero(text, room);
}
