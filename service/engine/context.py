"""What is known about one request while it is answered."""

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class RequestContext:
    """The context of one request; middleware creates it, and it is passed along to the engine.

    Times are seconds of ``time.perf_counter``; durations are 0 where the request did not come so far.

    Attributes:
        id: From ``X-Request-Id``, or generated.
        owner: Hash of the request's API key; empty where no keys are needed.
        trace_link: Span context that the spans of its batches link to; None where the request is not traced.
        model: Name of the model that the request leased; empty before that.
        backend: What runs its network; empty before that.
        images: Samples that were answered.
        reason: Why the request failed; empty where it did not.
        decode_began_s: When decoding of its images began.
        decode_s: Duration of decoding.
        queue_s: Duration of the wait until a batch took its first sample.
        inference_s: Duration from then until its last batch had run.
    """

    id: str = ""
    owner: str = ""
    trace_link: Any = None
    model: str = ""
    backend: str = ""
    images: int = 0
    reason: str = ""
    decode_began_s: float = 0.0
    decode_s: float = 0.0
    queue_s: float = 0.0
    inference_s: float = 0.0
