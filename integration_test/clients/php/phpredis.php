<?php
// phpredis, the extension, with a connection of its own and with persistent ones.
require __DIR__ . '/tap.php';

function connect(bool $persistent = false, string $id = ''): Redis
{
    $redis = new Redis();
    $persistent ? $redis->pconnect(HOST, PORT, 5, $id) : $redis->connect(HOST, PORT, 5);
    if (PASSWORD !== '') {
        $redis->auth(PASSWORD);
    }
    return $redis;
}

echo '# version ', phpversion('redis'), "\n";
$redis = null;

check('connect', function () use (&$redis) {
    $redis = connect();
    same(true, $redis->select(0));
    same(true, $redis->client('setname', 'phpredis'));
    same('phpredis', $redis->client('getname'));
    same(true, $redis->ping());
});

check('connect-user', function () {
    if (PASSWORD === '') {
        throw new Skip('no password in this mode');
    }
    $other = new Redis();
    $other->connect(HOST, PORT, 5);
    same(true, $other->auth(['default', PASSWORD]));
    same(true, $other->ping());
    $wrong = new Redis();
    $wrong->connect(HOST, PORT, 5);
    try {
        $wrong->auth('not the password');
        $text = 'let in';
    } catch (RedisException $e) {
        $text = $e->getMessage();
    }
    same('WRONGPASS', strtok($text, ' '));
});

check('set-get', function () use (&$redis) {
    same(true, $redis->set('s', 'v'));
    same('v', $redis->get('s'));
    same(false, $redis->get('absent'));
    same('v', $redis->getSet('s', 'w'));
    same(true, $redis->setnx('s2', 'x'));
    same(false, $redis->setnx('s2', 'y'));
    same(4, $redis->append('s', '123'));
    same('w123', $redis->get('s'));
    same(Redis::REDIS_STRING, $redis->type('s'));
    same(1, $redis->exists('s'));
    same(true, $redis->rename('s', 's3'));
    same('w123', $redis->get('s3'));
});

check('binary', function () use (&$redis) {
    same(true, $redis->set(everyByte(), everyByte()));
    same(everyByte(), $redis->get(everyByte()));
    same(true, $redis->set('empty', ''));
    same('', $redis->get('empty'));
});

check('expiry', function () use (&$redis) {
    same(true, $redis->set('e', 'v', 100));
    ttl(100, $redis->ttl('e'));
    same(true, $redis->set('e', 'v', ['xx', 'px' => 50000]));
    ttl(50, $redis->ttl('e'));
    same(true, $redis->setex('e', 200, 'v'));
    ttl(200, $redis->ttl('e'));
    same(true, $redis->expire('e', 300));
    ttl(300, $redis->ttl('e'));
    same(true, $redis->expireAt('e', time() + 400));
    ttl(400, $redis->ttl('e'));
    same(true, $redis->persist('e'));
    ttl(-1, $redis->ttl('e'));
    same('v', $redis->rawCommand('GETEX', 'e', 'EX', '60'));
    ttl(60, $redis->ttl('e'));
    same(true, $redis->set('none', 'v'));
    ttl(-1, $redis->ttl('none'));
    same(-2, $redis->ttl('absent'));
    same(true, $redis->expire('e', 0));
    same(false, $redis->get('e'));
});

check('hash', function () use (&$redis) {
    same(1, $redis->hSet('h', 'a', '1'));
    same(true, $redis->hMset('h', ['b' => '2', 'c' => everyByte()]));
    $all = $redis->hGetAll('h');
    ksort($all);
    same(['a' => '1', 'b' => '2', 'c' => everyByte()], $all);
    same(['a' => '1', 'no' => false], $redis->hMget('h', ['a', 'no']));
    same(5, $redis->hIncrBy('h', 'a', 4));
    same(1, $redis->hDel('h', 'b'));
    same(2, $redis->hLen('h'));
    same(true, $redis->hExists('h', 'a'));
});

