"""The last step before the calls: what the claimed rows say, and the note that the calls begin.

One transaction for all of them; commit it before the first call.
"""

from __future__ import annotations

from collections.abc import Sequence

from crm.providers.outbound import ProviderError
from crm.services.media.uploading import needs_upload
from crm.services.messages.claims import Claim, Outgoing, Settings
from crm.services.messages.delivery import mark_submitted
from crm.services.messages.loading import load_outgoing

Started = Outgoing | ProviderError | None
"""What leaves now, why it must not, or None: somebody else has it, or it arrived after all."""


def start(claims: Sequence[Claim], *, settings: Settings) -> list[Started]:
    """Read what is to be sent and hold its fences, in the order of `claims`.

    What still has a file to bring along is only read: its call begins when the file is there.
    """
    loads = load_outgoing(claims, settings=settings)
    ready = [
        claim
        for claim, load in zip(claims, loads, strict=True)
        if isinstance(load, Outgoing) and not needs_upload(load.message.content)
    ]
    begun = mark_submitted(ready, settings=settings) if ready else []
    lost = {claim.queue_id for claim, is_ours in zip(ready, begun, strict=True) if not is_ours}
    return [
        None if claim.queue_id in lost else load for claim, load in zip(claims, loads, strict=True)
    ]
