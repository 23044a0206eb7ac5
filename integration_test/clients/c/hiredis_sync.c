// hiredis, its blocking interface.
#include "tap.h"

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

static redisContext *redis;
static char every_byte[256];

static redisContext *client(void)
{
    struct timeval five = {5, 0};
    redisContext *c = redisConnectWithTimeout(host(), port(), five);
    if (c == NULL || c->err) {
        fprintf(stderr, "connect: %s\n", c ? c->errstr : "no memory");
        exit(1);
    }
    redisSetTimeout(c, five);
    if (password()) {
        redisReply *r = redisCommand(c, "AUTH %s", password());
        if (r == NULL || r->type != REDIS_REPLY_STATUS) {
            fprintf(stderr, "AUTH: %s\n", r ? r->str : c->errstr);
            exit(1);
        }
        freeReplyObject(r);
    }
    return c;
}

// expect takes the reply of a command, which must be as text: +status, -error prefix, :integer, $string, or _ for nil.
static const char *expect(redisContext *c, const char *want, redisReply *r)
{
    const char *why = NULL;
    char integer[32];
    if (r == NULL) {
        return because("want %s, got %s", want, c->errstr);
    }
    const char *got = r->str;
    char kind = '?';
    switch (r->type) {
    case REDIS_REPLY_STATUS: kind = '+'; break;
    case REDIS_REPLY_ERROR: kind = '-'; break;
    case REDIS_REPLY_STRING: kind = '$'; break;
    case REDIS_REPLY_NIL: kind = '_', got = ""; break;
    case REDIS_REPLY_INTEGER:
        kind = ':';
        snprintf(integer, sizeof integer, "%lld", r->integer);
        got = integer;
        break;
    case REDIS_REPLY_ARRAY: kind = '*', got = ""; break;
    }
    int same = kind == *want && (kind == '-' ? strncmp(want + 1, got, strlen(want + 1)) == 0 : strcmp(want + 1, got) == 0);
    if (!same) {
        why = because("want %s, got %c%s", want, kind, got);
    }
    freeReplyObject(r);
    return why;
}

#define EXPECT(want, ...) TRY(expect(redis, want, redisCommand(redis, __VA_ARGS__)))

static const char *expect_ttl(long long want)
{
    redisReply *r = redisCommand(redis, "TTL e");
    WANT(r && r->type == REDIS_REPLY_INTEGER);
    long long got = r->integer;
    freeReplyObject(r);
    return is_ttl(want, got) ? NULL : because("a TTL of %lld, want %lld", got, want);
}

static const char *connects(void)
{
    redis = client();
    EXPECT("+OK", "SELECT 0");
    EXPECT("+OK", "CLIENT SETNAME hiredis");
    EXPECT("$hiredis", "CLIENT GETNAME");
    EXPECT("+PONG", "PING");
    if (password()) {
        redisContext *other = redisConnect(host(), port());
        TRY(expect(other, "-NOAUTH", redisCommand(other, "GET s")));
        TRY(expect(other, "-WRONGPASS", redisCommand(other, "AUTH wrong")));
        redisFree(other);
    }
    return NULL;
}

static const char *set_get(void)
{
    EXPECT("+OK", "SET s %s", "v");
    EXPECT("$v", "GET s");
    EXPECT("_", "GET absent");
    EXPECT("$v", "GETSET s w");
    EXPECT(":0", "SETNX s y");
    EXPECT("_", "SET s y NX");
    EXPECT(":4", "APPEND s 123");
    EXPECT("$w123", "GETRANGE s 0 -1");
    EXPECT("+string", "TYPE s");
    return NULL;
}

static const char *binary(void)
{
    EXPECT("+OK", "SET %b %b", every_byte, (size_t)256, every_byte, (size_t)256);
    redisReply *r = redisCommand(redis, "GET %b", every_byte, (size_t)256);
    WANT(r && r->type == REDIS_REPLY_STRING && r->len == 256 && memcmp(r->str, every_byte, 256) == 0);
    freeReplyObject(r);
    EXPECT("+OK", "SET empty %s", "");
    EXPECT("$", "GET empty");
    return NULL;
}

static const char *expiry(void)
{
    EXPECT("+OK", "SET e v EX 100");
    TRY(expect_ttl(100));
    EXPECT(":1", "EXPIRE e 300");
    TRY(expect_ttl(300));
    EXPECT(":1", "PEXPIREAT e %lld", ((long long)time(NULL) + 400) * 1000);
    TRY(expect_ttl(400));
    EXPECT(":1", "PERSIST e");
    TRY(expect_ttl(-1));
    EXPECT("$v", "GETEX e EX 60");
    TRY(expect_ttl(60));
    EXPECT("$v", "GETEX e PERSIST");
    TRY(expect_ttl(-1));
    EXPECT("+OK", "SETEX e 200 v");
    TRY(expect_ttl(200));
    EXPECT(":-2", "TTL absent");
    EXPECT("-ERR invalid expire time", "SETEX e 0 v");
    return NULL;
}

