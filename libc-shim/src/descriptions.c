/*
 * descriptions.c - what errors and signals mean, in the words that programs for Linux know: newlib has others.
 */
#include <signal.h>
#include <string.h>

#include "shim.h"

#define NUMBERED_BYTES 32u /* "Unknown signal -2147483648" */

/* ERROR(number, description) for each of them. */
/* clang-format off */
#define ALL_ERRORS                                                     \
    ERROR(EPERM, "Operation not permitted")                            \
    ERROR(ENOENT, "No such file or directory")                         \
    ERROR(ESRCH, "No such process")                                    \
    ERROR(EINTR, "Interrupted system call")                            \
    ERROR(EIO, "Input/output error")                                   \
    ERROR(ENXIO, "No such device or address")                          \
    ERROR(E2BIG, "Argument list too long")                             \
    ERROR(ENOEXEC, "Exec format error")                                \
    ERROR(EBADF, "Bad file descriptor")                                \
    ERROR(ECHILD, "No child processes")                                \
    ERROR(EAGAIN, "Resource temporarily unavailable")                  \
    ERROR(ENOMEM, "Cannot allocate memory")                            \
    ERROR(EACCES, "Permission denied")                                 \
    ERROR(EFAULT, "Bad address")                                       \
    ERROR(ENOTBLK, "Block device required")                            \
    ERROR(EBUSY, "Device or resource busy")                            \
    ERROR(EEXIST, "File exists")                                       \
    ERROR(EXDEV, "Invalid cross-device link")                          \
    ERROR(ENODEV, "No such device")                                    \
    ERROR(ENOTDIR, "Not a directory")                                  \
    ERROR(EISDIR, "Is a directory")                                    \
    ERROR(EINVAL, "Invalid argument")                                  \
    ERROR(ENFILE, "Too many open files in system")                     \
    ERROR(EMFILE, "Too many open files")                               \
    ERROR(ENOTTY, "Inappropriate ioctl for device")                    \
    ERROR(ETXTBSY, "Text file busy")                                   \
    ERROR(EFBIG, "File too large")                                     \
    ERROR(ENOSPC, "No space left on device")                           \
    ERROR(ESPIPE, "Illegal seek")                                      \
    ERROR(EROFS, "Read-only file system")                              \
    ERROR(EMLINK, "Too many links")                                    \
    ERROR(EPIPE, "Broken pipe")                                        \
    ERROR(EDOM, "Numerical argument out of domain")                    \
    ERROR(ERANGE, "Numerical result out of range")                     \
    ERROR(ENOMSG, "No message of desired type")                        \
    ERROR(EIDRM, "Identifier removed")                                 \
    ERROR(ECHRNG, "Channel number out of range")                       \
    ERROR(EL2NSYNC, "Level 2 not synchronized")                        \
    ERROR(EL3HLT, "Level 3 halted")                                    \
    ERROR(EL3RST, "Level 3 reset")                                     \
    ERROR(ELNRNG, "Link number out of range")                          \
    ERROR(EUNATCH, "Protocol driver not attached")                     \
    ERROR(ENOCSI, "No CSI structure available")                        \
    ERROR(EL2HLT, "Level 2 halted")                                    \
    ERROR(EDEADLK, "Resource deadlock avoided")                        \
    ERROR(ENOLCK, "No locks available")                                \
    ERROR(EBADE, "Invalid exchange")                                   \
    ERROR(EBADR, "Invalid request descriptor")                         \
    ERROR(EXFULL, "Exchange full")                                     \
    ERROR(ENOANO, "No anode")                                          \
    ERROR(EBADRQC, "Invalid request code")                             \
    ERROR(EBADSLT, "Invalid slot")                                     \
    ERROR(EDEADLOCK, "Resource deadlock avoided")                      \
    ERROR(EBFONT, "Bad font file format")                              \
    ERROR(ENOSTR, "Device not a stream")                               \
    ERROR(ENODATA, "No data available")                                \
    ERROR(ETIME, "Timer expired")                                      \
    ERROR(ENOSR, "Out of streams resources")                           \
    ERROR(ENONET, "Machine is not on the network")                     \
    ERROR(ENOPKG, "Package not installed")                             \
    ERROR(EREMOTE, "Object is remote")                                 \
    ERROR(ENOLINK, "Link has been severed")                            \
    ERROR(EADV, "Advertise error")                                     \
    ERROR(ESRMNT, "Srmount error")                                     \
    ERROR(ECOMM, "Communication error on send")                        \
    ERROR(EPROTO, "Protocol error")                                    \
    ERROR(EMULTIHOP, "Multihop attempted")                             \
    ERROR(EDOTDOT, "RFS specific error")                               \
    ERROR(EBADMSG, "Bad message")                                      \
    ERROR(EFTYPE, "Inappropriate file type or format")                 \
    ERROR(ENOTUNIQ, "Name not unique on network")                      \
    ERROR(EBADFD, "File descriptor in bad state")                      \
    ERROR(EREMCHG, "Remote address changed")                           \
    ERROR(ELIBACC, "Can not access a needed shared library")           \
    ERROR(ELIBBAD, "Accessing a corrupted shared library")             \
    ERROR(ELIBSCN, ".lib section in a.out corrupted")                  \
    ERROR(ELIBMAX, "Attempting to link in too many shared libraries")  \
    ERROR(ELIBEXEC, "Cannot exec a shared library directly")           \
    ERROR(ENOSYS, "Function not implemented")                          \
    ERROR(ENOTEMPTY, "Directory not empty")                            \
    ERROR(ENAMETOOLONG, "File name too long")                          \
    ERROR(ELOOP, "Too many levels of symbolic links")                  \
    ERROR(EOPNOTSUPP, "Operation not supported")                       \
    ERROR(EPFNOSUPPORT, "Protocol family not supported")               \
    ERROR(ECONNRESET, "Connection reset by peer")                      \
    ERROR(ENOBUFS, "No buffer space available")                        \
    ERROR(EAFNOSUPPORT, "Address family not supported by protocol")    \
    ERROR(EPROTOTYPE, "Protocol wrong type for socket")                \
    ERROR(ENOTSOCK, "Socket operation on non-socket")                  \
    ERROR(ENOPROTOOPT, "Protocol not available")                       \
    ERROR(ESHUTDOWN, "Cannot send after transport endpoint shutdown")  \
    ERROR(ECONNREFUSED, "Connection refused")                          \
    ERROR(EADDRINUSE, "Address already in use")                        \
    ERROR(ECONNABORTED, "Software caused connection abort")            \
    ERROR(ENETUNREACH, "Network is unreachable")                       \
    ERROR(ENETDOWN, "Network is down")                                 \
    ERROR(ETIMEDOUT, "Connection timed out")                           \
    ERROR(EHOSTDOWN, "Host is down")                                   \
    ERROR(EHOSTUNREACH, "No route to host")                            \
    ERROR(EINPROGRESS, "Operation now in progress")                    \
    ERROR(EALREADY, "Operation already in progress")                   \
    ERROR(EDESTADDRREQ, "Destination address required")                \
    ERROR(EMSGSIZE, "Message too long")                                \
    ERROR(EPROTONOSUPPORT, "Protocol not supported")                   \
    ERROR(ESOCKTNOSUPPORT, "Socket type not supported")                \
    ERROR(EADDRNOTAVAIL, "Cannot assign requested address")            \
    ERROR(ENETRESET, "Network dropped connection on reset")            \
    ERROR(EISCONN, "Transport endpoint is already connected")          \
    ERROR(ENOTCONN, "Transport endpoint is not connected")             \
    ERROR(ETOOMANYREFS, "Too many references: cannot splice")          \
    ERROR(EPROCLIM, "Too many processes")                              \
    ERROR(EUSERS, "Too many users")                                    \
    ERROR(EDQUOT, "Disk quota exceeded")                               \
    ERROR(ESTALE, "Stale file handle")                                 \
    ERROR(ENOTSUP, "Operation not supported")                          \
    ERROR(ENOMEDIUM, "No medium found")                                \
    ERROR(EILSEQ, "Invalid or incomplete multibyte or wide character") \
    ERROR(EOVERFLOW, "Value too large for defined data type")          \
    ERROR(ECANCELED, "Operation canceled")                             \
    ERROR(ENOTRECOVERABLE, "State not recoverable")                    \
    ERROR(EOWNERDEAD, "Owner died")                                    \
    ERROR(ESTRPIPE, "Streams pipe error")
