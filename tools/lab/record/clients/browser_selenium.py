"""Browsers driven by Selenium. Usage: browser_selenium.py chromium|webkit OPTIONS_JSON URL..."""

import json
import sys
import time

from selenium import webdriver
from selenium.webdriver.common.by import By

kind, options, urls = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:]
if kind == "chromium":
    opt = webdriver.ChromeOptions()
    opt.binary_location = options["chromium"]
    for arg in ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
                "--disable-quic"] + options.get("args", []):
        opt.add_argument(arg)
    if options.get("hide"):  # what scrapers do so that the page does not see the driver
        opt.add_experimental_option("excludeSwitches", ["enable-automation"])
        opt.add_argument("--disable-blink-features=AutomationControlled")
    driver = webdriver.Chrome(options=opt, service=webdriver.ChromeService(options["chromedriver"]))
else:
    opt = webdriver.WebKitGTKOptions()
    opt.binary_location = options["minibrowser"]
    opt.add_argument("--automation")
    opt.set_capability("browserName", "MiniBrowser")
    opt.set_capability("acceptInsecureCerts", True)
    driver = webdriver.WebKitGTK(options=opt, service=webdriver.WebKitGTKService(options["webkitdriver"]))
driver.set_page_load_timeout(8)
try:
    for n, url in enumerate(urls):
        try:
            driver.get(url)
            time.sleep(0.4)
            if n % 3 == 0:
                driver.find_element(By.CSS_SELECTOR, "nav a").click()
                time.sleep(0.8)
            elif n % 3 == 1:
                driver.find_element(By.CSS_SELECTOR, "form[method=post] button").click()
                time.sleep(0.6)
            else:
                driver.refresh()
                time.sleep(0.4)
        except Exception as err:
            print(type(err).__name__, file=sys.stderr)
finally:
    driver.quit()
