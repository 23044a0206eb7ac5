package Web;

# A web server (Starman) for a PSGI application, clients of it with their cookies, and the flow of a session library.
use strict;
use warnings;
use Exporter 'import';
use HTTP::Tiny;
use IO::Socket::INET;
use Redis;
use Tap;

our @EXPORT = qw(serve browser get together look flow);

my $server;

# Serves the application of a file at a port that the system chooses, and returns its address.
sub serve {
    my ($file) = @_;
    my $probe = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => 0) or die "listen: $!";
    my $addr = '127.0.0.1:' . $probe->sockport;
    $probe->close;
    defined($server = fork) or die "fork: $!";
    if (!$server) {
        open STDOUT, '>', "$ENV{SCRATCH}/server.log" or die $!;
        open STDERR, '>&', \*STDOUT or die $!;
        exec 'starman', '--workers', 8, '--listen', $addr, '--preload-app', '--disable-keepalive', '--no-default-middleware', $file or die "starman: $!";
    }
    eventually('the server listens', sub { IO::Socket::INET->new(PeerAddr => $addr) }, 30);
    return "http://$addr";
}

END {
    my $code = $?;
    if ($server) {
        kill TERM => $server;
        waitpid $server, 0;
    }
    $? = $code;
}

# What a browser keeps: where it goes, and its cookies.
sub browser { return {base => $_[0], cookies => {}} }

sub get {
    my ($browser, $path) = @_;
    my %cookies = %{$browser->{cookies}};
    my $cookie  = join '; ', map { "$_=$cookies{$_}" } sort keys %cookies;
    my $answer  = HTTP::Tiny->new(timeout => 20, keep_alive => 0)->get($browser->{base} . $path, {headers => {length $cookie ? (Cookie => $cookie) : ()}});
    yes($answer->{status} == 200, "HTTP $answer->{status}: " . substr($answer->{content}, 0, 200));
    my $set = $answer->{headers}{'set-cookie'} // [];
    for (ref $set ? @$set : $set) {
        $browser->{cookies}{$1} = $2 if /^([^=]+)=([^;]*)/;
    }
    return $answer->{content};
}

# Has the paths asked for all at once; each must be answered with what is wanted.
sub together {
    my ($browser, $want, @paths) = @_;
    my @waits = map { my $path = $_; beside(sub { same($want, get($browser, $path)) }) } @paths;
    $_->() for @waits;
}

# A connection of the program's own, to look at what the application has stored.
sub look { return Redis->new(server => HOST . ':' . PORT, reconnect => 5, defined PASSWORD ? (password => PASSWORD) : ()) }

# The flow of an application that answers /login and /rotate with the session's id, and /read with its user.
sub flow {
    my ($site, $prefix, $lifetime, $between) = @_;
    my ($ann, $redis, $id) = (browser($site), look());

    check create => sub {
        $id = get($ann, '/login');
        same(1, $redis->exists($prefix . $id));
    };
    check read => sub {
        same('ann 256', get($ann, '/read'));
        same('nobody 0', get(browser($site), '/read'));
    };
    check expiry => sub { ttl($lifetime, $redis->ttl($prefix . $id)) };
    check refresh => sub {
        skip('it has no expiry') if $lifetime < 0;
        $redis->expire($prefix . $id, 100);
        same('ann 256', get($ann, '/write'));
        ttl($lifetime, $redis->ttl($prefix . $id));
        yes($redis->ttl($prefix . $id) > 100, 'the expiry was not put back');
    };
    check parallel => sub { together($ann, 'ann 256', ('/read') x 20) };
    $between->($ann, $redis, \$id) if $between;
    check rotate => sub {
        my $old = $id;
        $id = get($ann, '/rotate') || get($ann, '/id'); # where it is known only when the response goes out, by a second request
        yes($id ne $old, 'the id is still the old one');
        same([0, 1], [map { $redis->exists($prefix . $_) } $old, $id]);
        same('ann 256', get($ann, '/read'));
    };
    check logout => sub {
        get($ann, '/logout');
        same(0, $redis->exists($prefix . $id));
        same('nobody 0', get($ann, '/read'));
        get(browser($site), '/login');
    };
}

1;