/* clang-format on */

/* All of them one behind the other, and where each begins: pointers would take more room, and corrections when the program
 * starts. */
#define ERROR(number, description) char of_##number[sizeof(description)];
struct errors {
    char of_0[sizeof("Success")];
    ALL_ERRORS
};
#undef ERROR
#define ERROR(number, description) description,
static const struct errors errors = {"Success", ALL_ERRORS};
#undef ERROR
#define ERROR(number, description) [number] = offsetof(struct errors, of_##number),
static const uint16_t error_starts[] = {ALL_ERRORS};
#undef ERROR

/* Whether newlib has an error of that number. */
static bool is_error(int number)
{
    return number > 0 && (size_t)number < sizeof(error_starts) / sizeof(*error_starts) &&
           error_starts[number] != 0;
}

#define ERROR(number, description) \
    case number:                   \
        return #number;
__attribute__((weak)) const char *strerrorname_np(int number)
{
    switch (number) {
    case 0:
        return "0";
        ALL_ERRORS
    default:
        return NULL;
    }
}
#undef ERROR

__attribute__((weak)) const char *strerrordesc_np(int number)
{
    return number == 0 || is_error(number) ? strerror(number) : NULL;
}

/* The calling thread's until its next call. Without printf(), which a program may have no other use for. */
static char *numbered(const char *what, int number)
{
    static _Thread_local char text[NUMBERED_BYTES];
    char digits[NUMBERED_BYTES], *first = digits + sizeof(digits);
    unsigned left = number < 0 ? 0u - (unsigned)number : (unsigned)number;
    *--first = 0;
    do
        *--first = (char)('0' + left % 10);
    while ((left /= 10) != 0);
    if (number < 0)
        *--first = '-';
    memcpy(stpcpy(text, what), first, (size_t)(digits + sizeof(digits) - first));
    return text;
}

