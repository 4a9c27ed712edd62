"""The parts that need a cluster, put together: catalog by watches, certificate by Secret."""

from __future__ import annotations

import contextlib
import socket
import uuid
from collections.abc import Awaitable, Callable
from functools import partial

from webhook import api, published, readiness
from webhook.beside import Beside
from webhook.cluster import Cluster
from webhook.core.catalog import Catalog
from webhook.follower import Follower
from webhook.lease import Lease
from webhook.metrics import Metrics
from webhook.namespaces import Arrivals
from webhook.published import Identity
from webhook.settings import Settings
from webhook.status import StatusWriter
from webhook.tls import ServingCertificate
from webhook.witness import Witness


async def connect(  # noqa: PLR0913  # all the parts that are put together
    chosen: Settings,
    metrics: Metrics,
    serving: ServingCertificate,
    parts: dict[str, Callable[[], Awaitable[None]]],
    checks: dict[str, readiness.Check],
    stack: contextlib.AsyncExitStack,
    following: Beside,
    arrivals: Arrivals,
    *,
    on_replaced: Callable[[Catalog], None],
) -> Callable[[], Catalog]:
    """Add parts and checks, and return how to get the catalog of the moment.

    `on_replaced` gets each snapshot that another one has replaced, in `following`.
    What reads objects, the catalog and the statuses, runs in `following`: off the serving thread.
    Raises Refused (SI-201) when there is no way to reach a cluster.
    """
    server = await stack.enter_async_context(await api.reach(chosen.kubeconfig))
    watched = await following.run(api.reach(chosen.kubeconfig))
    stack.push_async_callback(lambda: following.run(watched.__aexit__()))
    cluster = Cluster(
        watched,
        on_fault=metrics.fault,
        on_unusable=metrics.over_budget,
        on_namespaces=arrivals.told,
        on_replaced=on_replaced,
    )
    parts["cluster"] = partial(following.keep, cluster.run)
    checks["catalog"] = lambda: readiness.staleness(
        cluster.unsynced,
        {kind: cluster.age_s(kind) for kind in cluster.kinds},
        chosen.max_staleness_s,
    )
    age = metrics.gauge("catalog_age_seconds", "Time since word came of a kind.", "kind")
    count = metrics.gauge("catalog_objects", "Objects known of a kind.", "kind")
    unusable = metrics.gauge(
        "catalog_objects_unusable", "Objects that take too much work to be read.", "kind"
    )
    for kind in cluster.kinds:
        unusable.labels(kind).set_function(partial(cluster.unusable, kind))
        age.labels(kind).set_function(partial(cluster.age_s, kind))
        count.labels(kind).set_function(partial(cluster.count, kind))

    identity = Identity(
        namespace=chosen.namespace,
        service=chosen.service,
        secret=chosen.tls_secret,
        configurations=published.configurations(
            chosen.mutating_configuration, chosen.validating_configuration
        ),
    )
    if chosen.tls_cert is None:
        follower = Follower(server, identity, serving, settle_s=chosen.ca_settle_s)
        parts["certificate"] = partial(follower.run, every_s=chosen.tls_check_s)
        checks["certificate trust"] = lambda: "" if follower.is_trusted else UNTRUSTED
    elif identity.configurations:
        witness = Witness(server, identity, serving)
        parts["witness"] = partial(witness.run, every_s=chosen.tls_check_s)
        checks["certificate trust"] = lambda: "" if witness.is_trusted else UNTRUSTED
    if chosen.lease:
        lease = Lease(
            watched,
            namespace=chosen.namespace,
            name=chosen.lease,
            identity=f"{chosen.pod_name or socket.gethostname()}-{uuid.uuid4().hex[:8]}",
        )
        leading = metrics.gauge("leading", "1 on the replica that writes statuses.")
        leading.set_function(lambda: float(lease.is_held))
        writer = StatusWriter(watched, lease, lambda: cluster.catalog)
        parts["statuses"] = partial(following.keep, writer.run)
    return lambda: cluster.catalog


UNTRUSTED = "the caBundle of a webhook configuration does not accept what is served"
