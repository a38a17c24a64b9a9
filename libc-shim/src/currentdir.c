/*
 * currentdir.c - the current folder's path, on the heap. $PWD isn't asked: no link leads there that getcwd() doesn't follow.
 */
#include <unistd.h>

char *get_current_dir_name(void)
{
    return getcwd(NULL, 0);
}
