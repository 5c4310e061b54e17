"""Pages on which a browser sends every kind of request that it knows, and what they load.

The last part of a path names the kind.  The first page triggers all that a page can load; after
it the visit goes through a chain of navigations.  Each page shows one large button; a person
presses it, and if nobody does, the page goes on without a press.
"""

import base64
import hashlib
import json
import re
import struct
import urllib.parse
import zlib

ROOT = "/kinds/"
# The navigations of a visit. `form-…` are sent from a form, `reload` and `back` by the history.
CHAIN = ["start", "second", "form-post", "form-multipart", "form-get", "replaced", "reload", "back",
         "attachment", "prefetched", "prerendered", "last"]
HINTS = ("Sec-CH-UA-Arch, Sec-CH-UA-Bitness, Sec-CH-UA-Full-Version-List, Sec-CH-UA-Model, "
         "Sec-CH-UA-Platform-Version, Sec-CH-UA-WoW64, Sec-CH-UA-Form-Factors, DPR, Device-Memory, "
         "Viewport-Width, ECT, RTT, Downlink, Sec-CH-Prefers-Color-Scheme, "
         "Sec-CH-Prefers-Reduced-Motion")
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

# Each call is guarded: what a browser does not know must not keep the rest from running.
PAGE_JS = r"""
var K='/kinds/',C='//CDN'+K,n=document.getElementById('next');
function t(f){try{var r=f();if(r&&r.catch)r.catch(function(){})}catch(e){}}
function el(name,attributes){var e=document.createElement(name);
for(var a in attributes)e.setAttribute(a,attributes[a]);
(name=='link'?document.head:document.body).appendChild(e);return e}
var first=location.pathname==K+'start';
if(first){
t(function(){new Worker(K+'worker.js')});
t(function(){new Worker(K+'worker-module.mjs',{type:'module'})});
t(function(){new SharedWorker(K+'worker-shared.js')});
t(function(){return CSS.paintWorklet.addModule(K+'worklet-paint.js')});
t(function(){return new OfflineAudioContext(1,1,44100).audioWorklet
.addModule(K+'worklet-audio.js')});
t(function(){return navigator.serviceWorker.register(K+'sw.js',{scope:K})});
t(function(){new WebSocket(location.origin.replace('http','ws')+K+'websocket')});
t(function(){new EventSource(K+'events')});
t(function(){new EventSource(C+'events-cross',{withCredentials:true})});
t(function(){navigator.sendBeacon(K+'beacon','text')});
t(function(){navigator.sendBeacon(K+'beacon-form',new URLSearchParams({a:1}))});
t(function(){navigator.sendBeacon(K+'beacon-json',new Blob(['{}'],{type:'application/json'}))});
t(function(){navigator.sendBeacon(C+'beacon-cross','text')});
t(function(){return fetch(K+'fetch')});
t(function(){return fetch(K+'fetch-keepalive',{method:'POST',keepalive:true,body:'x'})});
t(function(){return fetchLater(K+'fetch-later',{activateAfter:0})});
t(function(){return fetch(K+'fetch-json',{method:'POST',headers:{'content-type':'application/json',
accept:'application/json'},body:'{"query":"{a}"}'})});
t(function(){return fetch(K+'fetch-bearer',{headers:{authorization:'Bearer abc'}})});
t(function(){return fetch(K+'fetch-grpc',{method:'POST',body:new Uint8Array(5),
headers:{'content-type':'application/grpc-web+proto','x-grpc-web':'1'}})});
t(function(){var d=new FormData();d.append('f',new File(['abc'],'a.txt'));
return fetch(K+'fetch-upload',{method:'POST',body:d})});
['PUT','PATCH','DELETE','HEAD'].forEach(function(m){
t(function(){return fetch(K+'fetch-'+m.toLowerCase(),{method:m})})});
['no-store','reload','no-cache'].forEach(function(m){
t(function(){return fetch(K+'fetch-cache-'+m,{cache:m})})});
['low','high'].forEach(function(p){
t(function(){return fetch(K+'fetch-priority-'+p,{priority:p})})});
t(function(){return fetch(K+'fetch-no-referrer',{referrerPolicy:'no-referrer'})});
t(function(){return fetch(K+'fetch-range',{headers:{range:'bytes=0-99'}})});
t(function(){return fetch(K+'fetch-redirect')});
t(function(){return fetch(K+'fetch-omit',{credentials:'omit'})});
t(function(){return fetch(K+'fetch-stream',{method:'POST',duplex:'half',
body:new Blob(['abc']).stream()})});
t(function(){return fetch(C+'cors-simple')});
t(function(){return fetch(C+'cors-credentials',{credentials:'include'})});
t(function(){return fetch(C+'cors-no-cors',{mode:'no-cors'})});
t(function(){return fetch(C+'cors-put',{method:'PUT',headers:{'x-client':'shop'},body:'x'})});
t(function(){return fetch(C+'cors-json',{method:'POST',body:'{}',
headers:{'content-type':'application/json'}})});
t(function(){return WebAssembly.compileStreaming(fetch(K+'wasm.wasm'))});
t(function(){return import(K+'module-dynamic.mjs')});
t(function(){return import(C+'module-cross.mjs')});
t(function(){el('script',{type:'module'}).textContent=
'import x from "'+K+'module-json.json" with {type:"json"}'});
t(function(){var x=new XMLHttpRequest();x.open('GET',K+'xhr');x.send()});
t(function(){var x=new XMLHttpRequest();x.open('POST',K+'xhr-post');
x.setRequestHeader('X-Requested-With','XMLHttpRequest');
x.setRequestHeader('Content-Type','application/x-www-form-urlencoded');x.send('a=1')});
t(function(){var x=new XMLHttpRequest();x.open('GET',K+'xhr-sync',false);x.send()});
t(function(){var x=new XMLHttpRequest();x.open('GET',C+'xhr-cross');x.withCredentials=true;
x.send()});
t(function(){return new FontFace('K','url('+K+'font.woff2)').load()});
t(function(){return new FontFace('L','url('+C+'font-cross.woff2)').load()});
t(function(){new Image().src=K+'image-script.png'});
t(function(){new Image().src=C+'image-cross.png'});
t(function(){var i=new Image();i.crossOrigin='use-credentials';i.src=C+'image-cors.png'});
[['prefetch',''],['preload','script'],['preload','style'],['preload','image'],['preload','font'],
['preload','fetch'],['modulepreload','']].forEach(function(p){t(function(){
var a={rel:p[0],href:K+'link-'+p[0]+'-'+p[1]};if(p[1])a.as=p[1];
if(p[1]=='font'||p[1]=='fetch')a.crossorigin='';el('link',a)})});
t(function(){el('link',{rel:'prefetch',href:C+'link-prefetch-cross'})});
t(function(){el('link',{rel:'stylesheet',href:C+'style-cross.css'})});
t(function(){el('link',{rel:'stylesheet',href:K+'style-print.css',media:'print'})});
t(function(){el('link',{rel:'apple-touch-icon',href:K+'icon-touch.png'})});
t(function(){el('script',{src:C+'script-cross.js',crossorigin:'anonymous'})});
t(function(){el('script',{src:K+'script-async.js',async:''})});
t(function(){el('iframe',{src:K+'frame'})});
t(function(){el('iframe',{src:C+'frame-cross'})});
t(function(){el('iframe',{src:C+'frame-sandbox',sandbox:'allow-scripts'})});
t(function(){el('iframe',{src:K+'frame-lazy',loading:'lazy'})});
t(function(){el('object',{data:K+'object.svg',type:'image/svg+xml'})});
t(function(){el('embed',{src:K+'embed.svg',type:'image/svg+xml'})});
t(function(){el('audio',{src:K+'audio.wav',preload:'auto'})});
t(function(){var v=el('video',{src:K+'video.webm',preload:'auto',muted:'',poster:K+'poster.png'});
el('track',{src:K+'track.vtt',kind:'subtitles','default':''});v.appendChild(
document.body.lastChild);v.textTracks[0].mode='showing'});
t(function(){el('video',{src:C+'video-cross.webm',preload:'metadata',crossorigin:'anonymous'})});
t(function(){el('img',{srcset:K+'image-1x.png 1x, '+K+'image-2x.png 2x'})});
t(function(){var a=el('a',{href:K+'frame',ping:K+'ping',target:'quiet'});
el('iframe',{name:'quiet'});a.click()});
t(function(){return navigator.storage.persist()});
setTimeout(function(){
t(function(){return fetch(K+'dictionary-user.js',{cache:'no-store'})});
t(function(){return fetch(K+'fetch-conditional',{cache:'no-cache'})});
t(function(){return fetch(K+'worked/fetch')});
},2500);
t(function(){return fetch(K+'dictionary.js')});
t(function(){return fetch(K+'fetch-conditional')});
}
function go(){var a=n.getAttribute('data-do'),u=n.getAttribute('data-to');n.removeAttribute('id');
if(a=='form')document.forms[0].submit();
else if(a=='reload'){if(sessionStorage.again){location.href=u}else{sessionStorage.again=1;
location.reload()}}
else if(a=='back'){if(sessionStorage.gone){location.href=u}else{sessionStorage.gone=1;
history.back()}}
else if(a=='replace')location.replace(u);
else if(a=='download'){var d=document.createElement('a');d.href=K+'download.bin';d.download='d.bin';
d.click();setTimeout(function(){location.href=K+'attachment.bin'},1200);
setTimeout(function(){location.href=u},2600)}
else location.href=u}
if(n){n.onclick=function(e){e.preventDefault();go()};
function arm(){setTimeout(function(){n.className='on'},first?5000:700);
setTimeout(go,first?9000:3600)}
addEventListener('pageshow',function(){
if(document.prerendering)document.addEventListener('prerenderingchange',arm);else arm()})}
"""

