// SPDX-License-Identifier: GPL-3.0-or-later

// MD2's look-ups for two groups and 11 chains, in assembly: it needs every register,
// and gcc spills chains.  The order of the instructions is the best of some ten
// thousand timed ones, each made from the best before by moving a few instructions
// about: 28.3 cycles a column, where plain orders take 30 to 32 and the vector ports
// alone would need 27.3.
//
//     rdi  the column               rdx  struct md2_tables
//     rsi  where the columns end    rcx  md2_s
//     ymm0, ymm1                    t of the two groups
//     rax, r8-r11, rbx, rbp, r12-r15    t of the chains
//     ymm2                          16 in every byte
//     ymm3-ymm10                    the first four tables of each half

#ifndef KIGO_AVX2_MD2_ASM_H
#define KIGO_AVX2_MD2_ASM_H

#include "vec.h"

// MD2_ASM_COLUMN replaces each t by x ^ S[t] and the column x by it.  Before a t is
// used, IN may change it.
#define MD2_ASM_COLUMN(IN) \
	IN("xorb", "1", "%r8b") \
	"movzbl (%rcx,%r8), %r8d\n" \
	IN("vpxor", "32", "%ymm0, %ymm0") \
	"vpand 512(%rdx), %ymm0, %ymm11\n" \
	"vpshufb %ymm11, %ymm3, %ymm12\n" \
	"vpshufb %ymm11, %ymm4, %ymm13\n" \
	IN("xorb", "0", "%al") \
	"movzbl (%rcx,%rax), %eax\n" \
	"xorb (%rdi), %al\n" \
	"vpsubb %ymm2, %ymm11, %ymm11\n" \
	"vpshufb %ymm11, %ymm6, %ymm15\n" \
	"vpxor %ymm15, %ymm13, %ymm13\n" \
	"vpshufb %ymm11, %ymm5, %ymm14\n" \
	IN("xorb", "7", "%r12b") \
	"movzbl (%rcx,%r12), %r12d\n" \
	"vpsubb %ymm2, %ymm11, %ymm11\n" \
	IN("xorb", "4", "%r11b") \
	"movzbl (%rcx,%r11), %r11d\n" \
	"vpxor %ymm14, %ymm12, %ymm12\n" \
	"vpshufb %ymm11, %ymm8, %ymm15\n" \
	"xorb 4(%rdi), %r11b\n" \
	"vpshufb %ymm11, %ymm7, %ymm14\n" \
	"vpsubb %ymm2, %ymm11, %ymm11\n" \
	"xorb 1(%rdi), %r8b\n" \
	"vpxor %ymm15, %ymm13, %ymm13\n" \
	"vpxor %ymm14, %ymm12, %ymm12\n" \
	"vpshufb %ymm11, %ymm10, %ymm15\n" \
	"vpshufb %ymm11, %ymm9, %ymm14\n" \
	"vpsubb %ymm2, %ymm11, %ymm11\n" \
	"vpxor %ymm15, %ymm13, %ymm13\n" \
	"vmovdqa 384(%rdx), %ymm15\n" \
	"vpxor %ymm14, %ymm12, %ymm12\n" \
	"vmovdqa 128(%rdx), %ymm14\n" \
	"vpshufb %ymm11, %ymm14, %ymm14\n" \
	"vpshufb %ymm11, %ymm15, %ymm15\n" \
	"vpxor %ymm14, %ymm12, %ymm12\n" \
	"vpsubb %ymm2, %ymm11, %ymm11\n" \
	"vpxor %ymm15, %ymm13, %ymm13\n" \
	"vmovdqa 160(%rdx), %ymm14\n" \
	"vpshufb %ymm11, %ymm14, %ymm14\n" \
	IN("xorb", "2", "%r9b") \
	"movzbl (%rcx,%r9), %r9d\n" \
	IN("xorb", "5", "%bl") \
	"movzbl (%rcx,%rbx), %ebx\n" \
	"vmovdqa 416(%rdx), %ymm15\n" \
	"vpshufb %ymm11, %ymm15, %ymm15\n" \
	"vpxor %ymm15, %ymm13, %ymm13\n" \
	"vpsubb %ymm2, %ymm11, %ymm11\n" \
	"xorb 7(%rdi), %r12b\n" \
	IN("xorb", "6", "%bpl") \
	"movzbl (%rcx,%rbp), %ebp\n" \
	IN("xorb", "3", "%r10b") \
	"movzbl (%rcx,%r10), %r10d\n" \
	"xorb 2(%rdi), %r9b\n" \
	"vmovdqa 448(%rdx), %ymm15\n" \
	IN("xorb", "8", "%r13b") \
	"movzbl (%rcx,%r13), %r13d\n" \
	"vpxor %ymm14, %ymm12, %ymm12\n" \
	"vpshufb %ymm11, %ymm15, %ymm15\n" \
	"vmovdqa 192(%rdx), %ymm14\n" \
	"vpshufb %ymm11, %ymm14, %ymm14\n" \
	"vpsubb %ymm2, %ymm11, %ymm11\n" \
	"movb %r8b, 1(%rdi)\n" \
	"vpxor %ymm14, %ymm12, %ymm12\n" \
	"movb %al, (%rdi)\n" \
	"vmovdqa 224(%rdx), %ymm14\n" \
	"vpxor %ymm15, %ymm13, %ymm13\n" \
	"vmovdqa 480(%rdx), %ymm15\n" \
	"vpshufb %ymm11, %ymm15, %ymm15\n" \
	"vpxor %ymm15, %ymm13, %ymm13\n" \
	"vpshufb %ymm11, %ymm14, %ymm14\n" \
	IN("vpxor", "64", "%ymm1, %ymm1") \
	"vpand 512(%rdx), %ymm1, %ymm11\n" \
	"vpxor %ymm14, %ymm12, %ymm12\n" \
	"vpblendvb %ymm0, %ymm13, %ymm12, %ymm12\n" \
	"vpshufb %ymm11, %ymm4, %ymm13\n" \
	"vpxor 32(%rdi), %ymm12, %ymm0\n" \
	"vpshufb %ymm11, %ymm3, %ymm12\n" \
	"vpsubb %ymm2, %ymm11, %ymm11\n" \
	"xorb 8(%rdi), %r13b\n" \
	"movb %r13b, 8(%rdi)\n" \
	IN("xorb", "9", "%r14b") \
	"movzbl (%rcx,%r14), %r14d\n" \
	"vpshufb %ymm11, %ymm5, %ymm14\n" \
	"xorb 3(%rdi), %r10b\n" \
	"movb %r10b, 3(%rdi)\n" \
	"xorb 5(%rdi), %bl\n" \
	"movb %bl, 5(%rdi)\n" \
	"vpshufb %ymm11, %ymm6, %ymm15\n" \
	"vpsubb %ymm2, %ymm11, %ymm11\n" \
	"vpxor %ymm14, %ymm12, %ymm12\n" \
	"vpshufb %ymm11, %ymm7, %ymm14\n" \
	"xorb 9(%rdi), %r14b\n" \
	"vpxor %ymm15, %ymm13, %ymm13\n" \
	"vpshufb %ymm11, %ymm8, %ymm15\n" \
	"vmovdqa %ymm0, 32(%rdi)\n" \
	"vpsubb %ymm2, %ymm11, %ymm11\n" \
	"movb %r11b, 4(%rdi)\n" \
	"movb %r9b, 2(%rdi)\n" \
	"vpxor %ymm15, %ymm13, %ymm13\n" \
	"vpxor %ymm14, %ymm12, %ymm12\n" \
	"vpshufb %ymm11, %ymm10, %ymm15\n" \
	"vpxor %ymm15, %ymm13, %ymm13\n" \
	"vpshufb %ymm11, %ymm9, %ymm14\n" \
	"vpsubb %ymm2, %ymm11, %ymm11\n" \
	"vpxor %ymm14, %ymm12, %ymm12\n" \
	"vmovdqa 128(%rdx), %ymm14\n" \
	"vpshufb %ymm11, %ymm14, %ymm14\n" \
	"vpxor %ymm14, %ymm12, %ymm12\n" \
	"movb %r14b, 9(%rdi)\n" \
	"vmovdqa 160(%rdx), %ymm14\n" \
	"vmovdqa 384(%rdx), %ymm15\n" \
	"vpshufb %ymm11, %ymm15, %ymm15\n" \
	"xorb 6(%rdi), %bpl\n" \
	"vpsubb %ymm2, %ymm11, %ymm11\n" \
	"movb %bpl, 6(%rdi)\n" \
	"vpxor %ymm15, %ymm13, %ymm13\n" \
	"vmovdqa 416(%rdx), %ymm15\n" \
	"vpshufb %ymm11, %ymm14, %ymm14\n" \
	"vpshufb %ymm11, %ymm15, %ymm15\n" \
	"vpsubb %ymm2, %ymm11, %ymm11\n" \
	"vpxor %ymm14, %ymm12, %ymm12\n" \
	"vmovdqa 192(%rdx), %ymm14\n" \
	"vpxor %ymm15, %ymm13, %ymm13\n" \
	"vpshufb %ymm11, %ymm14, %ymm14\n" \
	"vpxor %ymm14, %ymm12, %ymm12\n" \
	"vmovdqa 448(%rdx), %ymm15\n" \
	"vpshufb %ymm11, %ymm15, %ymm15\n" \
	"vmovdqa 224(%rdx), %ymm14\n" \
	"vpsubb %ymm2, %ymm11, %ymm11\n" \
	"vpshufb %ymm11, %ymm14, %ymm14\n" \
	"vpxor %ymm14, %ymm12, %ymm12\n" \
	"vpxor %ymm15, %ymm13, %ymm13\n" \
	IN("xorb", "10", "%r15b") \
	"movzbl (%rcx,%r15), %r15d\n" \
	"vmovdqa 480(%rdx), %ymm15\n" \
	"vpshufb %ymm11, %ymm15, %ymm15\n" \
	"vpxor %ymm15, %ymm13, %ymm13\n" \
	"vpblendvb %ymm1, %ymm13, %ymm12, %ymm12\n" \
	"xorb 10(%rdi), %r15b\n" \
	"vpxor 64(%rdi), %ymm12, %ymm1\n" \
	"vmovdqa %ymm1, 64(%rdi)\n" \
	"movb %r12b, 7(%rdi)\n" \
	"movb %r15b, 10(%rdi)\n"

