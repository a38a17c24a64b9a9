/* main.c - the control service under ring 0. */
#include <unistd.h>

#include "service.h"

#define HTTPS_PORT 443

/* Ring 0 starts a service again at once when it ends. What kept it from serving may pass, but not so soon. */
#define RETRY_SECONDS 10

int main(void)
{
    int code = service_run(HTTPS_PORT);

    sleep(RETRY_SECONDS);
    return code;
}
