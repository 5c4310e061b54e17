// Go net/http. Usage: goclient MODE PLAN, where MODE is h1 or h2 (over TLS).
package main

import (
	"bufio"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"strings"
	"time"
)

func main() {
	f, err := os.Open(os.Args[2])
	if err != nil {
		panic(err)
	}
	jar, _ := cookiejar.New(nil)
	tr := &http.Transport{ForceAttemptHTTP2: os.Args[1] == "h2"}
	if os.Args[1] != "h2" {
		tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	client := &http.Client{Timeout: 8 * time.Second, Transport: tr, Jar: jar}
	var req *http.Request
	send := func() {
		if req == nil {
			return
		}
		if res, err := client.Do(req); err == nil {
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
		} else {
			os.Stderr.WriteString(err.Error() + "\n")
		}
	}
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		p := strings.Split(sc.Text(), "\t")
		if p[0] == "REQ" {
			send()
			var body io.Reader
			if p[4] != "" {
				body = strings.NewReader(p[4])
			}
			req, err = http.NewRequest(p[1], p[2], body)
			if err != nil {
				panic(err)
			}
			if p[3] != "" {
				req.Header.Set("Content-Type", p[3])
			}
		} else if p[0] == "HDR" && p[1] != "Connection" {
			req.Header.Set(p[1], p[2])
		}
	}
	send()
}
