/*
 * The C ABI as a host in C uses it, and misuses it: every mistake that can be told is a status, and
 * none ends the process. Arguments: a good table's file, a damaged one, an empty directory, a public
 * key, a table that it signed, and one that uses features of a host.
 *
 * Runs plainly, under valgrind and under AddressSanitizer: tools/capi/check.sh.
 */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void scores(void) {
    hedgerow_engine *engine = NULL;
    hedgerow_scorer *scorer = NULL;
    hedgerow_request curl = REQUEST(CURL), browser = REQUEST(BROWSER);
    hedgerow_verdict verdict = {.size = sizeof verdict};
    uint32_t ids[64];
    size_t count = 99;

    OK(hedgerow_engine_open(NULL, &engine));
    OK(hedgerow_scorer_attach(engine, &scorer));
    OK(hedgerow_score(scorer, &curl, &verdict));
    CHECK(verdict.kind == HEDGEROW_KIND_SCORED && verdict.reason == HEDGEROW_REASON_NONE);
    CHECK(verdict.score >= 1 && verdict.score < 30);
    CHECK(verdict.generation == 1 && !isnan(verdict.margin));
    OK(hedgerow_detections(scorer, &verdict, ids, 64, &count));
    CHECK(count >= 1 && count <= 8 && verdict.detections != 0);
    if (verdict.source == HEDGEROW_SOURCE_DETECTION) {
        size_t at = 0;
        while (at < count && ids[at] != verdict.detection)
            at++;
        CHECK(at < count);
    }
    for (size_t at = 1; at < count; at++)
        CHECK(ids[at - 1] < ids[at]);
    size_t again = 0;
    OK(hedgerow_detections(scorer, &verdict, NULL, 0, &again));
    CHECK(again == count);

    hedgerow_verdict human = {.size = sizeof human};
    OK(hedgerow_score(scorer, &browser, &human));
    CHECK(human.kind == HEDGEROW_KIND_SCORED && human.score > 60 && human.score <= 99);
    CHECK(human.margin > verdict.margin);
    /* The same request has the same verdict. */
    hedgerow_verdict same = {.size = sizeof same};
    OK(hedgerow_score(scorer, &browser, &same));
    CHECK(same.score == human.score && same.margin == human.margin);
    CHECK(strcmp(hedgerow_kind_name(human.kind), "scored") == 0);
    CHECK(strcmp(hedgerow_source_name(HEDGEROW_SOURCE_ENSEMBLE), "ensemble") == 0);

    hedgerow_stats stats = {.size = sizeof stats};
    OK(hedgerow_engine_stats(engine, &stats));
    CHECK(stats.scored == 3 && stats.scorers == 1 && stats.generation == 1);
    CHECK(stats.latency_p50 > 0 && stats.latency_p50 <= stats.latency_p99);
    CHECK(strlen(stats.content_id) == 32);

    /* A scorer outlives its engine's handle. */
    OK(hedgerow_engine_free(engine));
    OK(hedgerow_score(scorer, &browser, &same));
    CHECK(same.score == human.score);
    OK(hedgerow_scorer_free(scorer));
}

