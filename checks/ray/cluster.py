"""A Ray cluster on the loopback interface: a head without replicas, and simulated nodes that can be killed."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import ray
from ray import serve
from ray.cluster_utils import Cluster

from benchmarks.harness.process import free_port
from deploy.ray.app import build_over
from deploy.ray.options import Options
from matcaps.service.engine.loader import Load

HOST = "127.0.0.1"
NODES_HOST = "127.0.0.2"  # loopback too; Ray replaces 127.0.0.1 by the machine's address in the network
APPLICATION = "matcaps"
NODES = 3
CPUS = 2  # that each node declares: room for a network and the entrance
MEMORY = 2**27  # bytes of each node's object store
LONGEST_S = 120.0


class Nodes:
    """The nodes of a running cluster.

    Args:
        cluster: Ray's cluster.
        port: Port of its HTTP proxy.
    """

    def __init__(self, cluster: Any, port: int) -> None:
        self._cluster, self.port = cluster, port
        self._dead: set[str] = set()
        for _ in range(NODES):
            self.add()

    def add(self) -> None:
        """Add a node that can run replicas."""
        self._cluster.add_node(num_cpus=CPUS, object_store_memory=MEMORY, node_ip_address=NODES_HOST)

    def kill(self, with_entrance: bool) -> None:
        """Kill all processes of a node that runs a network: the entrance's node, or another one."""
        places = _places()
        entrance = places["Entrance"][0]
        chosen = entrance if with_entrance else next(place for place in places["Network"] if place != entrance)
        node = next(node for node in self._cluster.worker_nodes if node.node_id == chosen)
        self._dead.add(chosen)
        self._cluster.remove_node(node, allow_graceful=False)

    def deploy(self, options: Options, load: Load) -> None:
        """Replace the application by one over these networks; returns when it answers."""
        serve.run(build_over(options, load), name=APPLICATION)

    def replicas(self) -> int:
        """Networks that run on living nodes; 0 without an entrance."""
        states = serve.status().applications[APPLICATION].deployments["Network"].replica_states
        ready = int({str(getattr(state, "value", state)): count for state, count in states.items()}.get("RUNNING", 0))
        # For some seconds Ray still lists the replicas of a dead node.
        places = {name: [place for place in found if place not in self._dead] for name, found in _places().items()}
        return min(ready, len(places["Network"])) if places["Entrance"] else 0

    def wait_for(self, replicas: int) -> float:
        """Return the seconds that it took until so many networks ran.

        Raises:
            TimeoutError: There are fewer after two minutes.
        """
        began = time.monotonic()
        while (found := self.replicas()) < replicas:
            if time.monotonic() > began + LONGEST_S:
                raise TimeoutError(f"expected {replicas} networks after {LONGEST_S:.0f} s, got {found}")
            time.sleep(0.2)
        return time.monotonic() - began


@contextlib.contextmanager
def running() -> Iterator[Nodes]:
    """A cluster while the context lasts."""
    folder = tempfile.mkdtemp(prefix="matcaps-ray-")
    os.environ["RAY_TMPDIR"] = folder  # a cluster that the caller runs is not touched
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "object_store_memory": MEMORY,
            "node_ip_address": NODES_HOST,
            "include_dashboard": False,
        },
    )
    port = free_port()
    try:
        ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
        serve.start(proxy_location="HeadOnly", http_options={"host": HOST, "port": port})
        yield Nodes(cluster, port)
    finally:
        with contextlib.suppress(Exception):  # what fails to shut down is ended below
            serve.shutdown()
        ray.shutdown()
        cluster.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _places() -> dict[str, list[str]]:
    """The nodes on which each deployment's replicas run."""
    places: dict[str, list[str]] = {"Entrance": [], "Network": []}
    for actor in ray._private.state.actors().values():
        name = str(actor["Name"])
        if actor["State"] == "ALIVE" and name.startswith("SERVE_REPLICA"):
            places[name.split("#")[1]].append(actor["Address"]["NodeID"])
    return places