static const char *hash(void)
{
    EXPECT(":2", "HSET h a 1 b %b", every_byte, (size_t)256);
    EXPECT(":5", "HINCRBY h a 4");
    EXPECT(":1", "HDEL h b");
    redisReply *r = redisCommand(redis, "HGETALL h");
    WANT(r && r->type == REDIS_REPLY_ARRAY && r->elements == 2 && strcmp(r->element[1]->str, "5") == 0);
    freeReplyObject(r);
    return NULL;
}

static const char *counter(void)
{
    EXPECT(":1", "INCR n");
    EXPECT(":11", "INCRBY n 10");
    EXPECT("$11.5", "INCRBYFLOAT n 0.5");
    return NULL;
}

static const char *multi_key(void)
{
    EXPECT("+OK", "MSET m1 a m2 b");
    redisReply *r = redisCommand(redis, "MGET m1 m2 m3");
    WANT(r && r->elements == 3 && strcmp(r->element[1]->str, "b") == 0 && r->element[2]->type == REDIS_REPLY_NIL);
    freeReplyObject(r);
    EXPECT(":2", "DEL m1 m2 m3");
    return NULL;
}

static const char *list_set(void)
{
    EXPECT(":3", "RPUSH l a b c");
    EXPECT("$a", "LPOP l");
    EXPECT("$c", "RPOPLPUSH l l2");
    EXPECT(":2", "SADD t x y");
    EXPECT(":1", "SISMEMBER t x");
    EXPECT(":2", "ZADD z 1 one 2 two");
    EXPECT("$2", "ZSCORE z two");
    return NULL;
}

static const char *pipeline(void)
{
    for (int i = 0; i < 500; i++) {
        redisAppendCommand(redis, "SET p%d v%d", i, i);
        redisAppendCommand(redis, "GET p%d", i);
    }
    for (int i = 0; i < 500; i++) {
        char want[16];
        void *r = NULL;
        snprintf(want, sizeof want, "$v%d", i);
        WANT(redisGetReply(redis, &r) == REDIS_OK);
        TRY(expect(redis, "+OK", r));
        WANT(redisGetReply(redis, &r) == REDIS_OK);
        TRY(expect(redis, want, r));
    }
    return NULL;
}

static const char *transaction(void)
{
    EXPECT("+OK", "MULTI");
    EXPECT("+QUEUED", "SET x1 v");
    EXPECT("+QUEUED", "GET x1");
    redisReply *r = redisCommand(redis, "EXEC");
    WANT(r && r->type == REDIS_REPLY_ARRAY && r->elements == 2 && strcmp(r->element[1]->str, "v") == 0);
    freeReplyObject(r);
    EXPECT("+OK", "MULTI");
    EXPECT("+QUEUED", "SET x1 other");
    EXPECT("+OK", "DISCARD");
    EXPECT("$v", "GET x1");
    return NULL;
}

static const char *watch(void)
{
    redisContext *other = client();
    EXPECT("+OK", "SET w 1");
    EXPECT("+OK", "WATCH w");
    TRY(expect(other, "+OK", redisCommand(other, "SET w 2")));
    redisFree(other);
    EXPECT("+OK", "MULTI");
    EXPECT("+QUEUED", "SET w 3");
    EXPECT("_", "EXEC");
    EXPECT("$2", "GET w");
    return NULL;
}

static const char *script(void)
{
    const char *body = "return redis.call('INCRBY', KEYS[1], ARGV[1]) .. '!'";
    redisReply *r = redisCommand(redis, "SCRIPT LOAD %s", body);
    WANT(r && r->type == REDIS_REPLY_STRING && r->len == 40);
    char sha[41];
    strcpy(sha, r->str);
    freeReplyObject(r);
    EXPECT("$5!", "EVALSHA %s 1 k 5", sha);
    EXPECT("$7!", "EVAL %s 1 k 2", body);
    EXPECT("-NOSCRIPT", "EVALSHA 0123456789012345678901234567890123456789 1 k 2");
    return NULL;
}

