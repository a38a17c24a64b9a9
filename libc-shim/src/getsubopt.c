/*
 * getsubopt.c - the parts of an option's argument, "name=value,name". newlib's doesn't tell which one is unknown.
 */
#include <stdlib.h>
#include <string.h>

int getsubopt(char **option, char *const *names, char **value)
{
    char *begin = *option, *end = strchrnul(begin, ',');
    *option = end + (*end != 0);
    *end = 0;

    char *equals = strchr(begin, '=');
    size_t bytes = equals != NULL ? (size_t)(equals - begin) : strlen(begin);
    for (int i = 0; names[i] != NULL; i++)
        if (strncmp(names[i], begin, bytes) == 0 && names[i][bytes] == 0) {
            *value = equals != NULL ? equals + 1 : NULL;
            return i;
        }
    *value = begin;
    return -1;
}
