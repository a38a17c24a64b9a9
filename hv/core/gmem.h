/*
 * gmem.h - the only way from a guest's address to memory.
 *
 * Each function walks the guest's page tables under guest.lock, supplies or copies a page that isn't there yet, and
 * works through the direct map. -SKEP_EFAULT: some byte is not mapped with the needed rights; -SKEP_ENOMEM: the
 * promise is used up. A copy that fails may have moved a part. Callers hold no lock after guest.lock in the order.
 */
#ifndef CORE_GMEM_H
#define CORE_GMEM_H

#include "core/guest.h"

int gmem_copy_in(struct guest *guest, void *to, gva_t from, size_t bytes);
int gmem_copy_out(struct guest *guest, gva_t to, const void *from, size_t bytes);

/* Pins the frame behind one address for reading, or for writing too. The bytes [address, end of its page) are then
 * at *physical until gmem_unpin(). */
int gmem_pin(struct guest *guest, gva_t address, bool write, paddr_t *physical);
void gmem_unpin(paddr_t physical);

/* The same for each page of memory that lies together, each of which is pinned once for it. */
void gmem_unpin_run(paddr_t physical, uint32_t bytes);

/* The same for the first byte of `address` and for each page that begins behind it, up to `count` in all. It ends early
 * behind a page that had to be supplied, which takes long, and before one that can't be pinned. How many, or the error of
 * the first. */
int gmem_pin_pages(struct guest *guest, gva_t address, bool write, uint32_t count,
                   paddr_t physical[]);

/* The same, but nothing is supplied, so that it is quick: it ends before a page that isn't there yet, too. How many. */
uint32_t gmem_pin_present(struct guest *guest, gva_t address, bool write, uint32_t count,
                          paddr_t physical[]);

/* Whether [address, address + bytes) lies in the part of the lower half that guests may use. No overflow. */
bool gmem_range_valid(gva_t address, uint64_t bytes);

#endif
