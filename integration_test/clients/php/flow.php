<?php
// The flow of a session library over HTTP, for the pages that answer /login and /rotate with the session's id, and /read with its user.
require __DIR__ . '/web.php';

/** @param callable(string): string $key the key of the session with that id */
function flow(string $site, callable $key, int $lifetime, callable $between = null): void
{
    $ann = new Browser($site);
    $redis = look();
    $id = '';

    check('create', function () use (&$id, $ann, $redis, $key) {
        $id = $ann->get('/login');
        same(1, $redis->exists($key($id)));
    });
    check('read', function () use ($ann, $site) {
        same('ann 256', $ann->get('/read'));
        same('nobody 0', (new Browser($site))->get('/read'));
    });
    check('expiry', function () use (&$id, $redis, $key, $lifetime) {
        ttl($lifetime, $redis->ttl($key($id)));
    });
    check('refresh', function () use (&$id, $ann, $redis, $key, $lifetime) {
        $redis->expire($key($id), 100);
        same('ann 256', $ann->get('/read'));
        ttl($lifetime, $redis->ttl($key($id)));
        yes($redis->ttl($key($id)) > 100, 'the expiry was not put back');
    });
    check('parallel', function () use ($ann) {
        same(array_fill(0, 20, 'ann 256'), $ann->together(array_fill(0, 20, '/read')));
    });
    if ($between !== null) {
        $between($ann, $redis);
    }
    check('rotate', function () use (&$id, $ann, $redis, $key) {
        $old = $id;
        $id = $ann->get('/rotate');
        yes($id !== $old, 'the id is still the old one');
        same([0, 1], [$redis->exists($key($old)), $redis->exists($key($id))]);
        same('ann 256', $ann->get('/read'));
    });
    check('logout', function () use (&$id, $ann, $redis, $key, $site) {
        $ann->get('/logout');
        same(0, $redis->exists($key($id)));
        same('nobody 0', $ann->get('/read'));
        (new Browser($site))->get('/login');
    });
}
