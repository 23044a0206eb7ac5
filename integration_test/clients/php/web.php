<?php
// A web server (php -S) that runs a page of this directory, and clients of it with their cookies.
require __DIR__ . '/tap.php';

/** Starts php -S with $page, of as many workers as it gets requests at once. It is stopped when the program ends. */
function serve(string $page, array $settings = [], array $environment = []): string
{
    // Let the system choose a port.
    $probe = stream_socket_server('tcp://127.0.0.1:0');
    $addr = stream_socket_get_name($probe, false);
    fclose($probe);
    $command = [PHP_BINARY];
    foreach ($settings as $name => $value) {
        array_push($command, "-d", "$name=\"$value\""); // quoted: & means something there
    }
    array_push($command, '-S', $addr, __DIR__ . "/$page");
    $log = getenv('SCRATCH') . '/server.log';
    $files = [['file', '/dev/null', 'r'], ['file', $log, 'a'], ['file', $log, 'a']];
    $server = proc_open($command, $files, $pipes, null, $environment + ['PHP_CLI_SERVER_WORKERS' => '20'] + getenv());
    $pid = proc_get_status($server)['pid'];
    eventually('the workers of php -S are there', fn () => count(workers($pid)) === 20 && @fsockopen('tcp://' . $addr), 30);
    register_shutdown_function(function () use ($pid) {
        foreach ([...workers($pid), $pid] as $each) {
            posix_kill($each, SIGTERM);
        }
    });
    return "http://$addr";
}

function workers(int $pid): array
{
    return preg_split('/\s+/', (string) file_get_contents("/proc/$pid/task/$pid/children"), -1, PREG_SPLIT_NO_EMPTY);
}

/** What a browser keeps: where it goes, and its cookies. */
class Browser
{
    public array $cookies = [];

    public function __construct(private string $base)
    {
    }

    /** The answer to GET $path, which must be 200. */
    public function get(string $path): string
    {
        return $this->together([$path])[0];
    }

    /** The answers to all of $paths at once, each of which must be 200. */
    public function together(array $paths): array
    {
        $all = curl_multi_init();
        $cookie = http_build_query($this->cookies, '', '; ', PHP_QUERY_RFC3986);
        $requests = [];
        foreach ($paths as $path) {
            $requests[] = $one = curl_init($this->base . $path);
            curl_setopt_array($one, [
                CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 20, CURLOPT_COOKIE => $cookie,
                CURLOPT_HEADERFUNCTION => function ($one, $line) {
                    if (preg_match('/^set-cookie: ([^=]+)=([^;\r]*)/i', $line, $found)) {
                        $this->cookies[$found[1]] = rawurldecode($found[2]);
                    }
                    return strlen($line);
                },
            ]);
            curl_multi_add_handle($all, $one);
        }
        do {
            curl_multi_exec($all, $running);
            curl_multi_select($all, 0.1);
        } while ($running > 0);
        $answers = [];
        foreach ($requests as $one) {
            $answer = (string) curl_multi_getcontent($one);
            yes(curl_getinfo($one, CURLINFO_RESPONSE_CODE) === 200, 'HTTP ' . curl_getinfo($one, CURLINFO_RESPONSE_CODE) . ': ' . curl_error($one) . $answer);
            $answers[] = $answer;
        }
        return $answers;
    }
}

/** A connection of the program's own, to look at what the application has stored. */
function look(): Redis
{
    $redis = new Redis();
    $redis->connect(HOST, PORT, 5);
    if (PASSWORD !== '') {
        $redis->auth(PASSWORD);
    }
    return $redis;
}
