/* A library of the project's own, for which CMake makes an archive. */
const char *name(void);

const char *name(void)
{
    return "app";
}
