// Browsers driven from Node. Usage: browser_node.mjs puppeteer|puppeteer-firefox|playwright OPTIONS_JSON URL...
// Options: headless, stay (milliseconds on a page that goes on without a press), agent, metadata (client hints that fit the agent), language, args, chromium, firefox, size.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [lib, optionText, ...urls] = process.argv.slice(2);
const o = JSON.parse(optionText);
const require = createRequire(process.env.NODE_MODULES_BASE + '/x.js');
const load = async (name) => {
  const m = await import(pathToFileURL(require.resolve(name)));
  return m.default ?? m;
};
const pause = (ms) => new Promise((ok) => setTimeout(ok, ms));
const quiet = ['--no-sandbox', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run', '--disable-quic'];
const args = [...quiet, ...(o.args ?? [])];
let browser, page;
if (lib === 'playwright') {
  const { chromium } = await load('playwright-core');
  browser = await chromium.launch({ executablePath: o.chromium, headless: o.headless, args });
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...(o.agent && { userAgent: o.agent }), ...(o.language && { locale: o.language }) });
  page = await context.newPage();
} else {
  const puppeteer = await load('puppeteer-core');
  const firefox = lib === 'puppeteer-firefox';
  browser = await puppeteer.launch({
    browser: firefox ? 'firefox' : 'chrome', executablePath: firefox ? o.firefox : o.chromium, headless: o.headless,
    args: firefox ? [] : args, acceptInsecureCerts: true, ...(firefox && { extraPrefsFirefox: o.prefs ?? {} }),
  });
  page = (await browser.pages())[0] ?? await browser.newPage();
  if (o.agent) await page.setUserAgent(o.metadata ? { userAgent: o.agent, userAgentMetadata: o.metadata } : { userAgent: o.agent });
  if (o.language) await page.setExtraHTTPHeaders({ 'accept-language': o.language });
}
setTimeout(() => process.exit(3), 38000).unref();
let n = 0;
for (const url of urls) {
  try {
    await page.goto(url, { timeout: 8000, waitUntil: o.stay ? 'domcontentloaded' : 'load' });
    if (o.stay) {
      await pause(o.stay);
      continue;
    }
    await pause(400);
    n += 1;
    if (n % 3 === 1) {
      await page.evaluate(() => { document.querySelector('nav a:last-of-type').click(); });
      await pause(900);
    } else if (n % 3 === 2) {
      await page.evaluate(() => { document.querySelector('form[method=post]').submit(); });
      await pause(700);
    } else {
      await page.reload({ timeout: 8000 });
      await pause(400);
    }
  } catch (e) { console.error(String(e.message).split('\n')[0]); }
}
await Promise.race([browser.close(), pause(3000)]);
process.exit(0);
