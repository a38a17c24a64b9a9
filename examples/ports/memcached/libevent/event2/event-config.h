/*
 * event-config.h - what libevent finds of POSIX in Skep's C library. Its own configure script would say the same of the
 * parts that are built here, by 250 attempts to compile something.
 */
#ifndef EVENT2_EVENT_CONFIG_H_INCLUDED_
#define EVENT2_EVENT_CONFIG_H_INCLUDED_

#define EVENT__HAVE_ARPA_INET_H   1
#define EVENT__HAVE_ERRNO_H       1
#define EVENT__HAVE_FCNTL_H       1
#define EVENT__HAVE_INTTYPES_H    1
#define EVENT__HAVE_NETDB_H       1
#define EVENT__HAVE_NETINET_IN_H  1
#define EVENT__HAVE_NETINET_TCP_H 1
#define EVENT__HAVE_STDARG_H      1
#define EVENT__HAVE_STDDEF_H      1
#define EVENT__HAVE_STDINT_H      1
#define EVENT__HAVE_STDLIB_H      1
#define EVENT__HAVE_SYS_EPOLL_H   1
#define EVENT__HAVE_SYS_EVENTFD_H 1
#define EVENT__HAVE_SYS_SOCKET_H  1
#define EVENT__HAVE_SYS_STAT_H    1
#define EVENT__HAVE_SYS_TIMERFD_H 1
#define EVENT__HAVE_SYS_TIME_H    1
#define EVENT__HAVE_SYS_TYPES_H   1
#define EVENT__HAVE_UNISTD_H      1

#define EVENT__HAVE_ACCEPT4        1
#define EVENT__HAVE_ARC4RANDOM     1
#define EVENT__HAVE_ARC4RANDOM_BUF 1
#define EVENT__HAVE_CLOCK_GETTIME  1
#define EVENT__HAVE_EPOLL          1
#define EVENT__HAVE_EPOLL_CREATE1  1
#define EVENT__HAVE_EVENTFD        1
#define EVENT__HAVE_GETADDRINFO    1
#define EVENT__HAVE_GETEGID        1
#define EVENT__HAVE_GETEUID        1
#define EVENT__HAVE_GETSERVBYNAME  1
#define EVENT__HAVE_GETTIMEOFDAY   1
#define EVENT__HAVE_INET_NTOP      1
#define EVENT__HAVE_INET_PTON      1
#define EVENT__HAVE_NANOSLEEP      1
#define EVENT__HAVE_PIPE           1
#define EVENT__HAVE_PIPE2          1
#define EVENT__HAVE_PTHREADS       1
#define EVENT__HAVE_SETFD          1
#define EVENT__HAVE_SIGACTION      1
#define EVENT__HAVE_STRLCPY        1
#define EVENT__HAVE_STRTOLL        1
#define EVENT__HAVE_TIMERADD       1
#define EVENT__HAVE_TIMERCLEAR     1
#define EVENT__HAVE_TIMERFD_CREATE 1
#define EVENT__HAVE_TIMERISSET     1
#define EVENT__HAVE_USLEEP         1
#define EVENT__HAVE_VASPRINTF      1

#define EVENT__HAVE_SA_FAMILY_T                       1
#define EVENT__HAVE_STRUCT_ADDRINFO                   1
#define EVENT__HAVE_STRUCT_IN6_ADDR                   1
#define EVENT__HAVE_STRUCT_SOCKADDR_IN6               1
#define EVENT__HAVE_STRUCT_SOCKADDR_STORAGE           1
#define EVENT__HAVE_STRUCT_SOCKADDR_STORAGE_SS_FAMILY 1
#define EVENT__HAVE_UINT8_T                           1
#define EVENT__HAVE_UINT16_T                          1
#define EVENT__HAVE_UINT32_T                          1
#define EVENT__HAVE_UINT64_T                          1
#define EVENT__HAVE_UINTPTR_T                         1
#define EVENT__SIZEOF_SHORT                           2
#define EVENT__SIZEOF_INT                             4
#define EVENT__SIZEOF_LONG                            8
#define EVENT__SIZEOF_LONG_LONG                       8
#define EVENT__SIZEOF_OFF_T                           8
#define EVENT__SIZEOF_PTHREAD_T                       8
#define EVENT__SIZEOF_SIZE_T                          8
#define EVENT__SIZEOF_VOID_P                          8

#define EVENT__DISABLE_DEBUG_MODE 1 /* a check of its callers, which costs time */
#define EVENT__NUMERIC_VERSION    0x02010d00
#define EVENT__VERSION            "2.1.13-stable"

#endif
