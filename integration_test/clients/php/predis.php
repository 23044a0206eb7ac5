<?php
// Predis.
require __DIR__ . '/tap.php';
require 'Predis/autoload.php';

use Predis\Client;
use Predis\Response\ServerException;

function connect(array $parameters = []): Client
{
    $parameters += ['scheme' => 'tcp', 'host' => HOST, 'port' => PORT, 'timeout' => 5, 'read_write_timeout' => 10];
    return new Client($parameters + (PASSWORD === '' ? [] : ['password' => PASSWORD]));
}

echo '# version ', Client::VERSION, "\n";
$redis = connect(['database' => 0]);

check('connect', function () use ($redis) {
    $redis->connect();
    same('PONG', (string) $redis->ping());
    same('OK', (string) $redis->client('SETNAME', 'predis'));
    same('predis', $redis->client('GETNAME'));
    same('PONG', (string) (new Client(getenv('REDIS_URL')))->ping());
});

check('set-get', function () use ($redis) {
    same('OK', (string) $redis->set('s', 'v'));
    same('v', $redis->get('s'));
    same(null, $redis->get('absent'));
    same('v', $redis->getset('s', 'w'));
    same(0, $redis->setnx('s', 'y'));
    same(4, $redis->append('s', '123'));
    same('w123', $redis->get('s'));
    same('string', (string) $redis->type('s'));
});

check('binary', function () use ($redis) {
    $redis->set(everyByte(), everyByte());
    same(everyByte(), $redis->get(everyByte()));
    $redis->set('empty', '');
    same('', $redis->get('empty'));
});

check('expiry', function () use ($redis) {
    $redis->set('e', 'v', 'EX', 100);
    ttl(100, $redis->ttl('e'));
    $redis->setex('e', 200, 'v');
    ttl(200, $redis->ttl('e'));
    same(1, $redis->expire('e', 300));
    ttl(300, $redis->ttl('e'));
    same(1, $redis->pexpireat('e', (time() + 400) * 1000));
    ttl(400, $redis->ttl('e'));
    same(1, $redis->persist('e'));
    ttl(-1, $redis->ttl('e'));
    same('v', $redis->executeRaw(['GETEX', 'e', 'EX', '60']));
    ttl(60, $redis->ttl('e'));
    same(-2, $redis->ttl('absent'));
});

check('hash', function () use ($redis) {
    same('OK', (string) $redis->hmset('h', ['a' => '1', 'b' => everyByte()]));
    same(['1', everyByte(), null], $redis->hmget('h', ['a', 'b', 'no']));
    same(5, $redis->hincrby('h', 'a', 4));
    same(1, $redis->hdel('h', ['b']));
    same(['a' => '5'], $redis->hgetall('h'));
});

check('counter', function () use ($redis) {
    same(1, $redis->incr('n'));
    same(11, $redis->incrby('n', 10));
    same('11.5', $redis->incrbyfloat('n', '0.5'));
});

check('multi-key', function () use ($redis) {
    $redis->mset(['m1' => 'a', 'm2' => 'b']);
    same(['a', 'b', null], $redis->mget(['m1', 'm2', 'm3']));
    same(2, $redis->del(['m1', 'm2', 'm3']));
});

check('list-set', function () use ($redis) {
    same(3, $redis->rpush('l', ['a', 'b', 'c']));
    same(['a', 'b', 'c'], $redis->lrange('l', 0, -1));
    same('a', $redis->lpop('l'));
    same(2, $redis->sadd('t', ['x', 'y']));
    same(1, $redis->sismember('t', 'x'));
    same(2, $redis->zadd('z', ['one' => 1, 'two' => 2]));
    same(['one' => '1', 'two' => '2'], $redis->zrange('z', 0, -1, ['withscores' => true]));
});

check('pipeline', function () use ($redis) {
    $replies = $redis->pipeline(function ($pipe) {
        for ($i = 0; $i < 500; $i++) {
            $pipe->set("p$i", "v$i");
            $pipe->get("p$i");
        }
    });
    same(1000, count($replies));
    for ($i = 0; $i < 500; $i++) {
        same("v$i", $replies[2 * $i + 1]);
    }
});

check('transaction', function () use ($redis) {
    $replies = $redis->transaction(function ($tx) {
        $tx->set('x1', 'v');
        $tx->get('x1');
    });
    same(['OK', 'v'], array_map('strval', $replies));
    same(['OK', 'w'], array_map('strval', $redis->pipeline(['atomic' => true], function ($pipe) {
        $pipe->set('x1', 'w');
        $pipe->get('x1');
    })));
});

