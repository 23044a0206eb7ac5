// The Redis client of POCO, in C++.
#include "tap.h"

#include <Poco/Environment.h>
#include <Poco/Redis/AsyncReader.h>
#include <Poco/Redis/Client.h>
#include <Poco/Redis/Command.h>
#include <Poco/Redis/Exception.h>
#include <future>
#include <vector>

using namespace Poco::Redis;

static std::string every_byte()
{
    std::string s;
    for (int i = 0; i < 256; i++) {
        s += static_cast<char>(i);
    }
    return s;
}

static std::string ask(Client &c, const std::vector<std::string> &words)
{
    Array command;
    for (const auto &word : words) {
        command << word;
    }
    RedisType::Ptr reply = c.sendCommand(command);
    if (reply->type() == RedisTypeTraits<Error>::TypeId) {
        throw RedisException(static_cast<Type<Error> &>(*reply).value().getMessage());
    }
    if (reply->type() == RedisTypeTraits<Poco::Int64>::TypeId) {
        return std::to_string(static_cast<Type<Poco::Int64> &>(*reply).value());
    }
    if (reply->type() == RedisTypeTraits<std::string>::TypeId) {
        return static_cast<Type<std::string> &>(*reply).value();
    }
    if (reply->type() == RedisTypeTraits<BulkString>::TypeId) {
        const BulkString &s = static_cast<Type<BulkString> &>(*reply).value();
        return s.isNull() ? "(nil)" : s.value();
    }
    const Array &array = static_cast<Type<Array> &>(*reply).value();
    return array.isNull() ? "(nil)" : "(" + std::to_string(array.size()) + ")";
}

static Client::Ptr client()
{
    Client::Ptr c = new Client(host(), port());
    if (password()) {
        ask(*c, {"AUTH", password()});
    }
    return c;
}

static Client::Ptr redis;

#define ASK(want, ...)                                                                             \
    do {                                                                                           \
        std::string got_ = ask(*redis, __VA_ARGS__);                                               \
        if (got_ != (want)) {                                                                      \
            return because("line %d: want %s, got %s", __LINE__, std::string(want).c_str(), got_.c_str()); \
        }                                                                                          \
    } while (0)
#define WORDS(...) (std::vector<std::string>{__VA_ARGS__})

static const char *connects()
{
    redis = client();
    ASK("PONG", WORDS("PING"));
    ASK("OK", WORDS("SELECT", "0"));
    ASK("OK", WORDS("CLIENT", "SETNAME", "poco"));
    ASK("poco", WORDS("CLIENT", "GETNAME"));
    return nullptr;
}

static const char *set_get()
{
    WANT(redis->execute<std::string>(Command::set("s", "v")) == "OK");
    WANT(redis->execute<BulkString>(Command::get("s")).value() == "v");
    WANT(redis->execute<BulkString>(Command::get("absent")).isNull());
    return nullptr;
}

static const char *binary()
{
    WANT(redis->execute<std::string>(Command::set(every_byte(), every_byte())) == "OK");
    WANT(redis->execute<BulkString>(Command::get(every_byte())).value() == every_byte());
    ASK("OK", WORDS("SET", "empty", ""));
    ASK("", WORDS("GET", "empty"));
    return nullptr;
}

static const char *expiry()
{
    ASK("OK", WORDS("SET", "e", "v", "EX", "100")); // Command::set with an expiry sends what Redis refuses as well
    WANT(is_ttl(100, std::stoll(ask(*redis, {"TTL", "e"}))));
    WANT(redis->execute<Poco::Int64>(Command::expire("e", 300)) == 1);
    WANT(is_ttl(300, std::stoll(ask(*redis, {"TTL", "e"}))));
    ASK("1", WORDS("PERSIST", "e"));
    WANT(is_ttl(-1, std::stoll(ask(*redis, {"TTL", "e"}))));
    ASK("v", WORDS("GETEX", "e", "EX", "60"));
    return nullptr;
}

static const char *hash()
{
    WANT(redis->execute<Poco::Int64>(Command::hset("h", "a", "1")) == 1);
    WANT(redis->execute<Poco::Int64>(Command::hincrby("h", "a", 4)) == 5);
    WANT(redis->execute<Array>(Command::hgetall("h")).size() == 2);
    return nullptr;
}

static const char *counter()
{
    WANT(redis->execute<Poco::Int64>(Command::incr("n")) == 1);
    WANT(redis->execute<Poco::Int64>(Command::incr("n", 10)) == 11);
    return nullptr;
}