/* TLS facts, addresses, and every bound of a request. */
static void requests(void) {
    hedgerow_engine *engine = NULL;
    hedgerow_scorer *scorer = NULL;
    hedgerow_request request = REQUEST(BROWSER);
    hedgerow_verdict plain = {.size = sizeof plain}, verdict = {.size = sizeof verdict};
    static const uint16_t ciphers[] = {0x0a0a, 0x1301, 0x1302};
    static const hedgerow_bytes ja4 = BYTES("t13d1516h2_8daaf6152771_b186095e22b6");
    static const hedgerow_bytes h2 = BYTES("h2");

    OK(hedgerow_engine_open(NULL, &engine));
    OK(hedgerow_scorer_attach(engine, &scorer));
    OK(hedgerow_score(scorer, &request, &plain));
    request.ja4 = ja4;
    request.alpn = h2;
    request.peer_family = 4;
    memcpy(request.peer, "\xc0\x00\x02\x01", 4);
    OK(hedgerow_score(scorer, &request, &verdict));
    CHECK(verdict.kind == HEDGEROW_KIND_SCORED && verdict.generation == plain.generation);
    hedgerow_hello hello = {.size = sizeof hello, .ciphers = {ciphers, 3}, .alpn = h2};
    request.hello = &hello;
    request.peer_family = 6;
    OK(hedgerow_score(scorer, &request, &verdict));
    hello.size--;
    CHECK_STATUS(HEDGEROW_STATUS_SIZE, hedgerow_score(scorer, &request, &verdict));
    hello.size++;
    hello.ciphers.data = (const uint16_t *)((const char *)ciphers + 1);
    CHECK_STATUS(HEDGEROW_STATUS_ARGUMENT, hedgerow_score(scorer, &request, &verdict));
    hello.ciphers = (hedgerow_numbers){NULL, 3};
    CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_score(scorer, &request, &verdict));

    hedgerow_request other = request;
    other.hello = NULL;
    other.version = 5;
    CHECK_STATUS(HEDGEROW_STATUS_ARGUMENT, hedgerow_score(scorer, &other, &verdict));
    other.version = HEDGEROW_VERSION_HTTP2;
    other.scheme = 3;
    CHECK_STATUS(HEDGEROW_STATUS_ARGUMENT, hedgerow_score(scorer, &other, &verdict));
    other.scheme = HEDGEROW_SCHEME_UNKNOWN;
    other.headers_known = 4;
    CHECK_STATUS(HEDGEROW_STATUS_ARGUMENT, hedgerow_score(scorer, &other, &verdict));
    other.headers_known = HEDGEROW_HEADERS_USER_AGENT_ONLY;
    other.peer_family = 5;
    CHECK_STATUS(HEDGEROW_STATUS_ARGUMENT, hedgerow_score(scorer, &other, &verdict));
    other.peer_family = 0;
    OK(hedgerow_score(scorer, &other, &verdict));
    other.header_count = SIZE_MAX;
    CHECK_STATUS(HEDGEROW_STATUS_ARGUMENT, hedgerow_score(scorer, &other, &verdict));
    other.headers = NULL;
    CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_score(scorer, &other, &verdict));
    other.header_count = 0;
    other.target.len = SIZE_MAX;
    CHECK_STATUS(HEDGEROW_STATUS_ARGUMENT, hedgerow_score(scorer, &other, &verdict));
    hedgerow_request nothing = {.size = sizeof nothing};
    OK(hedgerow_score(scorer, &nothing, &verdict));
    CHECK(verdict.kind == HEDGEROW_KIND_SCORED);

    /* Any bytes, and more headers than are looked at. */
    static uint8_t noise[65536];
    static hedgerow_header many[4096];
    for (size_t at = 0; at < sizeof noise; at++)
        noise[at] = (uint8_t)(at * 2654435761u >> 13);
    for (size_t at = 0; at < 4096; at++) {
        many[at].name = (hedgerow_bytes){noise + at, at % 40};
        many[at].value = (hedgerow_bytes){noise + at, 4096};
    }
    nothing.headers = many;
    nothing.header_count = 4096;
    nothing.method = nothing.target = nothing.authority = (hedgerow_bytes){noise, sizeof noise};
    nothing.ja4 = nothing.alpn = nothing.method;
    OK(hedgerow_score(scorer, &nothing, &verdict));
    CHECK(verdict.kind == HEDGEROW_KIND_SCORED);
    OK(hedgerow_scorer_free(scorer));
    OK(hedgerow_engine_free(engine));
}

/* Scores one request of a peer, whose headers are in no browser's order. */
static double passed_on(hedgerow_scorer *scorer, uint8_t hop, const char *peer) {
    hedgerow_header fields[sizeof BROWSER / sizeof *BROWSER + 1] = {
        FIELD("X-Forwarded-Proto", "https"),
    };
    size_t count = sizeof BROWSER / sizeof *BROWSER;
    hedgerow_verdict verdict = {.size = sizeof verdict};
    hedgerow_request request = REQUEST(BROWSER);

    for (size_t at = 0; at < count; at++)
        fields[1 + at] = BROWSER[count - 1 - at];
    request.headers = fields;
    request.header_count = 1 + count;
    request.scheme = hop == HEDGEROW_HOP_PROXY ? HEDGEROW_SCHEME_UNKNOWN : HEDGEROW_SCHEME_HTTP;
    request.hop = hop;
    request.peer_family = peer == NULL ? 0 : 4;
    if (peer != NULL)
        memcpy(request.peer, peer, 4);
    OK(hedgerow_score(scorer, &request, &verdict));
    CHECK(verdict.kind == HEDGEROW_KIND_SCORED);
    return verdict.margin;
}

