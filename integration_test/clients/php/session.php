<?php
// PHP's session handler of phpredis over HTTP, with its locks.
require __DIR__ . '/web.php';

const PREFIX = 'PHPREDIS_SESSION:';

echo '# version ', phpversion('redis'), "\n";

function site(array $settings = []): string
{
    return serve('session_page.php', $settings + [
        'session.save_handler' => 'redis',
        'session.save_path' => sprintf('tcp://%s:%d?database=0%s', HOST, PORT, PASSWORD === '' ? '' : '&auth=' . urlencode(PASSWORD)),
        'session.gc_maxlifetime' => 1440,
        'session.use_strict_mode' => 1,
        'session.lazy_write' => 1,
        'redis.session.locking_enabled' => 1,
        'redis.session.lock_expire' => 60,
        'redis.session.lock_wait_time' => 20000,
        'redis.session.lock_retries' => -1,
    ]);
}

$site = site();
$ann = new Browser($site);
$redis = look();
$id = '';

check('create', function () use (&$id, $ann, $redis) {
    $id = $ann->get('/login');
    same($id, $ann->cookies['PHPSESSID']);
    same(1, $redis->exists(PREFIX . $id));
});

check('read', function () use ($ann, $site) {
    same('ann 256', $ann->get('/read'));
    same('nobody 0', (new Browser($site))->get('/read'));
});

check('expiry', function () use (&$id, $redis) {
    ttl(1440, $redis->ttl(PREFIX . $id));
});

check('refresh', function () use (&$id, $ann, $redis) {
    // lazy_write: what has not changed is not written, its expiry is only put back.
    $before = $redis->get(PREFIX . $id);
    $redis->expire(PREFIX . $id, 100);
    same('ann 256', $ann->get('/read'));
    ttl(1440, $redis->ttl(PREFIX . $id));
    yes(RULES || $redis->ttl(PREFIX . $id) > 1400, 'the expiry was not put back');
    same($before, $redis->get(PREFIX . $id));
});

check('rotate', function () use (&$id, $ann, $redis) {
    $old = $id;
    $id = $ann->get('/rotate');
    yes($id !== $old, 'the id is still the old one');
    same([0, 1], [$redis->exists(PREFIX . $old), $redis->exists(PREFIX . $id)]);
    same('ann 256', $ann->get('/read'));
});

check('strict', function () use ($site, $redis) {
    $eve = new Browser($site);
    $eve->cookies['PHPSESSID'] = 'chosen0by0an0attacker0chosen0by0';
    $eve->get('/login');
    yes($eve->cookies['PHPSESSID'] !== 'chosen0by0an0attacker0chosen0by0', 'an id that does not exist was taken');
    same(0, $redis->exists(PREFIX . 'chosen0by0an0attacker0chosen0by0'));
    $eve->get('/logout');
});

check('abort', function () use ($ann) {
    $ann->get('/abort');
    same('ann 256', $ann->get('/read'));
});

check('parallel', function () use (&$id, $ann, $redis) {
    $answers = $ann->together(array_fill(0, 20, '/count'));
    sort($answers, SORT_NUMERIC);
    same(array_map('strval', range(1, 20)), $answers); // a lost update would say a number twice
    same(0, $redis->exists(PREFIX . $id . '_LOCK'));
});

check('lock', function () use (&$id, $ann, $redis) {
    $lock = PREFIX . $id . '_LOCK';
    $browser = clone $ann;
    $wait = beside(fn () => $browser->get('/slow'));
    eventually('the slow request has its lock', fn () => look()->exists($lock));
    $left = $redis->ttl($lock);
    yes(0 < $left && $left <= 60, "the lock has $left s left");
    same('done', $ann->get('/slow-read'));
    $wait();
    same(0, $redis->exists($lock));
});

check('lock-released-early', function () use (&$id, $ann, $redis) {
    $browser = clone $ann;
    $start = microtime(true);
    $wait = beside(fn () => $browser->get('/unlock'));
    eventually('session_write_close has returned', fn () => file_exists(getenv('SCRATCH') . '/unlocked'));
    same(0, $redis->exists(PREFIX . $id . '_LOCK'));
    same('ann 256', $ann->get('/read'));
    yes(microtime(true) - $start < 3, 'the other request was waited for');
    $wait();
});

check('lock-foreign', function () use (&$id, $ann, $redis) {
    // Somebody else has the lock: the request goes on without, writes nothing, and leaves the lock alone.
    $impatient = new Browser(site(['redis.session.lock_retries' => 3]));
    $impatient->cookies = $ann->cookies;
    $lock = PREFIX . $id . '_LOCK';
    same(true, $redis->set($lock, 'another', ['nx', 'ex' => 30]));
    $before = $redis->get(PREFIX . $id);
    same('21', $impatient->get('/count'));
    same($before, $redis->get(PREFIX . $id));
    same('another', $redis->get($lock));
    same(1, $redis->del($lock));
    same('21', $impatient->get('/count'));
    yes($before !== $redis->get(PREFIX . $id), 'it was not written with the lock either');
});

check('lock-without-expiry', function () use (&$id, $ann, $redis) {
    // Neither lock_expire nor max_execution_time: SET NX without PX.
    $site = site(['redis.session.lock_expire' => 0, 'max_execution_time' => 0]);
    $other = new Browser($site);
    $other->cookies = $ann->cookies;
    $lock = PREFIX . $id . '_LOCK';
    $wait = beside(fn () => $other->get('/slow'));
    eventually('the slow request has its lock', fn () => look()->exists($lock));
    $left = $redis->ttl($lock);
    yes(RULES ? 0 < $left && $left <= 300 : $left === -1, "the lock has $left s left");
    $wait();
    same(0, $redis->exists($lock));
});

check('prefix', function () use ($redis) {
    $path = sprintf('tcp://%s:%d?persistent=1&prefix=shop:%s', HOST, PORT, PASSWORD === '' ? '' : '&auth=' . urlencode(PASSWORD));
    $bob = new Browser(site(['session.save_path' => $path, 'session.gc_maxlifetime' => 600]));
    $id = $bob->get('/login');
    ttl(600, $redis->ttl("shop:$id"));
    for ($i = 0; $i < 30; $i++) { // a worker's connection stays for its next request
        same('ann 256', $bob->get('/read'));
    }
});

check('logout', function () use (&$id, $ann, $redis, $site) {
    $ann->get('/logout');
    same(0, $redis->exists(PREFIX . $id));
    same('nobody 0', $ann->get('/read'));
    (new Browser($site))->get('/login');
});

done();
