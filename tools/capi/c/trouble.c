/*
 * Trouble on request, for tests of the module: linked into it with --wrap, it does to a call of
 * hedgerow_score what a header of the request asks for. It tells of each method that is scored and
 * of each status that is finished, on standard error, which in nginx is the error log.
 */
#define _POSIX_C_SOURCE 200809L
#include "hedgerow.h"
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
    if (asks(request, "panic")) {
        /* The verdict that any failed call leaves. */
        __real_hedgerow_score(scorer, NULL, verdict);
        return HEDGEROW_STATUS_PANIC;
    }
    hedgerow_status status = __real_hedgerow_score(scorer, request, verdict);
    if (asks(request, "late")) {
        nanosleep(&(struct timespec){0, 2000000}, NULL);
        verdict->nanos += 2000000;
    }
    return status;
}

hedgerow_status __wrap_hedgerow_finish(hedgerow_scorer *scorer, const hedgerow_verdict *verdict,
                                       uint16_t status) {
    fprintf(stderr, "told finished %u\n", status);
    return __real_hedgerow_finish(scorer, verdict, status);
}
