"""How a chat finds its agent.

`arrive` sends a chat on its way: `rules` decide (pure, over `conditions` and `facts`), `overflow`
lets it into a queue, `texts` tell the customer. `assign` serves the lines under locks: `floor`
reads the snapshot, `strategies` choose (pure). `tend` does what time makes due, `sweep` finds what
nobody rang for, `handover` is what people do by hand, `preview` tries rules and touches nothing.
"""

from crm.services.routing.assign import (
    Drained,
    drain_agent,
    drain_campaign,
    explain_chat,
    route_chat,
    serve_after,
)
from crm.services.routing.explain import explain_past, explain_wait, list_offers
from crm.services.routing.sweep import (
    find_chats_to_tend,
    find_drainable_campaigns,
    find_gone_agents,
    find_unrouted_chats,
)
from crm.services.routing.tend import tend_chat

__all__ = [
    "Drained",
    "drain_agent",
    "drain_campaign",
    "explain_chat",
    "explain_past",
    "explain_wait",
    "find_chats_to_tend",
    "find_drainable_campaigns",
    "find_gone_agents",
    "find_unrouted_chats",
    "list_offers",
    "route_chat",
    "serve_after",
    "tend_chat",
]
