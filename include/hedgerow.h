/*
 * hedgerow: bot scores for HTTP requests, in the process that serves them.
 *
 * Made by cbindgen from src/ffi, and held against it by a test: not to be changed by hand. Link
 * libhedgerow.a with -lgcc_s -lpthread -ldl -lm, or libhedgerow.so. The manual's chapter `c` shows
 * a whole host.
 *
 * Rules for hosts:
 * - A handle is a number: it is never read through, and a wrong one is a status, not a crash.
 * - Pointers must be NULL or good for what is said of them, for as long as the call.
 * - A scorer belongs to the thread that attached it; an engine to all threads of its process.
 * - A process that forks opens its engine in the child.
 * - A signal's handler calls hedgerow_score and hedgerow_finish alone: others wait and allocate.
 * - Every struct starts with its size: set it to sizeof before the call.
 */


#ifndef HEDGEROW_H
#define HEDGEROW_H

#include <stddef.h>
#include <stdint.h>

// Changes whenever a struct or a function of the header changes. What is only added keeps it.
#define HEDGEROW_ABI_VERSION 3

// The `score` of a verdict that has none: no rule of the form "below N" matches it.
#define HEDGEROW_NO_SCORE 255

// How a call ended. Whatever is not `HEDGEROW_STATUS_OK` changed nothing; a verdict that was asked
// for says then that there is no score.
enum hedgerow_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Done.
    HEDGEROW_STATUS_OK = 0,
    // A pointer or a handle is NULL.
    HEDGEROW_STATUS_NULL = 1,
    // A value is none of those that there are, or a pointer is not aligned.
    HEDGEROW_STATUS_ARGUMENT = 2,
    // A struct's `size` is not the one of this library: set it to `sizeof`, and compile against
    // the header that came with the library.
    HEDGEROW_STATUS_SIZE = 3,
    // No such handle: it was freed, or never one.
    HEDGEROW_STATUS_HANDLE = 4,
    // The scorer was attached by another thread, or this thread is ending.
    HEDGEROW_STATUS_THREAD = 5,
    // The thread is inside of the library already: a signal's handler came in between, and would
    // wait for what it interrupted.
    HEDGEROW_STATUS_BUSY = 6,
    // The handle is older than the fork that this process comes from.
    HEDGEROW_STATUS_FORKED = 7,
    // All 64 engines, or all 1,024 scorers of an engine, are taken.
    HEDGEROW_STATUS_FULL = 8,
    // The table was refused: see `hedgerow_last_error`. What ran runs on.
    HEDGEROW_STATUS_REFUSED = 9,
    // The system gave no thread or no memory.
    HEDGEROW_STATUS_SYSTEM = 10,
    // A bug: the call ended early, and the host goes on.
    HEDGEROW_STATUS_PANIC = 11,
    // There is nothing to read.
    HEDGEROW_STATUS_NOTHING = 12,
    // The names of that generation are not known any more.
    HEDGEROW_STATUS_UNKNOWN = 13,
    // The engine watches a directory: tables come from there.
    HEDGEROW_STATUS_WATCHED = 14,
    // The scorer's circuit breaker is open: the request was not looked at.
    HEDGEROW_STATUS_BREAKER_OPEN = 15,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum hedgerow_status hedgerow_status;
#else
typedef int32_t hedgerow_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The values of `hedgerow_request.version`.
enum hedgerow_version
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Not known.
    HEDGEROW_VERSION_UNKNOWN = 0,
    // HTTP/1.0, and older.
    HEDGEROW_VERSION_HTTP10 = 1,
    // HTTP/1.1.
    HEDGEROW_VERSION_HTTP11 = 2,
    // HTTP/2.
    HEDGEROW_VERSION_HTTP2 = 3,
    // HTTP/3.
    HEDGEROW_VERSION_HTTP3 = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum hedgerow_version hedgerow_version;
#else
typedef uint8_t hedgerow_version;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The values of `hedgerow_request.scheme`.
enum hedgerow_scheme
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Not known.
    HEDGEROW_SCHEME_UNKNOWN = 0,
    // Plain text.
    HEDGEROW_SCHEME_HTTP = 1,
    // TLS, at the client's end of the connection.
    HEDGEROW_SCHEME_HTTPS = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum hedgerow_scheme hedgerow_scheme;
