/*
 * Trouble on request, for tests of the module: linked into it with --wrap, it comes between
 * the library, its callers and the clock. Where a header of the request asks for it, the second clock
 * reading of a call of hedgerow_score, which is the one at its end, waits or fails: the call is
 * late, or panics. It writes each method that is scored and each status that is finished to the
 * standard error, which in nginx is the error log.
 */
#define _POSIX_C_SOURCE 200809L
#include "hedgerow.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

hedgerow_status __real_hedgerow_score(hedgerow_scorer *scorer, const hedgerow_request *request,
                                      hedgerow_verdict *verdict);
hedgerow_status __wrap_hedgerow_score(hedgerow_scorer *scorer, const hedgerow_request *request,
                                      hedgerow_verdict *verdict);

hedgerow_status __real_hedgerow_finish(hedgerow_scorer *scorer, const hedgerow_verdict *verdict,
                                       uint16_t status);
hedgerow_status __wrap_hedgerow_finish(hedgerow_scorer *scorer, const hedgerow_verdict *verdict,
                                       uint16_t status);

int __real_clock_gettime(clockid_t clock, struct timespec *to);
int __wrap_clock_gettime(clockid_t clock, struct timespec *to);

/* What the calling thread's request asks for, and how often the clock was read since. */
static _Thread_local enum { NOTHING, LATE, PANIC } trouble;
static _Thread_local unsigned readings;

static int asks(const hedgerow_request *request, const char *trouble) {
    for (size_t at = 0; at < request->header_count; at++) {
        const hedgerow_bytes *name = &request->headers[at].name;
        const hedgerow_bytes *value = &request->headers[at].value;
        if (name->len == 9 && memcmp(name->data, "X-Trouble", 9) == 0
            && value->len == strlen(trouble) && memcmp(value->data, trouble, value->len) == 0)
            return 1;
    }
    return 0;
}

hedgerow_status __wrap_hedgerow_score(hedgerow_scorer *scorer, const hedgerow_request *request,
                                      hedgerow_verdict *verdict) {
    fprintf(stderr, "told scored %.*s\n", (int)request->method.len,
            (const char *)request->method.data);
    trouble = asks(request, "panic") ? PANIC : asks(request, "late") ? LATE : NOTHING;
    readings = 0;
    hedgerow_status status = __real_hedgerow_score(scorer, request, verdict);
    trouble = NOTHING;
    return status;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *to) {
    if (trouble != NOTHING && ++readings == 2) {
        if (trouble == PANIC) {
            /* No clock of Linux does this: the standard library panics. */
            errno = EINVAL;
            return -1;
        }
        nanosleep(&(struct timespec){0, 2000000}, NULL);
    }
    return __real_clock_gettime(clock, to);
}

hedgerow_status __wrap_hedgerow_finish(hedgerow_scorer *scorer, const hedgerow_verdict *verdict,
                                       uint16_t status) {
    fprintf(stderr, "told finished %u\n", status);
    return __real_hedgerow_finish(scorer, verdict, status);
}
