// hiredis, its asynchronous interface, on libev, or on libevent when it is built with -DLIBEVENT.
#include "tap.h"

#include <errno.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#ifdef LIBEVENT
#include <event2/event.h>
#include <hiredis/adapters/libevent.h>

static struct event_base *base;

static void attach(redisAsyncContext *c) { redisLibeventAttach(c, base); }
static void turn(void) { event_base_loop(base, EVLOOP_ONCE); }
static void start(void) { base = event_base_new(); }
#else
#include <hiredis/adapters/libev.h>

static void attach(redisAsyncContext *c) { redisLibevAttach(EV_DEFAULT, c); }
static void turn(void) { ev_run(EV_DEFAULT, EVRUN_ONCE); }
static void start(void) { ev_default_loop(0); }
#endif

static redisAsyncContext *redis;
static int lost; // connections that have ended without being asked to

static void disconnected(const redisAsyncContext *c, int status)
{
    (void)c;
    lost += status != REDIS_OK;
}

static redisAsyncContext *client(void)
{
    redisAsyncContext *c = redisAsyncConnect(host(), port());
    if (c == NULL || c->err) {
        fprintf(stderr, "connect: %s\n", c ? c->errstr : "no memory");
        exit(1);
    }
    attach(c);
    redisAsyncSetDisconnectCallback(c, disconnected);
    if (password()) {
        redisAsyncCommand(c, NULL, NULL, "AUTH %s", password());
    }
    return c;
}

// What has arrived: how many replies, and the last one as text.
static int replies, errors;
static char last[512];

static void keep(redisAsyncContext *c, void *reply, void *unused)
{
    redisReply *r = reply;
    (void)c;
    (void)unused;
    replies++;
    if (r == NULL) {
        errors++;
        return;
    }
    if (r->type == REDIS_REPLY_ARRAY && r->elements > 0) {
        r = r->element[r->elements - 1];
    }
    errors += r->type == REDIS_REPLY_ERROR;
    if (r->type == REDIS_REPLY_INTEGER) {
        snprintf(last, sizeof last, "%lld", r->integer);
    } else {
        snprintf(last, sizeof last, "%s", r->str ? r->str : "nil");
    }
}

static void await(int n)
{
    while (replies < n) {
        turn();
    }
}

static void begin(void) { replies = errors = 0; }

#define ASK(want, ...)                                    \
    do {                                                  \
        begin();                                          \
        redisAsyncCommand(redis, keep, NULL, __VA_ARGS__); \
        await(1);                                         \
        if (strcmp(want, last) != 0) {                    \
            return because("line %d: want %s, got %s", __LINE__, want, last); \
        }                                                 \
    } while (0)

static const char *connects(void)
{
    redis = client();
    ASK("PONG", "PING");
    ASK("OK", "SELECT 0");
    return NULL;
}

static const char *set_get(void)
{
    ASK("OK", "SET s v");
    ASK("v", "GET s");
    ASK("nil", "GET absent");
    return NULL;
}

static const char *expiry(void)
{
    ASK("OK", "SETEX e 200 v");
    begin();
    redisAsyncCommand(redis, keep, NULL, "TTL e");
    await(1);
    WANT(is_ttl(200, atoll(last)));
    return NULL;
}

static const char *pipeline(void)
{
    begin();
    for (int i = 0; i < 500; i++) {
        redisAsyncCommand(redis, keep, NULL, "SET p%d v%d", i, i);
        redisAsyncCommand(redis, keep, NULL, "GET p%d", i);
    }
    await(1000);
    WANT(errors == 0);
    WANT(strcmp(last, "v499") == 0);
    return NULL;
}

static const char *transaction(void)
{
    begin();
    redisAsyncCommand(redis, keep, NULL, "MULTI");
    redisAsyncCommand(redis, keep, NULL, "SET x v");
    redisAsyncCommand(redis, keep, NULL, "GET x");
    redisAsyncCommand(redis, keep, NULL, "EXEC");
    await(4);
    WANT(strcmp(last, "v") == 0);
    return NULL;
}

static const char *script(void)
{
    ASK("v!", "EVAL %s 1 s", "return redis.call('GET', KEYS[1]) .. '!'");
    return NULL;
}

static const char *pubsub(void)
{
    redisAsyncContext *listener = client();
    begin();
    redisAsyncCommand(listener, keep, NULL, "SUBSCRIBE news");
    await(1);
    redisAsyncCommand(redis, NULL, NULL, "PUBLISH news hello");
    await(2);
    WANT(strcmp(last, "hello") == 0);
    redisAsyncFree(listener);
    return NULL;
}

static const char *blocking(void)
{
    redisAsyncContext *waiter = client();
    begin();
    redisAsyncCommand(waiter, keep, NULL, "BLPOP queue 5");
    redisAsyncCommand(redis, NULL, NULL, "RPUSH queue job");
    await(1);
    WANT(strcmp(last, "job") == 0);
    redisAsyncDisconnect(waiter);
    return NULL;
}

static const char *error(void)
{
    ASK("WRONGTYPE Operation against a key holding the wrong kind of value", "LPUSH s a");
    WANT(errors == 1);
    return NULL;
}

static const char *concurrent(void)
{
    redisAsyncContext *clients[50];
    begin();
    for (int i = 0; i < 50; i++) {
        clients[i] = client();
    }
    for (int j = 0; j < 20; j++) {
        for (int i = 0; i < 50; i++) {
            redisAsyncCommand(clients[i], keep, NULL, "INCR all");
        }
    }
    await(1000);
    WANT(errors == 0);
    ASK("1000", "GET all");
    for (int i = 0; i < 50; i++) {
        redisAsyncDisconnect(clients[i]);
    }
    return NULL;
}

static const char *reconnect(void)
{
    redisAsyncContext *other = client();
    begin();
    redisAsyncCommand(redis, keep, NULL, "CLIENT ID");
    await(1);
    begin();
    redisAsyncCommand(other, keep, NULL, "CLIENT KILL ID %s", last);
    await(1);
    WANT(strcmp(last, "1") == 0);
    while (lost == 0) { // the callback says that the connection has ended
        turn();
    }
    redis = client();
    ASK("v", "GET s");
    redisAsyncDisconnect(other);
    redisAsyncDisconnect(redis);
    return NULL;
}

int main(void)
{
    start();
    printf("# version %d.%d.%d\n", HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
    check("connect", connects);
    check("set-get", set_get);
    check("expiry", expiry);
    check("pipeline", pipeline);
    check("transaction", transaction);
    check("script", script);
    check("pubsub", pubsub);
    check("blocking", blocking);
    check("error", error);
    check("concurrent", concurrent);
    check("reconnect", reconnect);
    return done();
}