static const char *scan(void)
{
    int found = 0;
    char cursor[32] = "0";
    for (int i = 0; i < 200; i++) {
        EXPECT("+OK", "SET scan:%d v", i);
    }
    do {
        redisReply *r = redisCommand(redis, "SCAN %s MATCH scan:* COUNT 50", cursor);
        WANT(r && r->type == REDIS_REPLY_ARRAY && r->elements == 2);
        snprintf(cursor, sizeof cursor, "%s", r->element[0]->str);
        for (size_t i = 0; i < r->element[1]->elements; i++) {
            WANT(strncmp(r->element[1]->element[i]->str, "scan:", 5) == 0);
            found++;
        }
        freeReplyObject(r);
    } while (strcmp(cursor, "0") != 0);
    WANT(found >= 200);
    return NULL;
}

static const char *pubsub(void)
{
    redisContext *listener = client();
    redisReply *r = redisCommand(listener, "SUBSCRIBE news");
    WANT(r && r->elements == 3);
    freeReplyObject(r);
    EXPECT(":1", "PUBLISH news %b", every_byte, (size_t)256);
    WANT(redisGetReply(listener, (void **)&r) == REDIS_OK);
    WANT(r->elements == 3 && strcmp(r->element[1]->str, "news") == 0);
    WANT(r->element[2]->len == 256 && memcmp(r->element[2]->str, every_byte, 256) == 0);
    freeReplyObject(r);
    redisFree(listener);
    return NULL;
}

static void *push(void *unused)
{
    redisContext *own = client();
    usleep(100000);
    freeReplyObject(redisCommand(own, "RPUSH queue job"));
    redisFree(own);
    return unused;
}

static const char *blocking(void)
{
    pthread_t other;
    pthread_create(&other, NULL, push, NULL);
    redisReply *r = redisCommand(redis, "BLPOP queue 4");
    pthread_join(other, NULL);
    WANT(r && r->type == REDIS_REPLY_ARRAY && strcmp(r->element[1]->str, "job") == 0);
    freeReplyObject(r);
    EXPECT("_", "BLPOP queue 1");
    return NULL;
}

static const char *large(void)
{
    size_t size = 1 << 20;
    char *value = malloc(size);
    for (size_t i = 0; i < size; i++) {
        value[i] = (char)(i * 31 + i / 256);
    }
    EXPECT("+OK", "SET large %b", value, size);
    redisReply *r = redisCommand(redis, "GET large");
    WANT(r && r->len == size && memcmp(r->str, value, size) == 0);
    freeReplyObject(r);
    free(value);
    return NULL;
}

static const char *error(void)
{
    EXPECT("-WRONGTYPE Operation against a key holding the wrong kind of value", "LPUSH s a");
    EXPECT("-ERR unknown command 'NOSUCHCOMMAND'", "NOSUCHCOMMAND a");
    return NULL;
}

static const char *resp3(void) { return "SKIP hiredis 0.14 speaks RESP2 only"; }

static void *count(void *unused)
{
    redisContext *own = client();
    for (int i = 0; i < 20; i++) {
        freeReplyObject(redisCommand(own, "INCR all"));
    }
    redisFree(own);
    return unused;
}

static const char *concurrent(void)
{
    pthread_t threads[50];
    for (int i = 0; i < 50; i++) {
        pthread_create(&threads[i], NULL, count, NULL);
    }
    for (int i = 0; i < 50; i++) {
        pthread_join(threads[i], NULL);
    }
    EXPECT("$1000", "GET all");
    return NULL;
}

static const char *reconnect(void)
{
    redisReply *r = redisCommand(redis, "CLIENT ID");
    WANT(r && r->type == REDIS_REPLY_INTEGER);
    redisContext *other = client();
    TRY(expect(other, ":1", redisCommand(other, "CLIENT KILL ID %lld", r->integer)));
    freeReplyObject(r);
    redisFree(other);
    // hiredis says that the connection has ended, and connects anew when it is asked to.
    WANT(redisCommand(redis, "GET s") == NULL);
    WANT(redis->err == REDIS_ERR_EOF || redis->err == REDIS_ERR_IO);
    WANT(redisReconnect(redis) == REDIS_OK);
    if (password()) {
        EXPECT("+OK", "AUTH default %s", password());
    }
    EXPECT("$w123", "GET s");
    return NULL;
}

int main(void)
{
    for (int i = 0; i < 256; i++) {
        every_byte[i] = (char)i;
    }
    printf("# version %d.%d.%d\n", HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
    check("connect", connects);
    check("set-get", set_get);
    check("binary", binary);
    check("expiry", expiry);
    check("hash", hash);
    check("counter", counter);
    check("multi-key", multi_key);
    check("list-set", list_set);
    check("pipeline", pipeline);
    check("transaction", transaction);
    check("watch", watch);
    check("script", script);
    check("scan", scan);
    check("pubsub", pubsub);
    check("blocking", blocking);
    check("large", large);
    check("error", error);
    check("resp3", resp3);
    check("concurrent", concurrent);
    check("reconnect", reconnect);
    return done();
}
