<?php
// The page of session.php: PHP's own sessions, kept by phpredis's handler.

if (!@session_start()) {
    http_response_code(500);
    exit('no session: ' . (error_get_last()['message'] ?? '?'));
}
switch (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    case '/login':
        $_SESSION = ['user' => 'ann', 'n' => 0, 'bytes' => implode('', array_map('chr', range(0, 255)))];
        exit(session_id());
    case '/read':
        exit(($_SESSION['user'] ?? 'nobody') . ' ' . strlen($_SESSION['bytes'] ?? ''));
    case '/count':
        usleep(2000); // long enough for another request to come between, if nothing locks
        exit((string) ++$_SESSION['n']);
    case '/slow':
        usleep(1000000);
        $_SESSION['slow'] = 'done';
        exit;
    case '/slow-read':
        exit($_SESSION['slow'] ?? 'nothing yet');
    case '/rotate':
        session_regenerate_id(true);
        exit(session_id());
    case '/abort':
        $_SESSION['user'] = 'eve';
        session_abort();
        exit;
    case '/unlock':
        session_write_close();
        touch(getenv('SCRATCH') . '/unlocked');
        usleep(3000000);
        exit;
    case '/logout':
        session_destroy();
        exit;
}
