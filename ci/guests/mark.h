/*
 * mark.h - markers that the benches' counter sees: an instruction without effect, for numbers 0 to 255.
 */
#ifndef MARK_H
#define MARK_H

/* The counter knows the instruction by its bytes (ci/bench.d/count.c). It is not counted itself. */
#define mark(number) __asm__ volatile("nopl 0x4d534b00+%c0(%%rax)" : : "i"(number) : "memory")

#endif
