/* What the programs of this folder share. They are written in what C99 and C++11 have in common. */
#ifndef CHECK_H
#define CHECK_H

#include "selvedge.h"

/* Memory for a session and its arena, from the program's main file. */
typedef struct memory {
    selvedge_session *session;
    void *arena;
    size_t arena_bytes;
} memory;

/* Prints text; from the program's main file. */
void put(const char *text);

void put_number(uint32_t value);
void put_byte(uint8_t value);

/* Counts and prints a status other than the expected one. */
void expect(selvedge_status found, selvedge_status expected, const char *what, int line);
void expect_true(int condition, const char *what, int line);

#define EXPECT(call, expected) expect((call), (expected), #call, __LINE__)
#define EXPECT_TRUE(condition) expect_true((condition), #condition, __LINE__)

extern int failures;

/* Classes and output bytes of the digit classifier, as expected.txt has them. */
void check_digits(const memory *m);
/* A stepped run gives the bytes of a whole one. */
void check_steps(const memory *m);
/* Every bad input gives its status, and the session goes on. */
void check_statuses(const memory *m);
/* A library without the model's ops says which it lacks. */
void check_not_linked(const memory *m);

#endif
