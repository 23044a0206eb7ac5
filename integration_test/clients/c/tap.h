// TAP for the programs of this directory.
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int checks, failed;

// A check returns NULL, or why it has failed. SKIP before the reason says that the library doesn't offer this.
typedef const char *check_function(void);

static void check(const char *name, check_function *body)
{
    const char *why = body();
    checks++;
    if (why == NULL) {
        printf("ok - %s\n", name);
    } else if (strncmp(why, "SKIP ", 5) == 0) {
        printf("ok - %s # %s\n", name, why);
    } else {
        failed++;
        printf("not ok - %s: %s\n", name, why);
    }
    fflush(stdout);
}

static int done(void)
{
    printf("1..%d\n", checks);
    return failed != 0;
}

static const char *because(const char *format, ...)
{
    static char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *c = text; *c; c++) {
        if (*c < ' ' || *c > '~') {
            *c = ' ';
        }
    }
    return text;
}

// WANT ends a check with the condition that doesn't hold.
#define WANT(condition)                                         \
    do {                                                        \
        if (!(condition)) {                                     \
            return because("line %d: %s", __LINE__, #condition); \
        }                                                       \
    } while (0)

// TRY ends a check with why another function has failed.
#define TRY(call)                   \
    do {                            \
        const char *why_ = (call);  \
        if (why_ != NULL) {         \
            return why_;            \
        }                           \
    } while (0)

static const char *host(void) { return getenv("REDIS_HOST"); }
static int port(void) { return atoi(getenv("REDIS_PORT")); }

static const char *password(void)
{
    const char *p = getenv("REDIS_PASSWORD");
    return p && *p ? p : NULL;
}

static int rules(void)
{
    const char *mode = getenv("MODE");
    return mode && strcmp(mode, "rules") == 0;
}

// A TTL in seconds is what Redis would say, a few seconds later; under rules it is only known to be within them.
static inline int is_ttl(long long want, long long got)
{
    if (rules()) {
        return 1 <= got && got <= 43200;
    }
    return want < 0 ? got == want : want - 10 <= got && got <= want;
}

#endif