check('counter', function () use (&$redis) {
    same(1, $redis->incr('n'));
    same(11, $redis->incrBy('n', 10));
    same(10, $redis->decr('n'));
    same(10.5, $redis->incrByFloat('n', 0.5));
});

check('multi-key', function () use (&$redis) {
    same(true, $redis->mset(['m1' => 'a', 'm2' => 'b']));
    same(['a', 'b', false], $redis->mget(['m1', 'm2', 'm3']));
    same(2, $redis->exists(['m1', 'm2', 'm3']));
    same(2, $redis->del(['m1', 'm2', 'm3']));
    same(0, $redis->unlink('m1', 'm2'));
});

check('list-set', function () use (&$redis) {
    same(3, $redis->rPush('l', 'a', 'b', 'c'));
    same(['a', 'b', 'c'], $redis->lRange('l', 0, -1));
    same('a', $redis->lPop('l'));
    same('c', $redis->rpoplpush('l', 'l2'));
    same(2, $redis->sAdd('t', 'x', 'y'));
    same(true, $redis->sIsMember('t', 'x'));
    same(2, $redis->zAdd('z', 1, 'one', 2, 'two'));
    same(['one' => 1.0, 'two' => 2.0], $redis->zRange('z', 0, -1, true));
    yes(is_string($redis->xAdd('x', '*', ['f' => 'v'])), 'XADD says no id');
    same(1, $redis->xLen('x'));
});

check('pipeline', function () use (&$redis) {
    $pipe = $redis->multi(Redis::PIPELINE);
    for ($i = 0; $i < 500; $i++) {
        $pipe->set("p$i", "v$i")->get("p$i");
    }
    $replies = $pipe->exec();
    same(1000, count($replies));
    for ($i = 0; $i < 500; $i++) {
        same([true, "v$i"], array_slice($replies, 2 * $i, 2));
    }
});

check('transaction', function () use (&$redis) {
    same([true, 'v', 2], $redis->multi()->set('x1', 'v')->get('x1')->rPush('x2', 'a', 'b')->exec());
    $redis->multi()->set('x1', 'other');
    same(true, $redis->discard());
    same('v', $redis->get('x1'));
});

check('watch', function () use (&$redis) {
    $redis->set('w', '1');
    same(true, $redis->watch('w'));
    connect()->set('w', '2');
    same(false, $redis->multi()->set('w', '3')->exec());
    same('2', $redis->get('w'));
    same(true, $redis->watch('w'));
    same([true], $redis->multi()->set('w', '4')->exec());
});

check('script', function () use (&$redis) {
    $body = "redis.call('SET', KEYS[1], ARGV[1]); return redis.call('GET', KEYS[1]) .. '!'";
    $sha = sha1($body);
    same(false, $redis->evalSha($sha, ['k', 'v'], 1));
    same('NOSCRIPT', strtok($redis->getLastError(), ' '));
    $redis->clearLastError();
    same('v!', $redis->eval($body, ['k', 'v'], 1));
    same('w!', $redis->evalSha($sha, ['k', 'w'], 1));
    same([1], $redis->script('exists', $sha));
    same($sha, $redis->script('load', $body));
    same(null, $redis->getLastError());
});

check('scan', function () use (&$redis) {
    for ($i = 0; $i < 200; $i++) {
        $redis->set("scan:$i", 'v');
    }
    $redis->setOption(Redis::OPT_SCAN, Redis::SCAN_RETRY);
    $found = [];
    for ($cursor = null; $keys = $redis->scan($cursor, 'scan:*', 50);) {
        array_push($found, ...$keys);
    }
    same(200, count(array_unique($found)));
    same(200, count($redis->keys('scan:*')));
    $fields = [];
    for ($cursor = null; $part = $redis->hscan('h', $cursor);) {
        $fields += $part;
    }
    same(2, count($fields));
});