/* Who is at the other end: by a request, by the options, and by the peer's address. */
static void hops(void) {
    const char *trusted[] = {"10.0.0.0/8", "2001:db8::/32"};
    hedgerow_options options = {.size = sizeof options, .trusted = trusted, .trusted_count = 2};
    hedgerow_engine *engine = NULL;
    hedgerow_scorer *scorer = NULL;
    char text[256];

    OK(hedgerow_engine_open(&options, &engine));
    OK(hedgerow_scorer_attach(engine, &scorer));
    double proxy = passed_on(scorer, HEDGEROW_HOP_PROXY, NULL);
    double client = passed_on(scorer, HEDGEROW_HOP_CLIENT, NULL);
    CHECK(client != proxy);
    /* The address of a proxy is not its client's, which no header names here. */
    CHECK(passed_on(scorer, HEDGEROW_HOP_AUTO, "\x0a\x01\x01\x01") == proxy);
    double stranger = passed_on(scorer, HEDGEROW_HOP_AUTO, "\x08\x08\x08\x08");
    CHECK(stranger == passed_on(scorer, HEDGEROW_HOP_CLIENT, "\x08\x08\x08\x08"));
    CHECK(stranger != proxy);
    hedgerow_request request = REQUEST(CURL);
    hedgerow_verdict verdict = {.size = sizeof verdict};
    request.hop = 3;
    CHECK_STATUS(HEDGEROW_STATUS_ARGUMENT, hedgerow_score(scorer, &request, &verdict));
    request.hop = HEDGEROW_HOP_PROXY;
    request.client_version = 5;
    CHECK_STATUS(HEDGEROW_STATUS_ARGUMENT, hedgerow_score(scorer, &request, &verdict));
    OK(hedgerow_scorer_free(scorer));
    OK(hedgerow_engine_free(engine));

    options.trusted_count = 0;
    options.hop = HEDGEROW_HOP_PROXY;
    options.client_scheme = HEDGEROW_SCHEME_HTTPS;
    options.scheme_header = options.address_header = "";
    OK(hedgerow_engine_open(&options, &engine));
    OK(hedgerow_scorer_attach(engine, &scorer));
    CHECK(passed_on(scorer, HEDGEROW_HOP_AUTO, "\x08\x08\x08\x08") == proxy);
    OK(hedgerow_scorer_free(scorer));
    OK(hedgerow_engine_free(engine));

    options.keeps_order = 2;
    CHECK_STATUS(HEDGEROW_STATUS_ARGUMENT, hedgerow_engine_open(&options, &engine));
    options.keeps_order = 0;
    options.hop = 3;
    CHECK_STATUS(HEDGEROW_STATUS_ARGUMENT, hedgerow_engine_open(&options, &engine));
    options.hop = HEDGEROW_HOP_AUTO;
    options.client_scheme = 3;
    CHECK_STATUS(HEDGEROW_STATUS_ARGUMENT, hedgerow_engine_open(&options, &engine));
    options.client_scheme = HEDGEROW_SCHEME_UNKNOWN;
    options.ja4_header = "x y";
    CHECK_STATUS(HEDGEROW_STATUS_REFUSED, hedgerow_engine_open(&options, &engine));
    OK(hedgerow_last_error(text, sizeof text, NULL));
    CHECK(strstr(text, "header's name") != NULL && strstr(text, "x y") != NULL);
    options.ja4_header = NULL;
    trusted[1] = "10.0.0.1/8";
    options.trusted_count = 2;
    CHECK_STATUS(HEDGEROW_STATUS_REFUSED, hedgerow_engine_open(&options, &engine));
    OK(hedgerow_last_error(text, sizeof text, NULL));
    CHECK(strstr(text, "trusted: expected zeros") != NULL);
    trusted[1] = NULL;
    CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_engine_open(&options, &engine));
}

