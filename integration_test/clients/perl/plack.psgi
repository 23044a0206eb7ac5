# An application with Plack::Middleware::Session, whose sessions are in the store that STORE names: own (RedisStore.pm) or chi.
use strict;
use warnings;
use lib $ENV{PROGRAMS};
use CHI;
use Plack::Builder;
use Plack::Request;
use Plack::Session;
use Plack::Session::Store::Cache;
use Redis;
use RedisStore;

my %server = (server => "$ENV{REDIS_HOST}:$ENV{REDIS_PORT}", reconnect => 5, length $ENV{REDIS_PASSWORD} ? (password => $ENV{REDIS_PASSWORD}) : ());

# A worker's connection is its own: they are forked after this.
{
    package Lazily;
    sub new    { my ($class, $make) = @_; return bless {make => $make}, $class }
    sub that   { my ($self) = @_; return $self->{$$} //= $self->{make}->() }
    sub fetch  { my $self = shift; return $self->that->fetch(@_) }
    sub store  { my $self = shift; return $self->that->store(@_) }
    sub remove { my $self = shift; return $self->that->remove(@_) }
    sub get    { my $self = shift; return $self->that->get(@_) }
    sub set    { my $self = shift; return $self->that->set(@_) }
}
my $store = $ENV{STORE} eq 'own'
    ? Lazily->new(sub { RedisStore->new(redis => Redis->new(%server), expires => 1440) })
    : Plack::Session::Store::Cache->new(
        cache => Lazily->new(sub { CHI->new(driver => 'Redis', namespace => 'plack', expires_in => 1440, expires_on_backend => 1, %server) }));

my $app = sub {
    my $request = Plack::Request->new(shift);
    my $session = Plack::Session->new($request->env);
    my $path    = $request->path_info;
    my $text    = '';
    if ($path eq '/login') {
        $session->set(user => 'ann');
        $session->set(bytes => join '', map { chr } 0 .. 255);
        $text = $session->id;
    } elsif ($path eq '/rotate') {
        $session->options->{change_id} = 1;
    } elsif ($path eq '/id') {
        $text = $session->id;
    } elsif ($path eq '/logout') {
        $session->expire;
    } else {
        $session->set(writes => 1) if $path eq '/write';
        $text = ($session->get('user') // 'nobody') . ' ' . length($session->get('bytes') // '');
    }
    return [200, ['Content-Type' => 'text/plain'], [$text]];
};

builder {
    enable 'Session', store => $store;
    $app;
};
