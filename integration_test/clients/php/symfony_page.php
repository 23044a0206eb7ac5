<?php
// The page of symfony.php: an application of Symfony's HttpFoundation, whose sessions are in Redis by the client that CLIENT names.
require 'Symfony/Component/HttpFoundation/autoload.php';
require 'Predis/autoload.php';

use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\HttpFoundation\Response;
use Symfony\Component\HttpFoundation\Session\Session;
use Symfony\Component\HttpFoundation\Session\Storage\Handler\RedisSessionHandler;
use Symfony\Component\HttpFoundation\Session\Storage\NativeSessionStorage;

error_reporting(E_ALL & ~E_DEPRECATED);
if (getenv('CLIENT') === 'predis') {
    $redis = new Predis\Client(getenv('REDIS_URL'));
} else {
    $redis = new Redis();
    $redis->connect(getenv('REDIS_HOST'), (int) getenv('REDIS_PORT'));
    if ((string) getenv('REDIS_PASSWORD') !== '') { // proc_open leaves an empty one out
        $redis->auth(getenv('REDIS_PASSWORD'));
    }
}
$handler = new RedisSessionHandler($redis, ['prefix' => 'sf_s', 'ttl' => 1440]);
$session = new Session(new NativeSessionStorage(['use_strict_mode' => 1], $handler));
$request = Request::createFromGlobals();
$request->setSession($session);
$session->start();
switch ($request->getPathInfo()) {
    case '/login':
        $session->set('user', 'ann');
        $session->set('bytes', implode('', array_map('chr', range(0, 255))));
        $session->getFlashBag()->add('notice', 'welcome');
        $text = $session->getId();
        break;
    case '/flash':
        $text = implode(',', $session->getFlashBag()->get('notice'));
        break;
    case '/rotate':
        $session->migrate(true);
        $text = $session->getId();
        break;
    case '/logout':
        $session->invalidate();
        $text = '';
        break;
    default:
        $text = $session->get('user', 'nobody') . ' ' . strlen($session->get('bytes', ''));
}
$session->save();
(new Response($text))->prepare($request)->send();