SERVICE_WORKER = r"""
importScripts('/kinds/sw-imported.js');
addEventListener('install',function(e){skipWaiting()});
addEventListener('activate',function(e){e.waitUntil(Promise.all([clients.claim(),
registration.navigationPreload&&registration.navigationPreload.enable(),
fetch('/kinds/sw-fetch'),fetch('//CDN/kinds/sw-fetch-cross'),
fetch('/kinds/sw-fetch-post',{method:'POST',body:'x'})]).catch(function(){}))});
addEventListener('fetch',function(e){if(e.request.mode=='navigate')
e.respondWith(Promise.resolve(e.preloadResponse).then(function(r){return r||fetch(e.request)}));
else if(e.request.url.indexOf('worked')>0)e.respondWith(fetch(e.request))});
"""

WORKER = r"""
fetch('/kinds/worker-fetch').catch(function(){});
try{importScripts('/kinds/worker-imported.js')}catch(e){}
try{var x=new XMLHttpRequest();x.open('GET','/kinds/worker-xhr');x.send()}catch(e){}
try{new WebSocket(location.origin.replace('http','ws')+'/kinds/worker-websocket')}catch(e){}
"""

HEAD = """<!doctype html><html lang=en><head><meta charset=utf-8><title>%(step)s</title>
<link rel=stylesheet href="/kinds/style.css"><link rel=icon href="/kinds/favicon.ico">
<link rel=manifest href="/kinds/manifest.webmanifest">
<script type=speculationrules>{"prefetch":[{"source":"list","urls":["/kinds/prefetched"],
"eagerness":"immediate"}],"prerender":[{"source":"list","urls":["/kinds/prerendered"],
"eagerness":"immediate"}]}</script>
<style>#next{position:fixed;left:4%%;right:4%%;top:20%%;bottom:4%%;width:92%%;display:none}
#next.on{display:block}</style></head><body><h1>%(step)s</h1><img src="/kinds/image.png" alt="">
<form method=%(method)s action="%(to)s"%(type)s><input type=hidden name=a value=b>
<button id=next data-do=%(do)s data-to="%(to)s">Next</button></form>
<script src="/kinds/page.js"></script><script type=module src="/kinds/module.mjs"></script>
</body></html>
"""