#else
typedef uint8_t hedgerow_scheme;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The values of `hedgerow_request.headers_known`.
enum hedgerow_headers
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Every header is listed, in wire order and in the case it was sent in.
    HEDGEROW_HEADERS_COMPLETE = 0,
    // Every header is listed, but their order and case are lost.
    HEDGEROW_HEADERS_UNORDERED = 1,
    // Only User-Agent and Referer are known: a line of an access log.
    HEDGEROW_HEADERS_PARTIAL = 2,
    // Only the User-Agent is known.
    HEDGEROW_HEADERS_USER_AGENT_ONLY = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum hedgerow_headers hedgerow_headers;
#else
typedef uint8_t hedgerow_headers;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The values of `hedgerow_options.hop` and `hedgerow_request.hop`.
enum hedgerow_hop
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Of options: a proxy at trusted addresses, a client at all others. Of a request: as the
    // options decide.
    HEDGEROW_HOP_AUTO = 0,
    // The client itself: headers are as it sent them.
    HEDGEROW_HOP_CLIENT = 1,
    // A proxy of the site. It may reorder, re-case, add and drop headers. Of a request: address,
    // scheme and JA4 are the client's, and trusted headers say what the host leaves unknown.
    HEDGEROW_HOP_PROXY = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum hedgerow_hop hedgerow_hop;
#else
typedef uint8_t hedgerow_hop;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The values of `hedgerow_verdict.kind`.
enum hedgerow_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // There is no score; `reason` says why.
    HEDGEROW_KIND_NOT_SCORED = 0,
    // There is a score.
    HEDGEROW_KIND_SCORED = 1,
    // A bot that its address verifies. It has no score: what becomes of it is a rule of its own.
    HEDGEROW_KIND_VERIFIED_BOT = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum hedgerow_kind hedgerow_kind;
#else
typedef uint8_t hedgerow_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The values of `hedgerow_verdict.source`.
enum hedgerow_source
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // There is no score.
    HEDGEROW_SOURCE_NONE = 0,
    // The ensemble.
    HEDGEROW_SOURCE_ENSEMBLE = 1,
    // The detection whose number is in `detection`.
    HEDGEROW_SOURCE_DETECTION = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum hedgerow_source hedgerow_source;
#else
typedef uint8_t hedgerow_source;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The values of `hedgerow_verdict.reason`.
enum hedgerow_reason
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // There is a score, or a verified bot.
    HEDGEROW_REASON_NONE = 0,
    // No table was published yet.
    HEDGEROW_REASON_NO_TABLE = 1,
    // Not given by these calls.
    HEDGEROW_REASON_OVERLOADED = 2,
    // Not given by these calls.
    HEDGEROW_REASON_CLOSED = 3,
    // A person has switched the engine or its ensemble off.
    HEDGEROW_REASON_DISABLED = 4,
    // The call failed: its status says why.
    HEDGEROW_REASON_ERROR = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum hedgerow_reason hedgerow_reason;
#else
typedef uint8_t hedgerow_reason;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The values of `hedgerow_feature.kind`.
enum hedgerow_feature_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // A quantity.
    HEDGEROW_FEATURE_KIND_NUMBER = 0,
    // Yes or no: 1 or 0.
    HEDGEROW_FEATURE_KIND_FLAG = 1,
    // One of a list of codes, a whole number from 0 on.
    HEDGEROW_FEATURE_KIND_CATEGORY = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum hedgerow_feature_kind hedgerow_feature_kind;
#else
typedef uint8_t hedgerow_feature_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// An engine's handle.
typedef struct hedgerow_engine hedgerow_engine;

// A scorer's handle.
typedef struct hedgerow_scorer hedgerow_scorer;

// A feature of the host's own.
typedef struct hedgerow_feature {
    // Its name in tables; no built-in feature has it.
    const char *name;
    // A `hedgerow_feature_kind`.
    uint8_t kind;
} hedgerow_feature;

