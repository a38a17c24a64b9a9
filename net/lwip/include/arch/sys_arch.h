/*
 * sys_arch.h - lwIP's semaphores, mutexes and mailboxes, made of guestlib's wait words.
 */
#ifndef SKEP_LWIP_SYS_ARCH_H
#define SKEP_LWIP_SYS_ARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "skep/thread.h"

typedef struct {
    _Atomic uint32_t count;
    bool valid;
} sys_sem_t;

typedef struct skep_mutex sys_mutex_t;

struct network_mailbox;
typedef struct network_mailbox *sys_mbox_t;

typedef struct skep_thread *sys_thread_t;
/* lwIP's lock for a few instructions. Inline: it is taken for each change of a count. */
typedef bool sys_prot_t;
extern struct skep_spinlock network_protection;
#define SYS_ARCH_DECL_PROTECT(were_masked) sys_prot_t were_masked
#define SYS_ARCH_PROTECT(were_masked)      were_masked = skep_spin_lock(&network_protection)
#define SYS_ARCH_UNPROTECT(were_masked)    skep_spin_unlock(&network_protection, were_masked)

#define sys_sem_valid(sem)                ((sem)->valid)
#define sys_sem_valid_val(sem)            ((sem).valid)
#define sys_sem_set_invalid(sem)          ((void)((sem)->valid = false))
#define sys_sem_set_invalid_val(sem)      ((void)((sem).valid = false))
#define sys_mutex_valid(mutex)            (true)
#define sys_mutex_set_invalid(mutex)      ((void)0)
#define sys_mbox_valid(mailbox)           (*(mailbox) != NULL)
#define sys_mbox_valid_val(mailbox)       ((mailbox) != NULL)
#define sys_mbox_set_invalid(mailbox)     ((void)(*(mailbox) = NULL))
#define sys_mbox_set_invalid_val(mailbox) ((void)((mailbox) = NULL))

/* The semaphore on which a thread waits for the stack. */
sys_sem_t *network_thread_semaphore(void);
#define LWIP_NETCONN_THREAD_SEM_GET()   network_thread_semaphore()
#define LWIP_NETCONN_THREAD_SEM_ALLOC() ((void)0)
#define LWIP_NETCONN_THREAD_SEM_FREE()  ((void)0)

/* As sys_arch_sem_wait(); that the call was interrupted is a timeout, too. */
uint32_t network_operation_wait(sys_sem_t *semaphore, uint32_t timeout_ms);

#endif
