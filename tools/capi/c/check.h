/* What the C tests share: a check that names its line, and ends the program with 1. At once, since
 * a handler of signals checks, too. */
#ifndef CHECK_H
#define CHECK_H

#include "hedgerow.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            _Exit(1);                                                                              \
        }                                                                                          \
    } while (0)

#define CHECK_STATUS(expected, call)                                                               \
    do {                                                                                           \
        hedgerow_status got_ = (call);                                                             \
        if (got_ != (expected)) {                                                                  \
            char why_[256];                                                                        \
            hedgerow_last_error(why_, sizeof why_, NULL);                                          \
            fprintf(stderr, "%s:%d: %s: expected %s, got %s (%s)\n", __FILE__, __LINE__, #call,    \
                    hedgerow_status_name(expected), hedgerow_status_name(got_), why_);             \
            _Exit(1);                                                                              \
        }                                                                                          \
    } while (0)

#define OK(call) CHECK_STATUS(HEDGEROW_STATUS_OK, call)

#define BYTES(text) {(const uint8_t *)(text), sizeof(text) - 1}
#define FIELD(name, value) {BYTES(name), BYTES(value)}

/* What curl sends. */
static const hedgerow_header CURL[] = {
    FIELD("Host", "shop.example"),
    FIELD("User-Agent", "curl/8.5.0"),
    FIELD("Accept", "*/*"),
};

/* What Chromium sends for a page. */
static const hedgerow_header BROWSER[] = {
    FIELD("Host", "shop.example"),
    FIELD("Connection", "keep-alive"),
    FIELD("sec-ch-ua", "\"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\", \"Google Chrome\";v=\"140\""),
    FIELD("sec-ch-ua-mobile", "?0"),
    FIELD("sec-ch-ua-platform", "\"Linux\""),
    FIELD("Upgrade-Insecure-Requests", "1"),
    FIELD("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
                        "Chrome/140.0.0.0 Safari/537.36"),
    FIELD("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
                    "image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"),
    FIELD("Sec-Fetch-Site", "none"),
    FIELD("Sec-Fetch-Mode", "navigate"),
    FIELD("Sec-Fetch-User", "?1"),
    FIELD("Sec-Fetch-Dest", "document"),
    FIELD("Accept-Encoding", "gzip, deflate, br, zstd"),
    FIELD("Accept-Language", "en-US,en;q=0.9"),
};

/* A request of these headers. */
#define REQUEST(fields)                                                                            \
    {                                                                                              \
        .size = sizeof(hedgerow_request), .method = BYTES("GET"), .target = BYTES("/"),            \
        .headers = (fields), .header_count = sizeof(fields) / sizeof *(fields),                    \
        .version = HEDGEROW_VERSION_HTTP11, .scheme = HEDGEROW_SCHEME_HTTPS,                       \
    }

#endif