// The block's column lies 32 columns after the checksum's.
#define MD2_ASM_ROUND(op, at, t)
#define MD2_ASM_CHECKSUM(op, at, t) op " 32*96+" at "(%rdi), " t "\n"

// Global, since link-time optimisation may part the assembly from its callers, but of
// this library alone.
#ifdef __APPLE__
#define MD2_ASM_SYMBOL(name) ".globl " name "\n.private_extern " name "\n"
#else
#define MD2_ASM_SYMBOL(name) ".globl " name "\n.hidden " name "\n.type " name ", @function\n"
#endif

#define MD2_ASM_BEGIN(name) \
	".text\n.p2align 6\n" MD2_ASM_SYMBOL(name) name ":\n" \
	"push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n" \
	"vmovdqa 544(%rdx), %ymm2\n" \
	"vmovdqa (%rdx), %ymm3\nvmovdqa 256(%rdx), %ymm4\n" \
	"vmovdqa 32(%rdx), %ymm5\nvmovdqa 288(%rdx), %ymm6\n" \
	"vmovdqa 64(%rdx), %ymm7\nvmovdqa 320(%rdx), %ymm8\n" \
	"vmovdqa 96(%rdx), %ymm9\nvmovdqa 352(%rdx), %ymm10\n"

#define MD2_ASM_END \
	"pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n"

