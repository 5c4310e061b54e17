/*
 * Bot scores in nginx: $bot_score and its kin, and blocking below a score.
 *
 * Each worker process opens its own engine, with its own copy of the table and its own threads that
 * watch; nothing is opened in the master, which forks. Whatever goes wrong with scoring, requests
 * pass as if the module were not there.
 */
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "hedgerow.h"

/* Headers that are handed over: as many as are looked at. */
#define BOT_HEADERS_MAX 128

/* The library's circuit breaker: nanoseconds that a call may take, and for how many milliseconds a
 * scorer pauses. */
#define BOT_BUDGET 1000000
#define BOT_PAUSE 1000

/* How often the library's log lines are looked for, in milliseconds. */
#define BOT_LOG_POLL 500

typedef struct {
    ngx_str_t table;
    ngx_str_t state;
    /* Of const char *: files of the keys whose tables are taken; NULL where none is named. */
    ngx_array_t *keys;
    ngx_uint_t traffic;
    /* Of const char *: addresses of the site's proxies; NULL where none is named. */
    ngx_array_t *trusted;
    /* What the headers of these proxies say of a client. NULL means the library's default. */
    ngx_str_t address_header;
    ngx_str_t scheme_header;
    ngx_str_t version_header;
    ngx_str_t ja4_header;
    /* Whether these proxies keep the order of a client's headers. */
    ngx_flag_t keeps_order;
    /* The scheme of every client; a hedgerow_scheme. */
    ngx_uint_t scheme;
    /* Whether any place of the configuration scores. */
    ngx_flag_t used;
    /* Whether any has a score to block below. */
    ngx_flag_t blocks;
} bot_main_conf;

typedef struct {
    ngx_flag_t on;
    /* Who is at the other end of connections; a hedgerow_hop. */
    ngx_uint_t hop;
    /* Scores below it are blocked; 0 where none are. */
    ngx_uint_t below;
    ngx_uint_t status;
} bot_loc_conf;

/* What is known of a request. It lives in the request's pool, and is found there by its cleanup
 * where an internal redirect has cleared the context. */
typedef struct {
    hedgerow_verdict verdict;
    /* Why there is none; NULL where there is one. */
    const char *trouble;
    /* As it came: error_page and X-Accel-Redirect make a GET of it. */
    ngx_str_t method;
    unsigned asked : 1;
    unsigned known : 1;
    unsigned finished : 1;
    unsigned blocked : 1;
} bot_memo;

static ngx_int_t bot_variables(ngx_conf_t *cf);
static ngx_int_t bot_handlers(ngx_conf_t *cf);
static void *bot_create_main(ngx_conf_t *cf);
static char *bot_init_main(ngx_conf_t *cf, void *conf);
static void *bot_create_loc(ngx_conf_t *cf);
static char *bot_merge_loc(ngx_conf_t *cf, void *parent, void *child);
static char *bot_block(ngx_conf_t *cf, ngx_command_t *command, void *conf);
static char *bot_traffic(ngx_conf_t *cf, ngx_command_t *command, void *conf);
static char *bot_keys(ngx_conf_t *cf, ngx_command_t *command, void *conf);
static char *bot_trusted(ngx_conf_t *cf, ngx_command_t *command, void *conf);
static char *bot_header(ngx_conf_t *cf, ngx_command_t *command, void *conf);
static ngx_int_t bot_open(ngx_cycle_t *cycle);
static void bot_close(ngx_cycle_t *cycle);

static ngx_conf_enum_t bot_hops[] = {
    {ngx_string("auto"), HEDGEROW_HOP_AUTO},
    {ngx_string("client"), HEDGEROW_HOP_CLIENT},
    {ngx_string("proxy"), HEDGEROW_HOP_PROXY},
    {ngx_null_string, 0},
};

static ngx_conf_enum_t bot_schemes[] = {
    {ngx_string("http"), HEDGEROW_SCHEME_HTTP},
    {ngx_string("https"), HEDGEROW_SCHEME_HTTPS},
    {ngx_null_string, 0},
};