static void misuse(void) {
    hedgerow_engine *engine = NULL, *freed, *made_up = (hedgerow_engine *)(uintptr_t)0x12345;
    hedgerow_scorer *scorer = NULL, *stale;
    hedgerow_request request = REQUEST(CURL);
    hedgerow_verdict verdict = {.size = sizeof verdict};
    hedgerow_stats stats = {.size = sizeof stats};
    hedgerow_options options = {.size = sizeof options};
    char text[64];
    size_t len = 0;

    CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_engine_open(NULL, NULL));
    options.size = 3;
    CHECK_STATUS(HEDGEROW_STATUS_SIZE, hedgerow_engine_open(&options, &engine));
    CHECK(engine == NULL);
    options.size = sizeof options;
    options.no_fallback = 2;
    CHECK_STATUS(HEDGEROW_STATUS_ARGUMENT, hedgerow_engine_open(&options, &engine));
    options.no_fallback = 0;
    options.traffic_clients = 7;
    CHECK_STATUS(HEDGEROW_STATUS_REFUSED, hedgerow_engine_open(&options, &engine));
    OK(hedgerow_last_error(text, 48, &len));
    CHECK(strstr(text, "a power of two") != NULL && len >= 48 && strlen(text) == 47);
    options.traffic_clients = 0;
    options.table = "/nowhere/at/all.hedge";
    CHECK_STATUS(HEDGEROW_STATUS_REFUSED, hedgerow_engine_open(&options, &engine));
    OK(hedgerow_last_error(text, sizeof text, NULL));
    CHECK(strstr(text, "nowhere") != NULL);
    CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_last_error(NULL, 3, NULL));

    CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_scorer_attach(NULL, &scorer));
    CHECK_STATUS(HEDGEROW_STATUS_HANDLE, hedgerow_scorer_attach(made_up, &scorer));
    CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_engine_free(NULL));
    CHECK_STATUS(HEDGEROW_STATUS_HANDLE, hedgerow_engine_free(made_up));
    CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_scorer_free(NULL));
    CHECK_STATUS(HEDGEROW_STATUS_HANDLE, hedgerow_scorer_free((hedgerow_scorer *)made_up));

    OK(hedgerow_engine_open(NULL, &engine));
    CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_scorer_attach(engine, NULL));
    CHECK_STATUS(HEDGEROW_STATUS_HANDLE, hedgerow_scorer_free((hedgerow_scorer *)engine));
    OK(hedgerow_scorer_attach(engine, &scorer));
    CHECK_STATUS(HEDGEROW_STATUS_HANDLE, hedgerow_engine_free((hedgerow_engine *)scorer));
    CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_score(scorer, &request, NULL));
    CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_score(scorer, NULL, &verdict));
    CHECK(verdict.kind == HEDGEROW_KIND_NOT_SCORED && verdict.score == HEDGEROW_NO_SCORE);
    CHECK(verdict.reason == HEDGEROW_REASON_ERROR);
    CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_score(NULL, &request, &verdict));
    verdict.size = 0;
    CHECK_STATUS(HEDGEROW_STATUS_SIZE, hedgerow_score(scorer, &request, &verdict));
    verdict.size = sizeof verdict;
    request.size++;
    CHECK_STATUS(HEDGEROW_STATUS_SIZE, hedgerow_score(scorer, &request, &verdict));
    request.size--;
    stats.size++;
    CHECK_STATUS(HEDGEROW_STATUS_SIZE, hedgerow_engine_stats(engine, &stats));
    CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_engine_stats(engine, NULL));
    CHECK_STATUS(HEDGEROW_STATUS_NOTHING, hedgerow_bot_name(scorer, &verdict, text, 64, NULL));
    OK(hedgerow_score(scorer, &request, &verdict));
    verdict.generation = 77;
    CHECK_STATUS(HEDGEROW_STATUS_UNKNOWN, hedgerow_detections(scorer, &verdict, NULL, 1, &len));
    verdict.generation = 1;
    CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_detections(scorer, &verdict, NULL, 1, &len));
    verdict.detections = UINT64_MAX;
    uint32_t ids[64];
    CHECK_STATUS(HEDGEROW_STATUS_ARGUMENT, hedgerow_detections(scorer, &verdict, ids, 64, &len));

    stale = scorer;
    freed = engine;
    OK(hedgerow_scorer_free(scorer));
    CHECK_STATUS(HEDGEROW_STATUS_HANDLE, hedgerow_scorer_free(stale));
    CHECK_STATUS(HEDGEROW_STATUS_HANDLE, hedgerow_score(stale, &request, &verdict));
    /* Also where there is nothing to tell of the verdict. */
    CHECK(verdict.kind == HEDGEROW_KIND_NOT_SCORED && verdict.detections == 0);
    CHECK_STATUS(HEDGEROW_STATUS_HANDLE, hedgerow_detections(stale, &verdict, ids, 64, &len));
    CHECK_STATUS(HEDGEROW_STATUS_HANDLE, hedgerow_bot_name(stale, &verdict, text, 64, NULL));
    CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_bot_name(NULL, &verdict, text, 64, NULL));
    OK(hedgerow_engine_free(engine));
    CHECK_STATUS(HEDGEROW_STATUS_HANDLE, hedgerow_engine_free(freed));
    CHECK_STATUS(HEDGEROW_STATUS_HANDLE, hedgerow_scorer_attach(freed, &scorer));
    /* The place is taken again, and the old handle still means nothing. */
    OK(hedgerow_engine_open(NULL, &engine));
    CHECK(engine != freed);
    CHECK_STATUS(HEDGEROW_STATUS_HANDLE, hedgerow_engine_free(freed));
    OK(hedgerow_engine_free(engine));

    hedgerow_engine *all[64];
    for (size_t at = 0; at < 64; at++)
        OK(hedgerow_engine_open(NULL, &all[at]));
    CHECK_STATUS(HEDGEROW_STATUS_FULL, hedgerow_engine_open(NULL, &engine));
    for (size_t at = 0; at < 64; at++)
        OK(hedgerow_engine_free(all[at]));

    uint64_t max = 0;
    OK(hedgerow_limit("readers", &max));
    CHECK(max == 1024);
    CHECK_STATUS(HEDGEROW_STATUS_UNKNOWN, hedgerow_limit("no such limit", &max));
    CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_limit(NULL, &max));
    CHECK(hedgerow_abi_version() == HEDGEROW_ABI_VERSION && hedgerow_feature_count() > 100);
    CHECK(strcmp(hedgerow_status_name(1234), "no status") == 0);
}

struct across {
    hedgerow_engine *engine;
    hedgerow_scorer *scorer;
};

