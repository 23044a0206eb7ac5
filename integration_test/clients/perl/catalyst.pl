#!/usr/bin/perl

# Catalyst's session store over HTTP.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Catalyst::Plugin::Session::Store::Redis;
use Tap;
use Web;

print "# version $Catalyst::Plugin::Session::Store::Redis::VERSION\n";
flow(serve("$Bin/catalyst.psgi"), 'session:', 1440, sub {
    my ($ann, $redis, $id) = @_;
    check flash => sub {
        get($ann, '/notify');
        same('welcome', get($ann, '/notice'));
        same('', get($ann, '/notice'));
    };
    check 'expires-key' => sub {
        # When a session ends is kept in a key of its own.
        yes($redis->get("expires:$$id") > time, 'it is over');
        ttl(1440, $redis->ttl("expires:$$id"));
    };
});
done;
