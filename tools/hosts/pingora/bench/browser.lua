-- A browser's page load, as wrk sends it; prints one line of JSON at the end.
wrk.headers["Host"] = "shop.example"
wrk.headers["Connection"] = "keep-alive"
wrk.headers["sec-ch-ua"] = "\"Chromium\";v=\"142\", \"Not_A Brand\";v=\"99\", \"Google Chrome\";v=\"142\""
wrk.headers["sec-ch-ua-mobile"] = "?0"
wrk.headers["sec-ch-ua-platform"] = "\"Linux\""
wrk.headers["Upgrade-Insecure-Requests"] = "1"
wrk.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
wrk.headers["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
wrk.headers["Sec-Fetch-Site"] = "none"
wrk.headers["Sec-Fetch-Mode"] = "navigate"
wrk.headers["Sec-Fetch-User"] = "?1"
wrk.headers["Sec-Fetch-Dest"] = "document"
wrk.headers["Accept-Encoding"] = "gzip, deflate, br, zstd"
wrk.headers["Accept-Language"] = "en-GB,en;q=0.9"

done = function(summary, latency, requests)
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write
    + summary.errors.status + summary.errors.timeout
  local line = '{"rate": %.1f, "requests": %d, "p50": %d, "p99": %d, "failed": %d}\n'
  io.write(string.format(line,
    summary.requests / summary.duration * 1e6, summary.requests, latency:percentile(50),
    latency:percentile(99), failed))
end