// How an engine is opened. Set everything to zero, then `size`.
typedef struct hedgerow_options {
    // The size of this struct.
    size_t size;
    // A table's file, or a directory to watch: one that is there, or a path with a slash at its
    // end. NULL and `default` mean the bundled table.
    const char *table;
    // Where a directory is watched: a folder of this engine's own for its ledger, its status and
    // copies of its last good tables. NULL means none.
    const char *state;
    // Where a directory is watched: this engine's name in its status. NULL means `engine`.
    const char *name;
    // Where a directory is watched: how often it is looked at, in milliseconds; 0 means 40.
    uint32_t poll_ms;
    // Clients of each scorer's traffic windows, a power of two from 8 to 65,536, 136 bytes each;
    // 0 means no windows.
    uint32_t traffic_clients;
    // Where a directory is watched and has no good table: 0 means that the bundled table runs, 1
    // that none does.
    uint8_t no_fallback;
    // Who is at the other end of connections: a `hedgerow_hop`. A request may say it, too.
    uint8_t hop;
    // The scheme of every client, where it is known: a `hedgerow_scheme`.
    uint8_t client_scheme;
    // Whether each of the site's proxies keeps the order of a client's headers: 1 or 0.
    uint8_t keeps_order;
    // The addresses of the site's proxies, as `192.0.2.0/24`, `2001:db8::/32` or `192.0.2.1`. What
    // the headers below say of a client counts from them alone: each must set or remove them.
    const char *const *trusted;
    // How many there are.
    size_t trusted_count;
    // The header with a client's address; NULL means `x-forwarded-for`. Here and below, an empty
    // name means that no header says it.
    const char *address_header;
    // The header with a client's scheme; NULL means `x-forwarded-proto`.
    const char *scheme_header;
    // The header with the protocol version that a client speaks; NULL means none.
    const char *version_header;
    // The header with the JA4 of a client; NULL means none.
    const char *ja4_header;
    // Files of public keys, as `hedgerow key` writes them: tables that none of them signed are
    // refused, but for the bundled one. With none, unsigned tables are taken, and in a
    // directory signed ones are refused.
    const char *const *keys;
    // How many there are.
    size_t key_count;
    // The host's own features, behind the built-in ones: tables may use them.
    const struct hedgerow_feature *features;
    // How many there are.
    size_t feature_count;
} hedgerow_options;

// The state of an engine: counts of all its scorers, those that are gone included.
typedef struct hedgerow_stats {
    // The size of this struct; set by the host.
    size_t size;
    // The generation that is live; 0 where there is none, or the bundled one of a watched
    // directory.
    uint64_t generation;
    // Requests that got a score, by whatever source.
    uint64_t scored;
    // Those of them whose score is a detection's.
    uint64_t by_detection;
    // Requests of verified bots.
    uint64_t verified_bots;
    // Requests without a score because there was no table.
    uint64_t no_table;
    // Requests without a score because a person switched scoring off.
    uint64_t disabled;
    // Refused tables, and whatever else was refused in a watched directory.
    uint64_t refused;
    // Tables that were quarantined for their drift.
    uint64_t quarantined;
    // How often the engine went back to the table before by itself.
    uint64_t reverted;
    // Half of all calls of `hedgerow_score` took at most this many nanoseconds.
    uint64_t latency_p50;
    // 99 % of them took at most this many.
    uint64_t latency_p99;
    // Scorers that are alive.
    uint32_t scorers;
    // Replaced tables that a scorer still holds: above 1 for long, one stays inside.
    uint32_t retired;
    // How many switches are off: 0 is the rule.
    uint32_t switched_off;
    // The content hash of the live table in hexadecimal, and a zero byte; empty where there is
    // none.
    char content_id[33];
} hedgerow_stats;

// Bytes of the host's. They are read during the call alone, and never written.
typedef struct hedgerow_bytes {
    // The first of them. NULL means that they are not known, or where nothing can be unknown,
    // that there are none.
    const uint8_t *data;
    // How many there are.
    size_t len;
} hedgerow_bytes;

// One header field as it came: any bytes.
typedef struct hedgerow_header {
    // The name, in the case it was sent in.
    struct hedgerow_bytes name;
    // The value, without the white space around it.
    struct hedgerow_bytes value;
} hedgerow_header;

// Numbers of 16 bits, as in lists of a ClientHello, in the machine's byte order.
typedef struct hedgerow_numbers {
    // The first of them. NULL means none.
    const uint16_t *data;
    // How many there are.
    size_t len;
} hedgerow_numbers;

// The parts of a ClientHello, in the order that they were sent in.
typedef struct hedgerow_hello {
    // The size of this struct.
    size_t size;
    // The extension `supported_versions`.
    struct hedgerow_numbers versions;
    // The cipher suites.
    struct hedgerow_numbers ciphers;
    // The numbers of the extensions.
    struct hedgerow_numbers extensions;
    // The extension `signature_algorithms`.
    struct hedgerow_numbers signature_algorithms;
    // The first protocol of the extension ALPN.
    struct hedgerow_bytes alpn;
    // The version in the hello itself.
    uint16_t legacy_version;
    // 1 where it came over QUIC, else 0.
    uint8_t quic;
} hedgerow_hello;

