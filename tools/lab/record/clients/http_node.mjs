// Node HTTP libraries. Usage: http_node.mjs LIBRARY PLAN (modules are resolved from NODE_MODULES_BASE)
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import http from 'node:http';
import https from 'node:https';
import http2 from 'node:http2';

const [lib, planFile] = process.argv.slice(2);
const require = createRequire(process.env.NODE_MODULES_BASE + '/x.js');
const load = async (name) => {
  const m = await import(pathToFileURL(require.resolve(name)));
  return m.default ?? m;
};
const plan = [];
for (const line of readFileSync(planFile, 'utf8').split('\n')) {
  const p = line.split('\t');
  if (p[0] === 'REQ') plan.push({ method: p[1], url: p[2], type: p[3], body: p[4], headers: {} });
  else if (p[0] === 'HDR') plan[plan.length - 1].headers[p[1]] = p[2];
}
for (const r of plan) {
  if (r.type) r.headers['Content-Type'] = r.type;
  if (r.headers.Connection) delete r.headers.Connection; // some of the libraries refuse it
}

function core(r, agents) {
  return new Promise((ok, bad) => {
    const mod = r.url.startsWith('https') ? https : http;
    const req = mod.request(r.url, { method: r.method, headers: r.headers, agent: agents.get(mod) }, (res) => {
      res.resume(); res.on('end', ok);
    });
    req.on('error', bad);
    req.end(r.body || undefined);
  });
}

const sessions = new Map();
function core2(r) {
  return new Promise((ok, bad) => {
    const u = new URL(r.url);
    if (!sessions.has(u.origin)) sessions.set(u.origin, http2.connect(u.origin));
    const s = sessions.get(u.origin);
    s.on('error', bad);
    const h = { ':method': r.method, ':path': u.pathname + u.search };
    for (const [k, v] of Object.entries(r.headers)) h[k.toLowerCase()] = v;
    const req = s.request(h);
    req.on('error', bad); req.on('end', ok); req.resume();
    req.end(r.body || undefined);
  });
}

let send;
if (lib === 'fetch') send = async (r) => (await fetch(r.url, { method: r.method, headers: r.headers, body: r.body || undefined })).text();
else if (lib === 'axios') {
  const axios = await load('axios');
  send = (r) => axios({ url: r.url, method: r.method.toLowerCase(), headers: r.headers, data: r.body || undefined, validateStatus: null, responseType: 'text' });
} else if (lib === 'got' || lib === 'got-h2') {
  const got = await load('got');
  send = (r) => got(r.url, { method: r.method, headers: r.headers, body: r.body || undefined, throwHttpErrors: false, http2: lib === 'got-h2', retry: { limit: 0 } });
} else if (lib === 'node-fetch') {
  const nf = await load('node-fetch');
  send = async (r) => (await nf(r.url, { method: r.method, headers: r.headers, body: r.body || undefined })).text();
} else if (lib === 'superagent') {
  const sa = await load('superagent');
  send = (r) => { let q = sa(r.method, r.url).set(r.headers).ok(() => true); if (r.body) q = q.send(r.body); return q; };
} else if (lib === 'undici') {
  const { request } = await load('undici');
  send = async (r) => (await request(r.url, { method: r.method, headers: r.headers, body: r.body || undefined })).body.dump();
} else if (lib === 'node-http') {
  const agents = new Map([[http, new http.Agent({ keepAlive: true })], [https, new https.Agent({ keepAlive: true })]]);
  send = (r) => core(r, agents);
} else if (lib === 'node-http2') send = core2;
setTimeout(() => process.exit(3), 25000).unref();
for (const r of plan) {
  try { await send(r); } catch (e) { console.error(String(e && e.message)); }
}
process.exit(0);