static void *on_another_thread(void *given) {
    struct across *across = given;
    hedgerow_request request = REQUEST(CURL);
    hedgerow_verdict verdict = {.size = sizeof verdict};
    hedgerow_scorer *own = NULL;
    CHECK_STATUS(HEDGEROW_STATUS_THREAD, hedgerow_score(across->scorer, &request, &verdict));
    CHECK_STATUS(HEDGEROW_STATUS_THREAD, hedgerow_scorer_free(across->scorer));
    OK(hedgerow_scorer_attach(across->engine, &own));
    CHECK_STATUS(HEDGEROW_STATUS_THREAD, hedgerow_score(across->scorer, &request, &verdict));
    for (int at = 0; at < 200; at++)
        OK(hedgerow_score(own, &request, &verdict));
    across->scorer = own; /* left to its thread's end */
    return NULL;
}

static void threads(void) {
    struct across across = {NULL, NULL};
    hedgerow_scorer *own = NULL;
    hedgerow_request request = REQUEST(CURL);
    hedgerow_verdict verdict = {.size = sizeof verdict};
    hedgerow_stats stats = {.size = sizeof stats};
    pthread_t all[4];
    struct across each[4];

    OK(hedgerow_engine_open(NULL, &across.engine));
    OK(hedgerow_scorer_attach(across.engine, &own));
    for (int at = 0; at < 4; at++) {
        each[at] = (struct across){across.engine, own};
        CHECK(pthread_create(&all[at], NULL, on_another_thread, &each[at]) == 0);
    }
    for (int at = 0; at < 4; at++)
        CHECK(pthread_join(all[at], NULL) == 0);
    /* A thread that ends frees its scorers. */
    CHECK_STATUS(HEDGEROW_STATUS_THREAD, hedgerow_score(each[0].scorer, &request, &verdict));
    OK(hedgerow_engine_stats(across.engine, &stats));
    CHECK(stats.scorers == 1 && stats.scored == 800);
    OK(hedgerow_scorer_free(own));
    OK(hedgerow_engine_free(across.engine));
}

/* The child of a fork is told so, can free nothing of its parent's, and opens its own. */
static void forks(const char *directory) {
    hedgerow_options options = {.size = sizeof options, .table = directory};
    hedgerow_engine *engine = NULL, *own = NULL;
    hedgerow_scorer *scorer = NULL, *mine = NULL;
    hedgerow_request request = REQUEST(CURL);
    hedgerow_verdict verdict = {.size = sizeof verdict};

    OK(hedgerow_engine_open(&options, &engine));
    OK(hedgerow_scorer_attach(engine, &scorer));
    OK(hedgerow_score(scorer, &request, &verdict));
    CHECK(verdict.generation == 0 && verdict.kind == HEDGEROW_KIND_SCORED);
    struct across across = {engine, scorer}; /* then of a thread that is gone */
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, on_another_thread, &across) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_STATUS(HEDGEROW_STATUS_THREAD, hedgerow_score(across.scorer, &request, &verdict));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK_STATUS(HEDGEROW_STATUS_FORKED, hedgerow_score(scorer, &request, &verdict));
        CHECK(verdict.kind == HEDGEROW_KIND_NOT_SCORED && verdict.score == HEDGEROW_NO_SCORE);
        CHECK_STATUS(HEDGEROW_STATUS_FORKED, hedgerow_scorer_free(scorer));
        CHECK_STATUS(HEDGEROW_STATUS_FORKED, hedgerow_score(across.scorer, &request, &verdict));
        CHECK_STATUS(HEDGEROW_STATUS_FORKED, hedgerow_scorer_attach(engine, &mine));
        CHECK_STATUS(HEDGEROW_STATUS_FORKED, hedgerow_engine_free(engine));
        OK(hedgerow_engine_open(&options, &own));
        OK(hedgerow_scorer_attach(own, &mine));
        OK(hedgerow_score(mine, &request, &verdict));
        CHECK(verdict.kind == HEDGEROW_KIND_SCORED);
        OK(hedgerow_scorer_free(mine));
        OK(hedgerow_engine_free(own));
        exit(0); /* not _exit: what is inherited is dropped by nobody, and nothing hangs */
    }
    int ended = 0;
    CHECK(waitpid(child, &ended, 0) == child);
    CHECK(WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
    OK(hedgerow_score(scorer, &request, &verdict));
    CHECK(verdict.kind == HEDGEROW_KIND_SCORED);
    OK(hedgerow_scorer_free(scorer));
    OK(hedgerow_engine_free(engine));
}

static sigset_t only(int signal) {
    sigset_t set;
    CHECK(sigemptyset(&set) == 0 && sigaddset(&set, signal) == 0);
    return set;
}

/* A signal that the host waits for, and keeps from its own threads, comes to it, and to no thread
 * of the library's. */