// One request. Set everything to zero, then `size`, then what is known: what stays zero is not
// known. Nothing in it is checked for sense: any bytes are allowed.
typedef struct hedgerow_request {
    // The size of this struct.
    size_t size;
    // The method.
    struct hedgerow_bytes method;
    // Path and query as sent.
    struct hedgerow_bytes target;
    // The `:authority` of HTTP/2 and HTTP/3, where the host keeps it.
    struct hedgerow_bytes authority;
    // The headers in wire order, duplicates kept, without pseudo-headers.
    const struct hedgerow_header *headers;
    // How many there are; the first 128 are looked at.
    size_t header_count;
    // The JA4 of the TLS client.
    struct hedgerow_bytes ja4;
    // The protocol that ALPN settled on.
    struct hedgerow_bytes alpn;
    // The parts of the ClientHello, or NULL.
    const struct hedgerow_hello *hello;
    // Values of the host's own features, in the order of `hedgerow_options.features`. NaN is not
    // known, and so are those that are left out at the end.
    const float *own;
    // How many there are.
    size_t own_count;
    // The address of the other end in network order: 16 bytes, or the first 4. Where `hop` is
    // `HEDGEROW_HOP_PROXY`, the client's.
    uint8_t peer[16];
    // 4 or 6; 0 where the address is not known.
    uint8_t peer_family;
    // A `hedgerow_version`.
    uint8_t version;
    // A `hedgerow_scheme`.
    uint8_t scheme;
    // A `hedgerow_headers`.
    uint8_t headers_known;
    // A `hedgerow_hop`.
    uint8_t hop;
    // Behind a proxy, the version that the client spoke to it: a `hedgerow_version`.
    uint8_t client_version;
} hedgerow_request;

// The outcome for one request.
typedef struct hedgerow_verdict {
    // The size of this struct; set by the host.
    size_t size;
    // The generation of the table that was live; 0 for the bundled table of a watched directory,
    // and where there was none.
    uint64_t generation;
    // Which detections of that generation match: see `hedgerow_detections`.
    uint64_t detections;
    // The client in the traffic windows, for `hedgerow_finish`.
    uint64_t client;
    // The ensemble's margin (log-odds of a human); NaN where there is none.
    double margin;
    // Nanoseconds that the call took, for a host that gives up scoring where it takes too long; 0
    // where it failed.
    uint64_t nanos;
    // The number of the detection that decided; 0 where none did.
    uint32_t detection;
    // The bot's position in its table, for `hedgerow_bot_name`.
    uint16_t bot;
    // A `hedgerow_kind`.
    uint8_t kind;
    // 1 (certainly automated) to 99 (certainly human); `HEDGEROW_NO_SCORE` where there is none.
    uint8_t score;
    // A `hedgerow_source`.
    uint8_t source;
    // A `hedgerow_reason`.
    uint8_t reason;
    // The bot's category, for `hedgerow_category_name`.
    uint8_t category;
    // Whether `client` is known: 1 or 0.
    uint8_t client_known;
} hedgerow_verdict;

// When a scorer stops for a while: see `hedgerow_scorer_breaker`. Set everything to zero, then
// `size`: what stays zero has its default.
typedef struct hedgerow_breaker {
    // The size of this struct.
    size_t size;
    // Nanoseconds that one call may take; 0 means 1,000,000. A longer call counts as late, and
    // still gives its score.
    uint64_t budget_nanos;
    // Late calls in a row that open the breaker; 0 means 16.
    uint32_t late_max;
    // Panics within the window that open it; 0 means 8.
    uint32_t panics_max;
    // How long a panic counts, in milliseconds; 0 means 10,000.
    uint32_t window_ms;
    // How long the breaker stays open, in milliseconds; 0 means 1,000. Then one call is tried.
    uint32_t pause_ms;
} hedgerow_breaker;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the header that the library was made with, for a comparison with
// `HEDGEROW_ABI_VERSION`.
uint32_t hedgerow_abi_version(void);

// The library's version, as in `0.1.0`.
const char *hedgerow_library_version(void);

// How many built-in features this library fills into a row.
size_t hedgerow_feature_count(void);

// A capacity by its name, as `hedgerow limits` prints it.
hedgerow_status hedgerow_limit(const char *name, uint64_t *max);

// The name of a status, as in `refused`.
const char *hedgerow_status_name(int32_t status);

// The name of a `hedgerow_kind`.
const char *hedgerow_kind_name(uint8_t kind);

// The name of a `hedgerow_source`.
const char *hedgerow_source_name(uint8_t source);