# One second of silence.
SOUND = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 8036, b"WAVE", b"fmt ", 16, 1, 1, 8000, 8000,
                    1, 8, b"data", 8000) + b"\x80" * 8000
HINTS_ON = ("www.shop.test", "store.lamp.test")


def document(step):
    """The page of a step, with the way to the next."""
    place = CHAIN.index(step) if step in CHAIN else len(CHAIN) - 1
    following = CHAIN[min(place + 1, len(CHAIN) - 1)]
    do = {"reload": "reload", "back": "back", "attachment": "download",
          "form-get": "replace"}.get(step, "form" if following.startswith("form-") else "link")
    if step == "last":
        return "<!doctype html><title>end</title><link rel=icon href=data:,><p>end"
    if step == "reload" or step == "back":
        do = step
    return HEAD % {"step": step, "to": ROOT + following, "do": do,
                   "method": "get" if following == "form-get" else "post",
                   "type": " enctype=multipart/form-data" if following == "form-multipart" else ""}


def part(ctype, body, wanted, out):
    """The part of a file that `Range` asks for; all of it without."""
    out = out + [("content-type", ctype), ("accept-ranges", "bytes")]
    found = re.match(r"bytes=(\d+)-(\d*)$", wanted or "")
    if not found or int(found[1]) >= len(body):
        return 200, out, body
    start, end = int(found[1]), min(int(found[2] or len(body)), len(body) - 1)
    out.append(("content-range", "bytes %d-%d/%d" % (start, end, len(body))))
    return 206, out, body[start:end + 1]


def accept_key(headers):
    """The answer to a WebSocket's key; empty without a key."""
    key = next((v for n, v in headers if n.lower() == "sec-websocket-key"), "")
    digest = hashlib.sha1((key + GUID).encode()).digest()
    return base64.b64encode(digest).decode() if key else ""