static void signals(const char *directory) {
    hedgerow_options options = {.size = sizeof options, .table = directory};
    hedgerow_engine *engine = NULL;
    sigset_t before, after, wanted = only(SIGTERM), kept = only(SIGUSR1);

    CHECK(pthread_sigmask(SIG_SETMASK, &kept, &before) == 0);
    OK(hedgerow_engine_open(&options, &engine));
    CHECK(pthread_sigmask(SIG_BLOCK, &wanted, &after) == 0);
    for (int signal = 1; signal <= SIGRTMAX; signal++)
        CHECK(sigismember(&after, signal) == sigismember(&kept, signal));
    for (int at = 0; at < 20; at++) {
        CHECK(kill(getpid(), SIGTERM) == 0);
        CHECK(sigtimedwait(&wanted, NULL, &(struct timespec){10, 0}) == SIGTERM);
    }
    OK(hedgerow_engine_free(engine));
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
}

static void tables(const char *good, const char *bad, const char *directory) {
    hedgerow_options options = {.size = sizeof options, .table = bad};
    hedgerow_engine *engine = NULL;
    hedgerow_scorer *scorer = NULL;
    hedgerow_request request = REQUEST(CURL);
    hedgerow_verdict verdict = {.size = sizeof verdict};
    hedgerow_stats stats = {.size = sizeof stats};
    uint64_t generation = 0;
    char text[256];

    CHECK_STATUS(HEDGEROW_STATUS_REFUSED, hedgerow_engine_open(&options, &engine));
    OK(hedgerow_last_error(text, sizeof text, NULL));
    CHECK(strstr(text, "206") != NULL || strstr(text, "hash") != NULL);
    options.table = good;
    OK(hedgerow_engine_open(&options, &engine));
    OK(hedgerow_scorer_attach(engine, &scorer));
    CHECK_STATUS(HEDGEROW_STATUS_REFUSED, hedgerow_engine_publish(engine, bad, &generation));
    CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_engine_publish(engine, NULL, &generation));
    uint64_t *crooked = (uint64_t *)((uintptr_t)&generation + 1);
    CHECK_STATUS(HEDGEROW_STATUS_ARGUMENT, hedgerow_engine_publish(engine, good, crooked));
    OK(hedgerow_score(scorer, &request, &verdict));
    CHECK(verdict.generation == 1 && verdict.kind == HEDGEROW_KIND_SCORED);
    OK(hedgerow_engine_publish(engine, good, &generation));
    CHECK(generation == 2);
    OK(hedgerow_score(scorer, &request, &verdict));
    CHECK(verdict.generation == 2);
    OK(hedgerow_engine_stats(engine, &stats));
    CHECK(stats.refused == 1 && stats.generation == 2);
    OK(hedgerow_scorer_free(scorer));
    OK(hedgerow_engine_free(engine));

    /* A directory without a table: none runs where the host wants it so, and that is no score. */
    options.table = directory;
    options.no_fallback = 1;
    options.name = "a-host-in-c";
    OK(hedgerow_engine_open(&options, &engine));
    CHECK_STATUS(HEDGEROW_STATUS_WATCHED, hedgerow_engine_publish(engine, good, &generation));
    OK(hedgerow_scorer_attach(engine, &scorer));
    OK(hedgerow_score(scorer, &request, &verdict));
    CHECK(verdict.kind == HEDGEROW_KIND_NOT_SCORED && verdict.score == HEDGEROW_NO_SCORE);
    CHECK(strcmp(hedgerow_reason_name(verdict.reason), "no-table") == 0);
    /* The pointer of the directory is rubbish: refused, told in the log, nothing else. */
    snprintf(text, sizeof text, "%s/active", directory);
    FILE *pointer = fopen(text, "w");
    CHECK(pointer != NULL && fputs("rubbish", pointer) >= 0 && fclose(pointer) == 0);
    int told = 0;
    for (int wait = 0; wait < 500 && !told; wait++) {
        size_t len = 0, same = 0;
        hedgerow_status status = hedgerow_log_next(NULL, 0, &len);
        if (status == HEDGEROW_STATUS_OK) {
            /* A line that was not handed over stays. */
            CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_log_next(NULL, 3, NULL));
            status = hedgerow_log_next(text, sizeof text, &same);
            CHECK(len > 0 && len == same);
        }
        /* Before that, the directory had no table. */
        told = status == HEDGEROW_STATUS_OK && strstr(text, "warn: ") == text
            && strstr(text, "has no table") == NULL;
        nanosleep(&(struct timespec){0, 20000000}, NULL);
    }
    CHECK(told);
    OK(hedgerow_engine_stats(engine, &stats));
    CHECK(stats.refused >= 1 && stats.generation == 0 && stats.no_table == 1);
    OK(hedgerow_scorer_free(scorer));
    OK(hedgerow_engine_free(engine));
    snprintf(text, sizeof text, "%s/active", directory);
    CHECK(remove(text) == 0);
}

