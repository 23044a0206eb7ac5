package Tap;

# TAP for the programs of this directory: checks, what they compare, and processes beside the program.
use strict;
use warnings;
use Exporter 'import';
use POSIX ();
use Time::HiRes qw(sleep time);

our @EXPORT = qw(check skip done same yes ttl eventually beside everyByte HOST PORT PASSWORD RULES);

use constant HOST     => $ENV{REDIS_HOST};
use constant PORT     => $ENV{REDIS_PORT};
use constant PASSWORD => length($ENV{REDIS_PASSWORD} // '') ? $ENV{REDIS_PASSWORD} : undef;
use constant RULES    => ($ENV{MODE} // '') eq 'rules';

$| = 1;
my ($checks, $failed) = (0, 0);

sub check {
    my ($name, $body) = @_;
    $checks++;
    if (eval { $body->(); 1 }) {
        print "ok - $name\n";
        return;
    }
    my $why = "$@";
    if ($why =~ /^SKIP (.*)/) {
        print "ok - $name # SKIP $1\n";
        return;
    }
    $failed++;
    $why =~ s/[^ -~]/ /g;
    print "not ok - $name: ", substr($why, 0, 400), "\n";
}

sub skip { die "SKIP $_[0]\n" }

sub done {
    print "1..$checks\n";
    exit($failed ? 1 : 0);
}

sub yes { my ($holds, $what) = @_; $holds or die "$what at line " . line() . "\n" }

# The line of a check, not of what is called here.
sub line {
    for (my $i = 1; my @at = caller($i); $i++) {
        return $at[2] if $at[1] !~ /Tap\.pm$/;
    }
}

# Lists and hashes are compared as well.
sub same {
    my ($want, $got) = map { text($_) } @_;
    yes($want eq $got, 'want ' . substr($want, 0, 200) . ', got ' . substr($got, 0, 200));
}

sub text {
    my ($value) = @_;
    return 'undef' if !defined $value;
    return '[' . join(', ', map { text($_) } @$value) . ']' if ref $value eq 'ARRAY';
    return '{' . join(', ', map { text($_) . ': ' . text($value->{$_}) } sort keys %$value) . '}' if ref $value eq 'HASH';
    return "\"$value\"";
}

# A TTL in seconds is what Redis would say, a few seconds later; under rules it is only known to be within them.
sub ttl {
    my ($want, $got) = @_;
    my ($low, $high) = RULES ? (1, 43200) : ($want < 0 ? $want : $want - 10, $want);
    yes($low <= $got && $got <= $high, "a TTL of $got, want $low to $high");
}

# Waits until the block says something true, at most 5 seconds or as many as are said.
sub eventually {
    my ($what, $holds, $seconds) = @_;
    my $end = time + ($seconds //= 5);
    until (my $value = $holds->()) {
        yes(time < $end, "not within $seconds s: $what");
        sleep 0.005;
    }
}

# Runs the block in a process of its own; returns what waits for it.
sub beside {
    my ($body) = @_;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        my $good = eval { $body->(); 1 };
        print STDERR "beside: $@" if !$good;
        POSIX::_exit($good ? 0 : 1);
    }
    return sub { waitpid $pid, 0; same(0, $? >> 8) };
}

sub everyByte { join '', map { chr } 0 .. 255 }

1;