// The calls are the compiler's; only the names are given, since systems differ in
// what they put before them.
struct md2_column;
struct md2_tables;

__attribute__((visibility("hidden")))
void md2_asm_rounds(struct md2_column *x, const void *unused, const struct md2_tables *tab,
	const uint8_t *s) __asm__("kigo_avx2_md2_rounds");
__attribute__((visibility("hidden")))
void md2_asm_checksum(struct md2_column *c, const void *unused, const struct md2_tables *tab,
	const uint8_t *s) __asm__("kigo_avx2_md2_checksum");

// All rounds of a block; the round's number is kept below the stack.
__asm__(
	MD2_ASM_BEGIN("kigo_avx2_md2_rounds")
	"vpxor %ymm0, %ymm0, %ymm0\nvpxor %ymm1, %ymm1, %ymm1\n"
	"xor %eax, %eax\nxor %r8d, %r8d\nxor %r9d, %r9d\nxor %r10d, %r10d\nxor %r11d, %r11d\n"
	"xor %ebx, %ebx\nxor %ebp, %ebp\nxor %r12d, %r12d\nxor %r13d, %r13d\n"
	"xor %r14d, %r14d\nxor %r15d, %r15d\n"
	"movl $0, -4(%rsp)\n"
	"lea 48*96(%rdi), %rsi\n"
	".p2align 6\n"
	"1:\n"
	MD2_ASM_COLUMN(MD2_ASM_ROUND)
	"add $96, %rdi\ncmp %rsi, %rdi\njb 1b\n"
	"vpbroadcastb -4(%rsp), %ymm11\n"
	"vpaddb %ymm11, %ymm0, %ymm0\nvpaddb %ymm11, %ymm1, %ymm1\n"
	"addb -4(%rsp), %al\naddb -4(%rsp), %r8b\naddb -4(%rsp), %r9b\naddb -4(%rsp), %r10b\n"
	"addb -4(%rsp), %r11b\naddb -4(%rsp), %bl\naddb -4(%rsp), %bpl\naddb -4(%rsp), %r12b\n"
	"addb -4(%rsp), %r13b\naddb -4(%rsp), %r14b\naddb -4(%rsp), %r15b\n"
	"sub $48*96, %rdi\n"
	"incl -4(%rsp)\n"
	"cmpl $17, -4(%rsp)\n"
	"jb 1b\n"
	"lea 16*96(%rdi), %rsi\n" // the last round is short
	"je 1b\n"
	MD2_ASM_END);

__asm__(
	MD2_ASM_BEGIN("kigo_avx2_md2_checksum")
	"vmovdqa 15*96+32(%rdi), %ymm0\nvmovdqa 15*96+64(%rdi), %ymm1\n"
	"movzbl 15*96(%rdi), %eax\nmovzbl 15*96+1(%rdi), %r8d\nmovzbl 15*96+2(%rdi), %r9d\n"
	"movzbl 15*96+3(%rdi), %r10d\nmovzbl 15*96+4(%rdi), %r11d\nmovzbl 15*96+5(%rdi), %ebx\n"
	"movzbl 15*96+6(%rdi), %ebp\nmovzbl 15*96+7(%rdi), %r12d\nmovzbl 15*96+8(%rdi), %r13d\n"
	"movzbl 15*96+9(%rdi), %r14d\nmovzbl 15*96+10(%rdi), %r15d\n"
	"lea 16*96(%rdi), %rsi\n"
	".p2align 6\n"
	"1:\n"
	MD2_ASM_COLUMN(MD2_ASM_CHECKSUM)
	"add $96, %rdi\ncmp %rsi, %rdi\njb 1b\n"
	MD2_ASM_END);

#endif
