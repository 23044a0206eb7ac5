<?php
// PHP's sessions by Predis's session handler, over HTTP.
require __DIR__ . '/flow.php';
require 'Predis/autoload.php';

echo '# version ', Predis\Client::VERSION, "\n";
flow(serve('predis_page.php', ['session.use_strict_mode' => 0, 'session.lazy_write' => 1]), fn ($id) => "sessions:$id", 1440);
done();
