/* To be preloaded: the processor denies AVX-512 and AMX, and with AS_EPYC says that it is an AMD EPYC of 2021, so that
   programs and libraries take the code that they have for others. Linux on processors that can refuse CPUID. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012

static int as_epyc;
static int (*set_action)(int, const struct sigaction *, struct sigaction *);

static void allow_cpuid(int allowed) { syscall(SYS_arch_prctl, ARCH_SET_CPUID, allowed); }

static void answer(int number, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *code = (const unsigned char *)registers[REG_RIP];
    if (info->si_code != SI_KERNEL || code[0] != 0x0f || code[1] != 0xa2) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    unsigned leaf = registers[REG_RAX], part = registers[REG_RCX], a, b, c, d;
    allow_cpuid(1);
    __cpuid_count(leaf, part, a, b, c, d);
    allow_cpuid(0);
    if (leaf == 7 && part == 0) {
        b &= ~0xdc230000u; /* AVX-512 F, DQ, IFMA, PF, ER, CD, BW, VL */
        c &= ~0x00005842u; /* VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ */
        d &= ~0x03c0010cu; /* 4VNNIW, 4FMAPS, VP2INTERSECT, AMX, FP16 */
    } else if (leaf == 7 && part == 1) {
        a &= ~0x00a00030u; /* AVX-VNNI, AVX-512 BF16, AMX FP16, AVX-IFMA */
        d &= ~0x00080430u; /* AVX-VNNI INT8 and INT16, AVX10 */
    } else if (leaf == 0xd && part == 0) {
        a &= ~0x000600e0u; /* states of AVX-512 and AMX */
    } else if (leaf == 0x1d || leaf == 0x1e || leaf == 0x24) {
        a = b = c = d = 0;
    } else if (as_epyc && (leaf == 0 || leaf == 0x80000000u)) {
        memcpy(&b, "Auth", 4), memcpy(&d, "enti", 4), memcpy(&c, "cAMD", 4);
        a = leaf ? a : 0x10;
    } else if (as_epyc && leaf == 1) {
        a = 0x00a00f11;
    }
    registers[REG_RAX] = a, registers[REG_RBX] = b, registers[REG_RCX] = c, registers[REG_RDX] = d;
    registers[REG_RIP] += 2;
}

/* Nobody else may take the signal away. */
int sigaction(int number, const struct sigaction *action, struct sigaction *old) {
    if (number == SIGSEGV && action) {
        if (old) memset(old, 0, sizeof *old);
        return 0;
    }
    return set_action(number, action, old);
}

__attribute__((constructor)) static void begin(void) {
    struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_NODEFER};
    as_epyc = getenv("AS_EPYC") != 0;
    set_action = (int (*)(int, const struct sigaction *, struct sigaction *))dlsym(RTLD_NEXT, "sigaction");
    set_action(SIGSEGV, &action, 0);
    allow_cpuid(0);
}
