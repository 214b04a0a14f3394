"""WPPConnect Server: a gateway that drives WhatsApp Web in a browser of its own."""