static void traffic(void) {
    hedgerow_options options = {.size = sizeof options, .traffic_clients = 1024};
    hedgerow_engine *engine = NULL;
    hedgerow_scorer *scorer = NULL;
    hedgerow_request request = REQUEST(CURL);
    hedgerow_verdict verdict = {.size = sizeof verdict};
    uint64_t client = 0;

    OK(hedgerow_engine_open(&options, &engine));
    OK(hedgerow_scorer_attach(engine, &scorer));
    OK(hedgerow_score(scorer, &request, &verdict));
    CHECK(verdict.client_known == 0);
    OK(hedgerow_finish(scorer, &verdict, 200));
    request.peer_family = 4;
    for (int at = 0; at < 10; at++) {
        request.peer[3] = 7;
        OK(hedgerow_score(scorer, &request, &verdict));
        CHECK(verdict.client_known == 1 && (at == 0 || verdict.client == client));
        client = verdict.client;
        OK(hedgerow_finish(scorer, &verdict, 404));
    }
    request.peer[3] = 8;
    OK(hedgerow_score(scorer, &request, &verdict));
    CHECK(verdict.client != client);
    verdict.client = UINT64_MAX; /* made up */
    OK(hedgerow_finish(scorer, &verdict, 65535));
    OK(hedgerow_scorer_free(scorer));
    OK(hedgerow_engine_free(engine));
}

/* Late calls open a scorer's breaker; after a pause one call is tried. */
static void breaker(void) {
    hedgerow_engine *engine = NULL;
    hedgerow_scorer *scorer = NULL;
    hedgerow_request request = REQUEST(CURL);
    hedgerow_verdict verdict = {.size = sizeof verdict};
    /* No call takes a nanosecond: each is late. */
    hedgerow_breaker options = {.budget_nanos = 1, .late_max = 2, .pause_ms = 200};

    OK(hedgerow_engine_open(NULL, &engine));
    OK(hedgerow_scorer_attach(engine, &scorer));
    CHECK_STATUS(HEDGEROW_STATUS_SIZE, hedgerow_scorer_breaker(scorer, &options));
    options.size = sizeof options;
    CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_scorer_breaker(NULL, &options));
    /* A scorer has none at first. */
    for (int at = 0; at < 100; at++)
        OK(hedgerow_score(scorer, &request, &verdict));
    OK(hedgerow_scorer_breaker(scorer, &options));
    for (int round = 0; round < 2; round++) {
        OK(hedgerow_score(scorer, &request, &verdict));
        if (round == 0)
            OK(hedgerow_score(scorer, &request, &verdict));
        CHECK(verdict.kind == HEDGEROW_KIND_SCORED && verdict.nanos > 1);
        CHECK_STATUS(HEDGEROW_STATUS_BREAKER_OPEN, hedgerow_score(scorer, &request, &verdict));
        CHECK(verdict.kind == HEDGEROW_KIND_NOT_SCORED && verdict.score == HEDGEROW_NO_SCORE);
        CHECK(verdict.nanos == 0 && verdict.reason == HEDGEROW_REASON_ERROR);
        nanosleep(&(struct timespec){0, 210000000}, NULL);
    }
    /* Another one is closed at first; NULL means the defaults. */
    OK(hedgerow_scorer_breaker(scorer, NULL));
    OK(hedgerow_score(scorer, &request, &verdict));
    OK(hedgerow_score(scorer, &request, &verdict));
    CHECK(strcmp(hedgerow_status_name(HEDGEROW_STATUS_BREAKER_OPEN), "breaker-open") == 0);
    OK(hedgerow_scorer_free(scorer));
    OK(hedgerow_engine_free(engine));
}

/* Tables by trusted keys alone: arguments are a key's file, and a table that it signed. */
static void keys(const char *key, const char *signed_table, const char *unsigned_table) {
    const char *files[] = {key, NULL};
    hedgerow_options options = {.size = sizeof options, .keys = files, .key_count = 1};
    hedgerow_engine *engine = NULL;
    hedgerow_stats stats = {.size = sizeof stats};
    uint64_t generation = 0;
    char text[256];

    options.table = unsigned_table;
    CHECK_STATUS(HEDGEROW_STATUS_REFUSED, hedgerow_engine_open(&options, &engine));
    OK(hedgerow_last_error(text, sizeof text, NULL));
    CHECK(engine == NULL && strstr(text, "signature by one of") != NULL);
    options.table = signed_table;
    OK(hedgerow_engine_open(&options, &engine));
    CHECK_STATUS(HEDGEROW_STATUS_REFUSED,
                 hedgerow_engine_publish(engine, unsigned_table, &generation));
    OK(hedgerow_engine_publish(engine, signed_table, &generation));
    CHECK(generation == 2);
    OK(hedgerow_engine_stats(engine, &stats));
    CHECK(stats.refused == 1 && stats.generation == 2);
    OK(hedgerow_engine_free(engine));
    /* The bundled table is the library's own. */
    options.table = NULL;
    OK(hedgerow_engine_open(&options, &engine));
    OK(hedgerow_engine_free(engine));
    options.key_count = 2;
    CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_engine_open(&options, &engine));
    options.keys = NULL;
    CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_engine_open(&options, &engine));
    files[1] = unsigned_table; /* no key at all */
    options.keys = files;
    CHECK_STATUS(HEDGEROW_STATUS_REFUSED, hedgerow_engine_open(&options, &engine));
    files[1] = "/nowhere/at/all.pub";
    CHECK_STATUS(HEDGEROW_STATUS_REFUSED, hedgerow_engine_open(&options, &engine));
    files[1] = "/dev/zero"; /* without an end */
    CHECK_STATUS(HEDGEROW_STATUS_REFUSED, hedgerow_engine_open(&options, &engine));
}

