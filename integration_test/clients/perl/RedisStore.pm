package RedisStore;

# The store that an application of Plack::Middleware::Session writes for Redis: there is no package of one.
use strict;
use warnings;
use parent 'Plack::Session::Store';
use Storable qw(nfreeze thaw);

sub new { my ($class, %self) = @_; return bless {%self}, $class }

sub fetch {
    my ($self, $id) = @_;
    my $data = $self->{redis}->get("plack:$id");
    return defined $data ? thaw($data) : undef;
}

sub store {
    my ($self, $id, $session) = @_;
    $self->{redis}->set("plack:$id", nfreeze($session), defined $self->{expires} ? ('EX', $self->{expires}) : ());
}

sub remove { my ($self, $id) = @_; $self->{redis}->del("plack:$id") }

1;
