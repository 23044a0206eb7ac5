#!/usr/bin/perl

# AnyEvent::Redis: everything at once, on one connection.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use AnyEvent;
use AnyEvent::Redis;
use Tap;
use Time::HiRes qw(sleep time);

print "# version $AnyEvent::Redis::VERSION\n";

# It knows no password: AUTH is a command like others.
sub client {
    my $redis = AnyEvent::Redis->new(host => HOST, port => PORT, on_error => sub { });
    $redis->auth(PASSWORD)->recv if defined PASSWORD;
    return $redis;
}

my $redis;

check connect => sub {
    $redis = client();
    same('PONG', $redis->ping->recv);
    same('OK', $redis->select(0)->recv);
    same('OK', $redis->client('SETNAME', 'anyevent')->recv);
    same('anyevent', $redis->client('GETNAME')->recv);
};

check 'set-get' => sub {
    same('OK', $redis->set('s', 'v')->recv);
    same('v', $redis->get('s')->recv);
    same(undef, $redis->get('absent')->recv);
};

check binary => sub {
    $redis->set(everyByte(), everyByte())->recv;
    same(everyByte(), $redis->get(everyByte())->recv);
    $redis->set('empty', '')->recv;
    same('', $redis->get('empty')->recv);
};

check expiry => sub {
    $redis->setex('e', 200, 'v')->recv;
    ttl(200, $redis->ttl('e')->recv);
    same(1, $redis->expire('e', 300)->recv);
    ttl(300, $redis->ttl('e')->recv);
    same(1, $redis->persist('e')->recv);
    ttl(-1, $redis->ttl('e')->recv);
};

check hash => sub {
    same('OK', $redis->hmset('h', a => 1, b => 2)->recv);
    same({a => 1, b => 2}, {@{$redis->hgetall('h')->recv}});
};

check counter => sub {
    same(1, $redis->incr('n')->recv);
    same(11, $redis->incrby('n', 10)->recv);
};

check 'multi-key' => sub {
    $redis->mset(m1 => 'a', m2 => 'b')->recv;
    same(['a', 'b', undef], $redis->mget('m1', 'm2', 'm3')->recv);
    same(2, $redis->del('m1', 'm2', 'm3')->recv);
};

check 'list-set' => sub {
    same(3, $redis->rpush('l', 'a', 'b', 'c')->recv);
    same(['a', 'b', 'c'], $redis->lrange('l', 0, -1)->recv);
    same(2, $redis->sadd('t', 'x', 'y')->recv);
};

check pipeline => sub {
    my @waits = map { $redis->set("p$_", "v$_"), $redis->get("p$_") } 1 .. 500;
    my @got = map { $_->recv } @waits;
    same([map { ('OK', "v$_") } 1 .. 500], \@got);
};

check transaction => sub {
    $redis->multi;
    $redis->set('x1', 'v');
    $redis->get('x1');
    same(['OK', 'v'], $redis->exec->recv);
};

check script => sub {
    my $body = "redis.call('SET', KEYS[1], ARGV[1]); return redis.call('GET', KEYS[1]) .. '!'";
    same('v!', $redis->eval($body, 1, 'k', 'v')->recv);
};

check scan => sub {
    my @waits = map { $redis->set("scan:$_", 'v') } 1 .. 200;
    $_->recv for @waits;
    same(200, scalar @{$redis->keys('scan:*')->recv});
};

check pubsub => sub {
    my $listener = client();
    my $got      = AE::cv;
    $listener->subscribe('news', sub { $got->send([$_[1], $_[0]]) });
    eventually('somebody subscribes', sub { $redis->publish('news', everyByte())->recv == 1 });
    same(['news', everyByte()], $got->recv);
};

check blocking => sub {
    my $waiter = client();
    my $job    = $waiter->blpop('queue', 5);
    $redis->rpush('queue', 'job')->recv;
    same(['queue', 'job'], $job->recv);
    same(undef, $waiter->blpop('queue', 1)->recv);
};

check large => sub {
    my $value = everyByte() x 4096;
    $redis->set('large', $value)->recv;
    yes($redis->get('large')->recv eq $value, 'another value came back');
};

check error => sub {
    yes(!eval { $redis->lpush('s', 'a')->recv; 1 } && $@ =~ /^WRONGTYPE/, "WRONGTYPE: $@");
};

check resp3 => sub { skip('AnyEvent::Redis speaks RESP2 only') };

check concurrent => sub {
    my @clients = map { client() } 1 .. 50;
    my @waits = map { my $own = $_; map { $own->incr('all') } 1 .. 20 } @clients;
    $_->recv for @waits;
    same(1000, $redis->get('all')->recv);
};

check reconnect => sub {
    my $id = $redis->client('ID')->recv;
    same(1, client()->client('KILL', 'ID', $id)->recv);
    # It says so to what was sent before it noticed, and connects anew for what follows; logging in is the application's part.
    eventually('it has noticed', sub { !eval { $redis->ping->recv; 1 } });
    $redis->auth(PASSWORD)->recv if defined PASSWORD;
    same('v', $redis->get('s')->recv);
};

done;
