"""How a chat finds its agent.

`rules` says where a new chat goes, `strategies` who gets it (pure), `floor` reads the snapshot,
`assign` applies the choice under locks and leaves the receipt, `sweep` finds what nobody rang for.
"""

from crm.services.routing.assign import (
    Drained,
    drain_agent,
    drain_campaign,
    explain_chat,
    route_chat,
)
from crm.services.routing.sweep import (
    find_drainable_campaigns,
    find_gone_agents,
    find_unrouted_chats,
)

__all__ = [
    "Drained",
    "drain_agent",
    "drain_campaign",
    "explain_chat",
    "find_drainable_campaigns",
    "find_gone_agents",
    "find_unrouted_chats",
    "route_chat",
]
