<?php
// Symfony's RedisSessionHandler over HTTP: php symfony.php phpredis|predis
require __DIR__ . '/flow.php';

echo '# version ', strtok(shell_exec("dpkg-query -W -f '\${Version}' php-symfony-http-foundation"), '+'), "\n";
$site = serve('symfony_page.php', ['session.lazy_write' => 1], ['CLIENT' => $argv[1]]);
flow($site, fn ($id) => "sf_s$id", 1440, function (Browser $ann) {
    check('flash', function () use ($ann) {
        same('welcome', $ann->get('/flash'));
        same('', $ann->get('/flash'));
    });
});
done();