check('watch', function () use ($redis) {
    $redis->set('w', '1');
    $tries = 0;
    $options = ['cas' => true, 'watch' => 'w', 'retry' => 3];
    $redis->transaction($options, function ($tx) use (&$tries) {
        $value = $tx->get('w');
        if ($tries++ === 0) {
            connect()->set('w', '5'); // a conflict: Predis tries again
        }
        $tx->multi();
        $tx->set('w', $value + 1);
    });
    same([2, '6'], [$tries, $redis->get('w')]);
});

class Greeting extends Predis\Command\ScriptCommand
{
    public function getKeysCount()
    {
        return 1;
    }

    public function getScript()
    {
        return "redis.call('SET', KEYS[1], ARGV[1]); return redis.call('GET', KEYS[1]) .. '!'";
    }
}

check('script', function () use ($redis) {
    $redis->getProfile()->defineCommand('greeting', Greeting::class);
    same('v!', $redis->greeting('k', 'v')); // EVALSHA, and EVAL after NOSCRIPT
    same('w!', $redis->greeting('k', 'w'));
    same('x!', $redis->eval((new Greeting())->getScript(), 1, 'k', 'x'));
    same([1], $redis->script('EXISTS', sha1((new Greeting())->getScript())));
});

check('scan', function () use ($redis) {
    for ($i = 0; $i < 200; $i++) {
        $redis->set("scan:$i", 'v');
    }
    $found = iterator_to_array(new Predis\Collection\Iterator\Keyspace($redis, 'scan:*', 50), false);
    same(200, count(array_unique($found)));
    same(200, count($redis->keys('scan:*')));
    same(['a' => '5'], iterator_to_array(new Predis\Collection\Iterator\HashKey($redis, 'h')));
});

check('prefix', function () use ($redis) {
    $parameters = ['host' => HOST, 'port' => PORT] + (PASSWORD === '' ? [] : ['password' => PASSWORD]);
    $shop = new Client($parameters, ['prefix' => 'shop:']);
    $shop->set('cart', 'v');
    same('v', $redis->get('shop:cart'));
});

check('pubsub', function () {
    $wait = beside(function () {
        $other = connect();
        eventually('somebody subscribes', fn () => $other->publish('news', everyByte()) === 1);
    });
    $got = null;
    $loop = connect()->pubSubLoop();
    $loop->subscribe('news');
    foreach ($loop as $message) {
        if ($message->kind === 'message') {
            $got = [$message->channel, $message->payload];
            $loop->unsubscribe();
        }
    }
    $wait();
    same(['news', everyByte()], $got);
});

check('blocking', function () use ($redis) {
    $wait = beside(function () {
        usleep(100000);
        connect()->rpush('queue', ['job']);
    });
    same(['queue', 'job'], $redis->blpop(['queue'], 5));
    $wait();
    $start = microtime(true);
    same(null, $redis->blpop(['queue'], 1));
    $took = microtime(true) - $start;
    yes($took > 0.9 && $took < 3, "a timeout of 1 s took $took s");
});

check('large', function () use ($redis) {
    $value = random_bytes(1 << 20);
    $redis->set('large', $value);
    yes($redis->get('large') === $value, 'another value came back');
});

check('error', function () use ($redis) {
    try {
        $redis->lpush('s', ['a']);
        $kind = 'none';
    } catch (ServerException $e) {
        $kind = $e->getErrorType();
    }
    same('WRONGTYPE', $kind);
    try {
        (new Client(['host' => HOST, 'port' => PORT, 'password' => 'not the password']))->ping();
        $kind = 'none';
    } catch (Predis\Connection\ConnectionException $e) {
        $kind = PASSWORD === '' ? strtok($e->getMessage(), ' ') : strtok(strstr($e->getMessage(), 'WRONGPASS'), ' ');
    }
    yes($kind !== 'none', 'a wrong password was let in');
    same(PASSWORD === '' ? '`AUTH`' : 'WRONGPASS', $kind);
});

check('resp3', function () {
    throw new Skip('Predis 1 speaks RESP2 only');
});

check('concurrent', function () use ($redis) {
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

check('reconnect', function () use ($redis) {
    $id = $redis->executeRaw(['CLIENT', 'ID']);
    same(1, connect()->executeRaw(['CLIENT', 'KILL', 'ID', (string) $id]));
    try {
        $redis->get('s');
        throw new LogicException('the connection was not killed');
    } catch (Predis\Connection\ConnectionException $e) {
        // Predis says so once, and connects anew for the next command.
    }
    same('w123', $redis->get('s'));
});

check('persistent', function () {
    $one = connect(['persistent' => '1']);
    $one->set('pp', '1');
    $two = connect(['persistent' => '1']);
    same('1', $two->get('pp'));
    same($one->executeRaw(['CLIENT', 'ID']), $two->executeRaw(['CLIENT', 'ID']));
});

done();
