<?php
// TAP for the programs of this directory: checks, what they compare, and processes beside the program.

error_reporting(E_ALL & ~E_DEPRECATED & ~E_USER_DEPRECATED);
set_error_handler(function (int $kind, string $text, string $file, int $line) {
    if (!(error_reporting() & $kind)) {
        return false;
    }
    throw new ErrorException($text, 0, $kind, $file, $line);
});

const HOST = '127.0.0.1';

define('PORT', (int) getenv('REDIS_PORT'));
define('PASSWORD', (string) getenv('REDIS_PASSWORD'));
define('RULES', getenv('MODE') === 'rules');

class Skip extends Exception
{
}

$checks = 0;
$failed = 0;

function check(string $name, callable $body): void
{
    global $checks, $failed;
    $checks++;
    try {
        $body();
        echo "ok - $name\n";
    } catch (Skip $e) {
        echo "ok - $name # SKIP {$e->getMessage()}\n";
    } catch (Throwable $e) {
        $failed++;
        $why = get_class($e) . ': ' . $e->getMessage() . ' at line ' . lineOf($e);
        echo "not ok - $name: " . preg_replace("/[^ -~]/", "?", $why) . "\n";
    }
}

/** The line of a check that led to $e. */
function lineOf(Throwable $e): int
{
    foreach (array_merge([['file' => $e->getFile(), 'line' => $e->getLine()]], $e->getTrace()) as $frame) {
        if (isset($frame['file']) && !in_array(basename($frame['file']), ['tap.php', 'web.php'])) {
            return $frame['line'];
        }
    }
    return $e->getLine();
}

function done(): void
{
    global $checks, $failed;
    echo "1..$checks\n";
    exit($failed === 0 ? 0 : 1);
}

function same($want, $got): void
{
    if ($want !== $got) {
        throw new Exception('want ' . brief($want) . ', got ' . brief($got));
    }
}

function yes(bool $holds, string $what): void
{
    if (!$holds) {
        throw new Exception($what);
    }
}

function brief($value): string
{
    $text = is_string($value) ? json_encode($value, JSON_INVALID_UTF8_SUBSTITUTE) : var_export($value, true);
    return strlen($text) > 200 ? substr($text, 0, 200) . '...' : $text;
}

/** A TTL in seconds is what Redis would say, a few seconds later; under rules it is only known to be within them. */
function ttl(int $want, int $got): void
{
    [$low, $high] = RULES ? [1, 43200] : [$want < 0 ? $want : $want - 10, $want];
    yes($low <= $got && $got <= $high, "a TTL of $got, want $low to $high");
}

/** Waits until $holds says something true, and returns it. */
function eventually(string $what, callable $holds, int $seconds = 5)
{
    for ($end = microtime(true) + $seconds; ; usleep(5000)) {
        if ($value = $holds()) {
            return $value;
        }
        yes(microtime(true) < $end, "not within $seconds s: $what");
    }
}

/** Runs $body in a process of its own, without the connections of this one; returns what waits for it. */
function beside(callable $body): callable
{
    $pid = pcntl_fork();
    if ($pid === 0) {
        try {
            $body();
            $code = 0;
        } catch (Throwable $e) {
            fwrite(STDERR, "beside: {$e->getMessage()}\n");
            $code = 1;
        }
        // Not exit: destructors would end the parent's connections.
        pcntl_exec('/bin/sh', ['-c', "exit $code"]);
    }
    return function () use ($pid) {
        pcntl_waitpid($pid, $status);
        same(0, pcntl_wexitstatus($status));
    };
}

/** All 256 byte values. */
function everyByte(): string
{
    return implode('', array_map('chr', range(0, 255)));
}
