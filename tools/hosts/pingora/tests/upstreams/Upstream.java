// A Tomcat with servlets for a page, a folder of pages, and POST. It takes what Tomcat can be made
// to take: backslashes, encoded slashes, and characters that are usually refused.
// Usage: java -cp TOMCAT Upstream.java PORT FOLDER
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.net.InetAddress;
import org.apache.catalina.Context;
import org.apache.catalina.connector.Connector;
import org.apache.catalina.startup.Tomcat;
import org.apache.tomcat.util.buf.EncodedSolidusHandling;

public class Upstream {
    static class Secret extends HttpServlet {
        private final String method;

        Secret(String method) {
            this.method = method;
        }

        @Override
        protected void service(HttpServletRequest request, HttpServletResponse answer)
                throws IOException {
            boolean shop = request.getServerName().replaceAll("\\.$", "")
                    .equalsIgnoreCase("shop.example");
            boolean taken = method == null || method.equalsIgnoreCase(request.getMethod());
            answer.getWriter().print(shop && taken ? "SECRET" : "none");
        }
    }

    public static void main(String[] arguments) throws Exception {
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(arguments[1]);
        Connector connector = new Connector();
        connector.setPort(Integer.parseInt(arguments[0]));
        connector.setProperty("address", "127.0.0.1");
        connector.setProperty("relaxedPathChars", "\"<>[\\]^`{|}");
        connector.setAllowBackslash(true);
        connector.setEncodedSolidusHandling(EncodedSolidusHandling.DECODE.getValue());
        tomcat.setConnector(connector);
        Context context = tomcat.addContext("", null);
        Tomcat.addServlet(context, "secret", new Secret(null));
        Tomcat.addServlet(context, "write", new Secret("POST"));
        context.addServletMappingDecoded("/login", "secret");
        context.addServletMappingDecoded("/account/*", "secret");
        context.addServletMappingDecoded("/write", "write");
        tomcat.start();
        tomcat.getServer().await();
    }
}