check('prefix', function () {
    $redis = connect();
    $redis->setOption(Redis::OPT_PREFIX, 'shop:');
    $redis->setOption(Redis::OPT_SERIALIZER, Redis::SERIALIZER_PHP);
    same(true, $redis->set('cart', ['a' => 1]));
    same(['a' => 1], $redis->get('cart'));
    same(['shop:cart'], $redis->keys('*'));
    same(serialize(['a' => 1]), connect()->get('shop:cart'));
});

check('pubsub', function () use (&$redis) {
    $wait = beside(function () {
        $other = connect();
        eventually('somebody subscribes', fn () => $other->publish('news', everyByte()) === 1);
    });
    $got = null;
    $listener = connect();
    $listener->setOption(Redis::OPT_READ_TIMEOUT, 10);
    try {
        $listener->subscribe(['news'], function ($redis, $channel, $message) use (&$got) {
            $got = [$channel, $message];
            $redis->close(); // only this leaves subscribe()
        });
    } catch (RedisException $e) {
    }
    $wait();
    same(['news', everyByte()], $got);
});

check('blocking', function () use (&$redis) {
    $wait = beside(function () {
        usleep(100000);
        connect()->rPush('queue', 'job');
    });
    same(['queue', 'job'], $redis->blPop(['queue'], 5));
    $wait();
    $start = microtime(true);
    same([], $redis->blPop(['queue'], 1));
    $took = microtime(true) - $start;
    yes($took > 0.9 && $took < 3, "a timeout of 1 s took $took s");
});

check('large', function () use (&$redis) {
    $value = random_bytes(1 << 20);
    same(true, $redis->set('large', $value));
    yes($redis->get('large') === $value, 'another value came back');
});

check('error', function () use (&$redis) {
    same(false, $redis->lPush('s3', 'a'));
    same('WRONGTYPE Operation against a key holding the wrong kind of value', rtrim($redis->getLastError(), "\0"));
    $redis->clearLastError();
    same(false, $redis->rawCommand('NOSUCHCOMMAND', 'a'));
    yes(str_starts_with($redis->getLastError(), "ERR unknown command 'NOSUCHCOMMAND'"), $redis->getLastError());
    $redis->clearLastError();
});

check('resp3', function () {
    throw new Skip('phpredis 5 speaks RESP2 only');
});

check('concurrent', function () use (&$redis) {
    $waits = [];
    for ($i = 0; $i < 50; $i++) {
        $waits[] = beside(function () use ($i) {
            $own = connect();
            for ($j = 0; $j < 20; $j++) {
                $own->set("c$i", "$i-$j");
                same("$i-$j", $own->get("c$i"));
                $own->incr('all');
            }
        });
    }
    foreach ($waits as $wait) {
        $wait();
    }
    same('1000', $redis->get('all'));
});

check('reconnect', function () use (&$redis) {
    $id = $redis->rawCommand('CLIENT', 'ID');
    same(1, connect()->rawCommand('CLIENT', 'KILL', 'ID', $id));
    // phpredis connects again by itself, logs in again, and sends the command then.
    same('w123', $redis->get('s3'));
    yes($redis->rawCommand('CLIENT', 'ID') !== $id, 'the connection was not killed');
});

check('persistent', function () {
    $first = connect(true, 'pool');
    same(true, $first->set('pp', '1'));
    $id = $first->rawCommand('CLIENT', 'ID');
    unset($first); // close() would close it for good
    // The next one gets the same connection from the pool, after an ECHO; it logs in on it again.
    $second = connect(true, 'pool');
    same('1', $second->get('pp'));
    same($id, $second->rawCommand('CLIENT', 'ID'));
});

check('persistent-killed', function () use (&$redis) {
    $first = connect(true, 'pool');
    $id = $first->rawCommand('CLIENT', 'ID');
    unset($first);
    same(1, $redis->rawCommand('CLIENT', 'KILL', 'ID', $id));
    $second = connect(true, 'pool');
    same('1', $second->get('pp'));
    yes($second->rawCommand('CLIENT', 'ID') !== $id, 'the dead connection was taken from the pool');
});

done();
