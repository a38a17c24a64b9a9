/*
 * unreached.c - tells its peer what it hears of datagrams that didn't arrive: unreached ADDRESS PORT. Each datagram of the
 * peer's is answered with "kept", each error with "refused"; "end" ends it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int connect_to(const char *address, in_port_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = port};
    struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = port};
    bool is_6 = inet_pton(AF_INET6, address, &to6.sin6_addr) == 1;
    inet_pton(AF_INET, address, &to.sin_addr);
    int s = socket(is_6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
    bool is_connected =
        s >= 0 && connect(s, is_6 ? (struct sockaddr *)&to6 : (struct sockaddr *)&to,
                          is_6 ? sizeof(to6) : sizeof(to)) == 0;
    return is_connected ? s : -1;
}

/* An error that came meanwhile is told first. */
static bool tell(int s, const char *what)
{
    if (send(s, what, strlen(what), 0) >= 0)
        return true;
    return errno == ECONNREFUSED && tell(s, "refused") && tell(s, what);
}

int main(int argc, char **argv)
{
    int s = argc == 3 ? connect_to(argv[1], htons((in_port_t)strtoul(argv[2], NULL, 10))) : -1;
    const char *said = "begun";
    char data[16];
    for (;;) {
        if (!tell(s, said)) {
            perror("send");
            return 1;
        }
        ssize_t bytes = recv(s, data, sizeof(data), 0);
        if (bytes == 3 && memcmp(data, "end", 3) == 0)
            return 0;
        if (bytes < 0 && errno != ECONNREFUSED) {
            perror("recv");
            return 1;
        }
        said = bytes < 0 ? "refused" : "kept";
    }
}