/* Below all that newlib has for errors. *error: EINVAL if there is none of that number. */
char *_strerror_r(struct _reent *unused, int number, int internal, int *error)
{
    if (number == 0)
        return (char *)errors.of_0;
    if (is_error(number))
        return (char *)&errors + error_starts[number];
    if (error != NULL)
        *error = EINVAL;
    return numbered("Unknown error ", number);
}

char *strerror(int number)
{
    return _strerror_r(NULL, number, 0, NULL);
}

char *strerror_l(int number, locale_t locale)
{
    return strerror(number);
}

/* SIGNAL(name, description) for each of them. */
/* clang-format off */
#define ALL_SIGNALS \
    SIGNAL(HUP, "Hangup") \
    SIGNAL(INT, "Interrupt") \
    SIGNAL(QUIT, "Quit") \
    SIGNAL(ILL, "Illegal instruction") \
    SIGNAL(TRAP, "Trace/breakpoint trap") \
    SIGNAL(ABRT, "Aborted") \
    SIGNAL(EMT, "EMT trap") \
    SIGNAL(FPE, "Floating point exception") \
    SIGNAL(KILL, "Killed") \
    SIGNAL(BUS, "Bus error") \
    SIGNAL(SEGV, "Segmentation fault") \
    SIGNAL(SYS, "Bad system call") \
    SIGNAL(PIPE, "Broken pipe") \
    SIGNAL(ALRM, "Alarm clock") \
    SIGNAL(TERM, "Terminated") \
    SIGNAL(URG, "Urgent I/O condition") \
    SIGNAL(STOP, "Stopped (signal)") \
    SIGNAL(TSTP, "Stopped") \
    SIGNAL(CONT, "Continued") \
    SIGNAL(CHLD, "Child exited") \
    SIGNAL(TTIN, "Stopped (tty input)") \
    SIGNAL(TTOU, "Stopped (tty output)") \
    SIGNAL(POLL, "I/O possible") \
    SIGNAL(XCPU, "CPU time limit exceeded") \
    SIGNAL(XFSZ, "File size limit exceeded") \
    SIGNAL(VTALRM, "Virtual timer expired") \
    SIGNAL(PROF, "Profiling timer expired") \
    SIGNAL(WINCH, "Window changed") \
    SIGNAL(LOST, "Resource lost") \
    SIGNAL(USR1, "User defined signal 1") \
    SIGNAL(USR2, "User defined signal 2")
/* clang-format on */

#define SIGNAL(name, description) \
    case SIG##name:               \
        return description;
static const char *signal_description(int number)
{
    switch (number) {
        ALL_SIGNALS
    default:
        return NULL;
    }
}
#undef SIGNAL

char *strsignal(int number)
{
#ifdef SIGRTMIN
    if (number >= SIGRTMIN && number <= SIGRTMAX)
        return numbered("Real-time signal ", number - SIGRTMIN);
#endif
    const char *known = signal_description(number);
    return known != NULL ? (char *)known : numbered("Unknown signal ", number);
}

__attribute__((weak)) const char *sigdescr_np(int number)
{
    return signal_description(number);
}

#define SIGNAL(name, description) \
    case SIG##name:               \
        return #name;
__attribute__((weak)) const char *sigabbrev_np(int number)
{
    switch (number) {
        ALL_SIGNALS
    default:
        return NULL;
    }
}
#undef SIGNAL
