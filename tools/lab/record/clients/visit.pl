# Perl LWP. Usage: visit.pl PLAN
use strict;
use warnings;
use LWP::UserAgent;
use HTTP::Request;
my @plan;
open my $f, '<', $ARGV[0] or die;
while (<$f>) {
    chomp;
    my @p = split /\t/, $_, -1;
    if ($p[0] eq 'REQ') { push @plan, [@p, []] }
    elsif ($p[0] eq 'HDR') { push @{ $plan[-1][5] }, [@p[1, 2]] }
}
my $ua = LWP::UserAgent->new(timeout => 8, keep_alive => 1, cookie_jar => {}, ssl_opts => { SSL_ca_file => $ENV{SSL_CERT_FILE} });
for my $r (@plan) {
    my $req = HTTP::Request->new($r->[1], $r->[2]);
    $req->header($_->[0] => $_->[1]) for @{ $r->[5] };
    $req->header('Content-Type' => $r->[3]) if $r->[3] ne '';
    $req->content($r->[4]) if $r->[4] ne '';
    $ua->request($req);
}
