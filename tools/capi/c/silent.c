/*
 * What the header says of hedgerow_score: it allocates and frees nothing. Linked with
 * -Wl,--wrap=malloc and its kin, so that each call of them, the library's included, comes here. So
 * does a signal, at a moment when the library is inside of a call.
 */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <signal.h>

static unsigned long calls;
static volatile sig_atomic_t armed, handled;
static hedgerow_engine *engine;
static hedgerow_scorer *scorer;

/* Whatever would wait for what it interrupted is told. */
static void handler(int signal) {
    hedgerow_request request = REQUEST(CURL);
    hedgerow_verdict verdict = {.size = sizeof verdict};
    hedgerow_stats stats = {.size = sizeof stats};
    hedgerow_engine *other;
    hedgerow_scorer *second;
    uint64_t max;
    char text[8];

    (void)signal;
    CHECK_STATUS(HEDGEROW_STATUS_BUSY, hedgerow_engine_open(NULL, &other));
    CHECK_STATUS(HEDGEROW_STATUS_BUSY, hedgerow_engine_publish(engine, "default", NULL));
    CHECK_STATUS(HEDGEROW_STATUS_BUSY, hedgerow_engine_stats(engine, &stats));
    CHECK_STATUS(HEDGEROW_STATUS_BUSY, hedgerow_engine_free(engine));
    CHECK_STATUS(HEDGEROW_STATUS_BUSY, hedgerow_scorer_attach(engine, &second));
    CHECK_STATUS(HEDGEROW_STATUS_BUSY, hedgerow_scorer_free(scorer));
    CHECK_STATUS(HEDGEROW_STATUS_BUSY, hedgerow_log_next(text, sizeof text, NULL));
    CHECK_STATUS(HEDGEROW_STATUS_BUSY, hedgerow_limit("readers", &max));
    CHECK_STATUS(HEDGEROW_STATUS_BUSY, hedgerow_scorer_breaker(scorer, NULL));
    OK(hedgerow_score(scorer, &request, &verdict));
    CHECK_STATUS(HEDGEROW_STATUS_BUSY, hedgerow_detections(scorer, &verdict, NULL, 0, NULL));
    CHECK_STATUS(HEDGEROW_STATUS_BUSY, hedgerow_bot_name(scorer, &verdict, text, 8, NULL));
    OK(hedgerow_finish(scorer, &verdict, 200));
    handled = 1;
}

static void counted(void) {
    calls++;
    if (armed) {
        armed = 0;
        CHECK(raise(SIGUSR1) == 0);
    }
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
int __real_posix_memalign(void **to, size_t align, size_t size);
void __real_free(void *old);

void *__wrap_malloc(size_t size) {
    counted();
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    calls++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size) {
    calls++;
    return __real_realloc(old, size);
}

int __wrap_posix_memalign(void **to, size_t align, size_t size) {
    counted();
    return __real_posix_memalign(to, align, size);
}

void __wrap_free(void *old) {
    calls++;
    __real_free(old);
}

int main(void) {
    hedgerow_options options = {.size = sizeof options, .traffic_clients = 1024};
    hedgerow_request curl = REQUEST(CURL), browser = REQUEST(BROWSER);
    hedgerow_verdict verdict = {.size = sizeof verdict};
    hedgerow_stats stats = {.size = sizeof stats};

    OK(hedgerow_engine_open(&options, &engine));
    OK(hedgerow_scorer_attach(engine, &scorer));
    OK(hedgerow_scorer_breaker(scorer, &(hedgerow_breaker){.size = sizeof(hedgerow_breaker),
                                                           .budget_nanos = 1000000000}));
    curl.peer_family = browser.peer_family = 4;
    calls = 0;
    for (int at = 0; at < 20000; at++) {
        hedgerow_request *request = at % 2 ? &curl : &browser;
        request->peer[2] = (uint8_t)(at >> 8);
        request->peer[3] = (uint8_t)at;
        OK(hedgerow_score(scorer, request, &verdict));
        OK(hedgerow_finish(scorer, &verdict, 200));
    }
    /* Failures are as silent. */
    curl.version = 77;
    CHECK_STATUS(HEDGEROW_STATUS_ARGUMENT, hedgerow_score(scorer, &curl, &verdict));
    CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_score(NULL, &browser, &verdict));
    CHECK(calls == 0);
    /* And the count counts: the state of an engine is gathered in memory of its own. */
    OK(hedgerow_engine_stats(engine, &stats));
    CHECK(calls > 0 && stats.scored == 20000);
    CHECK(sigaction(SIGUSR1, &(struct sigaction){.sa_handler = handler}, NULL) == 0);
    armed = 1;
    OK(hedgerow_engine_stats(engine, &stats));
    CHECK(handled && stats.scorers == 1);
    OK(hedgerow_scorer_free(scorer));
    OK(hedgerow_engine_free(engine));
    return 0;
}
