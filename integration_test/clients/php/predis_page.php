<?php
// The page of predis_session.php: PHP's own sessions, kept by Predis's handler.
require 'Predis/autoload.php';

$client = new Predis\Client(getenv('REDIS_URL'), ['prefix' => 'sessions:']);
(new Predis\Session\Handler($client, ['gc_maxlifetime' => 1440]))->register();
session_start();
switch (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    case '/login':
        $_SESSION = ['user' => 'ann', 'bytes' => implode('', array_map('chr', range(0, 255)))];
        exit(session_id());
    case '/read':
        exit(($_SESSION['user'] ?? 'nobody') . ' ' . strlen($_SESSION['bytes'] ?? ''));
    case '/rotate':
        session_regenerate_id(true);
        exit(session_id());
    case '/logout':
        session_destroy();
        exit;
}
