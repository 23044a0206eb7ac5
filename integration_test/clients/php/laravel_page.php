<?php
// The page of laravel.php: an application of Laravel in one file, whose sessions, cache and locks are in Redis by the client that CLIENT names.
require 'Illuminate/autoload.php';
require 'Predis/autoload.php';

use Illuminate\Contracts\Debug\ExceptionHandler;
use Illuminate\Foundation\Application;
use Illuminate\Foundation\Bootstrap;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\Cache;
use Illuminate\Support\Facades\Facade;
use Illuminate\Support\Facades\Route;

error_reporting(E_ALL & ~E_DEPRECATED);

class Kernel extends Illuminate\Foundation\Http\Kernel
{
    protected $bootstrappers = [Bootstrap\RegisterFacades::class, Bootstrap\RegisterProviders::class, Bootstrap\BootProviders::class];
    protected $middlewareGroups = ['web' => [
        Illuminate\Cookie\Middleware\EncryptCookies::class,
        Illuminate\Cookie\Middleware\AddQueuedCookiesToResponse::class,
        Illuminate\Session\Middleware\StartSession::class,
    ]];
}

$base = getenv('SCRATCH');
@mkdir("$base/bootstrap/cache", 0777, true);
$app = new Application($base);
$app->singleton(Illuminate\Contracts\Http\Kernel::class, Kernel::class);
$app->singleton(ExceptionHandler::class, Illuminate\Foundation\Exceptions\Handler::class);
$app->instance('env', 'production');
$server = ['host' => getenv('REDIS_HOST'), 'port' => getenv('REDIS_PORT'), 'password' => getenv('REDIS_PASSWORD') ?: null, 'database' => 0];
$app->instance('config', new Illuminate\Config\Repository([
    'app' => [
        'key' => 'base64:' . base64_encode(str_repeat('k', 32)), 'cipher' => 'AES-256-CBC', 'debug' => true, 'aliases' => [],
        'providers' => [
            Illuminate\Cache\CacheServiceProvider::class,
            Illuminate\Cookie\CookieServiceProvider::class,
            Illuminate\Encryption\EncryptionServiceProvider::class,
            Illuminate\Filesystem\FilesystemServiceProvider::class,
            Illuminate\Redis\RedisServiceProvider::class,
            Illuminate\Session\SessionServiceProvider::class,
            Illuminate\View\ViewServiceProvider::class,
        ],
    ],
    'logging' => ['default' => 'errorlog', 'channels' => ['errorlog' => ['driver' => 'errorlog']]],
    'view' => ['paths' => [], 'compiled' => $base],
    'database' => ['redis' => [
        'client' => getenv('CLIENT'),
        'options' => ['prefix' => 'laravel_database_'],
        'default' => $server,
    ]],
    'cache' => [
        'default' => 'redis', 'prefix' => 'laravel_cache',
        'stores' => ['redis' => ['driver' => 'redis', 'connection' => 'default', 'lock_connection' => 'default']],
    ],
    'session' => [
        'driver' => 'redis', 'connection' => 'default', 'lifetime' => 120, 'expire_on_close' => false, 'encrypt' => false,
        'lottery' => [2, 100], 'cookie' => 'laravel_session', 'path' => '/', 'domain' => null, 'secure' => false,
        'http_only' => true, 'same_site' => 'lax', 'block' => false,
    ],
]));

Route::setFacadeApplication($app);
$app->booted(function () {
    Route::middleware('web')->group(function () {
        Route::get('/login', function (Request $request) {
            $request->session()->put(['user' => 'ann', 'n' => 0, 'bytes' => implode('', array_map('chr', range(0, 255)))]);
            return $request->session()->getId();
        });
        Route::get('/read', fn (Request $request) => $request->session()->get('user', 'nobody') . ' ' . strlen($request->session()->get('bytes', '')));
        Route::get('/count', fn (Request $request) => (string) $request->session()->increment('n'))->block(10, 10);
        Route::get('/rotate', function (Request $request) {
            $request->session()->regenerate(true);
            return $request->session()->getId();
        });
        Route::get('/logout', function (Request $request) {
            $request->session()->invalidate();
            return '';
        });
    });
    Route::get('/cache', function () {
        $seen = [Cache::get('k'), Cache::put('k', ['a' => 1], 60), Cache::get('k'), Cache::increment('hits'), Cache::increment('hits')];
        array_push($seen, Cache::add('once', 'v', 60), Cache::add('once', 'w', 60), Cache::forever('ever', 'v'));
        array_push($seen, Cache::putMany(['x' => 'a', 'y' => 'b'], 60), Cache::many(['x', 'y', 'z']), Cache::pull('x'), Cache::has('x'));
        return [...$seen, Cache::remember('made', 60, fn () => 'made'), Cache::remember('made', 60, fn () => 'again'), Cache::forget('y')];
    });
    Route::get('/lock', function () {
        $mine = Cache::lock('report:lock', 60);
        $other = Cache::lock('report:lock', 60);
        $seen = [$mine->get(), $other->get(), $other->release(), $mine->release(), $other->get(), $other->owner() !== $mine->owner()];
        return [...$seen, Cache::restoreLock('report:lock', $other->owner())->release()];
    });
});
$kernel = $app->make(Illuminate\Contracts\Http\Kernel::class);
$response = $kernel->handle($request = Request::capture());
$response->send();
$kernel->terminate($request, $response);
