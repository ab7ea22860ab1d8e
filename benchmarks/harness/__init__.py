"""What benchmarks and checks share: a server process, an HTTP client, a load, a tiny network and a slow device."""
