#!/usr/bin/perl

# Redis.pm and Redis::Fast, which have the same interface: perl client.pl Redis|Redis::Fast
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Digest::SHA 'sha1_hex';
use Tap;
use Time::HiRes qw(sleep time);

my $class = shift;
eval "require $class" or die $@;
print '# version ', $class->VERSION, "\n";

sub client {
    my @fast = $class eq 'Redis::Fast' ? (encoding => undef) : ();
    return $class->new(server => HOST . ':' . PORT, reconnect => 5, every => 20_000, (defined PASSWORD ? (password => PASSWORD) : ()), @fast, @_);
}

my $redis;

check connect => sub {
    $redis = client(name => 'perl');
    same('PONG', $redis->ping);
    same('perl', $redis->client_getname);
    same('OK', $redis->select(0));
    yes(exists $redis->info->{redis_version}, 'INFO lacks redis_version');
    if (defined PASSWORD) {
        my $wrong = eval { client(password => 'not the password')->ping };
        yes(!$wrong && $@ =~ /WRONGPASS/, 'a wrong password: ' . ($wrong // $@));
    }
};

check 'set-get' => sub {
    same('OK', $redis->set('s', 'v'));
    same('v', $redis->get('s'));
    same(undef, $redis->get('absent'));
    same('v', $redis->getset('s', 'w'));
    same(0, $redis->setnx('s', 'y'));
    same(undef, scalar $redis->set('s', 'y', 'NX'));
    same(4, $redis->append('s', '123'));
    same('w123', $redis->get('s'));
    same('string', $redis->type('s'));
    same(1, $redis->exists('s'));
};

check binary => sub {
    $redis->set(everyByte(), everyByte());
    same(everyByte(), $redis->get(everyByte()));
    $redis->set('empty', '');
    same('', $redis->get('empty'));
};

check expiry => sub {
    $redis->set('e', 'v', 'EX', 100);
    ttl(100, $redis->ttl('e'));
    $redis->setex('e', 200, 'v');
    ttl(200, $redis->ttl('e'));
    same(1, $redis->expire('e', 300));
    ttl(300, $redis->ttl('e'));
    same(1, $redis->pexpireat('e', (400 + int time) * 1000));
    ttl(400, $redis->ttl('e'));
    same(1, $redis->persist('e'));
    ttl(-1, $redis->ttl('e'));
    same('v', $redis->getex('e', 'EX', 60));
    ttl(60, $redis->ttl('e'));
    $redis->set('none', 'v');
    ttl(-1, $redis->ttl('none'));
    same(-2, $redis->ttl('absent'));
};

check hash => sub {
    same('OK', $redis->hmset('h', a => 1, b => everyByte()));
    same([1, undef], [$redis->hmget('h', 'a', 'no')]);
    same(5, $redis->hincrby('h', 'a', 4));
    same({a => 5, b => everyByte()}, {$redis->hgetall('h')});
    same(1, $redis->hdel('h', 'b'));
};

check counter => sub {
    same(1, $redis->incr('n'));
    same(11, $redis->incrby('n', 10));
    same('11.5', $redis->incrbyfloat('n', 0.5));
};

check 'multi-key' => sub {
    $redis->mset(m1 => 'a', m2 => 'b');
    same(['a', 'b', undef], [$redis->mget('m1', 'm2', 'm3')]);
    same(2, $redis->del('m1', 'm2', 'm3'));
};

check 'list-set' => sub {
    same(3, $redis->rpush('l', 'a', 'b', 'c'));
    same(['a', 'b', 'c'], [$redis->lrange('l', 0, -1)]);
    same('a', $redis->lpop('l'));
    same(2, $redis->sadd('t', 'x', 'y'));
    same(1, $redis->sismember('t', 'x'));
    same(2, $redis->zadd('z', 1, 'one', 2, 'two'));
    same(['one', 1, 'two', 2], [$redis->zrange('z', 0, -1, 'WITHSCORES')]);
};

check pipeline => sub {
    my @got;
    for my $i (1 .. 500) {
        $redis->set("p$i", "v$i", sub { });
        $redis->get("p$i", sub { my ($reply, $error) = @_; push @got, $error // $reply });
    }
    $redis->wait_all_responses;
    same([map { "v$_" } 1 .. 500], \@got);
};

check transaction => sub {
    same('OK', $redis->multi);
    same('QUEUED', $redis->set('x1', 'v'));
    same('QUEUED', $redis->get('x1'));
    same(['OK', 'v'], [$redis->exec]);
    $redis->multi;
    $redis->set('x1', 'other');
    same('OK', $redis->discard);
    same('v', $redis->get('x1'));
};

check watch => sub {
    $redis->set('w', 1);
    $redis->watch('w');
    client()->set('w', 2);
    $redis->multi;
    $redis->set('w', 3);
    my @replies = $redis->exec;
    same(0, scalar grep { defined } @replies);
    same(2, $redis->get('w'));
};

check script => sub {
    my $body = "redis.call('SET', KEYS[1], ARGV[1]); return redis.call('GET', KEYS[1]) .. '!'";
    my $sha  = sha1_hex($body);
    yes(!eval { $redis->evalsha($sha, 1, 'k', 'v'); 1 } && $@ =~ /NOSCRIPT/, "NOSCRIPT: $@");
    same('v!', $redis->eval($body, 1, 'k', 'v'));
    same('w!', $redis->evalsha($sha, 1, 'k', 'w'));
    same($sha, $redis->script_load($body));
    same([1], [$redis->script_exists($sha)]);
};

check scan => sub {
    $redis->set("scan:$_", 'v') for 1 .. 200;
    my ($cursor, %found) = (0);
    do {
        ($cursor, my $keys) = $redis->scan($cursor, MATCH => 'scan:*', COUNT => 50);
        $found{$_}++ for @$keys;
    } while ($cursor);
    same(200, scalar keys %found);
    same(200, scalar(my @all = $redis->keys('scan:*')));
};

check pubsub => sub {
    my $listener = client();
    my @got;
    $listener->subscribe('news', sub { my ($message, $topic) = @_; @got = ($topic, $message) });
    # Not before: Redis.pm waits for more when a message comes in one packet with the confirmation.
    my $wait = beside(sub { same(1, client()->publish('news', everyByte())) });
    eventually('a message', sub { $listener->wait_for_messages(1); @got });
    $wait->();
    same(['news', everyByte()], \@got);
};

check blocking => sub {
    my $wait = beside(sub { sleep 0.1; client()->rpush('queue', 'job') });
    same(['queue', 'job'], [$redis->blpop('queue', 5)]);
    $wait->();
    my $start = time;
    same(0, scalar grep { defined } $redis->blpop('queue', 1));
    my $took = time - $start;
    yes($took > 0.9 && $took < 3, "a timeout of 1 s took $took s");
};

check large => sub {
    my $value = everyByte() x 4096;
    $redis->set('large', $value);
    yes($redis->get('large') eq $value, 'another value came back');
};

check error => sub {
    yes(!eval { $redis->lpush('s', 'a'); 1 } && $@ =~ /WRONGTYPE/, "WRONGTYPE: $@");
    yes(!eval { $redis->nosuchcommand('a'); 1 } && $@ =~ /ERR unknown command ['`]NOSUCHCOMMAND'/i, "unknown: $@");
};

check resp3 => sub { skip("$class speaks RESP2 only") };

check concurrent => sub {
    my @waits = map {
        my $i = $_;
        beside(sub {
            my $own = client();
            for my $j (1 .. 20) {
                $own->set("c$i", "$i-$j");
                same("$i-$j", $own->get("c$i"));
                $own->incr('all');
            }
        })
    } 1 .. 50;
    $_->() for @waits;
    same(1000, $redis->get('all'));
};

check reconnect => sub {
    # Its name says which connection is whose.
    my ($id) = map { /^id=(\d+).* name=perl / ? $1 : () } split /\n/, $redis->client_list;
    my $other = client();
    same(1, $class eq 'Redis' ? $other->client('KILL', 'ID', $id) : $other->client_kill('ID', $id));
    # With reconnect it connects again by itself, logs in, and names itself.
    same('w123', $redis->get('s'));
    same('perl', $redis->client_getname);
};

done;
