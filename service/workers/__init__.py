"""Several processes that speak HTTP, before one that holds the engine: ``matcaps serve --http-workers N``.

    client ──TCP──> HTTP worker ──┐
    client ──TCP──> HTTP worker ──┼──Unix sockets──> engine process: queues, networks, GPU, kept poses, reload
    client ──TCP──> HTTP worker ──┘

An HTTP worker accepts connections, parses, checks keys, decodes and encodes, with the same routes as a single process.
Its engine is a ``RemoteEngine``, which asks the engine process. The engine process starts the workers, replaces those
that die, and drains them. It owns everything that is shared; a worker owns its connections and requests only.

Each worker has one end of a socket pair. It has no path, so nobody else can connect, and nothing is left behind. Its
end of file tells either side that the other has died.

    frames      messages on the socket: all messages of one turn of an event loop in one write
    client      a worker's side of the socket: questions and their answers
    remote      the ``Engine`` of a worker
    worker      the process of a worker: ``python -m matcaps.service.workers.worker``
    connection  the engine's side of one worker: runs what it asks for
    dispatcher  the engine's side of all workers: what they must know, and their metrics as one
    counts      metrics of many processes, added up
    supervisor  the engine process: starts, replaces and drains the workers

Each worker listens at a socket of its own at the same address (SO_REUSEPORT). Of 32 connections that come together, the
busiest of two workers then gets 18 (median of 12 trials), the busiest of four 11. With one inherited socket these are
32 and 22, because a worker that wakes accepts all that wait.

Leases: the engine holds each version for each worker that knows it. A worker lets go of a version once the version has
been replaced and none of its requests holds it. So a request ends with the version that it began with.
"""
