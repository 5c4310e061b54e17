// Java's two HTTP clients, run as a single source file. Usage: Visit.java client|client-h1|url PLAN
import java.net.*;
import java.net.http.*;
import java.nio.file.*;
import java.time.Duration;
import java.util.*;

public class Visit {
    static HttpClient client;

    static void send(String mode, String[] r, List<String[]> headers) {
        try {
            if (mode.equals("url")) {
                HttpURLConnection c = (HttpURLConnection) new URL(r[2]).openConnection();
                c.setRequestMethod(r[1]);
                c.setConnectTimeout(8000);
                c.setReadTimeout(8000);
                for (String[] h : headers) c.setRequestProperty(h[1], h[2]);
                if (!r[3].isEmpty()) c.setRequestProperty("Content-Type", r[3]);
                if (!r[4].isEmpty()) {
                    c.setDoOutput(true);
                    c.getOutputStream().write(r[4].getBytes());
                }
                int status = c.getResponseCode();
                var in = status < 400 ? c.getInputStream() : c.getErrorStream();
                if (in != null) in.readAllBytes();
                return;
            }
            var b = HttpRequest.newBuilder(URI.create(r[2])).timeout(Duration.ofSeconds(8));
            b.method(r[1], r[4].isEmpty() ? HttpRequest.BodyPublishers.noBody() : HttpRequest.BodyPublishers.ofString(r[4]));
            for (String[] h : headers) if (!h[1].equalsIgnoreCase("connection")) b.header(h[1], h[2]);
            if (!r[3].isEmpty()) b.header("Content-Type", r[3]);
            client.send(b.build(), HttpResponse.BodyHandlers.ofString());
        } catch (Exception e) {
            System.err.println(e);
        }
    }

    public static void main(String[] args) throws Exception {
        client = HttpClient.newBuilder().followRedirects(HttpClient.Redirect.NORMAL)
            .version(args[0].equals("client-h1") ? HttpClient.Version.HTTP_1_1 : HttpClient.Version.HTTP_2).build();
        CookieHandler.setDefault(new CookieManager());
        String[] req = null;
        List<String[]> headers = new ArrayList<>();
        for (String line : Files.readAllLines(Path.of(args[1]))) {
            String[] p = line.split("\t", -1);
            if (p[0].equals("REQ")) {
                if (req != null) send(args[0], req, headers);
                req = p;
                headers = new ArrayList<>();
            } else if (p[0].equals("HDR")) headers.add(p);
        }
        if (req != null) send(args[0], req, headers);
    }
}
