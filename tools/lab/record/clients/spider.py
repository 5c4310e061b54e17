"""A Scrapy spider that asks for a plan and follows a few links. Usage: spider.py PLAN [follow]"""

import sys

import scrapy
from scrapy.crawler import CrawlerProcess

FOLLOW = len(sys.argv) > 2
PLAN = []
for line in open(sys.argv[1]):
    parts = line.rstrip("\n").split("\t")
    if parts[0] == "REQ":
        PLAN.append([parts[1], parts[2], parts[3], parts[4], {}])
    elif parts[0] == "HDR":
        PLAN[-1][4][parts[1]] = parts[2]


class Spider(scrapy.Spider):
    name = "visit"
    handle_httpstatus_list = [404]

    async def start(self):
        for method, url, ctype, body, headers in PLAN:
            if ctype:
                headers["Content-Type"] = ctype
            yield scrapy.Request(url, method=method, body=body or None, headers=headers, dont_filter=True)

    def parse(self, response):
        if FOLLOW and "text/html" in str(response.headers.get("content-type")):
            for href in response.css("nav a::attr(href)").getall()[:2]:
                yield response.follow(href, lambda r: None)


process = CrawlerProcess({"LOG_LEVEL": "WARNING", "DOWNLOAD_DELAY": 0.05, "DOWNLOAD_TIMEOUT": 8, "CLOSESPIDER_TIMEOUT": 20, "RETRY_ENABLED": False,
                          "TELNETCONSOLE_ENABLED": False, "ROBOTSTXT_OBEY": FOLLOW})
process.crawl(Spider)
process.start()
