#!/usr/bin/perl

# Plack::Middleware::Session over HTTP: perl plack.pl own|chi
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Plack::Middleware::Session;
use Tap;
use Web;

print "# version $Plack::Middleware::Session::VERSION\n";
$ENV{STORE}    = shift;
$ENV{PROGRAMS} = $Bin;
flow(serve("$Bin/plack.psgi"), $ENV{STORE} eq 'own' ? 'plack:' : 'plack||', 1440);
done;
