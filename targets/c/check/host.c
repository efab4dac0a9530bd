/* The checks on a host. Memory comes from malloc, so that memory checkers see every byte. */
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "digits.h"

void put(const char *text) { fputs(text, stdout); }

int main(void) {
    memory m;
    void *session = malloc(sizeof(selvedge_session));
    m.session = (selvedge_session *)session;
    m.arena_bytes = DIGITS_ARENA_BYTES > DIGITS_I8_ARENA_BYTES ? DIGITS_ARENA_BYTES : DIGITS_I8_ARENA_BYTES;
    m.arena = malloc(m.arena_bytes);
    if (m.session == NULL || m.arena == NULL) {
        return 2;
    }
#ifdef NOT_LINKED
    check_not_linked(&m);
#else
    check_digits(&m);
    check_steps(&m);
    check_statuses(&m);
#endif
    free(session);
    free(m.arena);
    return failures == 0 ? 0 : 1;
}