static const char *list_set()
{
    WANT(redis->execute<Poco::Int64>(Command::rpush("l", std::vector<std::string>{"a", "b"})) == 2);
    WANT(redis->execute<BulkString>(Command::lpop("l")).value() == "a");
    WANT(redis->execute<Poco::Int64>(Command::sadd("t", std::vector<std::string>{"x", "y"})) == 2);
    return nullptr;
}

static const char *multi_key()
{
    ASK("OK", WORDS("MSET", "m1", "a", "m2", "b"));
    WANT(redis->execute<Array>(Command::mget({"m1", "m2", "m3"})).size() == 3);
    WANT(redis->execute<Poco::Int64>(Command::del({"m1", "m2", "m3"})) == 2);
    return nullptr;
}

static const char *pipeline()
{
    std::vector<Array> commands;
    for (int i = 0; i < 500; i++) {
        commands.push_back(Command::set("p" + std::to_string(i), "v" + std::to_string(i)));
        commands.push_back(Command::get("p" + std::to_string(i)));
    }
    Array replies = redis->sendCommands(commands);
    WANT(replies.size() == 1000);
    WANT(replies.get<BulkString>(999).value() == "v499");
    return nullptr;
}

static const char *transaction()
{
    ASK("OK", WORDS("MULTI"));
    ASK("QUEUED", WORDS("SET", "x", "v"));
    ASK("QUEUED", WORDS("GET", "x"));
    ASK("(2)", WORDS("EXEC"));
    return nullptr;
}

static const char *script()
{
    ASK("v!", WORDS("EVAL", "return redis.call('GET', KEYS[1]) .. '!'", "1", "s"));
    return nullptr;
}

// Pushes an element from another thread while this one waits.
static const char *blocking()
{
    auto other = std::async(std::launch::async, [] {
        Client::Ptr own = client();
        ask(*own, {"RPUSH", "queue", "job"});
    });
    ASK("(2)", WORDS("BLPOP", "queue", "5"));
    other.get();
    ASK("(nil)", WORDS("BLPOP", "queue", "1"));
    return nullptr;
}

static const char *large()
{
    std::string value(1 << 20, 'x');
    WANT(redis->execute<std::string>(Command::set("large", value)) == "OK");
    WANT(redis->execute<BulkString>(Command::get("large")).value() == value);
    return nullptr;
}

static const char *error()
{
    try {
        redis->execute<Poco::Int64>(Command::lpush("s", "a"));
    } catch (const RedisException &e) {
        WANT(e.message().rfind("WRONGTYPE", 0) == 0);
        return nullptr;
    }
    return "no error";
}

static const char *resp3() { return "SKIP POCO speaks RESP2 only"; }

static const char *concurrent()
{
    std::vector<std::future<void>> all;
    for (int i = 0; i < 50; i++) {
        all.push_back(std::async(std::launch::async, [] {
            Client::Ptr own = client();
            for (int j = 0; j < 20; j++) {
                own->execute<Poco::Int64>(Command::incr("all"));
            }
        }));
    }
    for (auto &each : all) {
        each.get();
    }
    ASK("1000", WORDS("GET", "all"));
    return nullptr;
}

static const char *reconnect()
{
    std::string id = ask(*redis, {"CLIENT", "ID"});
    Client::Ptr other = client();
    WANT(ask(*other, {"CLIENT", "KILL", "ID", id}) == "1");
    try {
        ask(*redis, {"GET", "s"});
        return "the connection was not killed";
    } catch (const Poco::Exception &) { // POCO says so, and the application connects anew
    }
    redis = client();
    ASK("v", WORDS("GET", "s"));
    return nullptr;
}

// What POCO throws ends the check, not the program.
template <check_function *body> static const char *caught()
{
    try {
        return body();
    } catch (const Poco::Exception &e) {
        return because("%s", e.displayText().c_str());
    }
}

int main()
{
    printf("# version %d.%d.%d\n", Poco::Environment::libraryVersion() >> 24, Poco::Environment::libraryVersion() >> 16 & 255,
           Poco::Environment::libraryVersion() >> 8 & 255);
    check("connect", caught<connects>);
    check("set-get", caught<set_get>);
    check("binary", caught<binary>);
    check("expiry", caught<expiry>);
    check("hash", caught<hash>);
    check("counter", caught<counter>);
    check("multi-key", caught<multi_key>);
    check("list-set", caught<list_set>);
    check("pipeline", caught<pipeline>);
    check("transaction", caught<transaction>);
    check("script", caught<script>);
    check("blocking", caught<blocking>);
    check("large", caught<large>);
    check("error", caught<error>);
    check("resp3", caught<resp3>);
    check("concurrent", caught<concurrent>);
    check("reconnect", caught<reconnect>);
    return done();
}
