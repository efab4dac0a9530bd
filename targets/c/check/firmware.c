/*
 * The checks on a Cortex-M4F (MPS2 AN386) without a C library: vector table, start-up, output by
 * semihosting (Arm IHI 0100). QEMU ends with the firmware's result.
 */
#include "check.h"
#include "digits.h"

extern uint32_t stack_top, data_start, data_end, data_load, bss_start, bss_end;

static selvedge_session session;
static SELVEDGE_ALIGNED uint8_t
    arena[DIGITS_ARENA_BYTES > DIGITS_I8_ARENA_BYTES ? DIGITS_ARENA_BYTES : DIGITS_I8_ARENA_BYTES];

/* Calls from an interrupt: refused in the midst of a call, answered between calls. */
static volatile uint32_t refused, answered, other;

static uint32_t semihost(uint32_t operation, const void *argument) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void put(const char *text) { semihost(0x04, text); }

static void leave(int good) {
    /* SYS_EXIT; the reason is the argument itself. */
    semihost(0x18, (const void *)(good ? 0x20026u : 0x20023u));
    for (;;) {
    }
}

static void fault(void) {
    put("FAILED: fault\n");
    leave(0);
}

static void tick(void) {
    uint32_t count;
    switch (selvedge_input_count(&session, &count)) {
    case SELVEDGE_IN_USE:
        refused++;
        break;
    case SELVEDGE_OK:
    case SELVEDGE_NOT_INITIALIZED:
        answered++;
        break;
    default:
        other++;
    }
}

#ifdef NOT_LINKED
/* Firmware may bring its own end of a panic. */
void selvedge_panic(void) {
    put("FAILED: panic\n");
    leave(0);
}
#endif

#ifdef SECOND_LIBRARY
/* Another Rust library, with a panic handler of its own. */
uint32_t second_library_sum(const uint32_t *values, size_t count);
#endif

static void checks(void) {
    memory m;
    m.session = &session;
    m.arena = arena;
    m.arena_bytes = sizeof arena;
#ifdef NOT_LINKED
    check_not_linked(&m);
#else
    volatile uint32_t *systick = (volatile uint32_t *)0xe000e010u;
    check_digits(&m);
    check_steps(&m);
    check_statuses(&m);
    systick[1] = 999; /* cycles between interrupts */
    systick[2] = 0;
    systick[0] = 7;
    check_steps(&m);
    systick[0] = 0;
    EXPECT_TRUE(refused > 0 && other == 0);
#ifdef SECOND_LIBRARY
    {
        static const uint32_t values[3] = {1, 2, 4};
        EXPECT_TRUE(second_library_sum(values, 3) == 7);
    }
#endif
#endif
}

void reset(void);

void reset(void) {
    uint32_t *to, *from = &data_load;
    *(volatile uint32_t *)0xe000ed88u |= 0xfu << 20; /* CPACR: the FPU */
    __asm__ volatile("dsb\n isb");
    for (to = &data_start; to < &data_end; to++) {
        *to = *from++;
    }
    for (to = &bss_start; to < &bss_end; to++) {
        *to = 0;
    }
    checks();
    leave(failures == 0);
}

typedef void (*handler)(void);

__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    handler handlers[15];
} vectors = {&stack_top, {reset, fault, fault, fault, fault, fault, 0, 0, 0, 0, fault, fault, 0, fault, tick}};
