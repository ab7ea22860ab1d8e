// Java's HttpClient in its default settings: it prefers HTTP/2, so its first request asks for an upgrade to h2c.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;

public class JavaClient {
    public static void main(String[] arguments) throws Exception {
        URI address = URI.create(arguments[0] + "/predict");
        HttpClient client = HttpClient.newHttpClient();
        for (int argument = 1; argument < arguments.length; argument += 2) {
            var body = BodyPublishers.ofFile(Path.of(arguments[argument + 1]));
            var request = HttpRequest.newBuilder(address).header("Content-Type", arguments[argument]).POST(body).build();
            System.out.println(client.send(request, BodyHandlers.ofString()).body());
        }
    }
}