static ngx_command_t bot_commands[] = {

    {ngx_string("bot_score"),
     NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF | NGX_CONF_FLAG,
     ngx_conf_set_flag_slot, NGX_HTTP_LOC_CONF_OFFSET, offsetof(bot_loc_conf, on), NULL},

    {ngx_string("bot_score_table"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_str_slot,
     NGX_HTTP_MAIN_CONF_OFFSET, offsetof(bot_main_conf, table), NULL},

    {ngx_string("bot_score_state"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_str_slot,
     NGX_HTTP_MAIN_CONF_OFFSET, offsetof(bot_main_conf, state), NULL},

    {ngx_string("bot_score_keys"), NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE, bot_keys,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},

    {ngx_string("bot_score_traffic"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, bot_traffic,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},

    {ngx_string("bot_score_block"),
     NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF | NGX_CONF_TAKE12, bot_block,
     NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},

    {ngx_string("bot_score_hop"),
     NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1,
     ngx_conf_set_enum_slot, NGX_HTTP_LOC_CONF_OFFSET, offsetof(bot_loc_conf, hop), bot_hops},

    {ngx_string("bot_score_trusted"), NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE, bot_trusted,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},

    {ngx_string("bot_score_keeps_order"), NGX_HTTP_MAIN_CONF | NGX_CONF_FLAG,
     ngx_conf_set_flag_slot, NGX_HTTP_MAIN_CONF_OFFSET, offsetof(bot_main_conf, keeps_order),
     NULL},

    {ngx_string("bot_score_client_scheme"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
     ngx_conf_set_enum_slot, NGX_HTTP_MAIN_CONF_OFFSET, offsetof(bot_main_conf, scheme),
     bot_schemes},

    {ngx_string("bot_score_address_header"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, bot_header,
     NGX_HTTP_MAIN_CONF_OFFSET, offsetof(bot_main_conf, address_header), NULL},

    {ngx_string("bot_score_scheme_header"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, bot_header,
     NGX_HTTP_MAIN_CONF_OFFSET, offsetof(bot_main_conf, scheme_header), NULL},

    {ngx_string("bot_score_version_header"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, bot_header,
     NGX_HTTP_MAIN_CONF_OFFSET, offsetof(bot_main_conf, version_header), NULL},

    {ngx_string("bot_score_ja4_header"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, bot_header,
     NGX_HTTP_MAIN_CONF_OFFSET, offsetof(bot_main_conf, ja4_header), NULL},

    ngx_null_command,
};

static ngx_http_module_t bot_context = {
    bot_variables,   bot_handlers, bot_create_main, bot_init_main, NULL, NULL,
    bot_create_loc, bot_merge_loc,
};

ngx_module_t ngx_http_bot_score_module = {
    NGX_MODULE_V1,
    &bot_context,
    bot_commands,
    NGX_HTTP_MODULE,
    NULL,
    NULL,
    bot_open,
    NULL,
    NULL,
    bot_close,
    NULL,
    NGX_MODULE_V1_PADDING,
};

/* Of this worker. */
static hedgerow_engine *bot_engine;
static hedgerow_scorer *bot_scorer;
/* Why there is no scorer; NULL where there is one or none is wanted. */
static const char *bot_failed;
/* Whether the breaker opened and no call was well since, and whether the last bad one panicked. */
static ngx_uint_t bot_opened, bot_panicked;
static ngx_event_t bot_log_event;
static ngx_connection_t bot_log_connection;
/* The timer's own, which logs nothing: without a master this process outlives the cycle that it
 * started with, and that cycle's log goes with it. */
static ngx_log_t bot_no_log;

/* ------------------------------------------------------------------- scoring */

static ngx_uint_t bot_headers(ngx_http_request_t *r, hedgerow_header *to) {
    ngx_list_part_t *part = &r->headers_in.headers.part;
    ngx_table_elt_t *all = part->elts;
    ngx_uint_t count = 0;

    for (ngx_uint_t at = 0; count < BOT_HEADERS_MAX; at++) {
        while (at >= part->nelts) {
            if (part->next == NULL) {
                return count;
            }
            part = part->next;
            all = part->elts;
            at = 0;
        }
        /* In HTTP/2 nginx makes a Host header out of :authority. */
        if (r->http_version == NGX_HTTP_VERSION_20 && &all[at] == r->headers_in.host) {
            continue;
        }
        to[count].name.data = all[at].key.data;
        to[count].name.len = all[at].key.len;
        to[count].value.data = all[at].value.data;
        to[count].value.len = all[at].value.len;
        count++;
    }
    return count;
}

static void bot_peer(ngx_http_request_t *r, hedgerow_request *request) {
    struct sockaddr *address = r->connection->sockaddr;

    if (address->sa_family == AF_INET) {
        request->peer_family = 4;
        ngx_memcpy(request->peer, &((struct sockaddr_in *)address)->sin_addr, 4);
    }
#if (NGX_HAVE_INET6)
    if (address->sa_family == AF_INET6) {
        request->peer_family = 6;
        ngx_memcpy(request->peer, &((struct sockaddr_in6 *)address)->sin6_addr, 16);
    }
#endif
}

/* Returns 1 if realip has replaced the address of the connection by its client's. */
static ngx_uint_t bot_replaced(ngx_http_request_t *r) {
    static ngx_str_t name = ngx_string("realip_remote_addr");
    ngx_str_t *known = &r->connection->addr_text;
    ngx_http_variable_value_t *before;

    before = ngx_http_get_variable(r, &name, ngx_hash_key(name.data, name.len));
    return before != NULL && !before->not_found && before->len != 0
           && (before->len != known->len || ngx_memcmp(before->data, known->data, known->len) != 0);
}

/* Who is at the other end, and what is known of the client. A proxy whose word realip takes for the
 * client's address is one of the site's. */
static void bot_hop(ngx_http_request_t *r, hedgerow_request *request) {
    bot_loc_conf *conf = ngx_http_get_module_loc_conf(r, ngx_http_bot_score_module);
    ngx_uint_t replaced = bot_replaced(r);

    request->hop = conf->hop;
    if (replaced && conf->hop == HEDGEROW_HOP_AUTO) {
        request->hop = HEDGEROW_HOP_PROXY;
    }
    if (replaced || request->hop != HEDGEROW_HOP_PROXY) {
        bot_peer(r, request);
    }
    /* A proxy's own connection says nothing of its client. */
    if (request->hop == HEDGEROW_HOP_PROXY) {
        return;
    }
    request->scheme = HEDGEROW_SCHEME_HTTP;
#if (NGX_HTTP_SSL)
    if (r->connection->ssl != NULL) {
        request->scheme = HEDGEROW_SCHEME_HTTPS;
    }
#endif
}

/* Logs that the breaker has opened, once until a call is well again. */
static void bot_note(ngx_http_request_t *r, hedgerow_status status, uint64_t nanos) {
    if (status == HEDGEROW_STATUS_BREAKER_OPEN) {
        if (!bot_opened) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "bot_score: too many %s calls; requests pass without a score until one "
                          "that is tried every %d ms is well",
                          bot_panicked ? "panicking" : "late", BOT_PAUSE);
        }
        bot_opened = 1;
    } else if (status == HEDGEROW_STATUS_PANIC || nanos > BOT_BUDGET) {
        bot_panicked = status == HEDGEROW_STATUS_PANIC;
    } else if (status == HEDGEROW_STATUS_OK) {
        bot_opened = 0;
    }
}

/* Scores a request, once. */
static void bot_ask(ngx_http_request_t *r, bot_memo *memo) {
    hedgerow_header headers[BOT_HEADERS_MAX];
    hedgerow_request request;
    hedgerow_status status;

    if (memo->asked || bot_scorer == NULL) {
        return;
    }
    memo->asked = 1;
    ngx_memzero(&request, sizeof(request));
    request.size = sizeof(request);
    request.method.data = memo->method.data;
    request.method.len = memo->method.len;
    request.target.data = r->unparsed_uri.data;
    request.target.len = r->unparsed_uri.len;
    request.headers = headers;
    request.header_count = bot_headers(r, headers);
    switch (r->http_version) {
    case NGX_HTTP_VERSION_20:
        request.version = HEDGEROW_VERSION_HTTP2;
        if (r->headers_in.host != NULL) {
            request.authority.data = r->headers_in.host->value.data;
            request.authority.len = r->headers_in.host->value.len;
        }
        break;
    case NGX_HTTP_VERSION_11:
        request.version = HEDGEROW_VERSION_HTTP11;
        break;
    default:
        request.version = HEDGEROW_VERSION_HTTP10;
    }
    bot_hop(r, &request);
    memo->verdict.size = sizeof(memo->verdict);
    status = hedgerow_score(bot_scorer, &request, &memo->verdict);
    memo->known = status == HEDGEROW_STATUS_OK;
    memo->trouble = memo->known ? NULL : hedgerow_status_name(status);
    bot_note(r, status, memo->verdict.nanos);
}

static void bot_forget(void *data) {
    (void)data;
}

static bot_memo *bot_find(ngx_http_request_t *r) {
    bot_memo *memo;

    r = r->main;
    memo = ngx_http_get_module_ctx(r, ngx_http_bot_score_module);
    if (memo != NULL) {
        return memo;
    }
    /* An internal redirect clears the contexts. */
    for (ngx_pool_cleanup_t *cleanup = r->pool->cleanup; cleanup; cleanup = cleanup->next) {
        if (cleanup->handler == bot_forget) {
            ngx_http_set_ctx(r, cleanup->data, ngx_http_bot_score_module);
            return cleanup->data;
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------- phases */

/* Comes only for requests that nginx has read and found well-formed: no other one has a memo, and
 * so none is scored. */
static ngx_int_t bot_begin(ngx_http_request_t *r) {
    ngx_pool_cleanup_t *cleanup;
    bot_memo *memo;

    if (bot_scorer == NULL || r != r->main || bot_find(r) != NULL) {
        return NGX_DECLINED;
    }
#if (NGX_HTTP_V2)
    /* A push is nginx's own request, with hardly a header: its stream has an even number. */
    if (r->stream != NULL && r->stream->node != NULL && !(r->stream->node->id & 1)) {
        return NGX_DECLINED;
    }
#endif
    cleanup = ngx_pool_cleanup_add(r->pool, sizeof(bot_memo));
    if (cleanup == NULL) {
        return NGX_DECLINED;
    }
    ngx_memzero(cleanup->data, sizeof(bot_memo));
    cleanup->handler = bot_forget;
    memo = cleanup->data;
    memo->method = r->method_name;
    ngx_http_set_ctx(r, memo, ngx_http_bot_score_module);
    return NGX_DECLINED;
}

/* Of a visitor's request alone: where a subrequest passes here, as that of auth_request does, the
 * place that it belongs to has decided already. */
static ngx_int_t bot_decide(ngx_http_request_t *r) {
    bot_loc_conf *conf = ngx_http_get_module_loc_conf(r, ngx_http_bot_score_module);
    bot_memo *memo = conf->on && r == r->main ? bot_find(r) : NULL;

    /* Once: the page that error_page has for it is to be seen. */
    if (memo == NULL || memo->blocked) {
        return NGX_DECLINED;
    }
    bot_ask(r, memo);
    if (memo->known && memo->verdict.kind == HEDGEROW_KIND_SCORED
        && memo->verdict.score < conf->below) {
        memo->blocked = 1;
        return conf->status;
    }
    return NGX_DECLINED;
}

static ngx_int_t bot_end(ngx_http_request_t *r) {
    /* With log_subrequest, those of others come here, too. */
    bot_memo *memo = r == r->main ? bot_find(r) : NULL;
    ngx_uint_t status = r->err_status ? r->err_status : r->headers_out.status;

    /* To the windows 0 is no answer. Where no head was sent there was none, whatever nginx notes,
     * nor where the client left before it came to it. */
    if (!r->header_sent || status == NGX_HTTP_CLIENT_CLOSED_REQUEST) {
        status = 0;
    }
    if (memo != NULL && memo->known && !memo->finished && bot_scorer != NULL) {
        memo->finished = 1;
        hedgerow_finish(bot_scorer, &memo->verdict, (uint16_t)ngx_min(status, 65535));
    }
    return NGX_OK;
}

/* ------------------------------------------------------------------- variables */

enum { BOT_SCORE, BOT_SOURCE, BOT_GENERATION, BOT_DETECTIONS, BOT_REASON, BOT_NAME };

static ngx_int_t bot_set(ngx_http_request_t *r, ngx_http_variable_value_t *v, const u_char *text,
                         size_t len) {
    v->not_found = 1;
    if (len == 0) {
        return NGX_OK;
    }
    v->data = ngx_pnalloc(r->pool, len);
    if (v->data == NULL) {
        return NGX_OK;
    }
    ngx_memcpy(v->data, text, len);
    v->len = len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    return NGX_OK;
}

static ngx_int_t bot_set_name(ngx_http_request_t *r, ngx_http_variable_value_t *v,
                              const char *name) {
    return bot_set(r, v, (const u_char *)name, ngx_strlen(name));
}

/* The numbers of the detections that match, with commas between. */
static u_char *bot_numbers(const hedgerow_verdict *verdict, u_char *to, u_char *end) {
    uint32_t ids[64];
    size_t count = 0;

    if (hedgerow_detections(bot_scorer, verdict, ids, 64, &count) != HEDGEROW_STATUS_OK) {
        return to;
    }
    for (size_t at = 0; at < count; at++) {
        to = ngx_slprintf(to, end, at ? ",%uD" : "%uD", ids[at]);
    }
    return to;
}

static ngx_int_t bot_get(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t which) {
    bot_loc_conf *conf = ngx_http_get_module_loc_conf(r, ngx_http_bot_score_module);
    bot_memo *memo = bot_find(r);
    /* 64 numbers of at most ten digits, and what stands between. */
    u_char text[64 * 11], *end = text + sizeof(text), *last = text;
    hedgerow_verdict *verdict;
    size_t len = 0;

    v->not_found = 1;
    if (conf->on && bot_scorer == NULL && bot_failed != NULL) {
        return which == BOT_SOURCE   ? bot_set_name(r, v, "not-scored")
               : which == BOT_REASON ? bot_set_name(r, v, bot_failed)
                                     : NGX_OK;
    }
    if (memo == NULL || bot_scorer == NULL) {
        return NGX_OK;
    }
    if (conf->on) {
        bot_ask(r->main, memo);
    }
    if (!memo->known) {
        return memo->trouble == NULL      ? NGX_OK
               : which == BOT_SOURCE      ? bot_set_name(r, v, "not-scored")
               : which == BOT_REASON      ? bot_set_name(r, v, memo->trouble)
                                          : NGX_OK;
    }
    verdict = &memo->verdict;
    switch (which) {
    case BOT_SCORE:
        if (verdict->kind == HEDGEROW_KIND_SCORED) {
            last = ngx_slprintf(text, end, "%ui", (ngx_uint_t)verdict->score);
        }
        break;
    case BOT_SOURCE:
        return bot_set_name(r, v,
                            verdict->kind == HEDGEROW_KIND_SCORED
                                ? hedgerow_source_name(verdict->source)
                                : hedgerow_kind_name(verdict->kind));
    case BOT_GENERATION:
        last = ngx_slprintf(text, end, "%uL", verdict->generation);
        break;
    case BOT_DETECTIONS:
        last = bot_numbers(verdict, text, end);
        break;
    case BOT_REASON:
        if (verdict->kind == HEDGEROW_KIND_NOT_SCORED) {
            return bot_set_name(r, v, hedgerow_reason_name(verdict->reason));
        }
        break;
    case BOT_NAME:
        if (hedgerow_bot_name(bot_scorer, verdict, (char *)text, sizeof(text), &len)
            == HEDGEROW_STATUS_OK) {
            last = text + ngx_min(len, sizeof(text) - 1);
        }
        break;
    }
    return bot_set(r, v, text, last - text);
}

static ngx_http_variable_t bot_names[] = {
    {ngx_string("bot_score"), NULL, bot_get, BOT_SCORE, NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("bot_source"), NULL, bot_get, BOT_SOURCE, NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("bot_generation"), NULL, bot_get, BOT_GENERATION, NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("bot_detections"), NULL, bot_get, BOT_DETECTIONS, NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("bot_reason"), NULL, bot_get, BOT_REASON, NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("bot_name"), NULL, bot_get, BOT_NAME, NGX_HTTP_VAR_NOCACHEABLE, 0},
    ngx_http_null_variable,
};

static ngx_int_t bot_variables(ngx_conf_t *cf) {
    for (ngx_http_variable_t *v = bot_names; v->name.len; v++) {
        ngx_http_variable_t *added = ngx_http_add_variable(cf, &v->name, v->flags);
        if (added == NULL) {
            return NGX_ERROR;
        }
        added->get_handler = v->get_handler;
        added->data = v->data;
    }
    return NGX_OK;
}

/* ------------------------------------------------------------------- configuration */

static ngx_int_t bot_handler(ngx_conf_t *cf, ngx_http_phases phase, ngx_http_handler_pt run) {
    ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    ngx_http_handler_pt *place = ngx_array_push(&core->phases[phase].handlers);

    if (place == NULL) {
        return NGX_ERROR;
    }
    *place = run;
    return NGX_OK;
}

static ngx_int_t bot_handlers(ngx_conf_t *cf) {
    bot_main_conf *conf = ngx_http_conf_get_module_main_conf(cf, ngx_http_bot_score_module);

    if (!conf->used) {
        /* Not refused: a person may have switched scoring off in a hurry. */
        if (conf->blocks) {
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                               "\"bot_score_block\" blocks nothing: \"bot_score\" is on nowhere");
        }
        return NGX_OK;
    }
    if (bot_handler(cf, NGX_HTTP_POST_READ_PHASE, bot_begin) != NGX_OK
        || bot_handler(cf, NGX_HTTP_PREACCESS_PHASE, bot_decide) != NGX_OK) {
        return NGX_ERROR;
    }
    return conf->traffic ? bot_handler(cf, NGX_HTTP_LOG_PHASE, bot_end) : NGX_OK;
}

static void *bot_create_main(ngx_conf_t *cf) {
    bot_main_conf *conf = ngx_pcalloc(cf->pool, sizeof(bot_main_conf));

    if (conf != NULL) {
        conf->traffic = NGX_CONF_UNSET_UINT;
        conf->keeps_order = NGX_CONF_UNSET;
        conf->scheme = NGX_CONF_UNSET_UINT;
    }
    return conf;
}

static char *bot_init_main(ngx_conf_t *cf, void *main) {
    bot_main_conf *conf = main;

    ngx_conf_init_uint_value(conf->traffic, 0);
    ngx_conf_init_value(conf->keeps_order, 0);
    ngx_conf_init_uint_value(conf->scheme, HEDGEROW_SCHEME_UNKNOWN);
    if (conf->table.len == 0) {
        ngx_str_set(&conf->table, "default");
    }
    if (ngx_strcmp(conf->table.data, "default") != 0
        && ngx_conf_full_name(cf->cycle, &conf->table, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }
    if (conf->state.len && ngx_conf_full_name(cf->cycle, &conf->state, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }
    return NGX_CONF_OK;
}

static void *bot_create_loc(ngx_conf_t *cf) {
    bot_loc_conf *conf = ngx_pcalloc(cf->pool, sizeof(bot_loc_conf));

    if (conf != NULL) {
        conf->on = NGX_CONF_UNSET;
        conf->hop = NGX_CONF_UNSET_UINT;
        conf->below = NGX_CONF_UNSET_UINT;
        conf->status = NGX_CONF_UNSET_UINT;
    }
    return conf;
}

/* Absent where nginx is built without it. */
extern ngx_module_t ngx_http_rewrite_module __attribute__((weak));

/* Whether a place answers by "return" with a page. The rewrite module keeps its conf to itself:
 * what is known is that its first member has the place's steps, and what a step of "return" looks
 * like. Steps of "if" blocks are among those of the place around them. */
static ngx_flag_t bot_returns(ngx_conf_t *cf) {
    const size_t step = sizeof(ngx_http_script_return_code_t);
    ngx_array_t **conf, *steps;

    if (&ngx_http_rewrite_module == NULL) {
        return 0;
    }
    conf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_rewrite_module);
    steps = conf != NULL ? *conf : NULL;
    if (steps == NULL) {
        return 0;
    }
    for (size_t at = 0; at + step <= steps->nelts * steps->size; at += sizeof(uintptr_t)) {
        ngx_http_script_return_code_t found;
        ngx_memcpy(&found, (u_char *)steps->elts + at, step);
        if (found.code == ngx_http_script_return_code && found.status >= 200
            && found.status < 300) {
            return 1;
        }
    }
    return 0;
}

static char *bot_merge_loc(ngx_conf_t *cf, void *parent, void *child) {
    bot_loc_conf *above = parent, *conf = child;
    bot_main_conf *main = ngx_http_conf_get_module_main_conf(cf, ngx_http_bot_score_module);

    ngx_conf_merge_value(conf->on, above->on, 0);
    ngx_conf_merge_uint_value(conf->hop, above->hop, HEDGEROW_HOP_AUTO);
    ngx_conf_merge_uint_value(conf->below, above->below, 0);
    ngx_conf_merge_uint_value(conf->status, above->status, NGX_HTTP_FORBIDDEN);
    if (conf->on) {
        main->used = 1;
    }
    if (conf->on && conf->below && bot_returns(cf)) {
        ngx_http_core_loc_conf_t *place;
        ngx_str_t server = ngx_string("server");
        place = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"bot_score_block\" does not stop \"return\" in \"%V\": nginx "
                           "returns before access is decided",
                           place->name.len ? &place->name : &server);
    }
    return NGX_CONF_OK;
}

/* bot_score_block off | N [STATUS] */
static char *bot_block(ngx_conf_t *cf, ngx_command_t *command, void *place) {
    bot_main_conf *main = ngx_http_conf_get_module_main_conf(cf, ngx_http_bot_score_module);
    bot_loc_conf *conf = place;
    ngx_str_t *words = cf->args->elts;
    ngx_int_t below, status = NGX_HTTP_FORBIDDEN;

    (void)command;
    if (conf->below != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }
    if (cf->args->nelts == 2 && ngx_strcmp(words[1].data, "off") == 0) {
        conf->below = 0;
        conf->status = NGX_HTTP_FORBIDDEN;
        return NGX_CONF_OK;
    }
    below = ngx_atoi(words[1].data, words[1].len);
    if (cf->args->nelts == 3) {
        status = ngx_atoi(words[2].data, words[2].len);
    }
    if (below < 2 || below > 99) {
        return "expects \"off\" or a score from 2 to 99, below which requests are blocked";
    }
    if (status < 400 || status > 599) {
        return "expects a status from 400 to 599 behind the score";
    }
    conf->below = below;
    conf->status = status;
    main->blocks = 1;
    return NGX_CONF_OK;
}

/* bot_score_traffic off | CLIENTS */
static char *bot_traffic(ngx_conf_t *cf, ngx_command_t *command, void *place) {
    bot_main_conf *conf = place;
    ngx_str_t *words = cf->args->elts;
    ngx_int_t clients = 0;

    (void)command;
    if (conf->traffic != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }
    if (ngx_strcmp(words[1].data, "off") != 0) {
        clients = ngx_atoi(words[1].data, words[1].len);
        if (clients < 8 || clients > 65536 || (clients & (clients - 1)) != 0) {
            return "expects \"off\" or a power of two of clients, from 8 to 65536";
        }
    }
    conf->traffic = clients;
    return NGX_CONF_OK;
}

/* A path to each key's file, from the folder of the configuration's other paths. */
static char *bot_keys(ngx_conf_t *cf, ngx_command_t *command, void *place) {
    bot_main_conf *conf = place;
    ngx_str_t *words = cf->args->elts;
    ngx_uint_t i;

    (void)command;
    if (conf->keys == NULL) {
        conf->keys = ngx_array_create(cf->pool, cf->args->nelts, sizeof(const char *));
    }
    if (conf->keys == NULL) {
        return NGX_CONF_ERROR;
    }
    for (i = 1; i < cf->args->nelts; i++) {
        const char **to = ngx_array_push(conf->keys);
        if (to == NULL || ngx_conf_full_name(cf->cycle, &words[i], 0) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
        *to = (const char *)words[i].data;
    }
    return NGX_CONF_OK;
}

/* Ranges of addresses, such as 192.0.2.0/24. */
static char *bot_trusted(ngx_conf_t *cf, ngx_command_t *command, void *place) {
    bot_main_conf *conf = place;
    ngx_str_t *words = cf->args->elts;

    (void)command;
    if (conf->trusted == NULL) {
        conf->trusted = ngx_array_create(cf->pool, cf->args->nelts, sizeof(const char *));
    }
    if (conf->trusted == NULL) {
        return NGX_CONF_ERROR;
    }
    for (ngx_uint_t i = 1; i < cf->args->nelts; i++) {
        ngx_cidr_t range;
        const char **to = ngx_array_push(conf->trusted);

        if (to == NULL) {
            return NGX_CONF_ERROR;
        }
        *to = (const char *)words[i].data;
        if (ngx_ptocidr(&words[i], &range) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"bot_score_trusted\" expects a range of addresses such as "
                               "192.0.2.0/24, with zeros behind its prefix, got \"%V\"",
                               &words[i]);
            return NGX_CONF_ERROR;
        }
    }
    return NGX_CONF_OK;
}

/* The name of a header, or "" for none. */
static char *bot_header(ngx_conf_t *cf, ngx_command_t *command, void *place) {
    ngx_str_t *name = (ngx_str_t *)((char *)place + command->offset);
    ngx_str_t *word = (ngx_str_t *)cf->args->elts + 1;

    if (name->data != NULL) {
        return "is duplicate";
    }
    for (size_t at = 0; at < word->len; at++) {
        u_char c = word->data[at], letter = c | 0x20;
        if (!(letter >= 'a' && letter <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_') {
            return "expects a header's name, or \"\" for none";
        }
    }
    *name = *word;
    return NGX_CONF_OK;
}

/* ------------------------------------------------------------------- processes */

/* A refusal, a quarantine or a switch is a warning of the library's. It comes as an error: where
 * nobody sets a level, nginx logs from there on. */
static void bot_tell(ngx_log_t *log) {
    char line[1024];

    while (hedgerow_log_next(line, sizeof(line), NULL) == HEDGEROW_STATUS_OK) {
        ngx_uint_t level = line[0] == 'i' ? NGX_LOG_NOTICE : NGX_LOG_ERR;
        ngx_log_error(level, log, 0, "bot_score: %s", line);
    }
}

static void bot_tell_again(ngx_event_t *event) {
    bot_tell(ngx_cycle->log);
    ngx_add_timer(event, BOT_LOG_POLL);
}

static void bot_refused(ngx_log_t *log, const char *what, hedgerow_status status) {
    char why[512] = "";

    bot_failed = hedgerow_status_name(status);
    hedgerow_last_error(why, sizeof(why), NULL);
    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "bot_score: %s: %s: %s; requests pass without a score", what,
                  bot_failed, why);
}

/* In each worker. Whatever fails, the worker goes on. */
static ngx_int_t bot_open(ngx_cycle_t *cycle) {
    bot_main_conf *conf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_bot_score_module);
    u_char name[32], state[NGX_MAX_PATH];
    hedgerow_options options;
    hedgerow_breaker breaker;
    hedgerow_status status;

    if (conf == NULL || !conf->used || bot_engine != NULL
        || (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)) {
        return NGX_OK;
    }
    if (hedgerow_abi_version() != HEDGEROW_ABI_VERSION) {
        ngx_log_error(NGX_LOG_ERR, cycle->log, 0, "bot_score: the library is of another version");
        bot_failed = "version";
        return NGX_OK;
    }
    ngx_memzero(&options, sizeof(options));
    options.size = sizeof(options);
    options.table = (const char *)conf->table.data;
    options.traffic_clients = (uint32_t)conf->traffic;
    ngx_snprintf(name, sizeof(name), "nginx-%ui%Z", ngx_worker);
    options.name = (const char *)name;
    if (conf->state.len) {
        /* One engine writes to a state: each worker has its own. */
        u_char *last = ngx_snprintf(state, sizeof(state) - 1, "%V/%s", &conf->state, name);
        *last = '\0';
        options.state = (const char *)state;
    }
    if (conf->keys != NULL) {
        options.keys = conf->keys->elts;
        options.key_count = conf->keys->nelts;
    }
    if (conf->trusted != NULL) {
        options.trusted = conf->trusted->elts;
        options.trusted_count = conf->trusted->nelts;
    }
    options.client_scheme = (uint8_t)conf->scheme;
    options.keeps_order = (uint8_t)conf->keeps_order;
    options.address_header = (const char *)conf->address_header.data;
    options.scheme_header = (const char *)conf->scheme_header.data;
    options.version_header = (const char *)conf->version_header.data;
    options.ja4_header = (const char *)conf->ja4_header.data;
    status = hedgerow_engine_open(&options, &bot_engine);
    if (status != HEDGEROW_STATUS_OK) {
        bot_refused(cycle->log, (const char *)conf->table.data, status);
        return NGX_OK;
    }
    ngx_memzero(&breaker, sizeof(breaker));
    breaker.size = sizeof(breaker);
    breaker.budget_nanos = BOT_BUDGET;
    breaker.pause_ms = BOT_PAUSE;
    status = hedgerow_scorer_attach(bot_engine, &bot_scorer);
    if (status == HEDGEROW_STATUS_OK) {
        status = hedgerow_scorer_breaker(bot_scorer, &breaker);
    }
    if (status != HEDGEROW_STATUS_OK) {
        bot_refused(cycle->log, "scorer", status);
    }
    bot_tell(cycle->log);
    bot_log_event.handler = bot_tell_again;
    bot_log_event.log = &bot_no_log;
    bot_log_event.data = &bot_log_connection;
    bot_log_connection.fd = (ngx_socket_t)-1;
    /* A worker that is to go does not wait for it. */
    bot_log_event.cancelable = 1;
    ngx_add_timer(&bot_log_event, BOT_LOG_POLL);
    return NGX_OK;
}

static void bot_close(ngx_cycle_t *cycle) {
    (void)cycle;
    if (bot_log_event.timer_set) {
        ngx_del_timer(&bot_log_event);
    }
    if (bot_scorer != NULL) {
        hedgerow_scorer_free(bot_scorer);
        bot_scorer = NULL;
    }
    if (bot_engine != NULL) {
        hedgerow_engine_free(bot_engine);
        bot_engine = NULL;
    }
}
