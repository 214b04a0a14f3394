"""One client for all providers: the channel says through which one a message leaves."""

from __future__ import annotations

from crm.providers.meta.client import MetaChannel, MetaClient
from crm.providers.outbound import Gesture, OutboundMessage, SendResult, Sign
from crm.providers.wppconnect.client import WppConnectChannel, WppConnectClient


class ProviderClients:
    """Sends through whichever provider the channel belongs to."""

    def __init__(self, meta: MetaClient, wppconnect: WppConnectClient) -> None:
        self.meta = meta
        self.wppconnect = wppconnect

    def send(
        self, channel: MetaChannel | WppConnectChannel, message: OutboundMessage
    ) -> SendResult:
        """As the clients' own `send`."""
        if isinstance(channel, WppConnectChannel):
            return self.wppconnect.send(channel, message)
        return self.meta.send(channel, message)

    def tell(self, channel: MetaChannel | WppConnectChannel, sign: Sign) -> None:
        """Show the customer that we have read or are writing. ProviderError as `send` raises."""
        if isinstance(channel, WppConnectChannel):
            self.wppconnect.tell(channel, sign)
        elif sign.gesture is not Gesture.PAUSED:
            typing = sign.gesture is Gesture.TYPING
            self.meta.mark_read(channel, sign.message_id, typing=typing)
