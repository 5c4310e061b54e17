<?php
// PHP: the curl extension and file_get_contents. Usage: visit.php curl|streams PLAN
[, $mode, $file] = $argv;
$plan = [];
foreach (file($file, FILE_IGNORE_NEW_LINES) as $line) {
    $p = explode("\t", $line);
    if ($p[0] === 'REQ') $plan[] = ['m' => $p[1], 'u' => $p[2], 't' => $p[3], 'b' => $p[4], 'h' => []];
    elseif ($p[0] === 'HDR') $plan[count($plan) - 1]['h'][] = "$p[1]: $p[2]";
}
$c = $mode === 'curl' ? curl_init() : null;
foreach ($plan as $r) {
    $headers = $r['h'];
    if ($r['t']) $headers[] = "Content-Type: {$r['t']}";
    if ($mode === 'curl') {
        curl_reset($c);
        curl_setopt_array($c, [CURLOPT_URL => $r['u'], CURLOPT_RETURNTRANSFER => true, CURLOPT_FOLLOWLOCATION => true, CURLOPT_MAXREDIRS => 4,
            CURLOPT_TIMEOUT => 8, CURLOPT_HTTPHEADER => $headers, CURLOPT_COOKIEFILE => '']);
        if ($r['m'] === 'POST') curl_setopt_array($c, [CURLOPT_POST => true, CURLOPT_POSTFIELDS => $r['b']]);
        curl_exec($c);
    } else {
        @file_get_contents($r['u'], false, stream_context_create(['http' => ['method' => $r['m'], 'header' => $headers, 'content' => $r['b'],
            'timeout' => 8, 'ignore_errors' => true], 'ssl' => ['cafile' => getenv('SSL_CERT_FILE')]]));
    }
}