def respond(method, host, target, headers, out, cdn, png):
    """Status, header list and body for a request below `ROOT`."""
    url = urllib.parse.urlsplit(target)
    name = url.path[len(ROOT):]
    low = {n.lower(): v for n, v in headers}
    out = list(out)

    def reply(ctype, body, *more, status=200):
        body = body.encode() if isinstance(body, str) else body
        return status, out + [("content-type", ctype)] + list(more), body

    if low.get("origin"):
        out += [("access-control-allow-origin", low["origin"]),
                ("access-control-allow-credentials", "true")]
    if method == "OPTIONS":
        out += [("access-control-allow-headers", "x-client,content-type"),
                ("access-control-allow-methods", "GET,POST,PUT"), ("access-control-max-age", "1")]
        return 204, out, b""
    if low.get("service-worker") == "script" or name == "sw.js":
        return reply("text/javascript", SERVICE_WORKER.replace("CDN", cdn))
    if name == "page.js":
        return reply("text/javascript", PAGE_JS.replace("CDN", cdn), ("cache-control", "no-cache"))
    if name in ("worker.js", "worker-module.mjs", "worker-shared.js"):
        return reply("text/javascript", WORKER)
    if name == "dictionary.js":
        return reply("text/javascript", "/* %s */" % ("words " * 40),
                     ("cache-control", "max-age=600"),
                     ("use-as-dictionary", 'match="/kinds/dictionary-*", id="words"'))
    if name == "fetch-redirect":
        return 302, out + [("location", ROOT + "fetch-redirected")], b""
    if name == "fetch-conditional":
        etag = '"%08x"' % zlib.crc32(name.encode())
        if low.get("if-none-match") == etag:
            return 304, out + [("etag", etag)], b""
        return reply("text/plain", "x", ("etag", etag), ("cache-control", "max-age=600"))
    if name.startswith("events"):
        return reply("text/event-stream", "retry: 60000\ndata: hello\n\n")
    if name.startswith(("beacon", "ping", "report", "csp-report")):
        return 204, out, b""
    if name.endswith((".bin",)):
        return reply("application/octet-stream", bytes(64),
                     ("content-disposition", "attachment; filename=file.bin"))
    kinds = {".js": "text/javascript", ".mjs": "text/javascript", ".json": "application/json",
             ".css": "text/css", ".woff2": "font/woff2", ".wasm": "application/wasm",
             ".vtt": "text/vtt", ".webmanifest": "application/manifest+json"}
    ending = "." + name.rsplit(".", 1)[-1]
    if ending in kinds:
        body = {".css": "@import '/kinds/style-imported.css';@font-face{font-family:H;"
                        "src:url(/kinds/font-style.woff2)}h1{font-family:H;"
                        "background:url(/kinds/image-style.png)}" if name == "style.css" else "",
                ".wasm": b"\0asm\1\0\0\0", ".vtt": "WEBVTT\n\n", ".json": "{}",
                ".webmanifest": json.dumps({"name": "shop", "icons": [
                    {"src": "/kinds/icon-manifest.png", "sizes": "192x192"}]})}
        return reply(kinds[ending], body.get(ending, "/* */\n"))
    if ending in (".png", ".ico"):
        return reply("image/png", png(name))
    if ending == ".svg":
        return reply("image/svg+xml",
                     '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    if ending in (".wav", ".webm"):
        ctype = "audio/wav" if ending == ".wav" else "video/webm"
        return part(ctype, SOUND if ending == ".wav" else bytes(4096), low.get("range"), out)
    if name.startswith("frame"):
        return reply("text/html", "<!doctype html><script>fetch('/kinds/frame-fetch',"
                     "{credentials:'include'})</script><img src=/kinds/frame-image.png>",
                     ("set-cookie", "frame=1; Path=/; SameSite=None; Secure"))
    if name in CHAIN:
        more = [("cache-control", "no-store" if name == "last" else "no-cache"),
                ("set-cookie", "sid=%08x; Path=/; SameSite=Lax" % zlib.crc32(host.encode())),
                ("content-security-policy-report-only",
                 "style-src 'none'; report-uri /kinds/csp-report"),
                ("content-security-policy-report-only", "font-src 'none'; report-to all"),
                ("reporting-endpoints", 'all="/kinds/report"')]
        if host in HINTS_ON:
            more.append(("accept-ch", HINTS))
        return reply("text/html; charset=utf-8", document(name), *more)
    return reply("application/json", '{"ok":true}', ("cache-control", "no-store"))
