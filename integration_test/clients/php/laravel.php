<?php
// Laravel's sessions, cache and locks over HTTP: php laravel.php phpredis|predis
require __DIR__ . '/flow.php';

echo '# version ', strtok(shell_exec("dpkg-query -W -f '\${Version}' php-laravel-framework"), '+'), "\n";
$site = serve('laravel_page.php', [], ['CLIENT' => $argv[1]]);
$prefix = 'laravel_database_laravel_cache:';
flow($site, fn ($id) => $prefix . $id, 7200, function (Browser $ann, Redis $redis) use ($prefix) {
    check('locking', function () use ($ann, $redis) {
        // block(): requests of one session wait for each other by a lock in the cache.
        $answers = $ann->together(array_fill(0, 20, '/count'));
        sort($answers, SORT_NUMERIC);
        same(array_map('strval', range(1, 20)), $answers);
    });
    check('cache', function () use ($ann, $redis, $prefix) {
        $want = [null, true, ['a' => 1], 1, 2, true, false, true, true, ['x' => 'a', 'y' => 'b', 'z' => null], 'a', false, 'made', 'made', true];
        same($want, json_decode($ann->get('/cache'), true));
        ttl(60, $redis->ttl($prefix . 'once'));
        ttl(-1, $redis->ttl($prefix . 'ever'));
    });
    check('lock', function () use ($ann) {
        same([true, false, false, true, true, true, true], json_decode($ann->get('/lock'), true));
    });
});
done();
