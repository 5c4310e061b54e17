"""Python HTTP libraries. Usage: http_python.py LIBRARY PLAN"""

import asyncio
import json
import sys


def read_plan(path):
    out = []
    for line in open(path):
        parts = line.rstrip("\n").split("\t")
        if parts[0] == "REQ":
            out.append([parts[1], parts[2], parts[3], parts[4], []])
        elif parts[0] == "HDR":
            out[-1][4].append((parts[1], parts[2]))
    return out


def with_type(headers, ctype):
    return headers + [("Content-Type", ctype)] if ctype else headers


def body_args(ctype, body):
    """The body the way the library's users pass it: as JSON or as a form."""
    if not ctype:
        return {}
    if ctype == "application/json":
        return {"json": json.loads(body)}
    return {"data": dict(p.split("=", 1) for p in body.replace("%40", "@").replace("+", " ").split("&"))}


def run_requests(plan):
    import requests
    s = requests.Session()
    for method, url, ctype, body, headers in plan:
        s.request(method, url, headers=dict(headers), timeout=8, **body_args(ctype, body))


def run_httpx(plan, http2=False):
    import httpx
    with httpx.Client(http2=http2, timeout=8, follow_redirects=True) as c:
        for method, url, ctype, body, headers in plan:
            c.request(method, url, headers=headers, **body_args(ctype, body))


def run_aiohttp(plan):
    import aiohttp

    async def go():
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=8), trust_env=True) as s:
            for method, url, ctype, body, headers in plan:
                async with s.request(method, url, headers=headers, **body_args(ctype, body)) as r:
                    await r.read()
    asyncio.run(go())


def run_urllib(plan):
    import urllib.error
    import urllib.request
    for method, url, ctype, body, headers in plan:
        req = urllib.request.Request(url, data=body.encode() if body else None, headers=dict(with_type(headers, ctype)), method=method)
        try:
            urllib.request.urlopen(req, timeout=8).read()
        except urllib.error.HTTPError:
            pass


def run_urllib3(plan):
    import os
    import urllib3
    pool = urllib3.PoolManager(ca_certs=os.environ["SSL_CERT_FILE"], timeout=8.0)
    for method, url, ctype, body, headers in plan:
        pool.request(method, url, headers=dict(with_type(headers, ctype)), body=body or None)


def run_curl_cffi(plan, impersonate):
    import os
    from curl_cffi import requests
    s = requests.Session(impersonate=impersonate, verify=os.environ["SSL_CERT_FILE"], timeout=8)
    for method, url, ctype, body, headers in plan:
        s.request(method, url, headers=dict(with_type(headers, ctype)), data=body or None)


def main():
    name, plan = sys.argv[1], read_plan(sys.argv[2])
    if name.startswith("curl_cffi:"):
        run_curl_cffi(plan, name.split(":")[1])
    elif name == "httpx-h2":
        run_httpx(plan, True)
    else:
        {"requests": run_requests, "httpx": run_httpx, "aiohttp": run_aiohttp, "urllib": run_urllib, "urllib3": run_urllib3}[name](plan)


main()