/* Features of the host's own: a table that needs them is refused without, and scores by them. */
static void own(const char *table) {
    hedgerow_feature features[] = {
        {.name = "shop_logged_in", .kind = HEDGEROW_FEATURE_KIND_FLAG},
        {.name = "shop_orders", .kind = HEDGEROW_FEATURE_KIND_NUMBER},
    };
    hedgerow_options options = {.size = sizeof options, .table = table};
    hedgerow_engine *engine = NULL;
    hedgerow_scorer *scorer = NULL;
    hedgerow_request request = REQUEST(CURL);
    hedgerow_verdict verdict = {.size = sizeof verdict};
    char text[256];

    CHECK_STATUS(HEDGEROW_STATUS_REFUSED, hedgerow_engine_open(&options, &engine));
    OK(hedgerow_last_error(text, sizeof text, NULL));
    CHECK(strstr(text, "shop_orders") != NULL);
    options.features = features;
    options.feature_count = 2;
    /* Windows of traffic stand in front of them, where there are some. */
    for (uint32_t clients = 0; clients <= 64; clients += 64) {
        options.traffic_clients = clients;
        OK(hedgerow_engine_open(&options, &engine));
        OK(hedgerow_scorer_attach(engine, &scorer));
        /* Of the margin 1 each, and 0 where a value is not known. */
        static const struct {
            float values[2];
            size_t count;
            double margin;
        } tries[] = {{{1, 10}, 2, 2}, {{0, 10}, 2, 1}, {{1, 1}, 2, 1}, {{0, 0}, 2, 0},
                     {{1, 10}, 1, 1}, {{1, 10}, 0, 0}, {{NAN, 10}, 2, 1}, {{1, 10}, 2, 2}};
        for (size_t at = 0; at < sizeof tries / sizeof *tries; at++) {
            request.peer_family = at % 2 ? 4 : 0;
            request.own = tries[at].values;
            request.own_count = tries[at].count;
            OK(hedgerow_score(scorer, &request, &verdict));
            CHECK(verdict.kind == HEDGEROW_KIND_SCORED && verdict.margin == tries[at].margin);
        }
        request.own_count = 3;
        CHECK_STATUS(HEDGEROW_STATUS_ARGUMENT, hedgerow_score(scorer, &request, &verdict));
        CHECK(verdict.kind == HEDGEROW_KIND_NOT_SCORED && verdict.score == HEDGEROW_NO_SCORE);
        request.own = NULL;
        CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_score(scorer, &request, &verdict));
        OK(hedgerow_scorer_free(scorer));
        OK(hedgerow_engine_free(engine));
    }
    features[0].kind = 3;
    CHECK_STATUS(HEDGEROW_STATUS_ARGUMENT, hedgerow_engine_open(&options, &engine));
    features[0].kind = HEDGEROW_FEATURE_KIND_FLAG;
    features[0].name = "ua_missing";
    CHECK_STATUS(HEDGEROW_STATUS_REFUSED, hedgerow_engine_open(&options, &engine));
    features[0].name = "";
    CHECK_STATUS(HEDGEROW_STATUS_REFUSED, hedgerow_engine_open(&options, &engine));
    features[0].name = NULL;
    CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_engine_open(&options, &engine));
    options.features = NULL;
    CHECK_STATUS(HEDGEROW_STATUS_NULL, hedgerow_engine_open(&options, &engine));
    options.features = features;
    options.feature_count = 257;
    CHECK_STATUS(HEDGEROW_STATUS_ARGUMENT, hedgerow_engine_open(&options, &engine));
}

int main(int count, char **arguments) {
    CHECK(count == 7);
    scores();
    requests();
    hops();
    misuse();
    threads();
    traffic();
    breaker();
    /* What the parent's threads held is lost in a child, by any count of leaks. */
    if (getenv("WITHOUT_FORK") == NULL)
        forks(arguments[3]);
    signals(arguments[3]);
    tables(arguments[1], arguments[2], arguments[3]);
    keys(arguments[4], arguments[5], arguments[1]);
    own(arguments[6]);
    puts("the C ABI holds");
    return 0;
}
