/*
 * upcall.c - how a vCPU is continued elsewhere than where it was interrupted, and what becomes of its faults.
 *
 * A fault is an upcall that the guest hasn't masked. While it has, it can't be told of any: it is in its scheduler, or at
 * the entry for faults with one that it hasn't taken. Then it ends. What its page says of the earlier fault only makes
 * up the record of that end, so that a guest which changes it lies about nobody else.
 */
#include "core/upcall.h"

#include "core/guest.h"
#include "core/lock.h"

int upcall_enter(struct vcpu *vcpu, uint64_t entry)
{
    struct skep_vcpu_page *page = vcpu->page;
    struct skep_context context;
    vcpu->upcalls++;
    arch_vcpu_context_get(vcpu, &context);
    page->context = context;
    atomic_store(&page->upcall_masked, 1);
    context.rip = entry;
    context.rsp = page->upcall_stack;
    context.rflags = 0;
    return arch_vcpu_context_set(vcpu, &context);
}

/* What the machine failed at is no fault of the guest's, nor is memory that it hasn't. */
static bool is_told(uint32_t reason)
{
    return reason >= SKEP_CRASH_DIVIDE && reason <= SKEP_CRASH_SIMD;
}

static bool is_mapped(struct guest *guest, uint64_t address)
{
    struct skep_mapping mapping;
    spin_lock(&guest->lock);
    aspace_describe(guest, address, &mapping);
    spin_unlock(&guest->lock);
    return mapping.kind != SKEP_MAPPING_NONE;
}

/* False: its entry is no address. */
static bool tell(struct vcpu *vcpu, uint64_t entry, enum skep_crash_reason reason, uint64_t address,
                 uint64_t error)
{
    struct skep_vcpu_page *page = vcpu->page;
    bool of_page = reason == SKEP_CRASH_PAGE_FAULT || reason == SKEP_CRASH_GUARD_PAGE;
    page->fault_address = address;
    /* Not whether ring 0 has something there. */
    page->fault_error =
        of_page && address >= SKEP_GUEST_VA_MAX ? error & ~(uint64_t)SKEP_FAULT_PRESENT : error;
    page->fault_mapped = of_page && is_mapped(vcpu->guest, address);
    atomic_store(&page->fault_reason, reason);
    return upcall_enter(vcpu, entry) == 0;
}

/* The vCPU gets back the registers of a fault that the guest hasn't taken, if there is one. */
static void recall(struct vcpu *vcpu, enum skep_crash_reason *reason, uint64_t *address,
                   uint64_t *error)
{
    struct skep_vcpu_page *page = vcpu->page;
    uint32_t untaken = atomic_load(&page->fault_reason);
    struct skep_context context = page->context;
    /* With the compiler: what is checked and used is the copy, whatever another vCPU writes to the page meanwhile. */
    atomic_signal_fence(memory_order_acq_rel);
    if (!atomic_load(&page->upcall_masked) || !is_told(untaken) ||
        arch_vcpu_context_set(vcpu, &context)) {
        return;
    }
    *reason = untaken;
    *address = page->fault_address;
    *error = page->fault_error;
}

void upcall_fault(struct vcpu *vcpu, enum skep_crash_reason reason, uint64_t address,
                  uint64_t error)
{
    uint64_t entry = vcpu->page->fault_entry;
    if (is_told(reason)) {
        if (entry && !atomic_load(&vcpu->page->upcall_masked) &&
            tell(vcpu, entry, reason, address, error)) {
            return;
        }
        recall(vcpu, &reason, &address, &error);
    }
    guest_crash(vcpu, reason, address, error);
}
