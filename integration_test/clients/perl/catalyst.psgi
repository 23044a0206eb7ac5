# An application of Catalyst in one file, with Catalyst::Plugin::Session::Store::Redis.
use strict;
use warnings;

BEGIN {
    package Shop::Controller::Root;
    use Moose;
    BEGIN { extends 'Catalyst::Controller' }
    __PACKAGE__->config(namespace => '');

    sub login : Local {
        my ($self, $c) = @_;
        $c->session->{user}  = 'ann';
        $c->session->{bytes} = join '', map { chr } 0 .. 255;
        $c->response->body($c->sessionid);
    }

    sub show {
        my ($self, $c) = @_;
        my $session = $c->sessionid ? $c->session : {};
        $c->response->body(($session->{user} // 'nobody') . ' ' . length($session->{bytes} // ''));
    }

    sub read : Local { $_[0]->show($_[1]) }

    sub write : Local {
        my ($self, $c) = @_;
        $c->session->{writes}++;
        $self->show($c);
    }

    sub notify : Local {
        my ($self, $c) = @_;
        $c->flash->{notice} = 'welcome';
        $c->response->body('');
    }

    sub notice : Local {
        my ($self, $c) = @_;
        $c->response->body($c->flash->{notice} // '');
    }

    sub rotate : Local {
        my ($self, $c) = @_;
        $c->change_session_id;
        $c->response->body($c->sessionid);
    }

    sub logout : Local {
        my ($self, $c) = @_;
        $c->delete_session('logout');
        $c->response->body('');
    }
    $INC{'Shop/Controller/Root.pm'} = __FILE__;
}

package Shop;
use Moose;
use Redis;
use Catalyst qw(Session Session::Store::Redis Session::State::Cookie);
extends 'Catalyst';

__PACKAGE__->config(
    name              => 'Shop',
    home              => $ENV{SCRATCH},
    disable_component_resolution_regex_fallback => 1,
    'Plugin::Session' => {expires => 1440, redis_server => "$ENV{REDIS_HOST}:$ENV{REDIS_PORT}", redis_reconnect => 1},
);

# The store has no setting for a password. But it takes a connection that is already there, as long as that answers PING.
sub _verify_redis_connection {
    my ($c) = @_;
    return $c->next::method if !length($ENV{REDIS_PASSWORD} // '');
    return if eval { $c->_session_redis_storage->ping };
    $c->_session_redis_storage(Redis->new(server => "$ENV{REDIS_HOST}:$ENV{REDIS_PORT}", password => $ENV{REDIS_PASSWORD}, reconnect => 5));
}

__PACKAGE__->setup;
__PACKAGE__->psgi_app;
