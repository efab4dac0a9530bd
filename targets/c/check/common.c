/* Printing without a C library, and the count of failures. */
#include "check.h"

int failures = 0;

void put_number(uint32_t value) {
    char text[11];
    int at = 10;
    text[at] = '\0';
    do {
        text[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    put(text + at);
}

void put_byte(uint8_t value) {
    static const char hex[] = "0123456789abcdef";
    char text[4];
    text[0] = ' ';
    text[1] = hex[value >> 4];
    text[2] = hex[value & 15];
    text[3] = '\0';
    put(text);
}

void expect_true(int condition, const char *what, int line) {
    if (!condition) {
        failures++;
        put("FAILED: line ");
        put_number((uint32_t)line);
        put(": ");
        put(what);
        put("\n");
    }
}

void expect(selvedge_status found, selvedge_status expected, const char *what, int line) {
    expect_true(found == expected, what, line);
    if (found != expected) {
        put("  is ");
        put(selvedge_status_name(found));
        put(", expected ");
        put(selvedge_status_name(expected));
        put("\n");
    }
}
