#!/usr/bin/perl

# CHI with its Redis driver.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use CHI;
use CHI::Driver::Redis;
use Redis;
use Tap;

print "# version $CHI::Driver::Redis::VERSION\n";
my %server = (server => HOST . ':' . PORT, (defined PASSWORD ? (password => PASSWORD) : ()));
my $cache  = CHI->new(driver => 'Redis', namespace => 'shop', prefix => 'chi:', reconnect => 5, %server);
my $redis  = Redis->new(%server);

check 'set-get' => sub {
    $cache->set('s', {user => 'ann', bytes => everyByte()}, '10 min');
    same({user => 'ann', bytes => everyByte()}, $cache->get('s'));
    same(undef, $cache->get('absent'));
    yes($cache->is_valid('s'), 'it is not valid');
};

check expiry => sub {
    ttl(-1, $redis->ttl('chi:shop||s')); # CHI knows by what is in the value that it is over; Redis isn't told
    my $told = CHI->new(driver => 'Redis', namespace => 'told', prefix => 'chi:', expires_on_backend => 1, %server);
    $told->set('s', 'v', '10 min');
    ttl(600, $redis->ttl('chi:told||s'));
    $cache->set('ever', 'v', 'never');
    ttl(-1, $redis->ttl('chi:shop||ever'));
    $cache->expire('ever');
    same(undef, $cache->get('ever'));
};

check compute => sub {
    my $n = 0;
    same([1, 1], [map { $cache->compute('c', '1 min', sub { ++$n }) } 1 .. 2]);
};

check 'multi-key' => sub {
    $cache->set_multi({m1 => 'a', m2 => 'b'}, '1 min');
    same(['a', 'b', undef], $cache->get_multi_arrayref(['m1', 'm2', 'm3']));
};

check binary => sub {
    $cache->set(everyByte(), everyByte(), '1 min');
    same(everyByte(), $cache->get(everyByte()));
};

check listing => sub {
    same(['shop', 'told'], [sort $cache->get_namespaces]);
    yes((grep { $_ eq 's' } $cache->get_keys), 'a key is not listed');
};

check remove => sub {
    $cache->remove('s');
    same(undef, $cache->get('s'));
    $cache->clear;
    same(0, scalar(my @keys = $cache->get_keys));
    same(undef, $cache->get('m1'));
};

check reconnect => sub {
    $cache->set('r', 'v', '1 min');
    yes($redis->client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes') > 0, 'nobody was killed');
    same('v', $cache->get('r'));
};

done;