// The name of a `hedgerow_reason`.
const char *hedgerow_reason_name(uint8_t reason);

// The name of a verified bot's category.
const char *hedgerow_category_name(uint8_t category);

// Why the last call of this thread that failed did so, as text of at most 512 bytes, cut to
// `capacity` and ended with a zero byte. Its whole length goes to `len`, unless that is NULL.
hedgerow_status hedgerow_last_error(char *text, size_t capacity, size_t *len);

// Takes the oldest line of the library's log, which is kept from the first opened engine on: a
// line for each table, each distinct refusal and each switch, as in `warn: text`. At most 64 lines
// wait, and `HEDGEROW_STATUS_NOTHING` says that none does. It is cut to `capacity` and ended with
// a zero byte; its whole length goes to `len`, unless that is NULL. With a capacity of 0 the line
// stays. Any thread may call it.
hedgerow_status hedgerow_log_next(char *text, size_t capacity, size_t *len);

// Opens an engine; NULL for `options` means the bundled table. With a directory, two threads watch
// it until the engine is freed. A process that forks opens its engine in the child.
//
// A table's file that is refused is `HEDGEROW_STATUS_REFUSED`, and no engine is opened; whatever
// is in a directory, the engine opens.
hedgerow_status hedgerow_engine_open(const struct hedgerow_options *options,
                                     struct hedgerow_engine **engine);

// Frees an engine, and ends its threads. Its scorers go on with the table that they have, and are
// freed by their own threads.
//
// In the child of a fork an engine of the parent is left as it is, and told as
// `HEDGEROW_STATUS_FORKED`.
hedgerow_status hedgerow_engine_free(struct hedgerow_engine *engine);

// Publishes a table's file, and says as which generation, unless `generation` is NULL. A refused
// one leaves the table that runs. An engine that watches a directory takes tables from there
// alone.
hedgerow_status hedgerow_engine_publish(struct hedgerow_engine *engine,
                                        const char *table,
                                        uint64_t *generation);

// The state of an engine now. Any thread may ask; those that score do not notice.
hedgerow_status hedgerow_engine_stats(struct hedgerow_engine *engine, struct hedgerow_stats *stats);

// Attaches a scorer of this engine to the thread that calls: no other one can use it. It is freed
// by `hedgerow_scorer_free`, or with its thread.
hedgerow_status hedgerow_scorer_attach(struct hedgerow_engine *engine,
                                       struct hedgerow_scorer **scorer);

// Frees a scorer of this thread.
hedgerow_status hedgerow_scorer_free(struct hedgerow_scorer *scorer);

// Scores a request: fills a row from it, with the traffic of its client where the engine has
// windows, and asks the live table. Allocates nothing, takes no lock, and reads nothing of the
// request after it returned. Where the status is not `HEDGEROW_STATUS_OK`, the verdict says that
// there is no score, unless it is NULL or of another size.
hedgerow_status hedgerow_score(struct hedgerow_scorer *scorer,
                               const struct hedgerow_request *request,
                               struct hedgerow_verdict *verdict);

// Gives a scorer a circuit breaker, which it does not have at first: where calls are late or
// panic again and again, `hedgerow_score` returns `HEDGEROW_STATUS_BREAKER_OPEN` for a while, and
// does nothing else. NULL for `breaker` means one with the defaults. The breaker is closed at
// first.
hedgerow_status hedgerow_scorer_breaker(struct hedgerow_scorer *scorer,
                                        const struct hedgerow_breaker *breaker);

// Tells the traffic windows with which HTTP status a request was answered. Without windows, or
// where the client was not known, nothing is done.
hedgerow_status hedgerow_finish(struct hedgerow_scorer *scorer,
                                const struct hedgerow_verdict *verdict,
                                uint16_t status);

// The numbers of the detections that a verdict's request matches, ascending, at most `capacity` of
// them. How many there are goes to `count`, unless that is NULL. 64 is always enough.
hedgerow_status hedgerow_detections(struct hedgerow_scorer *scorer,
                                    const struct hedgerow_verdict *verdict,
                                    uint32_t *ids,
                                    size_t capacity,
                                    size_t *count);

// The name of a verified bot, as text cut to `capacity` and ended with a zero byte; its whole
// length, at most 56, goes to `len`, unless that is NULL.
hedgerow_status hedgerow_bot_name(struct hedgerow_scorer *scorer,
                                  const struct hedgerow_verdict *verdict,
                                  char *text,
                                  size_t capacity,
                                  size_t *len);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* HEDGEROW_H */
